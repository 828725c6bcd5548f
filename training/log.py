"""What a run says while it goes: printed lines, metrics.jsonl, loss.png, and the figures for Weights & Biases.

Owns the log of a run: one record a step, never a step twice. When something is logged is `train.py`'s to say, how
Weights & Biases gets it `wandb_run.py`'s.
"""

import json
import math
import time
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from checkpointing.checkpoint import Progress
from evaluation.losses import Losses
from system.errors import UserError, say
from system.files import append_to_file, replace_file
from training.config import TrainConfig
from training.wandb_run import WandbRun

METRICS, PLOT = "metrics.jsonl", "loss.png"


class RunLog:
    """The log of one run. One process is `active` and keeps it; the others call the same methods to no effect.

    tokens/s counts training alone, neither evaluations nor checkpoints.
    """

    def __init__(self, config: TrainConfig, flops: float, peak: float | None, active: bool) -> None:
        """`flops` are a token's floating-point operations; `peak` is all devices' FLOP/s, None where not known."""
        self.config, self.flops, self.peak, self.active = config, flops, peak, active
        self.record: dict[str, Any] = {}
        self.newest = 0  # the last step that has a record
        self.unwritten = ""  # records that the disk did not take
        self.disk_error: OSError | None = None
        self.wandb_run: WandbRun | None = None
        self.clock, self.clock_step = time.perf_counter(), 0

    def open(self, progress: Progress, on_record: bool, about: dict[str, Any]) -> None:
        """Open the log, cut back to where the run stands: what came after the checkpoint is done again.

        `on_record` says whether that step itself is; where there is no checkpoint of it, it is evaluated anew.
        """
        if self.active:
            self.path = Path(self.config.out_dir) / METRICS
            last = progress.step if on_record else progress.step - 1
            kept = [record for record in read_metrics(self.path) if record["step"] <= last]
            self.newest = kept[-1]["step"] if kept else 0
            if on_record and self.newest < progress.recorded:
                lost = f"from step {self.newest + 1} to {progress.recorded}"
                self.say(f"LOST {self.path}: the records {lost} are not there any more")
            try:
                replace_file(self.path, "".join(json.dumps(record) + "\n" for record in kept))
            except OSError as error:
                raise self.cannot_write(error) from None
            if self.config.wandb != "disabled":
                self.wandb_run = WandbRun(self.config, about, self.say, may_refuse=not on_record)
        self.restart_clock(progress.step)

    def say(self, line: str) -> None:
        """Print a line, and do not keep it back where the output goes to a file."""
        if self.active:
            say(line)

    def say_of(self, step: int, words: str) -> None:
        """Print words about a step."""
        last = self.config.max_steps
        self.say(f"step {step:>{len(str(last))}}/{last} | {words}")

    def restart_clock(self, step: int, at: float | None = None) -> float:
        """Count time from now on (or from `at`), `step` being done; return the seconds since the last restart."""
        before, self.clock, self.clock_step = self.clock, at or time.perf_counter(), step
        return self.clock - before

    def trained(self, step: int, loss: float, grad_norm: float, rate: float, finished_at: float) -> None:
        """Print and record an update, which was done at this time of time.perf_counter()."""
        values = {
            "loss": loss,
            "learning_rate": rate,
            "grad_norm": grad_norm,
            **self.speed(step, finished_at),
        }
        left, speed = values.pop("seconds_left", None), values.get("tokens_per_second")
        self.say_of(
            step,
            f"loss {loss:.4f} | lr {rate:.2e} | grad norm {grad_norm:.2f} | "
            f"{'n/a' if speed is None else f'{speed:,.0f}'} tokens/s | MFU {percent(values.get('mfu'))} | "
            f"{'?' if left is None else duration(left)} left",
        )
        self.add(step, values)

    def speed(self, step: int, finished_at: float) -> dict[str, float]:
        """Return the figures of the time from the clock's last restart to the end of `step`."""
        steps = step - self.clock_step
        seconds = self.restart_clock(step, at=finished_at)
        if not steps:
            return {}
        tokens = self.config.sequences_per_step * self.config.model.block_size * steps
        figures = {"tokens_per_second": round(tokens / seconds, 1)}
        figures["seconds_left"] = (self.config.max_steps - step) * seconds / steps
        if self.peak:
            figures["mfu"] = round(tokens * self.flops / seconds / self.peak, 4)
        return figures

    def evaluated(self, step: int, losses: Losses, seconds: float, is_best: bool) -> None:
        """Print and record an evaluation of `step`."""
        self.say_of(
            step,
            f"validation loss {losses.nats_per_token:.4f} | {losses.bits_per_byte:.4f} bits per byte | "
            f"{losses.n_tokens:,} tokens in {seconds:.1f} s{' | best so far' if is_best else ''}",
        )
        self.add(step, {"val_loss": losses.nats_per_token, "val_bits_per_byte": losses.bits_per_byte})

    def skipped(self, step: int, loss: float, grad_norm: float, reason: str) -> None:
        """Print and record that nothing was learned from `step`."""
        self.say_of(step, f"SKIPPED: {reason}")
        self.add(step, {"loss": loss, "grad_norm": grad_norm, "skipped": True})

    def add(self, step: int, figures: dict[str, float]) -> None:
        """Put figures on the record of `step`; an earlier step's record is thereby complete and is written.

        Those that are not finite are None there: JSON has no word for them.
        """
        if not self.active:
            return
        values = {key: value if math.isfinite(value) else None for key, value in figures.items()}
        if self.record and self.record["step"] != step:
            self.write_record()
        self.record = {"step": step, **self.record, **values}
        if self.wandb_run:
            known = {key: value for key, value in values.items() if value is not None}
            self.wandb_run.log({"step": step, **known})

    def write_record(self) -> None:
        """Append the present step's record to metrics.jsonl, and wait until the disk has it.

        What the disk does not take is said, kept, and tried again with the next record.
        """
        if self.record:
            line, self.newest, self.record = json.dumps(self.record) + "\n", self.record["step"], {}
            self.unwritten += line
        if self.unwritten:
            try:
                append_to_file(self.path, self.unwritten)
                self.unwritten, self.disk_error = "", None
            except OSError as error:
                if not self.disk_error:
                    self.say(
                        f"cannot write {self.path} ({error.strerror}): its records wait until there is room"
                    )
                self.disk_error = error

    def complete(self) -> None:
        """Write all records so far; raise UserError where the disk does not take them."""
        self.write_record()
        if self.disk_error:
            raise self.cannot_write(self.disk_error)

    def cannot_write(self, error: OSError) -> UserError:
        """Return the refusal of a metrics.jsonl that the disk does not take."""
        return UserError(
            f"cannot write {self.path} ({error.strerror}): make room, then give the same command to go on"
        )

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self, exception: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Write what can be written and finish the Weights & Biases run, there as failed where an exception ends it.

        After a second Ctrl-C nothing is written: what was being written then must not be written twice.
        """
        if exception is not KeyboardInterrupt:
            self.write_record()
        if self.wandb_run:
            if isinstance(error, UserError):
                self.say(f"ends: {error}")  # there may be no time to wait for
            self.wandb_run.finish(exception)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records of a metrics.jsonl, without a last line that a kill cut short.

    Raises UserError for any other line that is no record of a later step: to pass over it would leave a gap.
    """
    if not path.is_file():
        return []
    *lines, _cut_short = path.read_bytes().split(b"\n")
    try:
        records = [json.loads(line) for line in lines]
        whole = all(before["step"] < after["step"] for before, after in pairwise(records))
    except (ValueError, TypeError, KeyError):
        whole = False
    if not whole:
        raise UserError(f"{path} is damaged: repair it, or move it away to go on without its records")
    return records


def draw_losses(out_dir: Path) -> None:
    """Draw metrics.jsonl as loss.png: the training loss and the validation loss over steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    records = read_metrics(out_dir / METRICS)
    train = [(record["step"], record["loss"]) for record in records if record.get("loss") is not None]
    validation = [(record["step"], record["val_loss"]) for record in records if "val_loss" in record]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    if train:
        axes.plot(*zip(*train, strict=True), color="tab:blue", alpha=0.6, linewidth=1, label="training")
    if validation:
        label = f"validation, {validation[-1][1]:.3f} at step {validation[-1][0]}"
        axes.plot(*zip(*validation, strict=True), color="tab:orange", marker="o", markersize=3, label=label)
    axes.set(xlabel="step", ylabel="loss (nats per token)", title=out_dir.name)
    axes.grid(alpha=0.3)
    if train or validation:
        axes.legend()
    partial = out_dir / f"{PLOT}.tmp"
    figure.savefig(partial, dpi=120, format="png")
    plt.close(figure)
    partial.replace(out_dir / PLOT)


def percent(share: float | None) -> str:
    """Return a share in percent, `n/a` where it is not known."""
    return "n/a" if share is None else f"{share:.1%}"


def duration(seconds: float) -> str:
    """Return seconds in words: `42s`, `3m 05s`, `2h 10m`, `3d 04h`."""
    whole = round(seconds)
    for name, size, smaller, smaller_size in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "m", 60),
        ("m", 60, "s", 1),
    ):
        if whole >= size:
            return f"{whole // size}{name} {whole % size // smaller_size:02d}{smaller}"
    return f"{whole}s"
