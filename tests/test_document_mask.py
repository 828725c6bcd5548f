"""Masked documents: a token's logits are those of its own document alone, however it is computed, evaluated or resumed."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ALONE
from preparing import prepare, write_jsonl
from references import enlarge
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention

import model as model_module
from checkpointing import checkpoint, pretrained
from corpus.dataset import TokenDataset, batch
from evaluation.likelihood import score
from evaluation.losses import language_model_loss
from evaluation.windows import Split, windows
from model import GPT, IGNORED, Attention, Cache, GPTConfig, choose_attention, document_mask
from system.errors import UserError
from train import train
from training.batches import micro_batches
from training.config import TrainConfig
from training.learner import build_learner
from training.plan import estimated_memory
from training.run import open_data, open_run
from training.shard_check import ShardCheck

END = 7
MASKED = GPTConfig(
    vocab_size=65,
    block_size=32,
    n_layer=2,
    n_head=4,
    n_kv_head=2,
    n_embd=48,
    position="rotary",
    document_mask=True,
    end_of_text=END,
)
LENGTHS = (9, 1, 14, 8)  # of a window's documents; one of them is its end-of-text token alone
CPU = torch.device("cpu")


def large_model(config: GPTConfig = MASKED, attention: Attention = "sdpa") -> GPT:
    torch.manual_seed(1)
    model = GPT(config, attention)
    enlarge(model)
    return model.double().eval()


def window(seed: int = 0, B: int = 2) -> Tensor:
    """Return windows of documents, (B, 32), of which all but the first begin with an end-of-text token."""
    tokens = torch.randint(END + 1, 65, (B, 32), generator=torch.Generator().manual_seed(seed))
    tokens[:, np.cumsum(LENGTHS)[:-1]] = END
    return tokens


@pytest.mark.parametrize("attention", ["sdpa", "math"])
@torch.no_grad()
def test_logits_are_those_of_the_document_alone(attention: Attention) -> None:
    model, tokens = large_model(attention=attention), window()
    logits = model(tokens)
    for part, found in zip(tokens.split(LENGTHS, dim=1), logits.split(LENGTHS, dim=1), strict=True):
        torch.testing.assert_close(found, model(part), rtol=1e-5, atol=1e-6)  # rotations are in float32
    across = large_model(replace(MASKED, document_mask=False, end_of_text=-1))(tokens)
    torch.testing.assert_close(across[:, : LENGTHS[0]], logits[:, : LENGTHS[0]], rtol=1e-9, atol=1e-9)
    assert (across - logits)[:, LENGTHS[0] + 1 :].abs().amax(-1).min() > 1e-2


@pytest.mark.parametrize("attention", ["sdpa", "math"])
@pytest.mark.parametrize("position", ["learned", "rotary"])
@torch.no_grad()
def test_another_document_changes_no_logit(position: Any, attention: Attention) -> None:
    """Not by its text; with learned positions by its length, as a token keeps its place in the window."""
    model, tokens = large_model(replace(MASKED, position=position), attention), window()
    logits = model(tokens)
    begin = 0
    for length in LENGTHS:
        changed = window(seed=5)
        changed[:, begin : begin + length] = tokens[:, begin : begin + length]
        assert torch.equal(model(changed)[:, begin : begin + length], logits[:, begin : begin + length])
        begin += length


@pytest.mark.parametrize("n_kv_head", [4, 2, 1])
def test_gradients_agree(n_kv_head: int) -> None:
    results = {}
    for attention in ("math", "sdpa"):
        model = large_model(replace(MASKED, n_kv_head=n_kv_head), attention)  # type: ignore[arg-type]
        model(window(), window(seed=3)).backward()
        results[attention] = [parameter.grad for parameter in model.parameters()]
    torch.testing.assert_close(results["sdpa"], results["math"], rtol=1e-9, atol=1e-9)


def by_flex_attention(tokens: Tensor, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    visible = document_mask(MASKED, "flash", tokens)
    assert isinstance(visible, model_module.BlockMask)
    return model_module.flexible_attention(q, k, v, 0.0, visible)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("traced", [False, pytest.param(True, marks=pytest.mark.thorough)])
@torch.no_grad()
def test_flex_attention_sees_the_same_keys(traced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eager, which a CPU can do forward, and traced as a part of a compiled model, without a break."""
    T = 300  # several of its blocks, the last one in part
    monkeypatch.setattr(model_module, "compiled_flex_attention", lambda: flex_attention)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 65, (2, T), generator=generator)
    q = torch.randn(2, 4, T, 12, generator=generator, dtype=torch.float64)
    k, v = torch.randn(2, 2, 2, T, 12, generator=generator, dtype=torch.float64)
    attend = torch.compile(by_flex_attention, fullgraph=True, backend="eager") if traced else by_flex_attention  # fmt: skip
    visible = document_mask(MASKED, "math", tokens)
    assert isinstance(visible, Tensor)
    assert 1 < (visible.sum(-1) == 1).sum() < 2 * T
    expected = model_module.math_attention(q, k, v, 0.0, visible)
    torch.testing.assert_close(attend(tokens, q, k, v), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_model_can_be_compiled_as_a_whole(precision: torch.dtype) -> None:
    model = large_model(replace(MASKED, n_layer=1)).float()
    traced = torch.compile(model.transformer, fullgraph=True, backend="eager")
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        assert torch.equal(traced(window()), model.transformer(window()))


@torch.no_grad()
def test_a_cached_text_is_one_document() -> None:
    """Also after an end-of-text token, with which a text without a prompt begins."""
    model = large_model()
    text = window()[:, LENGTHS[0] + LENGTHS[1] :][:, : LENGTHS[2]]
    assert (text[:, 0] == END).all()
    cache = Cache(model.config, 2, dtype=torch.float64)
    logits = torch.cat([model(part, cache=cache) for part in text.split([4, 1, 1, 8], dim=1)], dim=1)
    torch.testing.assert_close(logits, model(text), rtol=1e-9, atol=1e-9)


def test_a_document_scores_the_same_in_the_stream_and_by_itself() -> None:
    model = large_model().float()
    tokens = np.append(window(B=1)[0].numpy(), END)  # an end-of-text token ends the last one too
    ends = np.flatnonzero(tokens == END) + 1
    split = Split(tokens, ends, False, END)
    n_bytes = np.ones(65, dtype=np.int64)
    (stream,) = score(model, [request for request, _ in windows(split, 32, "stream", 32, n_bytes)], torch.float32)  # fmt: skip
    (request,) = (request for request, _ in windows(split, 32, "stream", 32, n_bytes))
    assert request.parts == (9, 1, 14, 8)
    alone = [r for r, parts in windows(split, 32, "document", 32, n_bytes) if parts[0].document == 2]
    with torch.no_grad():
        end = model(torch.from_numpy(alone[0].tokens[None]))[0, -1].log_softmax(-1)[END].item()
    assert score(model, alone, torch.float32)[0][0, 0] + end == pytest.approx(stream[2, 0], abs=1e-4)


def test_dropout_takes_weights_of_visible_keys_only() -> None:
    tokens = window(B=1)
    model = large_model(replace(MASKED, dropout=0.5), "sdpa").train()
    attend = model.transformer.h[0].attn.attend  # type: ignore[union-attr, operator]
    q = torch.zeros(1, 4, 32, 12, dtype=torch.float64)
    v = torch.eye(32, dtype=torch.float64)[None, None, :, :12].expand(1, 2, 32, 12)
    torch.manual_seed(0)
    visible = document_mask(model.config, "sdpa", tokens)
    found = torch.stack([attend(q, q[:, :2], v, visible) for _ in range(300)])  # (n, 1, 4, 32, 12): weights
    assert (found[..., 10:, :10] == 0).all()
    assert set(found[..., 1, :2].flatten().tolist()) == {0.0, 1.0}  # half, dropped or doubled
    assert found[..., 3, :4].mean().item() == pytest.approx(0.25, abs=0.02)
    with pytest.raises(ValueError, match=r"needs dropout=0, not 0\.5"):
        model_module.flexible_attention(q, q, q, 0.5, document_mask(model.config, "flash", tokens))  # type: ignore[arg-type]


def test_without_the_setting_nothing_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """And torch's kernel is called as it always was, so that losses stay the same to the last bit."""
    config = replace(MASKED, document_mask=False, end_of_text=-1)
    assert config == replace(GPTConfig(), **{f.name: getattr(config, f.name) for f in dataclasses.fields(GPTConfig) if f.name not in ("document_mask", "end_of_text")})  # fmt: skip
    assert document_mask(config, "sdpa", window()) is None
    calls, kernel = [], F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *args, **kwargs: (calls.append((args[3:], kwargs)), kernel(*args, **kwargs))[1])  # fmt: skip
    large_model(config)(window())
    assert calls == [((None, 0.0, True), {"enable_gqa": True})] * config.n_layer


def test_what_is_timed_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, fused = [], model_module.fused_attention
    monkeypatch.setattr(model_module, "fused_attention", lambda *given: (shapes.append((given[4].shape, given[4].dtype)), fused(*given))[1])  # fmt: skip
    model_module.attend_once(MASKED, CPU, torch.float32, "sdpa", 3)
    GPT(MASKED, "sdpa")(window(B=3))
    assert shapes == [((3, 1, 32, 32), torch.bool)] * 3


def test_flash_is_a_choice_of_the_user() -> None:
    cuda = torch.device("cuda")
    assert choose_attention("auto", MASKED, cuda, torch.bfloat16) == "sdpa"
    with pytest.raises(ValueError, match=r"'flash' is not available: with document_mask it needs dropout=0, not 0\.1"):  # fmt: skip
        choose_attention("flash", replace(MASKED, dropout=0.1), cuda, torch.bfloat16)
    with pytest.raises(ValueError, match="needs a CUDA device, not cpu"):
        GPT(MASKED, "flash")(window())


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="end_of_text=7: must be -1 without document_mask=True"):
        GPTConfig(end_of_text=7)
    with pytest.raises(ValueError, match="end_of_text=-2: must be"):
        GPTConfig(document_mask=True, end_of_text=-2)
    with pytest.raises(ValueError, match="end_of_text=-1: must be the tokenizer's"):
        GPT(replace(MASKED, end_of_text=-1))


@pytest.fixture
def masked(config: TrainConfig) -> TrainConfig:
    return replace(config, max_steps=2, model=replace(config.model, document_mask=True))


def opened(config: TrainConfig) -> Any:
    return open_run(config, open_data(config.data_dir))


def test_a_run_has_the_datas_token_and_its_model_keeps_it(masked: TrainConfig) -> None:
    train(masked)
    found = pretrained.find(masked.out_dir)
    assert (found.config.document_mask, found.config.end_of_text) == (True, 256)
    assert opened(masked).progress.step == 2
    without = replace(masked, model=replace(masked.model, document_mask=False))
    with pytest.raises(UserError, match=r"document_mask=True \(not False\), end_of_text=256 \(not -1\)"):
        opened(without)
    with pytest.raises(
        UserError, match=r"end_of_text=5: must be -1 \(taken from the data\) or 256, the end-of-text"
    ):
        opened(replace(masked, model=replace(masked.model, end_of_text=5)))
    tuned = replace(without, out_dir=f"{masked.out_dir}_tuned", init_from=masked.out_dir, model=GPTConfig())
    assert opened(tuned).config.model == found.config, "a model that masks documents stays one"


def test_a_model_from_before_the_setting_can_be_tuned_with_a_mask(config: TrainConfig) -> None:
    train(replace(config, max_steps=1))
    folder = checkpoint.find(config.out_dir)
    info = checkpoint.read_info(folder)
    del info["model"]["document_mask"], info["model"]["end_of_text"]
    assert checkpoint.network_of(info, folder) == pretrained.find(config.out_dir).config
    own = GPTConfig(document_mask=True)
    tuned = replace(config, out_dir=f"{config.out_dir}_tuned", init_from=config.out_dir, model=own)
    found = opened(tuned).config.model
    assert (found.document_mask, found.end_of_text, found.n_layer) == (True, 256, 2)
    branch = replace(
        tuned, init_from="", branch_from=config.out_dir, model=replace(config.model, document_mask=True)
    )
    with pytest.raises(UserError, match=r"its network has document_mask=False \(not True\)"):
        opened(branch)


def test_pairs_lose_nothing(config: TrainConfig, tmp_path: Path) -> None:
    """What follows a pair is another document and not scored, so its loss is the same."""
    rows = [{"id": str(i), "prompt": f"{i} and {i} is", "completion": f" {2 * i}."} for i in range(20)]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    prepare(tmp_path / "pairs", f"pairs:{tmp_path}/pairs.jsonl")
    data = TokenDataset(tmp_path / "pairs")
    inputs, targets = (torch.from_numpy(each) for each in batch(data, data.pair_starts[:6], 32))
    assert ((inputs == 256).sum(dim=1) > 0).any()
    assert ((targets != IGNORED).sum(dim=1) > 1).all()
    losses = []
    for mask in (False, True):
        shape = replace(MASKED, vocab_size=257, document_mask=mask, end_of_text=256 if mask else -1)
        loss, _ = language_model_loss(large_model(shape), (inputs, targets))
        losses.append(loss)
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-12)


def test_a_step_of_training_does_not_cross_documents(masked: TrainConfig) -> None:
    """The batch that train.py computes with, through its objective, against each document by itself."""
    shape = replace(masked.model, block_size=32, position="rotary", n_embd=32)
    run = opened(replace(masked, model=shape, batch_size=64))
    learner = build_learner(run, ALONE)
    enlarge(learner.model)
    learner.model.double()
    check = ShardCheck(run.config.data_dir, run.data.train.manifest, active=False)
    (((inputs, targets), _),) = micro_batches(run, learner, run.progress, ALONE, check)
    row = int((inputs == 256).sum(dim=1).argmax())
    edge = int((inputs[row] == 256).nonzero()[0])
    assert 0 < edge < 31
    loss, _ = language_model_loss(learner.network, (inputs[row : row + 1], targets[row : row + 1]))
    parts = [slice(0, edge), slice(edge, 32)]
    alone = sum(learner.model(inputs[row : row + 1, part], targets[row : row + 1, part]).item() for part in parts)  # fmt: skip
    assert loss.item() == pytest.approx(alone, rel=1e-9)


@pytest.mark.thorough
def test_a_plan_counts_the_mask(config: TrainConfig) -> None:
    peaks = []
    for mask in (False, True):
        model = replace(config.model, block_size=256, document_mask=mask)
        memory, _ = estimated_memory(opened(replace(config, model=model)), ALONE, language_model_loss)
        peaks.append(memory.activations)
    assert peaks[1] - peaks[0] >= 8 * 256 * 256  # a byte for each of a batch's pairs of tokens


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("n_kv_head", [4, 2])
def test_paths_agree_on_a_gpu(n_kv_head: int, compiled: bool) -> None:
    config, device = replace(MASKED, n_kv_head=n_kv_head, head_dim=64), torch.device("cuda")
    assert choose_attention("flash", config, device, torch.bfloat16) == "flash"
    results = {}
    for attention in ("math", "sdpa", "flash"):
        model = large_model(config, attention).float().to(device)  # type: ignore[arg-type]
        if compiled:
            model.compile(fullgraph=True)
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(window().to(device), window(seed=3).to(device))
        loss.backward()
        results[attention] = [loss.detach(), *(parameter.grad for parameter in model.parameters())]
    for attention in ("sdpa", "flash"):
        for found, expected in zip(results[attention], results["math"], strict=True):
            scale = expected.abs().max().item()
            torch.testing.assert_close(found, expected, rtol=0, atol=0.05 * scale)
