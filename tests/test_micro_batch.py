"""The micro-batch that fits: found by probing, the same in all processes, and without influence on what is learned."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from conftest import ALONE, CPU, losses, with_dropout

from model import GPT
from system.errors import UserError
from system.world import World
from train import train
from training import micro_batch
from training.config import TrainConfig
from training.learner import Learner, build_learner
from training.micro_batch import (
    choose_micro_batch_size,
    divisors,
    headroom_left,
    largest_that_fits,
    memory_for,
    no_memory,
    probe,
)
from training.optim import update
from training.run import open_data, open_run


def new_learner(config: TrainConfig) -> Learner:
    return build_learner(open_run(config, open_data(config.data_dir)), ALONE)


class Limited:
    """Stands for a GPU that holds this many sequences: notes what is tried, and runs out of memory above."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.tried: list[int] = []

    def __call__(self, size: int) -> None:
        self.tried.append(size)
        if size > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")


def limit(monkeypatch: pytest.MonkeyPatch, n_sequences: int) -> Limited:
    """Let the CPU hold at most this many sequences; what fits is really computed."""
    limited, real = Limited(n_sequences), probe

    def limited_probe(model: GPT, optimizer: torch.optim.Optimizer, size: int, *where: object) -> None:
        limited(size)
        real(model, optimizer, size, *where)  # type: ignore[arg-type]

    monkeypatch.setattr(micro_batch, "has_own_memory", lambda device: True)
    monkeypatch.setattr(micro_batch, "headroom_left", lambda _device: nullcontext())
    monkeypatch.setattr(micro_batch, "probe", limited_probe)
    return limited


@pytest.mark.parametrize("share", [1, 7, 12, 480])
def test_largest_that_fits_is_found_in_few_attempts(share: int) -> None:
    for n_sequences in range(share + 2):
        limited = Limited(n_sequences)
        expected = max((n for n in divisors(share) if n <= n_sequences), default=0)
        assert largest_that_fits(share, limited) == expected
        assert len(limited.tried) <= len(divisors(share)).bit_length()


def test_other_errors_are_not_about_memory() -> None:
    def broken(_size: int) -> None:
        raise RuntimeError("no kernel image")

    with pytest.raises(RuntimeError, match="no kernel image"):
        largest_that_fits(4, broken)


def test_probing_changes_nothing_that_is_learned(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_dropout(config)
    by_hand = replace(config, out_dir=config.out_dir + "_by_hand", micro_batch_size=4)
    train(by_hand)
    limited = limit(monkeypatch, 5)
    train(replace(config, micro_batch_size="auto"))
    assert limited.tried == [2, 4, 8]
    assert losses(config) == losses(by_hand)
    assert "micro-batch 4 (auto: the largest divisor of 8 that fits)" in capsys.readouterr().out
    train(replace(config, micro_batch_size="auto", max_steps=12, extend=True))
    train(replace(by_hand, max_steps=12, extend=True))
    assert losses(config) == losses(by_hand), "also with optimizer state"


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_probe_holds_the_optimizers_state_and_leaves_nothing(
    config: TrainConfig, optimizer: Literal["adamw", "muon"], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = new_learner(replace(config, optimizer=replace(config.optimizer, optimizer=optimizer)))
    model, state, forward = learner.model, learner.optimizer.state, GPT.forward
    n_held: list[int] = []

    def counted(self: GPT, *arguments: torch.Tensor) -> torch.Tensor:
        n_held.append(len(state))
        return forward(self, *arguments)

    def everything() -> list[torch.Tensor]:
        return [*model.parameters(), *(x for entry in state.values() for x in entry.values())]

    monkeypatch.setattr(GPT, "forward", counted)
    for is_new in (True, False):
        before = [x.detach().clone() for x in everything()]
        probe(model, learner.optimizer, 8, CPU, torch.float32)
        assert n_held.pop() == len(list(model.parameters()))
        assert all(weights.grad is None for weights in model.parameters())
        assert bool(state) != is_new
        assert all(torch.equal(*pair) for pair in zip(everything(), before, strict=True))
        if is_new:
            for weights in model.parameters():
                weights.grad = torch.ones_like(weights)
            update(learner.optimizer, skip=torch.tensor(False))


def test_the_limit_on_memory_is_lifted_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (50, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 10)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, _device: limits.append(share)
    )
    for name in ("empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *_device: None)
    with pytest.raises(RuntimeError), headroom_left(torch.device("cuda", 0)):
        raise RuntimeError
    assert limits == [pytest.approx(0.55), 1.0]


def test_all_processes_use_the_smallest(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    class OneOfTwo(World):
        """One of two processes; the other one found 2."""

        def smallest(self, number: int) -> int:
            return min(number, 2)

    limit(monkeypatch, 100)
    learner = new_learner(config)
    arguments = (learner.model, learner.optimizer, 8)
    assert choose_micro_batch_size(*arguments, OneOfTwo(0, 2, CPU), torch.float32)[0] == 2
    assert choose_micro_batch_size(*arguments, ALONE, torch.float32)[0] == 8


def test_cpu_computes_all_sequences_at_once(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    train(replace(config, micro_batch_size="auto", max_steps=1))
    text = capsys.readouterr().out
    assert "micro-batch 8 (auto: all sequences of this process, as memory is not probed on cpu)\n" in text
    assert re.search(r"float32 \([^)]+\), eager \([^)]+\), attention", text), "each has a reason of its own"


def test_network_that_does_not_fit_is_an_error(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 0)
    error = r"micro_batch_size=1: does not fit in the memory of cpu: use --activation_checkpointing=block or a smaller --block_size or network"
    with pytest.raises(UserError, match=error):
        train(replace(config, micro_batch_size="auto"))


def test_running_out_of_memory_is_an_error_that_names_what_helps(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = "micro_batch_size=12: does not fit in the memory of cpu: use --micro_batch_size=8"
    assert str(no_memory(CPU, 12, 24)) == found
    assert str(no_memory(torch.device("cuda"), 12, 24)) == found.replace("of cpu", "of cuda") + ", or auto"
    alone = "the network and its optimizer: does not fit in the memory of cpu: use a smaller --block_size or network"
    assert str(no_memory(CPU, 0, 0)) == alone
    assert str(no_memory(CPU, 0, 0, can_shard=True)) == alone.replace("use", "use --parallel=fsdp or")
    found += " or --parallel=fsdp"
    assert str(no_memory(CPU, 12, 24, can_shard=True)) == found

    def run_out(*_arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(GPT, "forward", run_out)
    with pytest.raises(UserError, match=r"micro_batch_size=4: .* use --micro_batch_size=2$"):
        train(replace(config, micro_batch_size=4))


@pytest.mark.parametrize("allocate", [
    lambda: np.arange(10**17), lambda: torch.empty(10**8, 10**9), lambda: torch.empty(10**12, 10**12),
])  # fmt: skip
def test_memory_of_a_cpu_runs_out_too(allocate: Callable[[], object]) -> None:
    with pytest.raises(UserError, match="the network and its optimizer: does not fit"), memory_for(CPU):
        allocate()
    with pytest.raises(RuntimeError, match="a bug"), memory_for(CPU):
        raise RuntimeError("a bug")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_computes_with_what_was_found(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    """A network and a batch of which no GPU holds all: it takes several micro-batches to a step."""
    model = replace(config.model, block_size=1024, n_layer=12, n_head=12, n_embd=768)
    settings = {"batch_size": 2**10, "max_steps": 2, "eval_windows": 1, "device": "cuda", "precision": "auto"}
    train(replace(config, model=model, micro_batch_size="auto", **settings))  # type: ignore[arg-type]
    found = re.search(r"accumulation (\d+) x micro-batch (\d+) \(auto", capsys.readouterr().out)
    assert found
    accumulation, size = map(int, found.groups())
    assert accumulation * size == 2**10
    assert accumulation > 1
    assert len(losses(config)) == 2
