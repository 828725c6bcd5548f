"""Training as it is measured: a learner on a run of its own, the parts of its steps, and its costliest operations."""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.profiler_util import FunctionEventAvg
from torch.profiler import ProfilerActivity, profile, schedule

from corpus.manifest import MANIFEST_FILE
from evaluation.losses import Batch, language_model_loss
from system.errors import UserError
from system.hardware import wait_for
from system.world import start_world
from tools.bench.made_up import write_made_up_data
from training.batches import micro_batches
from training.config import TrainConfig
from training.learner import build_learner
from training.measure import take_step
from training.run import Run, open_data, open_run
from training.shard_check import ShardCheck

PARTS = ("data", "forward", "backward", "optimizer")
MOST_COLUMNS = 8192  # of a measured product: more are not faster, and fill the memory


def with_data(config: TrainConfig, folder: Path) -> TrainConfig:
    """Return the config as a new run in `folder`, on its data, or on made-up tokens if it sets vocab_size."""
    config = replace(config, out_dir=str(folder / "run"), branch_from="", extend=False, overwrite=False)
    if not config.model.vocab_size:
        return config
    data_dir = folder / "data"
    if not data_dir.exists():
        write_made_up_data(data_dir, config.model.vocab_size, config.model.block_size)
    return replace(config, data_dir=str(data_dir))


def open_measured_run(config: TrainConfig, folder: Path) -> Run:
    """Return a new run in `folder` to measure. Raises UserError if its data are missing or do not fit."""
    config = with_data(config, folder)
    try:
        data = open_data(config.data_dir)
    except UserError as error:
        if (Path(config.data_dir) / MANIFEST_FILE).exists():
            raise
        raise UserError(f"{error}, or set --vocab_size to measure with made-up tokens") from None
    return open_run(config, data)


class Trainer:
    """A learner, ready to train as train.py does, without checkpoints and log."""

    def __init__(self, config: TrainConfig, folder: Path) -> None:
        """Build it on a new run in `folder`."""
        self.world = start_world(config.device)
        self.run = open_measured_run(config, folder)
        config, data = self.run.config, self.run.data.train
        self.learner = build_learner(self.run, self.world)
        self.progress = self.run.progress
        self.check = ShardCheck(config.data_dir, data.manifest, active=False)
        T = data.tokens_per_sequence(config.model.block_size)
        self.tokens_per_step = config.sequences_per_step * T
        self.flops_per_token = self.learner.model.flops_per_token(round(T))

    def read(self) -> None:
        """Read the micro-batches of a step, without computing it."""
        for _ in micro_batches(self.run, self.learner, self.progress, self.world, self.check):
            pass
        self._go_on()

    def step(
        self, objective: Callable[[nn.Module, Batch], tuple[Tensor, Tensor]] = language_model_loss
    ) -> None:
        """Train one step."""
        take_step(self.run, self.learner, self.progress, self.world, objective)
        self._go_on()

    def _go_on(self) -> None:
        self.progress = self.progress.stepped(self.run.config.sequences_per_step)

    def seconds(self, n_steps: int) -> float:
        """Train some steps and return how long they took, until the device has finished."""
        wait_for(self.world.device)
        began = time.perf_counter()
        for _ in range(n_steps):
            self.step()
        wait_for(self.world.device)
        return time.perf_counter() - began

    def warm_up(self, seconds: float) -> int:
        """Train until nothing is compiled or allocated any more; return how many steps take `seconds`, at least 1."""
        self.seconds(2)
        return math.ceil(seconds / self.seconds(1))

    def tokens_per_second(self, n_steps: int) -> float:
        """Train some steps and return tokens/s."""
        return n_steps * self.tokens_per_step / self.seconds(n_steps)

    def seconds_by_part(self, n_steps: int) -> dict[str, float]:
        """Train some steps and return the seconds a step spends in each of `PARTS`.

        data: until a micro-batch is on the device; backward: until the last gradient; optimizer: gradient norm, clipping
        and update. The device is waited for after each part and each gradient, which costs a GPU a little time.
        """
        totals: dict[str, float] = defaultdict(float)
        last = 0.0

        def lap(part: str) -> None:
            nonlocal last
            wait_for(self.world.device)
            now = time.perf_counter()
            totals[part] += now - last
            last = now

        def timed_loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
            lap("data")
            loss = language_model_loss(model, batch)
            lap("forward")
            return loss

        weights = [weight for weight in self.learner.model.parameters() if weight.requires_grad]
        hooks = [w.register_post_accumulate_grad_hook(lambda _: lap("backward")) for w in weights]
        for _ in range(n_steps):
            last = time.perf_counter()
            self.step(timed_loss)
            lap("optimizer")
        for hook in hooks:
            hook.remove()
        return {part: totals[part] / n_steps for part in PARTS}

    def costliest(self, n_steps: int, count: int = 10) -> list[tuple[str, float, float]]:
        """Profile some steps; return the costliest operations, each with its share of the time and its calls per step.

        On a CPU these are torch's operations without those that they call, on a GPU its kernels.
        """
        on_gpu = self.world.device.type == "cuda"
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
        # The first step is not counted: the profiler itself is slow then.
        plan = schedule(wait=0, warmup=1, active=n_steps)
        with profile(activities=activities, schedule=plan, acc_events=True) as profiler:
            times = []
            for _ in range(1 + n_steps):
                times.append(self.seconds(1))
                profiler.step()
        total = sum(times[1:])

        def seconds(event: FunctionEventAvg) -> float:
            return float(event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6

        kind = torch.autograd.DeviceType.CUDA if on_gpu else torch.autograd.DeviceType.CPU
        events = [
            event
            for event in profiler.key_averages()
            if event.device_type == kind and not event.is_user_annotation
        ]
        events.sort(key=seconds, reverse=True)
        return [(event.key, seconds(event) / total, event.count / n_steps) for event in events[:count]]

    def product_flops(self, seconds: float) -> tuple[float, str]:
        """Return the best FLOP/s of a matrix product as in a micro-batch's linear layers, and its shape.

        It is computed in the compute dtype, with the threads in use; all shapes together take `seconds`.
        """
        rows = self.learner.micro_batch_size * self.run.config.model.block_size
        layers = [module for module in self.learner.model.modules() if isinstance(module, nn.Linear)]
        shapes = {(layer.in_features, min(layer.out_features, MOST_COLUMNS)) for layer in layers}
        dtype, device = self.learner.dtype, self.world.device
        rates = {shape: product_flops(rows, *shape, dtype, device, seconds / len(shapes)) for shape in shapes}
        best = max(shapes, key=lambda shape: rates[shape])
        return rates[best], f"{rows} x {best[0]} x {best[1]}"


def product_flops(
    rows: int, inner: int, columns: int, dtype: torch.dtype, device: torch.device, seconds: float
) -> float:
    """Return the FLOP/s of (rows, inner) @ (inner, columns), repeated for some seconds."""
    left = torch.randn(rows, inner, device=device).to(dtype)
    right = torch.randn(columns, inner, device=device).to(dtype).t()  # as a linear layer stores it
    out = torch.empty(rows, columns, device=device, dtype=dtype)

    def timed(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            torch.mm(left, right, out=out)
        wait_for(device)
        return time.perf_counter() - began

    timed(1)
    count = math.ceil(seconds / timed(1))
    return 2 * rows * inner * columns * count / timed(count)
