"""Sharded models (FSDP): what each process holds, what it saves, and what others make of it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ALONE, ROOT, Ranks, completed, elsewhere, flip_a_bit, losses, records, with_dropout
from safetensors.torch import load_file

from checkpointing import checkpoint, sharded
from model import GPT, GPTConfig
from system.errors import UserError
from system.parallel import sharding_mesh
from system.world import World
from train import train
from training import choices
from training.config import TrainConfig
from training.learner import build_learner
from training.run import open_data, open_run
from training.step_memory import StepMemory, of_a_shard

SCRIPT = """
import json, math, os, sys, torch
sys.path.insert(0, {root!r})
from system.parallel import own, sharding_mesh, sync_gradients, whole
from system.world import start_world
from training.config import OptimizerConfig, TrainConfig, parse_train_config
from training.optim import clip_gradients, gradient_norm, gradients, make_optimizer, update
from training.sharding import build_sharded
from model import GPT, GPTConfig
torch.set_num_threads(1)
world = start_world("cpu", timeout_minutes=0.5)
shape = GPTConfig(vocab_size=70, block_size=16, n_layer=3, n_head=2, n_embd=32, tie_embeddings=False)
tokens = torch.randint(0, 70, (2, 4, 17), generator=torch.Generator().manual_seed(1))
own_tokens, all_tokens = tokens[world.rank], tokens.flatten(0, 1)
def n_bytes(tensors):
    return sum(own(tensor).numel() * tensor.element_size() for tensor in tensors)
def state_of(optimizer):
    return [x for entry in optimizer.state.values() for x in entry.values() if x.dim()]
found = {{}}
for name in ("adamw", "muon"):
    config = OptimizerConfig(optimizer=name, learning_rate=1e-2)
    torch.manual_seed(3)
    model = build_sharded(shape, "sdpa", world, hybrid=False, dtype=torch.float32, draws=True)
    torch.manual_seed(3)
    reference = GPT(shape, "sdpa")
    same = all(torch.equal(whole(p), q) for p, q in zip(model.parameters(), reference.parameters(), strict=True))
    pairs = [(model, make_optimizer(model, config)), (reference, make_optimizer(reference, config))]
    norms = []
    for step in range(4):
        for half in (own_tokens[:2], own_tokens[2:]):
            with sync_gradients(model, torch.equal(half, own_tokens[2:])):
                model(half[:, :-1], half[:, 1:]).backward()
        (reference(all_tokens[:, :-1], all_tokens[:, 1:]) / world.size).backward()
        norms.append([gradient_norm(each).item() for each, _ in pairs])
        sizes = {{"gradients": [n_bytes(gradients(each)) for each, _ in pairs]}}
        for each, optimizer in pairs:
            norm = gradient_norm(each)
            clip_gradients(each, 1.0, norm, torch.ones(()))
            before = [own(p).clone() for p in each.parameters()]
            update(optimizer, torch.tensor(step == 2))
            moved = [not torch.equal(own(p), q) for p, q in zip(each.parameters(), before, strict=True)]
            assert any(moved) == (step != 2), (name, step)
            each.zero_grad()
    with torch.no_grad():
        model(all_tokens[:, :-1])
    difference = max((whole(p) - q).abs().max().item() for p, q in zip(model.parameters(), reference.parameters(), strict=True))
    sizes["parameters"] = [n_bytes(each.parameters()) for each, _ in pairs]
    sizes["optimizer"] = [n_bytes(state_of(optimizer)) for _, optimizer in pairs]
    found[name] = dict(same_start=same, norms=norms, sizes=sizes, difference=difference)
print(json.dumps(found), flush=True)
os._exit(0)
"""


@pytest.mark.serial
def test_two_processes_share_what_one_holds(config: TrainConfig, ranks: Ranks, tmp_path: Path) -> None:
    """Half of the parameters, gradients and state in each; the same start, norms, steps and skipped step."""
    script = tmp_path / "shards.py"
    script.write_text(SCRIPT.format(root=str(ROOT)))
    for command in ranks(config, config, script=script):
        for name, found in json.loads(completed(command).splitlines()[-1]).items():
            assert found["same_start"], name
            assert found["difference"] < {"adamw": 1e-3, "muon": 3e-3}[name], name
            for sharded_norm, whole_norm in found["norms"]:
                assert sharded_norm == pytest.approx(whole_norm, rel=1e-3)
            for what, (own_bytes, all_bytes) in found["sizes"].items():
                assert 2 * own_bytes == all_bytes > 0, (name, what)


def cut_back(config: TrainConfig, name: str, **changes: object) -> TrainConfig:
    """Return a run that stands where another one was at step 5."""
    earlier = elsewhere(config, name, **changes)
    shutil.copytree(config.out_dir, earlier.out_dir)
    shutil.rmtree(Path(earlier.out_dir) / "step_00000010")
    for pointer in ("last", "best"):
        (Path(earlier.out_dir) / pointer).write_text("step_00000005\n")
    return earlier


def tensors(config: TrainConfig) -> dict[str, bytes]:
    """Return the files of a run's last checkpoint that hold tensors."""
    folder = checkpoint.pointed(Path(config.out_dir), "last")
    assert folder is not None
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


@pytest.mark.serial
def test_shards_resume_bit_for_bit_and_a_lost_one_is_named(config: TrainConfig, ranks: Ranks) -> None:
    # Of 9 windows, one process has 5 and the other 4: three micro-batches and two.
    config = with_dropout(replace(config, parallel="fsdp", micro_batch_size=2, eval_windows=9))
    for command in ranks(config, config):
        completed(command)
    names = [
        f"{kind}_shard_{number}_of_2.safetensors" for kind in ("model", "optimizer") for number in (0, 1)
    ]
    assert list(tensors(config)) == names
    resumed = cut_back(config, "resumed")
    for command in ranks(resumed, resumed):
        completed(command)
    assert tensors(resumed) == tensors(config)
    assert records(resumed) == records(config)
    folder = Path(config.out_dir) / "step_00000010"
    (folder / names[1]).unlink()
    with pytest.raises(UserError, match=r"model_shard_1_of_2.safetensors, which rank 1 wrote, is missing"):
        checkpoint.read_checked(folder)
    flip_a_bit(Path(resumed.out_dir) / "step_00000010" / names[3])
    with pytest.raises(UserError, match=r"optimizer_shard_1_of_2.safetensors is corrupt"):
        checkpoint.read_checked(Path(resumed.out_dir) / "step_00000010")


def rows_of(tensor: torch.Tensor, number: int, n_shards: int) -> torch.Tensor:
    """Return one shard of a tensor; a single number is in each."""
    chunks = dict(enumerate(tensor.chunk(n_shards))) if tensor.dim() else {number: tensor}
    return chunks.get(number, tensor[:0] if tensor.dim() else tensor).clone()


def saved_in_shards(config: TrainConfig, n_shards: int) -> tuple[Path, GPT]:
    """Return a checkpoint of a finished run, rewritten as that many processes would have written it, and its model."""
    train(config)
    folder = checkpoint.find(config.out_dir)
    for name in (checkpoint.WEIGHTS, checkpoint.OPTIMIZER):
        whole = load_file(folder / name)
        (folder / name).unlink()
        for number in range(n_shards):
            rows = {key: rows_of(value, number, n_shards) for key, value in whole.items()}
            checkpoint.save_file(rows, folder / sharded.shard_name(name, number, n_shards))
    run = open_run(config, open_data(config.data_dir))
    return folder, build_learner(replace(run, checkpoint=None), ALONE).model


@pytest.mark.parametrize("n_shards", [2, 3, 40])
def test_one_process_reads_any_number_of_shards(config: TrainConfig, n_shards: int) -> None:
    """With 40, some processes have no row of a parameter."""
    whole = elsewhere(config, "whole")
    train(whole)
    folder, model = saved_in_shards(config, n_shards)
    checkpoint.load_weights(folder, model)
    for name, weight in load_file(checkpoint.find(whole.out_dir) / checkpoint.WEIGHTS).items():
        assert torch.equal(model.weights()[name], weight), name
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoint.load_optimizer(folder, model, optimizer)
    for key, tensor in load_file(checkpoint.find(whole.out_dir) / checkpoint.OPTIMIZER).items():
        name, _, entry = key.rpartition("/")
        assert torch.equal(optimizer.state[dict(model.named_parameters())[name]][entry], tensor), key
    lost = sharded.shard_name(checkpoint.WEIGHTS, n_shards - 1, n_shards)
    (folder / lost).unlink()
    with pytest.raises(UserError, match=lost):
        checkpoint.load_weights(folder, model)


def test_auto_shards_what_does_not_fit_as_copies(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(config, open_data(config.data_dir), 2)
    world = World(0, 1, ALONE.device, launched=True)
    monkeypatch.setattr(World, "sum", lambda _, tensor: tensor)
    n_bytes = 16 * GPT(run.config.model).n_params()
    monkeypatch.setattr(choices, "total_memory", lambda _: 2 * n_bytes - 1)
    assert choices.choose_parallel(run, world) == "fsdp"
    monkeypatch.setattr(choices, "total_memory", lambda _: 2 * n_bytes)
    assert choices.choose_parallel(run, world) == "fsdp", "as this run began"
    run.about["parallel"].clear()
    assert choices.choose_parallel(run, world) == "ddp"
    assert choices.choose_parallel(run, ALONE) == ""
    explicit = replace(run, config=replace(config, parallel="hsdp"))
    assert choices.choose_parallel(explicit, world) == "hsdp"
    assert choices.choose_parallel(explicit, ALONE) == ""


@pytest.mark.parametrize(("size", "local_size"), [(4, 4), (6, 4)])
def test_hybrid_sharding_needs_several_equal_nodes(
    size: int, local_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(World, "smallest", lambda _, number: number)
    world = World(0, size, ALONE.device, local_size=local_size)
    found = f"parallel=hsdp: must have several nodes .*, found {size} processes, {local_size} on this node"
    with pytest.raises(UserError, match=found):
        sharding_mesh(world, hybrid=True)


def test_a_shard_takes_its_part_of_the_memory() -> None:
    model = GPT(GPTConfig(vocab_size=64, n_layer=2, n_head=1, n_embd=8, block_size=4))
    whole = StepMemory(4000, 4000, 8000, 500, 16_500)
    once, often = (of_a_shard(whole, model, torch.bfloat16, accumulates, 4) for accumulates in (False, True))
    assert (once.weights, once.gradients, once.optimizer) == (1000, 1000, 2000)
    assert often.gradients == 4000
    assert once.peak == 4000 + once.activations > 4500
    assert often.peak == once.peak + 3000


@pytest.mark.thorough
@pytest.mark.serial
@pytest.mark.parametrize("n", [1, 2, 4])
def test_four_processes_shards_resume_on_any_number(config: TrainConfig, ranks: Ranks, n: int) -> None:
    """On four bit for bit, on others up to rounding; also as DDP, and one process's checkpoint in shards."""
    config = replace(config, micro_batch_size=1, parallel="fsdp", batch_size=8)
    alone = elsewhere(config, "alone")
    train(alone)
    for command in ranks(*[config] * 4):
        completed(command)
    assert losses(config) == pytest.approx(losses(alone), rel=1e-5)
    for parallel in ("fsdp", "ddp"):
        resumed = cut_back(config, f"resumed_{parallel}", parallel=parallel)
        for command in ranks(*[resumed] * n):
            completed(command)
        assert losses(resumed) == pytest.approx(losses(config), rel=1e-5)
        if n == 4 and parallel == "fsdp":
            assert tensors(resumed) == tensors(config)
    copies = cut_back(alone, "of_one", parallel="fsdp")
    for command in ranks(*[copies] * n):
        completed(command)
    assert losses(copies) == pytest.approx(losses(config), rel=1e-5)
