"""Measure how good a model is: `python -m tools.evaluate --checkpoint=out/demo --tasks=leads`.

Prints the loss on a validation split, whole, with 95 % intervals over its documents, and the share of right answers to
tasks with its standard error; the same as JSON goes beside the checkpoint. Several checkpoints, separated by commas, are
compared with the first, document by document and item by item, and end in a table. `torchrun --nproc_per_node=2 -m tools.evaluate ...` uses two
processes. If it is stopped, rerun the same command to resume.
"""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from system.command_line import parse_config
from system.errors import run_command, say
from system.progress import announced
from tools.aligned import aligned
from tools.evaluate.config import EvaluateConfig

if TYPE_CHECKING:
    from system.world import World


def evaluate(config: EvaluateConfig, world: "World") -> None:
    """Measure everything of one model after the other, print it and keep it beside the model. All processes call this."""
    from evaluation.measures import Measured
    from tools.evaluate.measuring import find_work, measures_of, subjects
    from tools.evaluate.results import Results, open_results, path_of

    work = world.main_first(lambda: find_work(config, check=world.is_main))
    with contextlib.ExitStack() as stack:
        results: dict[Path, Results] = {}  # in the main process
        with world.all_or_none():
            if world.is_main:
                results = stack.enter_context(open_results(map(path_of, work.models)))
                for note in work.notes:
                    say(f"note: {note}")
        measures = measures_of(config, work, world)
        reference: dict[str, Measured] = {}  # of the first model
        rows = [["", *measures]]
        for subject in subjects(config, work.models, world):
            name = f"{subject.name}, {subject.precision}"
            if world.is_main:
                say(f"{subject.name}: {subject.n_params:,} parameters, {subject.precision}")
            own = results.get(subject.results)
            rows.append([name])
            for measure, take in measures.items():
                measured = take(subject, world, own.journal if own else None)
                measured = measured.against(reference.get(measure))
                reference.setdefault(measure, measured)
                with world.all_or_none():
                    if own:
                        say(f"  {measure}: {measured.line()}")
                        other = {"compared_with": rows[1][0]} if len(rows) > 2 else {}
                        own.keep(name, measure, measured.to_dict() | other)
                        rows[-1].append(measured.cell())
            del subject  # the next one may need its memory
        if world.is_main and len(rows) > 2:
            for line in aligned(rows):
                say(line)


def main() -> None:
    config = parse_config(EvaluateConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    with announced("loading torch", True, sys.stderr):
        from system.world import start_world

    world = start_world(config.device)
    evaluate(config, world)
    world.stop()


if __name__ == "__main__":
    run_command(main)
