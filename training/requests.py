"""What is due before the next step, agreed on by all processes: evaluate, save, stop.

Things become due by the config's intervals, a signal, the main process's clock or a corrupt shard. Each process tells the
others what it wants over a side channel on the CPU and reads the sum one step later, so nothing waits for a device.
"""

import shlex
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn

import torch
import torch.distributed as dist

from checkpointing import checkpoint
from system.signals import Signals
from system.world import World
from training.run import Run
from training.shard_check import ShardCheck

STOP, SAVE, DAMAGED = 0, 1, 2  # places in the tensor of requests


class Due(NamedTuple):
    """What to do before the next step."""

    evaluate: bool
    save: bool
    stop: bool

    @property
    def pauses(self) -> bool:
        """Whether training waits: the newest step must be judged first, and its time does not count."""
        return self.evaluate or self.save


class Requests:
    """Tells each process at each step what is due; the same in all of them."""

    def __init__(self, run: Run, world: World, signals: Signals) -> None:
        self.run, self.world, self.signals = run, world, signals
        self.check = ShardCheck(run.config.data_dir, run.data.train.manifest, active=world.local_rank == 0)
        self.tried_at = time.monotonic()  # when the last save was tried
        self.channel = world.side_channel()
        self.pending: tuple[torch.Tensor, dist.Work] | None = None
        self.n_check_waits = 0  # for the rest of the shard check
        self.is_unchecked = False  # whether a part of the data still is, on any machine
        self.stopped_by = ""  # the signal that stopped the run

    def due(self, step: int) -> Due:
        """Return what is due at `step`. All processes call this once before each step.

        Raises UserError in all processes if any of them found a corrupt shard.
        """
        config = self.run.config
        wants_stop, wants_save = self.agreed()
        stop = wants_stop or step == config.max_steps
        scheduled = step > 0 and (step == config.max_steps or step % config.checkpoint_interval == 0)
        is_first = step == self.run.progress.step
        if is_first and (stop or self.run.resumes):
            return Due(
                evaluate=False, save=False, stop=stop
            )  # nothing was done yet, or it was before this command
        save = scheduled or ((stop or wants_save) and not is_first)
        evaluate = scheduled or (step > 0 and step % config.eval_interval == 0)
        return Due(evaluate=evaluate or (is_first and self.run.starts_trained), save=save, stop=stop)

    def agreed(self) -> tuple[bool, bool]:
        """Return whether any process got a signal to stop, and whether the main one's clock asks to save."""
        save_seconds = 60 * self.run.config.checkpoint_minutes
        is_late = 0 < save_seconds <= time.monotonic() - self.tried_at
        own = torch.zeros(3)
        own[STOP], own[SAVE], own[DAMAGED] = (
            bool(self.signals.name),
            is_late and self.world.is_main,
            bool(self.check.damage),
        )
        total = self.exchange(own)
        if total[DAMAGED]:
            self.reject_data()
        if total[STOP]:
            self.stopped_by = self.signals.name or "a signal to another process"
        return bool(total[STOP]), bool(total[SAVE])

    def exchange(self, own: torch.Tensor) -> torch.Tensor:
        """Start the sum of all processes' requests, and return the sum of those one step ago; alone, the present ones."""
        if not self.world.has_group:
            return own
        before, self.pending = self.pending, (own, self.channel.start_sum(own))
        if before is None:
            return torch.zeros(len(own))
        total, work = before
        self.channel.wait(work)
        return total

    def tried_to_save(self) -> None:
        """Restart the clock and drop pending requests, whether or not the disk took the checkpoint."""
        self.finish_exchange()
        self.tried_at, self.pending = time.monotonic(), None

    def finish_exchange(self) -> None:
        """Wait for the last exchange, so that no process leaves while another still waits for it."""
        if self.pending:
            self.channel.wait(self.pending[1])

    def finish(self, step: int, say: Callable[[str], None]) -> None:
        """End the exchange, and at the end of the run also the shard check; a signal stops waiting for it.

        Raises UserError in all processes if a shard is corrupt.
        """
        self.finish_exchange()
        if step < self.run.config.max_steps:
            return
        if self.check.is_running:
            say("checking the rest of the shards")
        while not self.data_is_checked(seconds=5.0):
            self.n_check_waits += 1
        if self.is_unchecked:
            data_dir = self.run.config.data_dir
            say(
                f"some shards are not checked: run `python prepare_data.py --verify --out_dir={shlex.quote(data_dir)}`"
            )

    def data_is_checked(self, seconds: float) -> bool:
        """Check shards for this long; return whether all are checked on all machines, or a signal says to leave it."""
        self.check.check_for(seconds)
        check = self.check
        found = torch.tensor(
            [check.damage != "", check.is_running, check.has_failed, self.signals.name != ""]
        ).float()
        if self.world.has_group:
            self.channel.sum(found)
        n_damaged, n_running, n_failed, n_signals = found.tolist()
        if n_damaged:
            self.reject_data()
        self.is_unchecked = n_running + n_failed > 0
        return not n_running or n_signals > 0

    def reject_data(self, damage: str = "") -> NoReturn:
        """Set aside the checkpoints that may have learned from corrupt data, and raise UserError in all processes."""
        self.check.report(damage)
        if self.world.is_main:
            checkpoint.set_aside(self.run.out_dir, self.run.fallback)
        self.finish_exchange()
        self.world.wait()  # the first process to exit may end the others
        raise self.check.error()

    def lost_contact(self) -> RuntimeError | None:
        """Return the error of the pending exchange if another process is gone. Any thread may call this."""
        pending = self.pending
        if pending and (future := pending[1].get_future()).done():
            try:
                future.value()
            except RuntimeError as error:
                return error
        return None
