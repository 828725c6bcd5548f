"""Muon against torch's, matrix by matrix; what it takes and leaves; skipped steps; its state in a checkpoint."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from conftest import ALONE

from checkpointing import checkpoint, sharded
from model import GPT, GPTConfig
from training.config import TrainConfig
from training.learner import build_learner
from training.muon import Muon, hidden_matrices, newton_schulz, orthogonal
from training.optim import OptimizerConfig, make_optimizer, set_learning_rate, update
from training.run import open_data, open_run

TINY = GPTConfig(vocab_size=61, block_size=8, n_layer=2, n_head=4, n_kv_head=2, n_embd=16, mlp="swiglu")
MUON = OptimizerConfig(optimizer="muon", learning_rate=0.01, weight_decay=0.3)
GO_ON, SKIP = torch.tensor(False), torch.tensor(True)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def give_gradients(model: GPT, scale: float = 1.0) -> None:
    for parameter in model.parameters():
        parameter.grad = scale * torch.randn_like(parameter)


def make(dtype: torch.dtype = torch.float32) -> tuple[GPT, Muon]:
    model = GPT(TINY)
    optimizer = make_optimizer(model, MUON)
    assert isinstance(optimizer, Muon)
    optimizer.dtype = dtype
    return model, optimizer


def test_singular_values_become_one() -> None:
    x = torch.randn(3, 16, 40) * torch.tensor([1e-4, 1.0, 1e4])[:, None, None]
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    rotated = u.mT @ newton_schulz(x) @ v.mT  # (3, 16, 16), diagonal if the singular vectors are the same
    values = rotated.diagonal(dim1=1, dim2=2)
    assert values.min() > 0.6
    assert values.max() < 1.3
    torch.testing.assert_close(rotated, torch.diag_embed(values), atol=1e-4, rtol=0)


def test_matrices_of_one_shape_do_not_mix() -> None:
    """Together or alone, upright or lying."""
    matrices = [torch.randn(shape) for shape in [(8, 8), (8, 20), (20, 8), (8, 8), (20, 8), (5, 3)]]
    together = orthogonal(matrices, torch.float32)
    for matrix, found in zip(matrices, together, strict=True):
        assert found.shape == matrix.shape
        torch.testing.assert_close(found, orthogonal([matrix], torch.float32)[0], rtol=1e-4, atol=1e-5)


def test_update_is_that_of_torch() -> None:
    """Three updates against torch.optim.Muon, given each part of a fused matrix as one of its own; it computes in bfloat16."""
    model, optimizer = make(torch.bfloat16)
    pairs = [(whole, whole.detach().split(rows)) for whole, rows in hidden_matrices(model)]
    parts = [torch.nn.Parameter(part.clone()) for _, split in pairs for part in split]
    before = [part.detach().clone() for part in parts]
    assert len(parts) == 2 * (3 + 1 + 2 + 1)
    reference = torch.optim.Muon(
        parts, lr=0.01, weight_decay=0.3, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for rate in (0.01, 0.02, 0.005):
        give_gradients(model)
        gradients = [g for whole, rows in hidden_matrices(model) for g in whole.grad.split(rows)]
        for part, gradient in zip(parts, gradients, strict=True):
            part.grad = gradient.clone()
        set_learning_rate(optimizer, rate)
        set_learning_rate(reference, rate)
        update(optimizer, GO_ON)
        reference.step()
    ours = [part for whole, rows in hidden_matrices(model) for part in whole.detach().split(rows)]
    for found, expected, start in zip(ours, parts, before, strict=True):
        difference = (found - expected.detach()).norm() / (expected.detach() - start).norm()
        assert difference < 0.02


def test_matrices_may_have_a_learning_rate_of_their_own() -> None:
    config = OptimizerConfig(optimizer="muon", learning_rate=0.02, matrix_learning_rate=0.005)
    optimizer = make_optimizer(GPT(TINY), config)
    set_learning_rate(optimizer, 0.01)  # half of the peak
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.01, pytest.approx(0.0025)]


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_iterations_run_in_the_precision_of_the_run(
    config: TrainConfig, precision: Literal["float32", "bfloat16"], dtype: torch.dtype
) -> None:
    muon = replace(config, optimizer=MUON, precision=precision)
    optimizer = build_learner(open_run(muon, open_data(muon.data_dir)), ALONE).optimizer
    assert isinstance(optimizer, Muon)
    assert optimizer.dtype == dtype


def test_embeddings_head_norms_and_biases_are_adamws() -> None:
    """They move as under AdamW alone, whatever Muon does; every parameter has one optimizer."""
    for tied in (True, False):
        config = GPTConfig(vocab_size=61, block_size=8, n_layer=1, n_head=2, n_embd=16, tie_embeddings=tied)
        torch.manual_seed(0)
        model, other = GPT(config), GPT(config)
        other.load_state_dict(model.state_dict())
        muon = make_optimizer(model, MUON)
        adamw = make_optimizer(other, OptimizerConfig(learning_rate=0.01, weight_decay=0.3))
        grouped = [id(parameter) for group in muon.param_groups for parameter in group["params"]]
        assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
        give_gradients(model)
        for parameter, same in zip(model.parameters(), other.parameters(), strict=True):
            same.grad = parameter.grad
        update(muon, GO_ON)
        update(adamw, GO_ON)
        same_names = {
            name
            for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True)
            if torch.equal(ours, theirs)
        }
        matrices = {
            name
            for name, p in model.named_parameters()
            if any(p is whole for whole, _ in hidden_matrices(model))
        }
        assert same_names == {name for name, _ in model.named_parameters()} - matrices
        assert {name.split(".", 3)[-1] for name in matrices} == {
            *("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
        }


@pytest.mark.parametrize("bad", [1.0, float("nan"), float("inf")])
def test_skipped_step_changes_nothing(bad: float) -> None:
    model, optimizer = make()
    give_gradients(model)
    update(optimizer, GO_ON)

    def everything() -> list[torch.Tensor]:
        states = [value for state in optimizer.state.values() for value in state.values()]
        return [tensor.detach().clone() for tensor in (*model.parameters(), *states)]

    before = everything()
    give_gradients(model, bad)
    update(optimizer, SKIP)
    assert all(map(torch.equal, before, everything()))
    give_gradients(model)
    update(optimizer, GO_ON)
    assert not any(map(torch.equal, before, everything()))


def test_state_leaves_and_enters_a_checkpoint(tmp_path: Path) -> None:
    model, optimizer = make()
    give_gradients(model)
    update(optimizer, GO_ON)
    (tmp_path / "x").mkdir()
    checkpoint.save_file(sharded.optimizer_tensors(model, optimizer), tmp_path / "x" / checkpoint.OPTIMIZER)
    other, second = make()
    other.load_state_dict(model.state_dict())
    checkpoint.load_optimizer(tmp_path / "x", other, second)
    for _ in range(2):
        give_gradients(model)
        for parameter, same in zip(model.parameters(), other.parameters(), strict=True):
            same.grad = parameter.grad.clone()
        update(optimizer, GO_ON)
        update(second, GO_ON)
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_parameters_without_gradients_are_left_alone() -> None:
    model, optimizer = make()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    update(optimizer, GO_ON)
    assert all(map(torch.equal, before, model.parameters()))
