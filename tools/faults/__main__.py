"""Inject faults into training, and check that it survives them: `python -m tools.faults [--seed=...] [--only=...]`.

Kills, signals, full disks, corrupt and hostile files, lost processes and nodes. After each fault the same command must resume, and end
with the weights of the undisturbed run, bit for bit, and a metrics.jsonl without gaps or doubles. Prints a table; its last
line is `faults: N tried, N survived`. The exit status is 1 if these numbers differ.
"""

import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from system.command_line import parse_config, read_command
from tools.faults.config import FaultsConfig

if __name__ == "__main__":  # before torch is loaded, so that a mistake in the command is found at once
    CONFIG = read_command(partial(parse_config, FaultsConfig()), __doc__ or "")

from system.errors import UserError, run_command
from tools.faults import damage
from tools.faults.commands import TWO, Command, NotSurvived, expect, wait_until
from tools.faults.nodes import NODE_FAULTS
from tools.faults.runs import Lab, Run, Tally

RESUME = "rerun the same command to resume"


def repeat(
    lab: Lab,
    tally: Tally,
    n_faults: int,
    start: Callable[[Run], Command],
    inject: Callable[[Run, Command], bool],
    launcher: tuple[str, ...] | None = None,
) -> None:
    """Inject `n_faults` faults, one into each command that trains a run, and see each run to its end.

    `inject` returns False if the command ended before the fault.
    """
    while tally.tried < n_faults:
        run, n_injected, has_ended = lab.run(), 0, False
        try:
            while not has_ended:
                before, command, tries = run.last_step(), start(run), tally.tried < n_faults
                if tries and inject(run, command):
                    n_injected, tally.tried = n_injected + 1, tally.tried + 1
                    last = run.last_step()
                    expect(last >= before, f"step {before} was lost: the last checkpoint is of step {last}")
                else:
                    has_ended = True
                    too_late = tries and "is finished" in command.output()  # torchrun has its own status
                    if not too_late:
                        command.expect_success()
            run.expect_same(lab.undisturbed(2 if launcher else 0))
            tally.survived += n_injected
        except (NotSurvived, UserError) as error:
            tally.tried += n_injected == 0
            print(f"  NOT SURVIVED: {run.out_dir}: {error}", flush=True)


def started_saves(run: Run) -> set[tuple[str, int]]:
    """Return the unfinished checkpoints, each with the time when its folder last changed."""
    found = set()
    for folder in run.out_dir.glob("step_*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # finished by now
            found.add((folder.name, folder.stat().st_mtime_ns))
    return found


def sigkill(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Kill at random instants, some of them during a save; every tenth command is a new process, the others are forked."""
    during_saves = 0

    def inject(run: Run, command: Command) -> bool:
        nonlocal during_saves
        before = started_saves(run)  # by an earlier command
        if lab.chooser.random() < (0.4 if config.parallel == "ddp" else 0.8):
            wait_until(lambda: started_saves(run) - before or command.has_ended(), "a save")
            time.sleep(lab.chooser.uniform(0, 0.01))
        else:
            time.sleep(lab.chooser.uniform(0, 1.5))
        command.strike()
        during_saves += bool(command.status() and started_saves(run) - before)
        return command.status() == -signal.SIGKILL

    def start(run: Run) -> Command:
        return run.start(fork=tally.tried % 10 != 9)

    repeat(lab, tally, config.kills, start, inject)
    tally.notes.append(f"{during_saves} during a save")


def _expect_stopped(run: Run, command: Command) -> bool:
    """Return False if the command finished its run; else raise NotSurvived unless it saved, and said where it stopped."""
    output = command.output()
    if "is finished" in output:
        return False
    expect(RESUME in output, f"no line tells how to resume: {output[-2000:]}")
    step = run.last_step()
    expect(f"after step {step}," in output or step == 0, f"step {step} is saved, the output has another one")
    return True


def _ranks_some_time_after_start(lab: Lab, command: Command) -> list[int]:
    """Wait until the command trains, and a random time longer; return its processes, none if it has ended."""
    command.wait_for("run  ")
    time.sleep(lab.chooser.uniform(0, 0.7))
    return command.ranks()


def signal_to_rank(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Send SIGTERM to one of two processes: both must stop, with status 0."""

    def inject(run: Run, command: Command) -> bool:
        ranks = _ranks_some_time_after_start(lab, command)
        if not ranks:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(lab.chooser.choice(ranks), signal.SIGTERM)
        command.expect_success()
        return _expect_stopped(run, command)

    repeat(lab, tally, config.rank_signals, lambda run: run.start(TWO), inject, TWO)


def signal_to_agent(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Send SIGTERM to torchrun, which passes it on, waits for its processes, and ends with a status of its own."""

    def inject(run: Run, command: Command) -> bool:
        ranks = _ranks_some_time_after_start(lab, command)
        if not ranks or command.has_ended():
            return False
        os.kill(command.pid, signal.SIGTERM)
        command.status()
        expect(not any(Path(f"/proc/{pid}").exists() for pid in ranks), "a process was left behind")
        return _expect_stopped(run, command)

    repeat(lab, tally, config.agent_signals, lambda run: run.start(TWO), inject, TWO)


def lost_rank(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Kill one of two processes under `torchrun --max_restarts`: the run resumes by itself."""
    run, reference = lab.run(), lab.undisturbed(2)
    command = run.start((*TWO, f"--max_restarts={config.losses + 1}"))
    for count in range(1, config.losses + 1):
        with tally.attempt(f"{run.out_dir}, process lost, number {count}"):
            _wait_for_start(command, count)
            time.sleep(lab.chooser.uniform(0, 0.5))
            os.kill(lab.chooser.choice(command.ranks()), signal.SIGKILL)
            _wait_for_start(command, count + 1)
            if count == config.losses:
                command.expect_success()
                run.expect_same(reference)


def _wait_for_start(command: Command, number: int) -> None:
    wait_until(lambda: command.output().count("\nrun  ") >= number or command.has_ended(), f"start {number}")


def number_of_processes(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Resume with another number of processes: the same losses, up to rounding."""
    run, reference = (
        lab.run(None, dropout=0.0),
        lab.undisturbed(1, dropout=0.0),
    )  # dropout is drawn for each micro-batch
    with tally.attempt(f"{run.out_dir}, 2 -> 1 -> 2 processes"):
        ways: tuple[tuple[tuple[str, ...], str], ...]
        ways = ((TWO, ""), ((), "processes 2 -> 1"), (TWO, "processes 1 -> 2"))
        for launcher, change in ways:
            command = run.start(launcher)
            if change != "processes 1 -> 2":
                expect(command.wait_for(f"saved {run.out_dir}"), command.output())
                os.kill(command.ranks()[0] if launcher else command.pid, signal.SIGTERM)
            command.expect_success()
            expect(change in command.output(), f"no line about {change}")
        run.expect_same(reference, exactly=False)


POISON = """
build = train.build_learner
def build_poisoned(run, world):
    learner, steps = build(run, world), [run.progress.step]
    def poison(module, inputs, output):
        steps[0] += module.training
        is_bad = module.training and (world.rank, steps[0]) == ({rank}, {step})
        return output * float("nan") if is_bad else output
    learner.model.transformer.register_forward_hook(poison)
    return learner
train.build_learner = build_poisoned
"""


def poisoned_batch(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Make the output of the network NaN in one step on one of two processes: it must not change the weights."""
    for on_nonfinite in ("stop", "skip"):
        rank, step = lab.chooser.randrange(2), lab.chooser.randrange(2, 120)
        script = lab.script(f"poisoned_{on_nonfinite}", POISON.format(rank=rank, step=step))
        run = lab.run(None, on_nonfinite=on_nonfinite)
        with tally.attempt(f"{run.out_dir}, step {step}, rank {rank}, {on_nonfinite}"):
            command = run.start(TWO, script=script)
            status, output = command.status(), command.output()
            expect(f"the loss of step {step} is nan" in output, f"no line about it: {output[-2000:]}")
            expect(list(run.out_dir.glob(f"autopsy_step_{step:08}/report_rank_{rank}.json")), "no autopsy")
            if on_nonfinite == "skip":
                command.expect_success()
                skipped = [record["step"] for record in run.records() if record.get("skipped")]
                expect(skipped == [step], f"skipped {skipped} instead of {step}")
                run.expect_no_gaps()
            else:
                expect(status != 0 and run.last_step() == step - 1, f"status {status}: {output[-2000:]}")
                run.start(TWO).expect_success()
                run.expect_same(lab.undisturbed(2))


FAULTS: dict[str, Callable[[Lab, Tally, FaultsConfig], None]] = {
    "SIGKILL at a random instant": sigkill,
    "SIGTERM to one of two processes": signal_to_rank,
    "SIGTERM to torchrun": signal_to_agent,
    "process lost under --max_restarts": lost_rank,
    "2 -> 1 -> 2 processes": number_of_processes,
    "NaN on one of two processes": poisoned_batch,
    "full disk": damage.full_disk,
    "checkpoint file truncated": damage.checkpoint_truncated,
    "checkpoint file with a bit flipped": damage.checkpoint_flipped,
    "hostile pickle in a file's place": damage.hostile_pickle,
    "shard truncated": damage.shard_truncated,
    "shards swapped": damage.shards_swapped,
    "shard with a bit flipped": damage.shard_flipped,
    **NODE_FAULTS,
}


def main(config: FaultsConfig) -> None:
    seed = config.seed or random.SystemRandom().randrange(1, 10**6)
    words = config.only.split(",")
    chosen = {name: fault for name, fault in FAULTS.items() if any(word in name for word in words)}
    if not chosen:
        raise UserError(f"only={config.only}: must be in the name of a fault: {', '.join(FAULTS)}")
    print(f"seed {seed}: --seed={seed} injects the same faults, up to the machine's timing", flush=True)
    tallies = {}
    with tempfile.TemporaryDirectory(prefix="faults_") as folder:
        lab = Lab(Path(folder), seed, config.parallel)
        lab.prepare()
        for name, fault in chosen.items():
            began, tally = time.perf_counter(), Tally()
            print(f"{name} ...", flush=True)
            try:
                fault(lab, tally, config)
            except NotSurvived as error:  # outside of an attempt
                tally.tried += 1
                print(f"  NOT SURVIVED: {error}", flush=True)
            finally:
                lab.clean_up()
            tally.seconds = time.perf_counter() - began
            tallies[name] = tally
    print_table(tallies)
    if any(tally.survived < tally.tried for tally in tallies.values()):
        sys.exit(1)


def print_table(tallies: dict[str, Tally]) -> None:
    """Print the number of faults tried and survived, by kind; the sums are in the last line."""
    print(f"\n{'fault':36} tried survived seconds")
    for name, tally in tallies.items():
        notes = f"skipped: {tally.skipped}" if tally.skipped else ", ".join(tally.notes)
        print(f"{name:36} {tally.tried:5} {tally.survived:8} {tally.seconds:7.0f}  {notes}".rstrip())
    tried = sum(tally.tried for tally in tallies.values())
    survived = sum(tally.survived for tally in tallies.values())
    print(f"faults: {tried} tried, {survived} survived")


if __name__ == "__main__":
    run_command(lambda: main(CONFIG))
