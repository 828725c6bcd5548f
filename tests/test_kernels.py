"""Kernels of the linear layers: right, independent between rows, and chosen by a measurement."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from model import GPT, GPTConfig
from sampling import kernels
from sampling.config import Sampling
from sampling.engine import generate
from sampling.kernels import KERNELS, fastest, for_sampling, quantized
from system.errors import UserError

CONFIG = GPTConfig(vocab_size=75, block_size=32, n_layer=2, n_head=4, n_embd=64, tie_embeddings=True)
QWEN = dataclasses.replace(
    CONFIG, norm="rmsnorm", mlp="swiglu", position="rotary", bias=False, qk_norm=True, n_kv_head=2
)
NAMES: list[Any] = [(quantize, kernel) for quantize in KERNELS for kernel in KERNELS[quantize]]


def has_avx512() -> bool:
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def layer_and_rows(bias: bool = True) -> tuple[nn.Linear, torch.Tensor]:
    torch.manual_seed(1)
    return nn.Linear(64, 48, bias=bias), torch.randn(3, 5, 64)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("quantize", "kernel"), NAMES)
@torch.inference_mode()
def test_a_kernel_multiplies_as_the_layer_does(
    quantize: Any, kernel: Any, dtype: torch.dtype, bias: bool
) -> None:
    layer, x = layer_and_rows(bias)
    if (quantize, kernel, dtype) == ("none", "onednn", torch.bfloat16) and not has_avx512():
        pytest.skip("oneDNN has no bfloat16 on this CPU")
    made = KERNELS[quantize][kernel](layer, dtype)
    expected, found = layer(x), made(x)
    assert found.shape == expected.shape
    assert made(x[0, 0]).shape == (48,)
    is_exact = quantize == "none" and dtype == torch.float32
    tolerance = 1e-5 if is_exact else 0.03  # 7 bits of activations, or 8 of bfloat16
    assert (found.float() - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize(("quantize", "kernel"), NAMES)
@torch.inference_mode()
def test_a_row_does_not_depend_on_a_louder_one(quantize: Any, kernel: Any) -> None:
    layer, x = layer_and_rows()
    made, row = KERNELS[quantize][kernel](layer, torch.float32), x[0, :1]
    beside = made(torch.cat([row, 1000 * x[1]]))[:1]
    tolerance = 1e-6 if quantize == "none" or kernel == "torch" else 0  # these may sum in another order
    torch.testing.assert_close(beside, made(row), rtol=tolerance, atol=tolerance)


@torch.inference_mode()
def test_rows_of_zeros_and_of_huge_numbers_are_multiplied() -> None:
    layer, x = layer_and_rows()
    for make in KERNELS["int8"].values():
        made = make(layer, torch.float32)
        torch.testing.assert_close(made(0 * x[0, :1])[0].float(), layer.bias, rtol=0.01, atol=0.001)
        assert made(1e30 * x[0]).isfinite().all()


def test_each_channel_is_rounded_to_its_own_scale() -> None:
    weight = torch.tensor([[1.0, -0.5, 0.0], [1000.0, 500.0, -1000.0], [0.0, 0.0, 0.0]])
    integers, scales = quantized(weight)
    assert integers.tolist() == [[127, -64, 0], [127, 64, -127], [0, 0, 0]]
    torch.testing.assert_close(scales[:2], torch.tensor([1 / 127, 1000 / 127]))


@pytest.mark.parametrize("config", [CONFIG, QWEN])
@pytest.mark.parametrize(("quantize", "kernel"), NAMES)
@torch.inference_mode()
def test_a_whole_model_computes_the_same(config: GPTConfig, quantize: Any, kernel: Any) -> None:
    torch.manual_seed(1)
    model = GPT(config)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    fast, chosen = for_sampling(model, torch.float32, quantize, kernel)
    assert chosen == kernel
    assert not any(isinstance(module, nn.Linear) for module in fast.modules())
    assert (model.training, fast.training) == (True, False)
    tokens = torch.randint(75, (2, 20))
    expected, found = model(tokens), fast(tokens)
    assert (found - expected).abs().max() < (1e-5 if quantize == "none" else 0.05) * expected.abs().max()
    assert len(generate(fast, [[1, 2], [3]], Sampling(max_new_tokens=20))[1][0]) == 20
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("config", [CONFIG, QWEN])
def test_decoding_in_bfloat16_agrees_with_the_whole_window(config: GPTConfig) -> None:
    """Within the rounding of bfloat16, past the block too; the cache is bfloat16."""
    torch.manual_seed(1)
    model, _ = for_sampling(GPT(config), torch.bfloat16, kernel="torch")
    prompt = list(range(20))
    [[tokens]] = generate(model, [prompt], Sampling(max_new_tokens=40, temperature=0))
    start = 0
    for n, token in enumerate(tokens, len(prompt)):
        if n - start > config.block_size:
            start = n - config.block_size // 2
        with torch.inference_mode():
            logits = model(torch.tensor([[*prompt, *tokens][start:n]]), last_only=True)[0, 0]
        assert logits.max() - logits[token] < 0.02


def test_the_fastest_kernel_is_taken_if_it_is_clearly_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    model = GPT(CONFIG).eval()
    for seconds, expected in ((0.8, "onednn"), (0.95, "torch"), (1.2, "torch")):
        monkeypatch.setattr(
            kernels,
            "seconds_for",
            lambda rows, made, layers, other=seconds: (
                other if rows == 3 and isinstance(made[0], kernels.PackedLinear) else 1.0
            ),
        )
        assert fastest(model, torch.float32, "none", rows=3) == expected
        assert fastest(model, torch.float32, "none", rows=2) == "torch"
    assert fastest(model.double(), torch.float64, "none", rows=3) == "torch"


def test_a_kernel_that_torch_lacks_is_passed_over_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(layer: nn.Linear, dtype: torch.dtype) -> nn.Module:
        raise NotImplementedError("no such operator\nand a long list")

    monkeypatch.setitem(KERNELS["none"], "onednn", fail)
    model = GPT(CONFIG)
    assert for_sampling(model)[1] in ("torch", "transposed")
    message = "kernel=onednn: not available here: NotImplementedError: no such operator: use --kernel=auto"
    with pytest.raises(UserError, match=message):
        for_sampling(model, kernel="onednn")
    message = "kernel=fbgemm: not with quantize=none: must be auto, torch, onednn, transposed"
    with pytest.raises(UserError, match=message):
        for_sampling(model, kernel="fbgemm")
