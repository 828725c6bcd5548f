"""Muon: momentum whose matrices are made orthogonal before they are added, with AdamW for all other parameters.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks" (https://kellerjordan.github.io/posts/muon/).
torch.optim.Muon computes one matrix at a time, in bfloat16 on any hardware, and takes no flag that skips a step.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from model import GPT
from system.parallel import is_sharded, own

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic; its slope at zero is the largest that stays stable
N_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for `matrices`, and `adamw`, an optimizer of the other parameters, stepped together.

    Each matrix comes with the numbers of rows of its parts, as one parameter may hold several: queries, keys and values. An
    update has the root mean square of AdamW's (Liu et al. 2025, "Muon is Scalable for LLM Training", section 2.2), so both
    take learning rates of one size; that of the matrices is `relative_rate` times AdamW's. Newton-Schulz iterations run in
    `dtype`.
    """

    _step_supports_amp_scaling = True  # training/optim.update sets `found_inf`, as a GradScaler would
    found_inf: Tensor | None = None  # (), 1.0 to change nothing

    def __init__(
        self,
        matrices: Sequence[tuple[nn.Parameter, Sequence[int]]],
        adamw: torch.optim.AdamW,
        relative_rate: float,
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        parameters = [parameter for parameter, _ in matrices]
        group = {"params": parameters, "weight_decay": weight_decay, "relative_rate": relative_rate}
        # Groups and state are shared, so learning rates and checkpoints see one optimizer.
        super().__init__([*adamw.param_groups, group], {"lr": adamw.defaults["lr"] * relative_rate})
        adamw.state = self.state
        self.adamw, self.dtype = adamw, dtype
        self.rows = [list(rows) for _, rows in matrices]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure
        """Update all parameters that have a gradient, unless `found_inf` is 1."""
        if self.found_inf is not None:
            setattr(self.adamw, "found_inf", self.found_inf)  # noqa: B010  mypy does not know it
        self.adamw.step()
        group = self.param_groups[-1]
        given = [(p, rows) for p, rows in zip(group["params"], self.rows, strict=True) if p.grad is not None]
        if not given:
            return
        parameters = [parameter for parameter, _ in given]
        directions = [self._directions(parameter) for parameter in parameters]
        keep = 1.0 if self.found_inf is None else 1.0 - self.found_inf
        torch._foreach_mul_([own(p) for p in parameters], 1.0 - group["lr"] * group["weight_decay"] * keep)
        if is_sharded(parameters[0]):
            changes = sharded_changes(given, directions, self.dtype)
            for parameter, change in zip(parameters, changes, strict=True):
                own(parameter).sub_(change * (group["lr"] * 0.2 * keep))
            return
        parts, directions = (
            [part for whole, (_, rows) in zip(wholes, given, strict=True) for part in whole.split(rows)]
            for wholes in (parameters, directions)
        )
        for part, change in zip(parts, orthogonal(directions, self.dtype), strict=True):
            part.sub_(change * (group["lr"] * 0.2 * max(part.shape) ** 0.5 * keep))

    def _directions(self, parameter: nn.Parameter) -> Tensor:
        """Add the gradient to the momentum, and return where Nesterov's momentum points; of a sharded one, its own rows."""
        state = self.state[parameter]
        assert parameter.grad is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum, gradient = own(state["momentum"]), own(parameter.grad)
        if self.found_inf is not None:  # a gradient that is not finite must not even be multiplied by zero
            gradient = torch.where(self.found_inf > 0, momentum, gradient)
        momentum.lerp_(gradient, 1 - MOMENTUM)
        return gradient.lerp(momentum, MOMENTUM)


def sharded_changes(
    given: Sequence[tuple[Any, Sequence[int]]], directions: Sequence[Tensor], dtype: torch.dtype
) -> list[Tensor]:
    """Return this process's rows of each matrix's update, from its rows of the directions.

    Each process gets the other rows of some of the matrices of one shape, makes these orthogonal, and sends the rows back.
    """
    alike = defaultdict(list)
    for number, (parameter, rows) in enumerate(given):
        alike[parameter.shape, tuple(rows)].append(number)
    found: dict[int, Tensor] = {}
    for (shape, rows), numbers in alike.items():
        matrix = given[numbers[0]][0]
        batch = torch.stack([directions[number] for number in numbers])  # (K, own rows of m, n)
        batch = moved(batch, (len(numbers), *shape), matrix, before=1, after=0)  # (own ones of K, m, n)
        parts = orthogonal([part for whole in batch for part in whole.split(rows)], dtype)
        parts = [part * max(part.shape) ** 0.5 for part in parts]
        if parts:
            batch = torch.cat(parts).view(batch.shape)
        changes = moved(batch, (len(numbers), *shape), matrix, before=0, after=1)
        found |= dict(zip(numbers, changes, strict=True))
    return [found[number] for number in range(len(given))]


def moved(batch: Tensor, shape: tuple[int, ...], like: Any, before: int, after: int) -> Tensor:
    """Return this process's part of a tensor of that `shape`, divided along `after`, from its part along `before`."""
    from torch.distributed.tensor import DTensor, Shard  # takes a second to load

    mesh, (*copies, _) = like.device_mesh, like.placements
    stride = (shape[1] * shape[2], shape[2], 1)
    whole = DTensor.from_local(batch, mesh, [*copies, Shard(before)], shape=torch.Size(shape), stride=stride)
    return whole.redistribute(mesh, [*copies, Shard(after)]).to_local()


def orthogonal(matrices: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Return for each matrix U V^T, where U S V^T is its singular value decomposition, up to factors of about 0.7 to 1.2.

    Matrices of one shape, or whose transposes have it, are multiplied together.
    """
    numbers: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, matrix in enumerate(matrices):
        numbers[min(matrix.shape), max(matrix.shape)].append(number)
    found: dict[int, Tensor] = {}
    for alike in numbers.values():
        batch = torch.stack([lying(matrices[number]) for number in alike])  # (K, m, n), m <= n
        for number, result in zip(alike, newton_schulz(batch.to(dtype)).to(batch.dtype), strict=True):
            found[number] = result if matrices[number].shape == result.shape else result.T
    return [found[number] for number in range(len(matrices))]


def lying(matrix: Tensor) -> Tensor:
    """Return the matrix, transposed if it has more rows than columns."""
    return matrix.T if matrix.shape[0] > matrix.shape[1] else matrix


def newton_schulz(x: Tensor) -> Tensor:
    """Bring the singular values of each matrix near one: (K, m, n) -> (K, m, n), m <= n. The post's appendix has the proof."""
    a, b, c = COEFFICIENTS
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(N_ITERATIONS):
        gram = x @ x.mT  # (K, m, m)
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x


def hidden_matrices(model: GPT) -> list[tuple[nn.Parameter, list[int]]]:
    """Return the blocks' matrices, each with the rows of its parts: queries, keys and values; SwiGLU's gate and value."""
    config, D = model.config, model.config.head_size
    rows = {"attn.c_attn.weight": [config.n_head * D, config.kv_heads * D, config.kv_heads * D]}
    if config.mlp == "swiglu":
        rows["mlp.c_fc.weight"] = [config.inner_size] * 2
    return [
        (parameter, rows.get(name.partition(".")[2], [len(parameter)]))
        for name, parameter in model.transformer.h.named_parameters()
        if parameter.ndim == 2
    ]
