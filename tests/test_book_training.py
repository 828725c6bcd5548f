"""What the book's chapters train with: the short loop, the choices that are compared, and the model that is kept."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from book import trained
from book.measure.choices import CHOICES, SHAPE
from book.small_gpt import loss_on, train
from book.text import in_rows, windows
from model import GPT, GPTConfig

V, T = 11, 8


def small(**settings: int) -> GPT:
    torch.manual_seed(1)
    shape = {"vocab_size": V, "block_size": T, "n_layer": 1, "n_head": 2, "n_embd": 16}
    return GPT(GPTConfig(**{**shape, **settings}))


def test_the_loop_learns_a_text_that_repeats() -> None:
    tokens = torch.arange(V).repeat(20)
    model, steps = small(), []
    before = loss_on(model, tokens)
    losses = train(model, lambda: windows(tokens, 8, T), 100, after_step=steps.append)
    assert steps == list(range(1, 101))
    assert len(losses) == 100
    assert losses[0] == pytest.approx(before, abs=0.3)
    assert loss_on(model, tokens) < 0.3 < 2 < before


def test_models_of_any_shape_see_the_same_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    forward = GPT.forward

    def recorded(self: GPT, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append(tokens)
        return forward(self, tokens, targets)

    monkeypatch.setattr(GPT, "forward", recorded)
    tokens = torch.randint(V, (500,))
    batch = partial(windows, tokens, 4, T)
    train(small(), batch, 3)
    train(small(n_embd=32), batch, 3)
    train(small(), batch, 3, seed=2)
    first, second, other = seen[:3], seen[3:6], seen[6:]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], other[0])


def test_the_loss_on_a_text_is_the_mean_over_its_rows() -> None:
    tokens = torch.randint(V, (70 * T + 3,))  # more than the 64 rows of a batch
    model = small()
    inputs, targets = in_rows(tokens, T)
    expected = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item()
    assert loss_on(model, tokens) == pytest.approx(expected, rel=1e-5)


def test_the_choices_are_compared_at_nearly_equal_parameters() -> None:
    counts = {name: GPT(GPTConfig(**{**SHAPE, **choice})).n_params() for name, choice in CHOICES.items()}
    assert max(counts.values()) / min(counts.values()) < 1.06
    settings = [set(choice) - {"n_inner"} for name, choice in CHOICES.items() if name != "Qwen3"]
    assert set().union(*settings) == set(CHOICES["Qwen3"])
    assert all(len(keys) <= 1 for keys in settings)


def test_a_command_that_fails_says_what_it_printed() -> None:
    assert "prepare_data.py" in trained.command("prepare_data.py --help")
    with pytest.raises(RuntimeError, match=r"sample\.py --start=x failed:\nerror: .*prompt"):
        trained.command("sample.py --start=x")


def test_the_kept_model_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def pretended(line: str) -> str:
        lines.append(line)
        if line.startswith("train.py"):
            folder = tmp_path / line.partition("--out_dir=")[2].split()[0]
            folder.mkdir(parents=True)
            (folder / "best").write_text("step_00000300")
        return ""

    digest = trained._digest()
    monkeypatch.setattr(trained, "_digest", lambda: digest)
    monkeypatch.setattr(trained, "command", pretended)
    monkeypatch.setattr(trained, "ROOT", tmp_path)
    run = trained.trained_run()
    assert [line.split()[0] for line in lines] == ["prepare_data.py", "train.py"]
    assert trained.trained_run() == run
    assert len(lines) == 2
