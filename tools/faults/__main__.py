"""Do to training what real machines do, and see that it survives: `python -m tools.faults [--seed=...] [--only=...]`.

Kills, signals, full disks, damaged and hostile files, lost processes. After each, the same command must go on and end with
the undisturbed run's weights, bit for bit, and a metrics.jsonl without gaps or doubles. Prints a table; its last line
is `faults: N tried, N survived`, and the exit status 1 if these differ.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from system.command_line import parse_config
from system.errors import UserError, run_command
from tools.faults import damage
from tools.faults.runs import ROOT, Lab, Life, NotSurvived, Run, Tally, expect, until

GOES_ON = "the same command goes on"
TWO = ("--standalone", "--nproc_per_node=2")


@dataclass(frozen=True)
class FaultsConfig:
    """How much harm is done."""

    seed: int = 0  # of the moments and places of the harm, 0: drawn and printed
    only: str = ""  # faults whose names contain one of these words, comma-separated
    kills: int = 50  # SIGKILLs at random instants
    rank_signals: int = 10  # SIGTERMs to one of two processes
    agent_signals: int = 5  # SIGTERMs to torchrun itself


def repeatedly(
    lab: Lab,
    tally: Tally,
    count: int,
    start: Callable[[Run], Life],
    harm: Callable[[Run, Life], bool],
    launcher: tuple[str, ...] = (),
) -> None:
    """Do harm `count` times, each to the next life of a run, and see each run to its end.

    `harm` returns False where the life ended before it came to it.
    """
    while tally.tried < count:
        run, harms, ended = lab.run(), 0, False
        try:
            while not ended:
                before, life, is_harmed = run.last_step(), start(run), tally.tried < count
                if is_harmed and harm(run, life):
                    harms, tally.tried = harms + 1, tally.tried + 1
                    expect(
                        run.last_step() >= before, f"step {before} was lost: {run.last_step()} is the last"
                    )
                else:
                    ended = True
                    too_late = (
                        is_harmed and "is finished" in life.output()
                    )  # torchrun has a status of its own
                    expect(life.status() == 0 or too_late, f"status {life.status()}: {life.output()[-2000:]}")
            run.expect_same(lab.undisturbed(launcher))
            tally.survived += harms
        except (NotSurvived, UserError) as error:
            tally.tried += harms == 0
            print(f"  NOT SURVIVED: {run.out_dir}: {error}", flush=True)


def saves_begun(run: Run) -> set[tuple[str, int]]:
    """Return the checkpoints that are not whole yet, each with the time when its folder last changed."""
    found = set()
    for folder in run.out_dir.glob("step_*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # whole by now
            found.add((folder.name, folder.stat().st_mtime_ns))
    return found


def sigkill(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Kill at random instants: any at all, or aimed at a save; every tenth life is a fresh process."""
    during_saves = 0

    def harm(run: Run, life: Life) -> bool:
        nonlocal during_saves
        left = saves_begun(run)  # by an earlier life
        if lab.chooser.random() < 0.4:
            until(lambda: saves_begun(run) - left or life.has_ended(), "a save")
            time.sleep(lab.chooser.uniform(0, 0.01))
        else:
            time.sleep(lab.chooser.uniform(0, 1.5))
        if not life.has_ended():
            os.kill(life.pid, signal.SIGKILL)
        during_saves += bool(life.status() and saves_begun(run) - left)
        return life.status() == -signal.SIGKILL

    def start(run: Run) -> Life:
        return run.start(fork=tally.tried % 10 != 9)

    repeatedly(lab, tally, config.kills, start, harm)
    tally.seen.append(f"{during_saves} during a save")


def _expect_good_end(run: Run, life: Life) -> bool:
    """Return whether a life was stopped; raise NotSurvived if it was, and not in good order."""
    said = life.output()
    if "is finished" in said:
        return False
    expect(GOES_ON in said, f"no line says how to go on: {said[-2000:]}")
    step = run.last_step()
    expect(f"after step {step}," in said or step == 0, f"what it says is not what is saved, step {step}")
    return True


def _ranks_at_work(lab: Lab, life: Life) -> list[int]:
    """Return the processes of a life some time after its start, none where it is over."""
    life.wait_for("run  ")
    time.sleep(lab.chooser.uniform(0, 0.7))
    return life.ranks()


def signal_to_rank(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Ask one of two processes to stop: both must, with status 0."""

    def harm(run: Run, life: Life) -> bool:
        ranks = _ranks_at_work(lab, life)
        if not ranks:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(lab.chooser.choice(ranks), signal.SIGTERM)
        expect(life.status() == 0, f"status {life.status()}: {life.output()[-2000:]}")
        return _expect_good_end(run, life)

    repeatedly(lab, tally, config.rank_signals, lambda run: run.start(TWO), harm, TWO)


def signal_to_agent(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Ask torchrun to stop: it passes the signal on, waits for its processes, and ends with a status of its own."""

    def harm(run: Run, life: Life) -> bool:
        ranks = _ranks_at_work(lab, life)
        if not ranks or life.has_ended():
            return False
        os.kill(life.pid, signal.SIGTERM)
        life.status()
        expect(not any(Path(f"/proc/{pid}").exists() for pid in ranks), "a process was left behind")
        return _expect_good_end(run, life)

    repeatedly(lab, tally, config.agent_signals, lambda run: run.start(TWO), harm, TWO)


def lost_rank(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Kill one of two processes under `torchrun --max_restarts`: it goes on by itself."""
    run, reference = lab.run(), lab.undisturbed(TWO)
    life = run.start((*TWO, "--max_restarts=3"))
    for count in (1, 2):
        with tally.attempt(f"{run.out_dir}, process lost for the {count}. time"):
            _wait_for_start(life, count)
            time.sleep(lab.chooser.uniform(0, 0.5))
            os.kill(lab.chooser.choice(life.ranks()), signal.SIGKILL)
            _wait_for_start(life, count + 1)
            if count == 2:
                expect(life.status() == 0, f"status {life.status()}: {life.output()[-2000:]}")
                run.expect_same(reference)


def _wait_for_start(life: Life, number: int) -> None:
    until(lambda: life.output().count("\nrun  ") >= number or life.has_ended(), f"start {number}")


def number_of_processes(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Go on with other numbers of processes: the same losses, but for rounding."""
    settings = {"dropout": 0.0}  # which is drawn for each micro-batch
    run, reference = lab.run(None, **settings), lab.undisturbed((), **settings)
    with tally.attempt(f"{run.out_dir}, 2 -> 1 -> 2 processes"):
        for launcher, change in ((TWO, ""), ((), "processes 2 -> 1"), (TWO, "processes 1 -> 2")):
            life = run.start(launcher)
            if change != "processes 1 -> 2":
                expect(life.wait_for(f"saved {run.out_dir}"), life.output())
                os.kill(life.ranks()[0] if launcher else life.pid, signal.SIGTERM)
            expect(life.status() == 0, f"status {life.status()}: {life.output()[-2000:]}")
            expect(change in life.output(), f"no line says {change}")
        run.expect_same(reference, exactly=False)


POISON = """
import os, sys
sys.path.insert(0, {root!r})
import train
from system.errors import run_command
take_step = train.Training.take_step
def poisoned(training):
    if (training.world.rank, training.progress.step + 1) != ({rank}, {step}):
        return take_step(training)
    hook = training.model.transformer.register_forward_hook(lambda _module, _inputs, output: output * float("nan"))
    try:
        return take_step(training)
    finally:
        hook.remove()
train.Training.take_step = poisoned
run_command(train.main, os._exit)
"""


def poisoned_batch(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Make the outputs of the network NaN in one step on one of two processes: nothing may be learned from them."""
    for on_nonfinite in ("stop", "skip"):
        rank, step = lab.chooser.randrange(2), lab.chooser.randrange(2, 120)
        script = lab.folder / f"poisoned_{on_nonfinite}_train.py"
        script.write_text(POISON.format(root=str(ROOT), rank=rank, step=step))
        run = lab.run(None, on_nonfinite=on_nonfinite)
        with tally.attempt(f"{run.out_dir}, step {step}, rank {rank}, {on_nonfinite}"):
            life = run.start(TWO, script=str(script))
            status, said = life.status(), life.output()
            expect(f"the loss of step {step} is nan" in said, f"it is not named: {said[-2000:]}")
            expect(list(run.out_dir.glob(f"autopsy_step_{step:08}/report_rank_{rank}.json")), "no autopsy")
            if on_nonfinite == "skip":
                expect(status == 0, f"status {status}: {said[-2000:]}")
                skipped = [record["step"] for record in run.records() if record.get("skipped")]
                expect(skipped == [step], f"skipped {skipped} instead of {step}")
                run.expect_no_gaps()
            else:
                expect(status != 0 and run.last_step() == step - 1, f"status {status}: {said[-2000:]}")
                again = run.start(TWO)
                expect(again.status() == 0, again.output()[-2000:])
                run.expect_same(lab.undisturbed(TWO))


def full_disk(lab: Lab, tally: Tally, config: FaultsConfig) -> None:
    """Fill the disk of a run: for a while, and to its end."""
    place = lab.folder / "small_disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        tally.skipped = "needs root, to mount a small tmpfs"
        return
    try:
        for is_emptied in (True, False):
            run = lab.run(place)
            with tally.attempt(f"{run.out_dir}, full {'for a while' if is_emptied else 'to the end'}"):
                _fill_and_empty(lab, run, place / "filler", is_emptied)
            shutil.rmtree(run.out_dir)
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _fill_and_empty(lab: Lab, run: Run, filler: Path, is_emptied: bool) -> None:
    life = run.start()
    expect(life.wait_for(f"saved {run.out_dir}"), life.output())
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    expect(life.wait_for("NOT SAVED"), f"nothing was said of a full disk: {life.output()[-2000:]}")
    run.last_step()  # what was saved is whole
    if is_emptied:
        filler.unlink()
        expect(life.status() == 0, f"status {life.status()}: {life.output()[-2000:]}")
    else:
        expect(life.status() == 2 and "make room" in life.output(), life.output()[-2000:])
        filler.unlink()
        again = run.start()
        expect(again.status() == 0, again.output()[-2000:])
    run.expect_same(lab.undisturbed())


FAULTS: dict[str, Callable[[Lab, Tally, FaultsConfig], None]] = {
    "SIGKILL at a random instant": sigkill,
    "SIGTERM to one of two processes": signal_to_rank,
    "SIGTERM to torchrun": signal_to_agent,
    "process lost under --max_restarts": lost_rank,
    "2 -> 1 -> 2 processes": number_of_processes,
    "NaN on one of two processes": poisoned_batch,
    "full disk": full_disk,
    "checkpoint file truncated": damage.checkpoint_truncated,
    "checkpoint file with a bit flipped": damage.checkpoint_flipped,
    "hostile pickle in a file's place": damage.hostile_pickle,
    "shard truncated": damage.shard_truncated,
    "shards swapped": damage.shards_swapped,
    "shard with a bit flipped": damage.shard_flipped,
}


def main() -> None:
    config = parse_config(FaultsConfig(), sys.argv[1:], __doc__ or "")
    seed = config.seed or random.SystemRandom().randrange(1, 10**6)
    words = config.only.split(",")
    chosen = {name: fault for name, fault in FAULTS.items() if any(word in name for word in words)}
    if not chosen:
        raise UserError(f"only={config.only}: no fault is named so; there are {', '.join(FAULTS)}")
    print(f"seed {seed}: the same harm again with --seed={seed}, but for the machine's timing", flush=True)
    tallies = {}
    with tempfile.TemporaryDirectory(prefix="faults_") as folder:
        lab = Lab(Path(folder), seed)
        lab.prepare()
        for name, fault in chosen.items():
            began, tally = time.perf_counter(), Tally()
            print(f"{name} ...", flush=True)
            try:
                fault(lab, tally, config)
            except NotSurvived as error:  # beside what it tries
                tally.tried += 1
                print(f"  NOT SURVIVED: {error}", flush=True)
            finally:
                lab.forget()
            tally.seconds = time.perf_counter() - began
            tallies[name] = tally
    print_table(tallies)
    if any(tally.survived < tally.tried for tally in tallies.values()):
        sys.exit(1)


def print_table(tallies: dict[str, Tally]) -> None:
    """Print what was tried and survived, the sums in the last line."""
    print(f"\n{'fault':36} tried survived seconds")
    for name, tally in tallies.items():
        words = f"skipped: {tally.skipped}" if tally.skipped else ", ".join(tally.seen)
        print(f"{name:36} {tally.tried:5} {tally.survived:8} {tally.seconds:7.0f}  {words}".rstrip())
    tried = sum(tally.tried for tally in tallies.values())
    survived = sum(tally.survived for tally in tallies.values())
    print(f"faults: {tried} tried, {survived} survived")


if __name__ == "__main__":
    run_command(main)
