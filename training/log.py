"""The log of a run: printed lines, metrics.jsonl with one record a step, and trackers such as Weights & Biases."""

import json
import math
import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from evaluation.losses import Losses
from model import GPT
from system import hardware
from system.errors import UserError, first_line, how_to_resume, say
from system.files import append_to_file, fix_for, replace_file
from system.progress import Bar, announced, duration
from system.world import World
from training.choices import SHARDED
from training.config import TrainConfig
from training.guard import Verdict
from training.learner import Learner
from training.optim import learning_rate
from training.plot import METRICS, PLOT, plot_losses, read_metrics
from training.run import Run, write_config
from training.tensorboard_run import open_tensorboard
from training.tracker import Tracker
from training.wandb_run import open_wandb


@contextmanager
def open_log(run: Run, learner: Learner, world: World) -> Iterator["RunLog"]:
    """Open the log of a run and print what is about to happen. The folder must be locked: see `only_trainer`."""
    peak = hardware.peak_flops(world.device, learner.dtype)
    T = run.data.train.tokens_per_sequence(run.config.model.block_size)
    flops = learner.model.flops_per_token(round(T))
    tokens = run.config.sequences_per_step * T
    compiles = learner.is_compiled and not run.is_timed  # timing has compiled it already
    log = RunLog(run.config, flops, peak and peak * world.size, tokens, compiles, active=world.is_main)
    for line in header(run, learner, world):
        log.say(line)
    with log:
        log.open(run.progress, run.resumes, run.about)
        if world.is_main:
            write_config(run)  # once nothing can reject the command any more
        if not run.starts_trained:
            log.announce_first_step()  # else it is evaluated before
        yield log


def announce(run: Run, world: World) -> None:
    """Print what is known of a run before its model is built: data, run, notes; of a finished one, how it ended."""
    if not world.is_main:
        return
    config, data = run.config, run.data
    if run.progress.step == config.max_steps:
        say(outcome(run, run.progress, ""))
        return
    start = f", weights of {run.origin.folder}" if run.origin else ""
    how = "resuming" if run.resumes else "branching"
    start = f", {how} from {run.checkpoint}" if run.checkpoint else start
    part = data.train.manifest.part and f" (only part {data.train.manifest.part} of its source)"
    limit = f" or as far as {config.max_minutes:g} min allow" if run.is_timed else ""
    lines = [
        f"data    {config.data_dir}{part}: {data.train.n_tokens:,} training and {data.val.n_tokens:,} validation tokens,"
        f" tokenizer {data.tokenizer.name} of {data.tokenizer.vocab_size:,}",
        f"run     {config.out_dir}: step {run.progress.step} to {config.max_steps}{limit}{start}",
        *(f"note    {note}" for note in run.notes),
    ]
    for line in lines:
        say(line)


def size_of(model: GPT) -> str:
    """Return the line about the model."""
    return f"model   {model.n_params():,} parameters, {model.n_params(embeddings=False):,} without embeddings"


def header(run: Run, learner: Learner, world: World) -> list[str]:
    """Return the lines about the learner: model, device, batch."""
    n_sequences = run.config.sequences_per_step
    T = round(run.data.train.tokens_per_sequence(run.config.model.block_size))
    kind = "pairs" if run.data.train.manifest.has_pairs else "sequences"
    accumulation = learner.share // learner.micro_batch_size
    reason = f" ({learner.micro_batch_reason})" if learner.micro_batch_reason else ""
    asked = run.config.parallel if run.config.parallel in SHARDED else ""
    alone = f" (parallel={asked} needs several, started by torchrun)" if asked else ""
    parallel = f" ({learner.parallel})" if learner.parallel else alone
    return [
        size_of(learner.model),
        f"device  {hardware.describe(world.device)}, {learner.description}",
        f"batch   {n_sequences} {kind} x {T} = {n_sequences * T:,} tokens a step: processes {world.size}{parallel} x"
        f" accumulation {accumulation} x micro-batch {learner.micro_batch_size}{reason}",
    ]


class RunLog:
    """The log of one run. The main process is `active`; in the others the same calls do nothing.

    tokens/s counts training time only, without evaluations and checkpoints.
    """

    def __init__(
        self,
        config: TrainConfig,
        flops: float,
        peak: float | None,
        tokens_per_step: float,
        compiles: bool,
        active: bool,
    ) -> None:
        """`flops` are the floating-point operations of a token, `peak` the FLOP/s of all devices (None: unknown).

        `tokens_per_step` is an average, as pairs differ in length.
        """
        self.config, self.flops, self.peak, self.active = config, flops, peak, active
        self.tokens_per_step, self.compiles = tokens_per_step, compiles
        self.first_step: int | None = None  # that this command computes
        self.record: dict[str, Any] = {}
        self.newest = 0  # the last step that has a record
        self.unwritten = ""  # records that the disk did not take
        self.disk_error: OSError | None = None
        self.trackers: list[Tracker] = []
        self.bar = Bar("training", config.max_steps)  # not shown
        self.pace = ""  # tokens/s, behind the bar
        self.announcements = ExitStack()
        self.clock, self.clock_step = time.perf_counter(), 0

    def open(self, progress: Progress, on_record: bool, about: dict[str, Any]) -> None:
        """Open metrics.jsonl, cut back to where the run starts: later steps are done again.

        `on_record` tells whether that step itself stays; a step without a checkpoint of its own is evaluated again.
        """
        self.first_step = progress.step + 1
        if self.active:
            self.path = Path(self.config.out_dir) / METRICS
            last = progress.step if on_record else progress.step - 1
            kept = [record for record in read_metrics(self.path) if record["step"] <= last]
            self.newest = kept[-1]["step"] if kept else 0
            if on_record and self.newest < progress.recorded:
                self.say(f"LOST {self.path}: steps {self.newest + 1} to {progress.recorded} are missing")
            try:
                replace_file(self.path, "".join(json.dumps(record) + "\n" for record in kept))
            except OSError as error:
                raise self.cannot_write(error) from None
            self.open_trackers(progress.step, about, may_raise=not on_record)
            self.bar = Bar("training", self.config.max_steps, progress.step).show()
        self.restart_clock(progress.step)

    def open_trackers(self, step: int, about: dict[str, Any], may_raise: bool) -> None:
        """Open what else takes the figures; raise UserError if something is missing and `may_raise`."""
        if self.config.wandb != "disabled":
            with announced("starting Weights & Biases"):
                self.trackers.append(open_wandb(self.config, about, self.say, may_raise))
        if self.config.tensorboard:
            with announced("starting TensorBoard"):
                self.trackers.append(open_tensorboard(self.config, about, step, self.say, may_raise))

    def say(self, line: str) -> None:
        """Print a line at once, even if the output goes to a file."""
        if self.active:
            say(line)

    def say_step(self, step: int, text: str) -> None:
        """Print a line about a step."""
        last = self.config.max_steps
        self.say(f"step {step:>{len(str(last))}}/{last} | {text}")

    def announce_first_step(self) -> None:
        """Say so if the first step takes long."""
        compiling = "compiling and " if self.compiles else ""
        self.announcements.enter_context(
            announced(f"{compiling}computing step {self.first_step}", self.active)
        )

    def restart_clock(self, step: int, at: float | None = None) -> float:
        """Measure time from now (or from `at`), when `step` is done; return the seconds since the last restart."""
        before, self.clock, self.clock_step = self.clock, at or time.perf_counter(), step
        return self.clock - before

    def stepped(self, verdict: Verdict) -> None:
        """Log a step: always if it was skipped, else at each log_interval and at the last step."""
        step = verdict.step
        self.bar.update(step, f"loss {verdict.loss:.4f}{self.pace}")
        self.announcements.close()
        if step == self.first_step:
            compiling = ", including compilation" if self.compiles else ""
            self.say(f"the first step took {self.restart_clock(step, verdict.finished_at):.1f} s{compiling}")
        if verdict.skipped:
            self.say_step(step, f"SKIPPED: {verdict.reason}")
            self.add(step, {"loss": verdict.loss, "grad_norm": verdict.grad_norm, "skipped": True})
        elif step % self.config.log_interval == 0 or step == self.config.max_steps:
            self.trained(verdict)

    def trained(self, verdict: Verdict) -> None:
        """Print and record an update."""
        step, loss, grad_norm = verdict.step, verdict.loss, verdict.grad_norm
        rate = learning_rate(step - 1, self.config.max_steps, self.config.optimizer)
        speed = self.speed(step, verdict.finished_at)
        left, tokens, mfu = speed.pop("seconds_left", None), speed.get("tokens_per_second"), speed.get("mfu")
        self.pace = "" if tokens is None else f" | {tokens:,.0f} tokens/s"
        self.say_step(
            step,
            f"loss {loss:.4f} | lr {rate:.2e} | grad norm {grad_norm:.2f} | "
            f"{'n/a' if tokens is None else f'{tokens:,.0f}'} tokens/s | "
            f"{'' if mfu is None else f'MFU {mfu:.1%} | '}{'?' if left is None else duration(left)} left",
        )
        self.add(
            step, {"loss": loss, "learning_rate": rate, "grad_norm": grad_norm, **speed, **verdict.figures}
        )

    def speed(self, step: int, finished_at: float) -> dict[str, float]:
        """Return tokens/s, MFU and seconds left, over the time since the clock's last restart."""
        steps = step - self.clock_step
        seconds = self.restart_clock(step, at=finished_at)
        if not steps:
            return {}
        tokens = self.tokens_per_step * steps
        figures = {"tokens_per_second": round(tokens / seconds, 1)}
        figures["seconds_left"] = (self.config.max_steps - step) * seconds / steps
        if self.peak:
            figures["mfu"] = round(tokens * self.flops / seconds / self.peak, 4)
        return figures

    def evaluated(self, progress: Progress, losses: Losses) -> None:
        """Print and record an evaluation."""
        is_best = progress.val_loss == progress.best_val_loss
        shares = "".join(f"{name} {share:.1%} | " for name, share in losses.tasks.items())
        self.say_step(
            progress.step,
            f"validation loss {losses.nats_per_token:.4f} | {losses.bits_per_byte:.4f} bits per byte | {shares}"
            f"{losses.n_tokens:,} tokens in {losses.seconds:.1f} s{' | best so far' if is_best else ''}",
        )
        figures = {"val_loss": losses.nats_per_token, "val_bits_per_byte": losses.bits_per_byte}
        self.add(progress.step, figures | {f"task_{name}": share for name, share in losses.tasks.items()})
        if progress.step + 1 == self.first_step:
            self.announce_first_step()

    def finish(self, run: Run, progress: Progress, stopped_by: str) -> None:
        """Write all records, draw the losses and say how the run ended."""
        self.flush()
        self.bar.close()
        if self.active:
            if torch.cuda.is_initialized():
                peak = torch.cuda.max_memory_allocated() / 2**30
                say(f"tensors took at most {peak:.1f} GiB of GPU memory")
            say_plot(run.out_dir)
            say(outcome(run, progress, stopped_by))

    def add(self, step: int, figures: dict[str, float]) -> None:
        """Add figures to the record of `step`; the record of an earlier step is then complete and is written.

        Figures that are not finite become None, as JSON has no such numbers.
        """
        if not self.active:
            return
        values = {key: value if math.isfinite(value) else None for key, value in figures.items()}
        if self.record and self.record["step"] != step:
            self.write_record()
        self.record = {"step": step, **self.record, **values}
        known = {key: value for key, value in values.items() if value is not None}
        for tracker in self.trackers:
            tracker.log({"step": step, **known})

    def write_record(self) -> None:
        """Append the current record to metrics.jsonl, and wait until it is on the disk.

        If the disk does not take it, say so, keep it, and try again with the next record.
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
                        f"cannot write {self.path} ({error.strerror}): its records are kept in memory until there is room"
                    )
                self.disk_error = error

    def flush(self) -> None:
        """Write all records so far; raise UserError if the disk does not take them."""
        self.write_record()
        if self.disk_error:
            raise self.cannot_write(self.disk_error)

    def cannot_write(self, error: OSError) -> UserError:
        """Return the error of a disk that does not take metrics.jsonl."""
        fix = f"{fix_for(error)}, then {how_to_resume()}"
        return UserError(f"cannot write {self.path} ({error.strerror}): {fix}")

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self, exception: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Write what can be written, and finish the trackers, as of a failed run if an exception ends the block.

        After a second Ctrl-C nothing is written, as it may have interrupted a write.
        """
        self.announcements.close()
        self.bar.close()
        if exception is not KeyboardInterrupt:
            self.write_record()
        if self.trackers and isinstance(error, UserError):
            self.say(f"stopping: {error}")  # finishing may take longer than this process has
        for tracker in self.trackers:
            tracker.finish(exception)


def outcome(run: Run, progress: Progress, stopped_by: str) -> str:
    """Return how the run ended: stopped by a signal and resumable, or finished, and how good it is."""
    out_dir, step = run.config.out_dir, progress.step
    if step < run.config.max_steps:
        is_saved = run.resumes or step > run.progress.step
        where = f"after step {step}, which is saved" if is_saved else "before its first step"
        return f"{out_dir} was stopped by {stopped_by} {where}: {how_to_resume()}"
    try:
        best = checkpoint.find(out_dir)
        best_is = f"best {checkpoint.read_info(best)['val_loss']:.4f} in {best.name}"
    except UserError as error:
        best_is = str(error)
    return (
        f"{out_dir} is finished: step {step}, validation loss {progress.val_loss:.4f}, {best_is}. Sample from it with"
        f" `python sample.py --checkpoint={shlex.quote(out_dir)}`, train it longer with `--max_steps=... --extend`,"
        " or anew with `--overwrite`."
    )


def say_plot(out_dir: Path) -> None:
    """Draw the losses; if that fails, say so and leave it: a picture must not end a run."""
    try:
        with announced(f"drawing {out_dir / PLOT}"):
            plot_losses(out_dir, out_dir / PLOT)
    except Exception as error:  # of any kind: matplotlib's, the disk's
        say(f"cannot draw {out_dir / PLOT} ({first_line(error)})")
