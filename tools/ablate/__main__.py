"""Compare choices with a config, each switched alone: `python -m tools.ablate configs/x.py --choices='a=1; b=2,c=3'`.

For each seed, the config is trained for --minutes, then each choice twice: for the same time, and for as many tokens
as the config has had. One run serves both where tokens differ by 1 % at most, and for settings that leave the work of
a step as it is, such as learning_rate: they get the config's steps. Choices take turns, so that all meet the machine's
good and bad minutes. The table has bits per byte on the validation text at the end of each run's schedule: means with
the smallest and the largest, and the differences to the config with the same seed.

Rerun the same command to resume: finished runs in --out_dir are read. A failed run becomes a row that says why.
"""

import signal
from pathlib import Path

from system.command_line import read_command
from tools.ablate.config import AblateCommand, parse_ablate_command

if __name__ == "__main__":  # before torch is loaded, so that a mistake in the command is found at once
    COMMAND = read_command(parse_ablate_command, __doc__ or "")

from system import hardware
from system.errors import run_command, say
from system.files import only_writer
from tools.ablate.runs import Runs
from tools.ablate.table import Outcome, columns, rows, summary
from tools.report import Report, hardware_name, machine


def main(command: AblateCommand) -> None:
    settings, base = command.ablate, command.base
    names = "; ".join(choice.name for choice in command.choices)
    what = " ".join([Path(settings.config).stem, *base.words[1:]])
    device = hardware.choose_device(base.config.device)
    title = f"{what}, {settings.minutes:g} min on {hardware_name(device)}: {names}"
    about = f"`{command.line}` on {machine(device)}."
    Report(title, settings.out)  # a file that cannot be written is known before anything is trained
    results: dict[str, list[Outcome | str]] = {choice.name: [] for choice in (base, *command.choices)}
    runs = Runs(command)
    busy = f"another process is training in {settings.out_dir}: wait for it, or choose another --out_dir"
    with only_writer(Path(settings.out_dir), busy):
        for seed in range(base.config.seed, base.config.seed + settings.seeds):
            reading = runs.config_reading(seed)
            for choice in (base, *command.choices):
                outcome = Outcome(reading, reading) if choice == base else runs.outcome(choice, seed, reading)
                results[choice.name].append(outcome)
                say(summary(choice.name, seed, outcome))
            report = Report(title, settings.out)
            report.paragraph(about)
            n_done = len(results[base.name])
            report.table(f"{n_done} of {settings.seeds} seeds", *columns(settings.minutes))
            for cells in rows(results):
                report.row(*cells)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is under way is then saved
    run_command(lambda: main(COMMAND))
