"""--plan: what a run is and will cost; it reads the run's folder and leaves it as it is."""

import mmap
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ALONE, Ranks, Start, completed

from evaluation.losses import language_model_loss
from model import GPT, GPTConfig
from system import memory
from system.errors import UserError
from system.world import World
from train import train
from training import budget
from training import plan as planning
from training.budget import Costs
from training.config import OptimizerConfig, TrainConfig
from training.plan import (
    Disk,
    Probe,
    data_lines,
    disk_of,
    finishing,
    parameters_by_part,
    plan,
    warnings_about,
)
from training.run import Run, only_trainer, open_data, open_run
from training.step_memory import LiveBytes, StepMemory, step_memory

MODERN = GPTConfig(
    vocab_size=300,
    n_layer=2,
    n_head=2,
    n_embd=32,
    position="rotary",
    norm="rmsnorm",
    mlp="swiglu",
    qk_norm=True,
    bias=False,
    tie_embeddings=False,
)
NOTHING = StepMemory(0, 0, 0, 0, 0)
ROOM = Disk(checkpoint=10, n_kept=4, n_there=0, free=10**12)


def opened(config: TrainConfig, n_processes: int = 1) -> Run:
    return open_run(config, open_data(config.data_dir), n_processes)


def memory_of(config: TrainConfig, world: World = ALONE, accumulates: bool = False) -> StepMemory:
    size = config.sequences_per_step
    return step_memory(config, language_model_loss, world, torch.float32, "sdpa", size, accumulates)


def replace_peak(peak: int) -> StepMemory:
    return StepMemory(1, 1, 1, 1, peak)


def contents(folder: Path) -> list[tuple[str, int, int]]:
    """Return every file and folder there, with what changes if one is written."""
    return [
        (str(path), path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted([folder, *folder.rglob("*")])
    ]


Planned = Callable[[TrainConfig], dict[str, str]]


@pytest.fixture
def planned(capsys: pytest.CaptureFixture[str]) -> Planned:
    """A function that plans a run, and returns the lines by their first word; WARNING has all of them."""

    def lines_of(config: TrainConfig) -> dict[str, str]:
        capsys.readouterr()
        plan(config)
        found: dict[str, str] = {}
        for line in capsys.readouterr().out.splitlines():
            word, _, rest = line.partition(" ")
            found[word] = (
                f"{found[word]}; {rest.strip()}" if word == "WARNING" and word in found else rest.strip()
            )
        return found

    return lines_of


@pytest.mark.parametrize(
    "network", [replace(MODERN, tie_embeddings=True), MODERN, GPTConfig(vocab_size=300, n_layer=1)]
)
def test_parts_are_all_of_the_network(network: GPTConfig) -> None:
    with torch.device("meta"):
        model = GPT(network)
    parts = parameters_by_part(model)
    assert sum(parts.values()) == model.n_params()
    assert parts["token embedding"] == 300 * network.n_embd
    assert ("positions" in parts) == (network.position == "learned")
    assert parts.get("output layer", 0) == (0 if network.tie_embeddings else 300 * network.n_embd)
    tables = ("token embedding", "positions", "output layer")
    assert sum(parts[part] for part in parts if part not in tables) == model.n_params(embeddings=False)


def test_parts_of_a_network_counted_by_hand() -> None:
    with torch.device("meta"):
        model = GPT(MODERN)
    C, inner, head = 32, 128, 16
    layer = {"attention": 4 * C * C, "MLP": 3 * C * inner, "norms": 2 * C + 2 * head}
    two_layers = {part: 2 * count for part, count in layer.items()}
    assert parameters_by_part(model) == {
        "token embedding": 300 * C,
        **two_layers,
        "norms": two_layers["norms"] + C,
        "output layer": 300 * C,
    }


def test_live_bytes_are_those_that_exist_at_a_time() -> None:
    with LiveBytes() as live:
        first = torch.zeros(1000)
        second = first + 1  # 8,000 bytes
        view = second[:10].view(2, 5)
        del first, second
        assert live.now == 4000, "kept by its view"
        third = torch.cat([view, view])
    assert (live.now, live.peak, len(third)) == (4000 + 80, 8000, 4)


def test_memory_of_weights_gradients_and_moments(config: TrainConfig) -> None:
    """In float32, with the vocabulary's padding; AdamW has two moments, and a step count of each parameter."""
    config = opened(config).config
    model = GPT(config.model)
    sizes = [weights.numel() for weights in model.parameters()]
    found = memory_of(config)
    assert found.weights == found.gradients == 4 * sum(sizes)
    assert found.optimizer == 4 * (2 * sum(sizes) + len(sizes))
    muon = replace(config, optimizer=OptimizerConfig(optimizer="muon"))
    matrices = [weights.numel() for weights in model.transformer.h.parameters() if weights.dim() == 2]
    assert memory_of(muon).optimizer == found.optimizer - 4 * (sum(matrices) + len(matrices))


def test_activations_of_a_layer_counted_by_hand(config: TrainConfig) -> None:
    """What GPT-2's layer keeps for its backward pass, in units of (B, T, C) float32 numbers."""
    config = opened(config).config
    B, T, C, H = config.sequences_per_step, 16, 32, 2
    deep, shallow = (memory_of(replace(config, model=replace(config.model, n_layer=n))) for n in (3, 2))
    norms = 2 * (1 + 1)  # input and output of each
    attention = 3 + 1  # queries, keys and values; the result
    mlp = 4 + 4  # before and after GELU
    small = (
        2 * 2 * B * T + B * H * T
    )  # means and deviations of the norms; a logarithm of each row of attention's weights
    assert deep.activations - shallow.activations == 4 * ((norms + attention + mlp) * B * T * C + small)


def test_gradients_that_stay_are_held_beside_the_activations(config: TrainConfig) -> None:
    config = opened(config).config
    alone = memory_of(config)
    assert alone.peak < alone.weights + alone.gradients + alone.optimizer + alone.activations
    for found in (memory_of(config, accumulates=True), memory_of(config, World(0, 2, ALONE.device))):
        assert (
            found.peak >= found.weights + found.gradients + found.optimizer + found.activations > alone.peak
        )


def test_the_update_can_take_most_memory(config: TrainConfig) -> None:
    """With a single short sequence: all weights, gradients and moments, and Muon's copies of the matrices."""
    config = replace(opened(config).config, batch_size=1)
    adamw, muon = memory_of(config), memory_of(replace(config, optimizer=OptimizerConfig(optimizer="muon")))
    for found in (adamw, muon):
        assert found.peak > found.weights + found.gradients + found.optimizer
    assert muon.peak > adamw.peak


def test_a_plan_of_a_new_run(config: TrainConfig, planned: Planned) -> None:
    lines = planned(config)
    assert not Path(config.out_dir).exists()
    assert (
        list(lines) == "data run model parts memory peak device batch probe tokens flops disk finish".split()
    )
    data = open_data(config.data_dir).train
    n_epochs = 10 * 8 / data.n_sequences(16)
    assert lines["tokens"] == f"128 a step x 10 steps = 1,280 tokens, {n_epochs:.3g} epochs"
    assert re.match(
        r"10 steps: \S+ s a step, [\d,]+ tokens/s; \S+ s an evaluation; the process took", lines["probe"]
    )
    assert re.search(r"^in \d+s: 10 steps in \d+s, 2 evaluations, 2 checkpoints$", lines["finish"])


def test_a_run_under_way_is_left_as_it_is(config: TrainConfig, planned: Planned) -> None:
    """And planned beside the process that trains it."""
    train(replace(config, max_steps=5))
    longer, out_dir = replace(config, extend=True), Path(config.out_dir)
    before = contents(out_dir)
    with only_trainer(out_dir):
        lines = planned(replace(longer, plan=True, price_per_hour=36.0))
    assert contents(out_dir) == before
    assert "left: 5 steps = 640 tokens" in lines["tokens"]
    assert lines["cost"].endswith(" until then, at 36 an hour for all machines together")
    assert "10 steps: " in lines["probe"]
    notes = opened(replace(longer, plan=True, price_per_hour=36.0)).notes
    assert notes == [], "these are not settings that change"


def test_nothing_is_left_of_a_finished_run(config: TrainConfig, planned: Planned) -> None:
    train(config)
    before = contents(Path(config.out_dir))
    lines = planned(config)
    assert list(lines) == [config.out_dir]
    assert lines[config.out_dir].startswith("is finished: step 10")
    assert contents(Path(config.out_dir)) == before


def test_errors_are_those_of_training(config: TrainConfig, tmp_path: Path) -> None:
    train(replace(config, max_steps=5))
    with pytest.raises(UserError, match="holds another run, with seed=1"):
        plan(replace(config, seed=2, max_steps=5))
    long = replace(config, model=replace(config.model, block_size=5000), out_dir=str(tmp_path / "new"))
    with pytest.raises(UserError, match="validation tokens are too few for block_size=5000"):
        plan(long)
    with pytest.raises(UserError, match=r"micro_batch_size=3: must divide the 8 sequences"):
        plan(replace(config, micro_batch_size=3))
    with pytest.raises(ValueError, match=r"price_per_hour=-1.0: must not be below 0"):
        replace(config, price_per_hour=-1.0)
    with pytest.raises(ValueError, match=r"price_per_hour=2.0: only --plan prints a cost: add it"):
        replace(config, price_per_hour=2.0)
    with pytest.raises(ValueError, match=r"overwrite=True: must not be combined with plan=True"):
        replace(config, plan=True, overwrite=True)


def test_time_and_price_are_of_all_that_is_left(config: TrainConfig) -> None:
    run = opened(replace(config, plan=True, price_per_hour=2.0))
    probe = Probe(n_steps=10, costs=Costs(step=60.0, evaluation=600.0, save=300.0), start_up=898.0, peak=0)
    seconds = 10 * 60 + 2 * 600 + 2 * 300 + 898 + budget.CLOSING_SECONDS
    assert seconds == 3300
    assert finishing(run, probe, ALONE)[1:] == (
        2,
        [
            "finish  in 55m 00s: 10 steps in 10m 00s, 2 evaluations, 2 checkpoints",
            "cost    1.83 until then, at 2 an hour for all machines together",
        ],
    )
    often = opened(replace(config, checkpoint_minutes=5.0, max_steps=1000, keep_checkpoints=0))
    _, n_saves, [line, *_] = finishing(often, probe, ALONE)
    assert n_saves == 200 + (1000 * 60 + 200 * 600 + 200 * 300) // 300
    assert line.endswith(f" {n_saves:,} checkpoints")
    assert disk_of(often, GPT(often.config.model), 0, n_saves).n_kept == n_saves


def test_operations_and_tokens_are_those_of_the_model(config: TrainConfig) -> None:
    run = opened(config)
    model = GPT(run.config.model)
    _, flops = data_lines(run, model)
    per_token = model.flops_per_token(16)
    assert flops == f"flops   {per_token / 1e6:,.1f} million a token, {per_token * 1280:.3g} to finish"


def test_disk_holds_what_a_checkpoint_takes(config: TrainConfig) -> None:
    train(config)
    size = sum(file.stat().st_size for file in (Path(config.out_dir) / "step_00000010").iterdir())
    run = opened(config)
    found = disk_of(
        opened(replace(config, out_dir=config.out_dir + "_new")),
        GPT(run.config.model),
        memory_of(run.config).optimizer,
        2,
    )
    # Headers, checkpoint.json and the vocabulary's padding in the state are the rest.
    assert found.checkpoint == pytest.approx(size, rel=0.15)


@pytest.mark.parametrize(("keep", "n_saves", "expected"), [(2, 2, 2), (2, 20, 4), (0, 20, 20), (1, 20, 3)])
def test_checkpoints_that_exist_at_a_time(
    config: TrainConfig, keep: int, n_saves: int, expected: int
) -> None:
    """The newest ones, the best, and the one that is being written, but no more than are saved at all."""
    run = opened(replace(config, keep_checkpoints=keep))
    assert disk_of(run, GPT(run.config.model), 0, n_saves).n_kept == expected
    train(config)
    resumed = opened(replace(config, keep_checkpoints=keep, max_steps=20, extend=True))
    found = disk_of(resumed, GPT(run.config.model), 0, 20)
    assert found.n_kept == (keep + 2 + 1 if keep else 22)  # the one resumed from too; two are there
    assert found.n_there == 2


def test_likely_mistakes_are_warned_of_with_a_fix(config: TrainConfig) -> None:
    assert warnings_about(opened(config), ROOM) == []
    (warm_up,) = warnings_about(
        opened(replace(config, optimizer=replace(config.optimizer, warmup_steps=10))), ROOM
    )
    assert (
        warm_up == "warmup_steps=10: the run ends at step 10, before its warm-up does: use --warmup_steps=1"
    )
    many = opened(replace(config, max_steps=2000))
    per_epoch = many.data.train.n_sequences(16)
    (repeats,) = warnings_about(many, ROOM)
    assert f"reads the training data {16000 / per_epoch:.3g} times" in repeats
    most = int(re.findall(r"--max_steps=(\d+)$", repeats)[0])
    assert 4 * per_epoch - 8 < 8 * most <= 4 * per_epoch
    assert warnings_about(opened(replace(config, max_steps=most)), ROOM) == []
    (disk,) = warnings_about(opened(config), Disk(checkpoint=2**20, n_kept=4, n_there=1, free=3 * 2**20 - 1))
    assert re.search(r"checkpoints need 3.0 MiB, 3.0 MiB are free: make room, lower --keep_checkpoints", disk)
    assert warnings_about(opened(config), Disk(checkpoint=2**20, n_kept=4, n_there=1, free=3 * 2**20)) == []


def test_a_run_that_does_not_fit_in_memory_is_not_tried(
    config: TrainConfig, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory_found = memory_of(opened(config).config)
    fixed = memory_found.weights + memory_found.gradients + memory_found.optimizer
    monkeypatch.setattr(planning, "own_memory", lambda _: 0)
    monkeypatch.setattr(planning, "device_memory", lambda _: fixed + 2**10)
    monkeypatch.delattr(planning, "build_learner")
    lines = planned(config)
    assert (
        lines["WARNING"] == "micro_batch_size=8: does not fit in the memory of cpu: use --micro_batch_size=4"
    )
    assert lines["finish"] == "not known, as no step was timed"
    assert "probe" not in lines
    monkeypatch.setattr(planning, "device_memory", lambda _: fixed)
    lines, size = planned(config), memory.in_words(fixed)
    need = f"weights, gradients and optimizer need {size}, cpu has {size}"
    assert lines["WARNING"] == f"{need}: use a smaller network"
    assert lines["peak"].endswith(f"; {size} available on cpu")
    monkeypatch.undo()
    monkeypatch.setattr(planning, "device_memory", lambda _: 2**20)
    monkeypatch.setattr(planning, "has_own_memory", lambda _: True)  # which says itself that it is full
    monkeypatch.setattr(planning, "estimated_memory", lambda *_: (replace_peak(2**30), 8))
    assert "probe" in planned(config)


def test_a_plan_fixes_the_steps_that_max_minutes_allows(
    config: TrainConfig, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "last_step", lambda *_: 7)
    lines = planned(replace(config, max_steps=20, max_minutes=1.0))
    assert lines["tokens"].startswith("128 a step x 7 steps = 896 tokens")
    assert ": 7 steps in " in lines["finish"]


def test_memory_is_the_least_of_all_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the machine, and of each control group on the way to this process, of either version; shared by the processes."""
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    for name in ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE"):
        monkeypatch.delenv(name, raising=False)
    total = memory.device_memory(ALONE.device)
    assert total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    groups = "12:cpu:/x\n4:memory:/job/7\n0::/user/app\n"
    real = memory._text
    monkeypatch.setattr(memory, "_text", lambda path: groups if path.name == "cgroup" else real(path))
    limits = {"user/memory.max": 5000, "user/app/memory.max": "max", "memory/job/memory.limit_in_bytes": 6000}
    for name, limit in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{limit}\n")
    assert memory.device_memory(ALONE.device) == 5000
    (tmp_path / "memory/job/7").mkdir()
    (tmp_path / "memory/job/7/memory.limit_in_bytes").write_text("4000")
    assert memory.device_memory(ALONE.device) == 4000
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "2")
    assert memory.device_memory(ALONE.device) == 2000
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory.device_memory(ALONE.device) == 1000


def test_memory_in_use_is_this_processs() -> None:
    before = memory.own_memory(ALONE.device)
    with mmap.mmap(-1, 2**25) as block:  # new pages: a heap could reuse what earlier tests freed
        block.write(os.urandom(2**25))
        assert memory.own_memory(ALONE.device) - before > 2**24
        assert memory.peak_memory(ALONE.device) >= memory.own_memory(ALONE.device) > len(block)


def test_the_estimate_is_of_the_runs_own_step(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its micro-batch, its attention, and gradients that stay where there are several; one sequence before `auto` has chosen."""
    run = opened(replace(config, micro_batch_size=2, attention="math"))
    found, size = planning.estimated_memory(run, ALONE, language_model_loss)
    arguments = (run.config, language_model_loss, ALONE, torch.float32, "math", 2)
    assert (found, size) == (step_memory(*arguments, accumulates=True), 2)
    assert found.peak != step_memory(*arguments, accumulates=False).peak
    whole = planning.estimated_memory(opened(config), ALONE, language_model_loss)
    assert whole == (memory_of(run.config), 8)
    monkeypatch.setattr(planning, "has_own_memory", lambda _: True)
    auto = opened(replace(config, micro_batch_size="auto"))
    assert planning.estimated_memory(auto, ALONE, language_model_loss)[1] == 1


def test_an_apple_gpu_is_estimated_too(config: TrainConfig) -> None:
    config = opened(config).config
    assert memory_of(config, World(0, 1, torch.device("mps"))) == memory_of(config)


def test_the_command_plans_and_does_not_train(config: TrainConfig, start: Start) -> None:
    output = completed(start(replace(config, plan=True)))
    assert "\nprobe   10 steps: " in output
    assert "\nstep " not in output
    assert not Path(config.out_dir).exists()


@pytest.mark.serial
def test_of_two_processes_one_prints(config: TrainConfig, ranks: Ranks) -> None:
    config = replace(config, plan=True)
    outputs = [completed(command) for command in ranks(config, config)]
    assert "processes 2 (ddp) x accumulation 1 x micro-batch 4\nprobe   10 steps" in outputs[0]
    assert outputs[1] == ""
    assert not os.path.exists(config.out_dir)
