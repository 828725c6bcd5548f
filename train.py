"""Train a GPT: `[torchrun ...] train.py [configs/x.py] [--key=value ...]`, from a config to checkpoints.

The same command again goes on from the last checkpoint. Owns the story of a training run; the details of each
chapter are in the module of its name.
"""

import dataclasses
import faulthandler
import os
import random
import sys
import time
from contextlib import nullcontext, suppress

# Before torch loads OpenMP: where other programs want the cores too, threads that wait must soon let go of theirs.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import torch

from checkpointing import checkpoint
from checkpointing.checkpoint import Progress
from corpus.dataset import TokenDataset, batch
from evaluation.losses import Losses, evaluate
from model import GPT, IGNORED, choose_attention
from system import hardware
from system.errors import UserError, run_command, say
from system.signals import Signals, deadly_interrupts, ignore_signals
from system.world import World, gradients_stay_local, start_world
from training import autopsy
from training.config import TrainConfig, parse_train_config
from training.guard import Guard, Verdict, refuse_nonfinite
from training.log import RunLog, draw_losses
from training.micro_batch import choose_micro_batch_size, memory_for, share_batch
from training.optim import learning_rate, make_optimizer, set_learning_rate, update
from training.requests import Requests
from training.run import find_network, only_writer, open_run, write_config
from training.shard_check import ShardCheck
from training.watchdog import Contact


def train(config: TrainConfig) -> Progress:
    """Train the run that `config` describes to its end and return where it stands.

    Raises UserError for whatever the config, the data or the run's folder make impossible.
    """
    with deadly_interrupts():
        world = start_world(config.device, config.timeout_minutes)
    hardware.be_deterministic(world.device)
    with Signals() as signals, Contact(world, config.timeout_minutes) as contact:
        with world.together():
            training = Training(config, world)
        contact.place = training.place
        training.refuse_other_checkpoints()
        if training.progress.step < config.max_steps:
            with memory_for(world.device):
                training.build()
            with (
                only_writer(training.run) if world.is_main else nullcontext(),
                memory_for(world.device, training.micro_batch_size, training.share),
            ):
                training.run_to_end(signals, contact)
        else:
            training.say_outcome()
        world.stop()
    return training.progress


class Training:
    """A run in memory: data, model, optimizer and progress, and the chapters of a training loop over them."""

    stopped_by = ""  # a signal, before the run's end
    waits = 0  # how often it went on waiting for the shards to be checked

    def __init__(self, config: TrainConfig, world: World) -> None:
        """Open the data and the run's folder; write nothing there, and refuse what does not fit together."""
        self.world = world
        self.data, self.validation = (TokenDataset(config.data_dir, split) for split in ("train", "val"))
        self.tokenizer = self.data.tokenizer()
        config, self.origin = find_network(config, self.tokenizer)
        self.config = config
        self.share, self.micro_batch_size = share_batch(config, world.size)
        self.run = open_run(
            config,
            self.data.manifest_hash,
            self.tokenizer,
            self.data.manifest.summary(),
            self.origin.folder if self.origin else None,
            world.size,
        )
        self.progress = self.run.progress
        self.data.n_sequences(config.model.block_size)  # refuses too little text
        self.cut = self.data.cut_pairs(config.model.block_size)
        self.validation.cut_pairs(config.model.block_size)

    def place(self) -> tuple[int, object]:
        """Return the steps done, and what else changes while the training goes on."""
        return self.progress.step, (self.progress, self.waits)

    def refuse_other_checkpoints(self) -> None:
        """Raise UserError where the processes would not go on from the same step."""
        here = self.progress.step
        if self.world.smallest(here) != -self.world.smallest(-here):
            raise UserError(
                f"out_dir={self.run.out_dir}: the processes see different checkpoints there, this one step {here}: "
                "use a folder that all share"
            )

    def build(self) -> None:
        """Make the model and the optimizer, new or as in the checkpoint to go on from."""
        config, device = self.config, self.world.device
        self.dtype, reason = hardware.choose_precision(config.precision, device)
        try:
            attention = choose_attention(config.attention, config.model, device, self.dtype)
        except ValueError as error:
            raise UserError(str(error)) from None
        torch.manual_seed(config.seed)
        self.model = GPT(config.model, attention).to(device)
        self.optimizer = make_optimizer(self.model, config.optimizer)
        if self.run.checkpoint:
            checkpoint.load_weights(self.run.checkpoint, self.model)
            checkpoint.load_optimizer(self.run.checkpoint, self.model, self.optimizer)
        elif self.origin:
            self.origin.load_weights(self.model)
        self.compiles, obstacle = hardware.choose_compile(config.compile, device)
        if self.compiles:
            self.model.compile()  # in place: parameters keep their names
        self.how_many = ""
        if config.micro_batch_size == "auto":
            self.micro_batch_size, why = choose_micro_batch_size(
                self.model, self.optimizer, self.share, self.world, self.dtype
            )
            self.how_many = f" ({why})"
        self.network = self.world.wrap(self.model)
        self.guard = Guard(
            device, config.on_nonfinite, config.sequences_per_step, self.progress.step, self.progress.guard
        )
        T, windows = config.model.block_size, config.eval_windows or None
        self.val_starts = self.validation.validation_starts(T, windows)
        self.token_bytes = self.tokenizer.token_byte_lengths()
        how = "compiled" if self.compiles else f"eager ({obstacle})"
        self.how = f"{str(self.dtype).removeprefix('torch.')} ({reason}), {how}, attention {attention}"

    def open_log(self) -> None:
        """Write the run's config.json, open its log and say what is about to happen."""
        config, world, T = self.config, self.world, self.config.model.block_size
        peak = hardware.peak_flops(world.device, self.dtype)
        flops = self.model.flops_per_token(T)
        self.log = RunLog(config, flops, peak and peak * world.size, active=world.is_main)
        n_sequences, accumulated = config.sequences_per_step, self.share // self.micro_batch_size
        start = f", weights of {self.origin.folder}" if self.origin else ""
        start = f", going on from {self.run.checkpoint}{self.run.changes}" if self.run.checkpoint else start
        for line in (
            f"data    {config.data_dir}: {self.data.n_tokens:,} training and {self.validation.n_tokens:,} "
            f"validation tokens, tokenizer {self.tokenizer.name} of {self.tokenizer.vocab_size:,}{self.cut}",
            f"model   {self.model.n_params():,} parameters, "
            f"{self.model.n_params(embeddings=False):,} without embeddings",
            f"device  {hardware.describe(world.device)}, {self.how}",
            f"batch   {n_sequences} sequences x {T} = {n_sequences * T:,} tokens a step: "
            f"processes {world.size} x accumulation {accumulated} x micro-batch {self.micro_batch_size}{self.how_many}",
            f"run     {config.out_dir}: step {self.progress.step} to {config.max_steps}{start}",
        ):
            self.log.say(line)
        if self.run.damage:
            self.log.say(f"DAMAGED {self.run.damage}: going on from {self.run.checkpoint}")
        if world.is_main:
            write_config(self.run)
        self.log.open(self.progress, self.run.continues, self.run.about)

    def run_to_end(self, signals: Signals, contact: Contact) -> None:
        """Go from the present step to max_steps, or until a signal: evaluate and save where due, step, look back."""
        self.open_log()
        self.saved_step = self.progress.step
        self.check = ShardCheck(self.config.data_dir, self.data.manifest, active=self.world.local_rank == 0)
        self.requests = Requests(self.world, signals, self.config.checkpoint_minutes, self.check)
        contact.loss = self.requests.loss
        with self.log:
            while True:
                stops, save_now = self.requests.agreed()
                ends = stops or self.progress.step == self.config.max_steps
                self.evaluate_and_save(ends, save_now)
                if ends:
                    break
                self.take_step()
                self.look_back(late=1)  # at an earlier step: this one is still being computed
            self.requests.finish()
            if stops:
                self.stopped_by = signals.name or "a signal to another process"
            self.log.complete()
            self.say_outcome()

    def evaluate_and_save(self, ends: bool, save_now: bool) -> None:
        """Evaluate and save where this step is one for it; the step that the run goes on from is on record."""
        config, step = self.config, self.progress.step
        scheduled = step > 0 and (step == config.max_steps or step % config.checkpoint_interval == 0)
        saves = scheduled or ((ends or save_now) and step > self.saved_step)
        evaluates = scheduled or step % config.eval_interval == 0
        is_done = step == self.saved_step and (ends or self.run.continues)
        if is_done or not (saves or evaluates):
            return
        self.look_back(late=0)
        if evaluates:
            self.evaluate()
        is_good = self.guard.last_good_step == step  # if not, the weights may be to blame
        if saves and (is_good or scheduled or ends):
            self.confirm_data()
            refusal = self.save(config.keep_checkpoints)
            if refusal and ends:
                raise refusal
            if refusal:
                found = str(refusal).rpartition(": ")[0]
                self.log.say(f"NOT SAVED: {found}; the run goes on and tries again at the next checkpoint")
            self.requests.saved()
        self.log.restart_clock(step)

    def take_step(self) -> None:
        """Do one update, unless the guard forbids it.

        The loss is the sum over all scored tokens of the step divided by their count, over all micro-batches and
        processes, so that neither changes what is learned. Nothing here waits for the device.
        """
        config, world = self.config, self.world
        begin = self.progress.sequences + world.rank * self.share
        firsts = range(begin, begin + self.share, self.micro_batch_size)
        batches = [self.load_batch(first) for first in firsts]
        own_scored = float(sum((targets != IGNORED).sum() for _, targets in batches))
        n_scored = world.sum(torch.full((), own_scored, device=world.device)).clamp(min=1)
        own_loss = torch.zeros((), device=world.device)
        for first, (inputs, targets) in zip(firsts, batches, strict=True):
            self.seed_dropout(first)
            is_last = first == firsts[-1]
            with nullcontext() if is_last else gradients_stay_local(self.network):
                with hardware.autocast(world.device, self.dtype):
                    loss = self.network(self.on_device(inputs), self.on_device(targets)) / n_scored
                (loss * world.size).backward()  # gradients are averaged over the processes, so sum first
            own_loss += loss.detach()
        set_learning_rate(self.optimizer, self.rate(self.progress.step))
        max_norm = config.optimizer.grad_clip or float("inf")
        grad_norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), max_norm)
        step, sequences = self.progress.step + 1, self.progress.sequences + config.sequences_per_step
        mean_loss = world.sum(own_loss)
        skip = self.guard.judge(step, self.progress.sequences, mean_loss, own_loss, grad_norm)
        update(self.optimizer, skip)
        self.optimizer.zero_grad(set_to_none=True)
        self.progress = dataclasses.replace(
            self.progress, step=step, sequences=sequences, val_loss=None, val_bits_per_byte=None
        )

    def rate(self, step: int) -> float:
        """Return the learning rate of the update after `step`."""
        return learning_rate(step, self.config.max_steps, self.config.optimizer)

    def load_batch(self, first: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets (micro_batch_size, T) of the run's sequences from number `first` on."""
        T, size = self.config.model.block_size, self.micro_batch_size
        starts = self.data.training_starts(T, self.config.seed, first, size)
        inputs, targets = batch(self.data, starts, T)
        return torch.from_numpy(inputs), torch.from_numpy(targets)

    def on_device(self, tokens: torch.Tensor) -> torch.Tensor:
        """Send tokens to the device without waiting for it."""
        if self.world.device.type == "cuda":
            return tokens.pin_memory().to(self.world.device, non_blocking=True)
        return tokens.to(self.world.device)

    def seed_dropout(self, first: int) -> None:
        """Make dropout a function of the seed and the micro-batch's place in the run: no state to save."""
        if self.config.model.dropout:
            torch.manual_seed(random.Random(f"dropout {self.config.seed} {first}").getrandbits(63))

    def look_back(self, late: int) -> None:
        """Log the steps but the last `late`, and what the guard found of them; raise UserError if that ends the run."""
        for verdict in self.guard.verdicts(late):
            if verdict.ends:
                raise self.end_by(verdict)
            self.log_step(verdict)
            if verdict.skipped:
                place = (
                    self.write_autopsy(verdict) if self.guard.n_skipped <= autopsy.ENOUGH else "no autopsy"
                )
                self.log.skipped(verdict.step, verdict.loss, verdict.grad_norm, f"{verdict.reason}; {place}")

    def end_by(self, verdict: Verdict) -> UserError:
        """Write the autopsy of the step that ends the run; save the one before it, if its weights are good."""
        self.log.say(f"{verdict.reason}: the run ends")
        place = self.write_autopsy(verdict)
        self.progress = dataclasses.replace(
            self.progress,
            step=verdict.step - 1,
            sequences=verdict.sequences,
            val_loss=None,
            val_bits_per_byte=None,
        )
        val_loss = self.validate().nats_per_token
        good = self.guard.are_good(val_loss, self.progress.best_val_loss)
        if good and self.progress.step > self.saved_step:
            self.confirm_data()
            refusal = self.save(keep=0)  # this is not the place to remove better ones
            if refusal:
                self.log.say(f"NOT SAVED: {refusal}")
            self.world.wait()  # or else those that do not write end first, and whoever started them ends the one that does
        is_first = checkpoint.pointed(self.run.out_dir, "last") is None
        return self.guard.refusal(verdict, place, val_loss, good, is_first)

    def log_step(self, verdict: Verdict) -> None:
        """Log a step that is one for it, and how long the first one took."""
        config, step = self.config, verdict.step
        if step == self.run.progress.step + 1:
            seconds = self.log.restart_clock(step, verdict.finished_at)
            compiling = ", compiling included" if self.compiles else ""
            self.log.say(f"the first step took {seconds:.1f} s{compiling}")
        if step % config.log_interval == 0 or step == config.max_steps:
            self.log.trained(step, verdict.loss, verdict.grad_norm, self.rate(step - 1), verdict.finished_at)

    def write_autopsy(self, verdict: Verdict) -> str:
        """Write what is known of a skipped step, and what the network makes of it now; return where it is."""
        first, T = verdict.sequences + self.world.rank * self.share, self.config.model.block_size
        starts = self.data.training_starts(T, self.config.seed, first, self.share)
        suspects = autopsy.Suspects(first, starts.tolist(), *batch(self.data, starts, T))
        folder, findings = self.run.out_dir / f"autopsy_step_{verdict.step:08d}", None
        with suppress(torch.OutOfMemoryError):  # then the text must do
            findings = autopsy.examine(self.model, suspects, self.world.device, self.dtype)
        weights_step = verdict.last_good_step if verdict.ends else self.progress.step
        try:
            autopsy.write(folder, verdict, suspects, findings, weights_step, self.tokenizer, self.world)
        except OSError as error:  # must not hide what it is about
            return f"no autopsy in {folder} ({error.strerror})"
        return f"autopsy in {folder}"

    def validate(self) -> Losses:
        """Return the losses over the validation windows."""
        return evaluate(
            self.model,
            self.validation,
            self.val_starts,
            self.micro_batch_size,
            self.token_bytes,
            self.world,
            self.dtype,
        )

    def evaluate(self) -> None:
        """Measure the validation loss of this step and log it."""
        began = time.perf_counter()
        losses = self.validate()
        loss, best = losses.nats_per_token, self.progress.best_val_loss
        refuse_nonfinite(loss, self.progress.step)
        is_best = best is None or loss < best
        self.progress = dataclasses.replace(
            self.progress,
            val_loss=loss,
            val_bits_per_byte=losses.bits_per_byte,
            best_val_loss=loss if is_best else best,
        )
        self.log.evaluated(self.progress.step, losses, time.perf_counter() - began, is_best)

    def confirm_data(self) -> None:
        """Wait until all shards are compared with the manifest; raise UserError for damage. A checkpoint needs that."""
        if self.check.goes_on:
            self.log.say("the checkpoint waits until all shards are compared with the manifest")
        while not self.requests.confirm_data(seconds=5.0):
            self.waits += 1

    def save(self, keep: int) -> UserError | None:
        """Write a checkpoint of this step and draw the losses up to it, by the main process; keep so many, 0 for all.

        Returns why not, where the disk refuses.
        """
        self.progress = dataclasses.replace(self.progress, guard=self.guard.state())
        self.saved_step = self.progress.step
        if not self.world.is_main:
            return None
        out_dir = self.run.out_dir
        try:
            self.log.complete()  # a checkpoint must not be ahead of its metrics
            self.progress = dataclasses.replace(self.progress, recorded=self.log.newest)
            began = time.perf_counter()
            folder = checkpoint.save(
                out_dir, self.model, self.optimizer, self.tokenizer, self.progress, self.run.about, keep
            )
        except UserError as error:
            return error
        self.log.say(f"saved {folder} in {time.perf_counter() - began:.1f} s")
        try:
            draw_losses(out_dir)
        except (OSError, UserError) as error:  # the checkpoint is safe
            self.log.say(f"cannot draw {out_dir}/loss.png: {error}")
        return None

    def say_outcome(self) -> None:
        """Say that the run is finished, how well its checkpoints do, and what to do with it; or how to go on."""
        if not self.world.is_main:
            return
        out_dir, step = self.config.out_dir, self.progress.step
        if step < self.config.max_steps:
            is_saved = self.run.continues or step > self.run.progress.step
            where = f"after step {step}, which is saved" if is_saved else "before its first step"
            say(f"{out_dir} was stopped by {self.stopped_by} {where}: the same command goes on")
        else:
            try:
                best = checkpoint.find(out_dir)
                best_is = f"best {checkpoint.read_info(best)['val_loss']:.4f} in {best.name}"
            except UserError as error:
                best_is = str(error)
            say(
                f"{out_dir} is finished: step {step}, validation loss {self.progress.val_loss:.4f}, {best_is}. "
                f"Sample from it with `python sample.py --checkpoint={out_dir}`, go on with `--max_steps=... --extend`."
            )


def main() -> None:
    faulthandler.enable(2)  # says where a process was that a fault ends: a shard cut short under it is one
    train(parse_train_config(sys.argv[1:], __doc__ or ""))
    ignore_signals()


if __name__ == "__main__":
    # At once: as Python ends by itself, Weights & Biases waits without limit, and a tensor that a thread of gloo's still
    # holds aborts the process.
    run_command(main, os._exit)
