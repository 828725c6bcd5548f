"""The network against its two references in transformers, and what must hold for every setting of GPTConfig."""

import dataclasses
import math
import shutil
from typing import Any

import pytest
import torch
from references import enlarge
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

import model as model_module
from checkpointing.huggingface_weights import from_huggingface
from model import GPT, IGNORED, Cache, CausalSelfAttention, GPTConfig, choose_attention, rotary_angles

SMALL = GPTConfig(vocab_size=65, block_size=32, n_layer=2, n_head=4, n_embd=48)
QWEN3: dict[str, Any] = {
    "position": "rotary",
    "norm": "rmsnorm",
    "mlp": "swiglu",
    "qk_norm": True,
    "bias": False,
    "n_kv_head": 2,
    "head_dim": 16,
}
FAMILIES = [SMALL, dataclasses.replace(SMALL, **QWEN3)]
ABLATIONS: list[dict[str, Any]] = [
    {},
    {"n_kv_head": 2},
    {"n_kv_head": 1},
    {"head_dim": 20},
    {"n_inner": 80},
    {"dropout": 0.1},
    {"position": "rotary"},
    {"position": "rotary", "rope_theta": 1e6},
    {"norm": "rmsnorm"},
    {"norm_eps": 1e-3},
    {"mlp": "swiglu"},
    {"qk_norm": True},
    {"qk_norm": True, "norm": "rmsnorm"},
    {"bias": False},
    {"tie_embeddings": False},
    {**QWEN3, "dropout": 0.1},
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def random_tokens(config: GPTConfig, B: int = 2, T: int | None = None) -> Tensor:
    return torch.randint(0, config.vocab_size, (B, T or config.block_size))


def large_model(config: GPTConfig, **kwargs: Any) -> GPT:
    torch.manual_seed(1)
    model = GPT(config, **kwargs)
    enlarge(model)
    return model.eval()


@torch.no_grad()
def assert_same_logits(config: GPTConfig, reference: torch.nn.Module) -> None:
    model = GPT(config)
    model.load_weights(dict(from_huggingface(config, reference.state_dict())))
    tokens = random_tokens(model.config)
    expected = reference.eval()(tokens).logits
    assert expected.std() > 0.5  # logits that hardly differ would prove nothing
    for last_only in (False, True):
        logits = model.eval()(tokens, last_only=last_only)
        wanted = expected[:, -1:] if last_only else expected
        torch.testing.assert_close(logits, wanted, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "n_inner", "tied"),
    [
        (65, 32, 2, 4, 48, 0, True),
        (128, 17, 3, 3, 96, 0, False),
        (2, 8, 1, 1, 16, 24, True),
        (257, 64, 4, 8, 64, 200, True),
    ],
)
def test_logits_equal_gpt2(vocab_size, block_size, n_layer, n_head, n_embd, n_inner, tied):
    reference = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocab_size,
            n_positions=block_size,
            n_layer=n_layer,
            n_head=n_head,
            n_embd=n_embd,
            n_inner=n_inner or None,
            tie_word_embeddings=tied,
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    enlarge(reference)
    config = GPTConfig(
        vocab_size, block_size, n_layer, n_head, n_embd=n_embd, n_inner=n_inner, tie_embeddings=tied
    )
    assert_same_logits(config, reference)


@pytest.mark.parametrize(
    ("vocab_size", "block_size", "n_layer", "n_head", "n_kv_head", "n_embd", "head_dim", "theta", "tied"),
    [
        (65, 32, 2, 4, 2, 48, 16, 10000.0, True),
        (128, 17, 3, 4, 1, 64, 16, 1000000.0, False),
        (193, 64, 2, 6, 3, 40, 10, 1000000.0, True),
        (64, 24, 4, 2, 2, 32, 64, 500.0, False),
    ],
)
def test_logits_equal_qwen3(
    vocab_size, block_size, n_layer, n_head, n_kv_head, n_embd, head_dim, theta, tied
):
    config = GPTConfig(
        vocab_size,
        block_size,
        n_layer,
        n_head,
        n_embd=n_embd,
        rope_theta=theta,
        tie_embeddings=tied,
        **(QWEN3 | {"n_kv_head": n_kv_head, "head_dim": head_dim}),
    )
    reference = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocab_size,
            max_position_embeddings=block_size,
            num_hidden_layers=n_layer,
            num_attention_heads=n_head,
            num_key_value_heads=n_kv_head,
            hidden_size=n_embd,
            head_dim=head_dim,
            intermediate_size=config.inner_size,
            rope_theta=theta,  # transformers 4 reads this, 5 the next
            rope_parameters={"rope_type": "default", "rope_theta": theta},
            tie_word_embeddings=tied,
        )
    )
    assert reference.config.rms_norm_eps == config.eps == 1e-6
    enlarge(reference)
    assert_same_logits(config, reference)


def test_parameter_names_and_sizes_are_gpt2s():
    with torch.device("meta"):
        model, reference = GPT(GPTConfig(vocab_size=50257)), GPT2LMHeadModel(GPT2Config())
    assert set(model.state_dict()) == set(reference.state_dict())
    assert model.n_params() == reference.num_parameters() == 124_439_808
    assert model.n_params(embeddings=False) == 85_056_000


def test_parameter_count_of_qwen3_0_6b():
    shape = QWEN3 | {"n_kv_head": 8, "head_dim": 128, "n_inner": 3072}
    with torch.device("meta"):
        model = GPT(GPTConfig(vocab_size=151936, n_layer=28, n_head=16, n_embd=1024, **shape))
    assert model.n_params() == 596_049_920
    assert model.n_params(embeddings=False) == 440_467_456  # "0.44B" in its model card


@pytest.mark.parametrize("attention", ["sdpa", "math"])
@pytest.mark.parametrize("config", FAMILIES, ids=["gpt2", "qwen3"])
@torch.no_grad()
def test_a_future_token_never_changes_a_past_logit(config, attention):
    model = large_model(config, attention=attention)
    tokens = random_tokens(config)
    logits = model(tokens)
    for t in (1, 13, config.block_size - 1):
        changed = tokens.clone()
        changed[:, t:] = (changed[:, t:] + 1) % config.vocab_size
        difference = (model(changed) - logits).abs().amax(dim=(0, 2))  # (T,)
        assert difference[:t].max() == 0
        assert difference[t] > 1e-3


@pytest.mark.parametrize("changes", [{}, {"n_kv_head": 2}, QWEN3, QWEN3 | {"n_kv_head": 1}], ids=str)
def test_attention_paths_agree(changes):
    config = dataclasses.replace(SMALL, **changes)
    tokens, targets = random_tokens(config), random_tokens(config)
    results = {}
    for attention in ("math", "sdpa", "auto"):
        model = large_model(config, attention=attention).double()
        model(tokens, targets).backward()
        results[attention] = [model(tokens).detach(), *(parameter.grad for parameter in model.parameters())]
    assert results["math"][0].std() > 0.5
    for attention in ("sdpa", "auto"):
        torch.testing.assert_close(results[attention], results["math"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("config", FAMILIES, ids=["gpt2", "qwen3"])
def test_attention_drops_weights_only_in_training(config):
    model = large_model(dataclasses.replace(config, dropout=0.5), attention="math")
    attention = model.transformer.h[0].attn
    assert isinstance(attention, CausalSelfAttention)
    q = torch.randn(1, 4, 8, attention.head_size)
    assert torch.equal(attention.attend(q, q, q), attention.attend(q, q, q))
    attention.train()
    dropped = attention.attend(q, q, torch.ones_like(q))[
        0, :, 0
    ]  # position 0 has one weight: kept, doubled, or not
    assert set(dropped.flatten().tolist()) <= {0.0, 2.0}
    mean = torch.stack([attention.attend(q, q, torch.ones_like(q)).mean() for _ in range(200)]).mean()
    assert mean == pytest.approx(1.0, abs=0.1)


def test_flash_without_support_is_an_error_with_the_reason():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    with pytest.raises(ValueError, match="needs a CUDA device, not cpu"):
        choose_attention("flash", SMALL, cpu, torch.bfloat16)
    with pytest.raises(ValueError, match="needs bfloat16 or float16, not float32"):
        choose_attention("flash", SMALL, cuda, torch.float32)
    with pytest.raises(ValueError, match="needs a CUDA device, not cpu"):
        GPT(SMALL, attention="flash")(random_tokens(SMALL))
    assert choose_attention("auto", SMALL, cpu, torch.float32) == "sdpa"
    assert choose_attention("auto", SMALL, cpu, torch.bfloat16) == "math"
    assert (
        choose_attention("auto", dataclasses.replace(SMALL, block_size=1024), cpu, torch.bfloat16) == "sdpa"
    )
    assert choose_attention("auto", SMALL, cuda, torch.float32) == "sdpa"
    assert choose_attention("math", SMALL, cpu, torch.float32) == "math"


@pytest.mark.parametrize("config", FAMILIES, ids=["gpt2", "qwen3"])
def test_flash_is_tried_on_what_training_gives_it(config, monkeypatch):
    """Kernels differ in the lengths, strides and dropout that they take."""
    config, calls = dataclasses.replace(config, dropout=0.1, n_layer=1, block_size=160), []
    fused = model_module.fused_attention

    def noted(q, k, v, dropout, visible):
        calls.append(
            [(x.shape, x.stride(), x.dtype, x.requires_grad) for x in (q, k, v)] + [dropout, visible]
        )
        return fused(q, k, v, dropout, visible)

    monkeypatch.setattr(model_module, "fused_attention", noted)
    model_module.attend_once(config, torch.device("cpu"), torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        GPT(config, attention="sdpa")(torch.zeros(2, 160, dtype=torch.int64))
    assert calls[0] == calls[1]
    assert calls[0][0][0][2] == 160


@pytest.mark.parametrize("tied", [True, False])
def test_padding_of_the_vocabulary_never_shows(tied):
    config = dataclasses.replace(SMALL, tie_embeddings=tied)
    model = large_model(config)
    tokens, targets = random_tokens(config), random_tokens(config)
    logits, loss = model(tokens), model(tokens, targets)
    assert logits.shape == (2, 32, 65)
    assert model.lm_head.weight.shape == (128, 48)
    assert loss.item() == pytest.approx(F.cross_entropy(logits.mT, targets, reduction="sum").item(), rel=1e-6)
    loss.backward()
    for weight in {model.lm_head.weight, model.transformer.wte.weight}:
        assert weight.grad[65:].abs().max() == 0
        weight.data[65:] = 1e4
    assert torch.equal(model(tokens), logits)
    assert torch.equal(model(tokens, targets), loss)


def test_ignored_targets_do_not_count():
    model = large_model(SMALL)
    tokens, targets = random_tokens(SMALL), random_tokens(SMALL)
    counted = torch.rand(targets.shape) < 0.5
    losses = F.cross_entropy(model(tokens).mT, targets, reduction="none")  # (B, T)
    loss = model(tokens, targets.where(counted, IGNORED))
    assert loss.item() == pytest.approx(losses[counted].sum().item(), rel=1e-5)
    assert model(tokens, torch.full_like(targets, IGNORED)).item() == 0.0


@pytest.mark.parametrize("n_rows", [1, 7, 64, 1000])
@pytest.mark.parametrize("tied", [True, False])
def test_loss_by_chunks_is_cross_entropy(tied, n_rows, monkeypatch):
    """Loss and gradients against torch's, in float64, whatever the chunks; some targets are ignored, whole chunks too."""
    monkeypatch.setattr(model_module, "CHUNK_ROWS", n_rows)
    model = large_model(dataclasses.replace(SMALL, tie_embeddings=tied)).double()
    tokens, targets = random_tokens(SMALL), random_tokens(SMALL)
    targets[0, 3:15] = targets[1, -1] = IGNORED
    loss = model(tokens, targets)
    gradients = torch.autograd.grad(3 * loss, list(model.parameters()))
    exact = F.cross_entropy(model(tokens).mT, targets, ignore_index=IGNORED, reduction="sum")
    torch.testing.assert_close(loss, exact)
    for found, expected in zip(
        gradients, torch.autograd.grad(3 * exact, list(model.parameters())), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_training_never_holds_all_logits(monkeypatch):
    """Neither does an evaluation: no matrix multiplication gives more than a chunk of them."""
    monkeypatch.setattr(model_module, "CHUNK_ROWS", 16)
    model, tokens = large_model(SMALL), random_tokens(SMALL)
    shapes = []

    class Shapes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result.shape[-1:] in [(65,), (128,)]:
                shapes.append(result.numel() // result.shape[-1])
            return result

    with Shapes():
        model(tokens, tokens).backward()
        with torch.no_grad():
            model(tokens, tokens)
    assert max(shapes) == 48  # the rows of a transposed weight; the 64 tokens' logits would have 64


@pytest.mark.parametrize("changes", ABLATIONS, ids=str)
def test_each_setting_alone_trains_every_parameter(changes):
    config = dataclasses.replace(SMALL, **changes)
    model = GPT(config)
    tokens, targets = random_tokens(config), random_tokens(config)
    loss = model(tokens, targets)
    assert loss.shape == ()
    assert loss.item() / targets.numel() == pytest.approx(math.log(65), abs=0.15)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("config", FAMILIES, ids=["gpt2", "qwen3"])
def test_precision_of_logits_and_loss(config):
    model = large_model(config)
    tokens = random_tokens(config)
    logits = model(tokens)
    with torch.autocast("cpu", torch.bfloat16):
        low, loss = model(tokens), model(tokens, tokens)
    assert low.dtype == loss.dtype == torch.float32
    assert 0 < (low - logits).abs().max() < 0.1 * logits.abs().max()
    exact = F.cross_entropy(low.double().mT, tokens, reduction="sum").item()
    assert loss.item() == pytest.approx(exact, rel=1e-6)
    double = model.double()(tokens)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), logits, rtol=1e-3, atol=1e-3)
    assert model.bfloat16()(tokens).dtype == torch.float32


def test_rms_norm_is_exact_in_float64_and_wide_inside_bfloat16():
    norm = large_model(FAMILIES[1]).transformer.ln_f.double()
    x = torch.randn(5, 48, dtype=torch.float64)
    exact = norm.weight * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(norm(x), exact, rtol=1e-13, atol=1e-13)
    narrow = norm.bfloat16()(x.bfloat16())
    assert narrow.dtype == torch.bfloat16
    wide = x.bfloat16().float()
    expected = norm.weight * (wide / (wide.square().mean(-1, keepdim=True) + 1e-6).sqrt()).bfloat16()
    assert torch.equal(narrow, expected)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["math", "sdpa"])
@pytest.mark.parametrize("change", ABLATIONS)
def test_a_cache_changes_no_logits(change: dict[str, Any], attention: Any) -> None:
    model = large_model(dataclasses.replace(SMALL, **change), attention=attention).double()
    tokens = random_tokens(model.config, B=3)
    whole = model(tokens)
    cache = Cache(model.config, 3, dtype=torch.float64)
    assert cache.keys.shape == (2, 3, model.config.kv_heads, 32, model.config.head_size)
    logits = [model(part, cache=cache) for part in tokens.split([5, 1, 1, 4, 1, 20], dim=1)]
    torch.testing.assert_close(torch.cat(logits, dim=1), whole, rtol=1e-9, atol=1e-9)
    assert cache.lengths == [32, 32, 32]
    with pytest.raises(ValueError, match="33 tokens are more than the cache has room for, size=32"):
        model(tokens[:, :1], cache=cache)
    assert cache.lengths == [32, 32, 32], "an error changes nothing"


@torch.no_grad()
def test_rows_of_a_cache_have_lengths_of_their_own() -> None:
    model = large_model(FAMILIES[1]).double()
    tokens = random_tokens(model.config, B=3)
    whole, lengths = model(tokens), [9, 0, 4]
    cache = Cache(model.config, 4, dtype=torch.float64)
    for row, n in enumerate(lengths):
        if n:
            model(tokens[row : row + 1, :n], cache=cache.rows(row, row + 1))
    new = torch.stack([tokens[row, n : n + 2] for row, n in enumerate(lengths)])
    logits = model(new, cache=cache.rows(0, 3))
    assert cache.lengths == [11, 2, 6, 0]
    for row, n in enumerate(lengths):
        torch.testing.assert_close(logits[row], whole[row, n : n + 2], rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_cache_may_be_longer_than_the_block_with_rotary_positions_only() -> None:
    model = large_model(FAMILIES[1]).double()
    longer = large_model(dataclasses.replace(FAMILIES[1], block_size=64)).double()
    longer.load_weights(model.weights())
    tokens, cache = random_tokens(longer.config), Cache(model.config, 2, 64, dtype=torch.float64)
    torch.testing.assert_close(model(tokens, cache=cache), longer(tokens), rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="size=33: learned positions end at block_size=32"):
        Cache(SMALL, 1, 33)


def test_rotary_angles_survive_casting_and_the_meta_device():
    config = dataclasses.replace(FAMILIES[1], block_size=4096)
    with torch.device("meta"):
        model = GPT(config)
    model.to_empty(device="cpu").init_weights()
    assert model.lm_head.weight is model.transformer.wte.weight
    tokens = random_tokens(config, B=1, T=8)
    torch.manual_seed(0)
    fresh = GPT(config)
    model.load_state_dict(fresh.state_dict())
    assert torch.equal(model(tokens), fresh(tokens))
    positions = torch.arange(4096, dtype=torch.float64)[:, None]
    angles = positions / 10000.0 ** (torch.arange(8, dtype=torch.float64) / 8)
    for table, exact in zip(
        rotary_angles(config, torch.arange(4096)), (angles.cos(), angles.sin()), strict=True
    ):
        assert table.dtype == torch.float32
        torch.testing.assert_close(table[0].double(), exact, rtol=0, atol=1e-3)


@pytest.mark.parametrize("tied", [True, False])
def test_tied_embeddings_are_one_parameter_and_survive_a_state_dict(tied):
    config = dataclasses.replace(SMALL, tie_embeddings=tied)
    model, other = large_model(config), GPT(config)
    other.load_state_dict(model.state_dict())
    for each in (model, other):
        assert (each.lm_head.weight is each.transformer.wte.weight) == tied
        assert ("lm_head.weight" in dict(each.named_parameters())) != tied
    tokens = random_tokens(config)
    assert torch.equal(model(tokens), other.eval()(tokens))


@pytest.mark.parametrize("tied", [True, False])
def test_weights_leave_and_enter_without_padding(tied):
    config = dataclasses.replace(SMALL, tie_embeddings=tied)
    model, other = large_model(config), GPT(config).eval()
    weights = model.weights()
    assert ("lm_head.weight" in weights) != tied
    assert weights["transformer.wte.weight"].shape == (65, 48)
    assert sum(weight.numel() for weight in weights.values()) == model.n_params()
    other.load_weights({name: weight.clone() for name, weight in weights.items()})
    tokens = random_tokens(config)
    assert torch.equal(other(tokens), model(tokens))
    with pytest.raises(ValueError, match=r"missing \['transformer.ln_f.bias'\], unexpected \['ln_f'\]"):
        other.load_weights(
            {("ln_f" if name == "transformer.ln_f.bias" else name): weights[name] for name in weights}
        )
    with pytest.raises(ValueError, match=r"transformer.ln_f.bias has shape \(3,\): the model needs \(48,\)"):
        other.load_weights(weights | {"transformer.ln_f.bias": torch.zeros(3)})


def test_initialization():
    config = GPTConfig(vocab_size=300, block_size=64, n_layer=8, n_head=4, n_embd=128)
    model = GPT(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert parameter.abs().max() == 0, name
        elif parameter.ndim == 1:
            assert (parameter == 1).all(), name
        else:
            used = parameter[:300] if name == "transformer.wte.weight" else parameter
            std = 0.02 / 4 if name.endswith("c_proj.weight") else 0.02
            assert used.std().item() == pytest.approx(std, rel=0.05), name
    assert model.transformer.wte.weight[300:].abs().max() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_embd": 50}, "n_embd=50: .*n_head=4"),
        ({"n_kv_head": 3}, "n_head=4: .*n_kv_head=3"),
        ({"n_kv_head": 8}, "n_head=4: .*n_kv_head=8"),
        ({"n_kv_head": -1}, "n_kv_head=-1"),
        ({"position": "rotary", "head_dim": 15}, "head_dim=15: .*even"),
        ({"position": "rotary", "n_embd": 60}, "n_embd=60: .*even"),
        ({"dropout": 1.0}, r"dropout=1.0: .*\[0, 1\)"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"block_size": 0}, "block_size=0: .*at least 1"),
        ({"n_layer": 0}, "n_layer=0"),
        ({"n_head": 0}, "n_head=0"),
        ({"n_embd": 0}, "n_embd=0"),
        ({"vocab_size": -1}, "vocab_size=-1"),
        ({"norm_eps": -1e-5}, "norm_eps=-1e-05"),
        ({"rope_theta": 0.0}, "rope_theta=0.0"),
        ({"position": "sinus"}, "position='sinus': .*learned, rotary"),
        ({"norm": "batchnorm"}, "norm='batchnorm': .*layernorm, rmsnorm"),
        ({"mlp": "relu"}, "mlp='relu': .*gelu, swiglu"),
    ],
    ids=str,
)
def test_invalid_networks_are_rejected_by_name_and_value(changes, message):
    config = dataclasses.replace(SMALL)
    vars(config).update(changes)  # not by its constructor: training.config adds checks of types there
    with pytest.raises(ValueError, match=message):
        config.__post_init__()


def test_impossible_models_and_inputs_are_errors():
    with pytest.raises(ValueError, match=r"vocab_size=0: .*tokenizer"):
        GPT(GPTConfig())
    with pytest.raises(ValueError, match=r"attention='fast': .*auto, flash, sdpa, math"):
        GPT(SMALL, attention="fast")
    with pytest.raises(ValueError, match=r"33 tokens .*block_size=32"):
        GPT(SMALL)(random_tokens(SMALL, T=33))


def test_derived_sizes():
    config = GPTConfig(vocab_size=50257)
    assert (config.kv_heads, config.head_size, config.inner_size) == (12, 64, 3072)
    assert (config.eps, config.padded_vocab_size) == (1e-5, 50304)
    assert dataclasses.replace(config, mlp="swiglu").inner_size == 2048
    assert dataclasses.replace(config, mlp="swiglu", n_embd=1020).inner_size == 2752  # 2720, rounded up
    given = dataclasses.replace(config, mlp="swiglu", n_kv_head=4, head_dim=80, n_inner=1000, norm_eps=1e-3)
    assert (given.kv_heads, given.head_size, given.inner_size, given.eps) == (4, 80, 1000, 1e-3)
    assert dataclasses.replace(config, norm="rmsnorm").eps == 1e-6


def test_flops_and_parameters_against_a_hand_count():
    # GPT-2: 24 C^2 weights in 2 layers and 65 C in the output layer; 2 layers of 4 heads of 12.
    model = GPT(SMALL)
    assert model.flops_per_token(32) == 6 * (24 * 48 * 48 + 65 * 48) + 12 * 2 * 4 * 12 * 32
    blocks = 2 * (12 * 48 * 48 + 13 * 48) + 2 * 48
    assert model.n_params(embeddings=False) == blocks
    assert model.n_params() == blocks + (65 + 32) * 48
    # Qwen3's: 4 + 2 + 2 heads of 16 in, 4 heads out, 3 matrices of 48 x 128 (8/3 of 48) in the MLP.
    for tied in (True, False):
        model = GPT(dataclasses.replace(SMALL, **QWEN3, tie_embeddings=tied))
        weights = 2 * (48 * 8 * 16 + 4 * 16 * 48 + 3 * 48 * 128)
        assert model.flops_per_token(10) == 6 * (weights + 65 * 48) + 12 * 2 * 4 * 16 * 10
        blocks = weights + 2 * (2 * 48 + 2 * 16) + 48
        assert model.n_params(embeddings=False) == blocks
        assert model.n_params() == blocks + (1 if tied else 2) * 65 * 48


def assert_compiled_agrees(config: GPTConfig, **options: Any) -> None:
    model, compiled = large_model(config), large_model(config)
    tokens, targets = random_tokens(config), random_tokens(config)
    compiled.compile(**options)
    loss, compiled_loss = model(tokens, targets), compiled(tokens, targets)
    torch.testing.assert_close(compiled_loss, loss, rtol=1e-5, atol=1e-5)
    loss.backward()
    compiled_loss.backward()
    for (name, parameter), other in zip(model.named_parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-3, atol=1e-3, msg=name)


@pytest.mark.long
def test_compiles(monkeypatch):
    """As one graph, loss included, as on a GPU, and as on a CPU, whose loss stays eager.

    One family to machine code, where there is a C++ compiler: it takes seconds.
    """
    gpt2, qwen3 = (dataclasses.replace(config, n_layer=1) for config in FAMILIES)
    assert_compiled_agrees(gpt2, backend="eager")
    monkeypatch.setattr(torch.compiler, "disable", lambda function: function)
    monkeypatch.setattr(model_module, "CHUNK_ROWS", 40)
    assert_compiled_agrees(gpt2, backend="eager", fullgraph=True)
    compiler = shutil.which("g++") or shutil.which("clang++")
    assert_compiled_agrees(qwen3, backend="inductor" if compiler else "aot_eager", fullgraph=True)


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@needs_gpu
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")  # the compiler's advice for float32 products
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("changes", [{"head_dim": 64}, QWEN3 | {"head_dim": 128}], ids=["gpt2", "qwen3"])
def test_flash_agrees_on_a_gpu(changes, compiled):
    config = dataclasses.replace(SMALL, **changes)
    device = torch.device("cuda")
    assert choose_attention("auto", config, device, torch.bfloat16) == "flash"
    assert choose_attention("flash", config, device, torch.bfloat16) == "flash"
    tokens = random_tokens(config).to(device)
    results = {}
    for attention in ("math", "sdpa", "flash"):
        model = large_model(config, attention=attention).to(device)
        if compiled:
            model.compile(fullgraph=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(tokens, tokens)
        loss.backward()
        results[attention] = [loss.detach(), *(parameter.grad for parameter in model.parameters())]
    for attention in ("sdpa", "flash"):
        for result, expected in zip(results[attention], results["math"], strict=True):
            assert (result - expected).norm() < 0.05 * expected.norm()


@pytest.mark.gpu
@needs_gpu
def test_flash_says_which_head_size_is_too_large_on_a_gpu():
    config = dataclasses.replace(SMALL, head_dim=1024)
    with pytest.raises(ValueError, match="head size 1024"):
        choose_attention("flash", config, torch.device("cuda"), torch.bfloat16)
    assert choose_attention("auto", config, torch.device("cuda"), torch.bfloat16) == "sdpa"
