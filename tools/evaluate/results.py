"""The file beside a model that keeps what was measured of it, and the journal of what is still being measured."""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from checkpointing.pretrained import Pretrained
from evaluation.journal import Journal
from system.errors import UserError
from system.files import cannot_write, only_writer, read_json, replace_file

RESULTS_FILE = "evaluation.json"
OTHER_RESULTS = Path(
    "out/evaluation"
)  # of models from the hub, whose folder is a cache, and of what is only readable
FIX = "make it a folder that you may write to, as the results go there"


class Results:
    """The results of one model: {model and precision: {measure: values}}."""

    def __init__(self, path: Path) -> None:
        """Read what is there. Raises UserError if that is not what this class writes."""
        self.path = path
        try:
            self.content = read_json(path, missing={})
        except UserError as error:
            raise UserError(error.problem, "delete it") from None
        if not all(isinstance(measures, dict) for measures in self.content.values()):
            raise UserError(f"{path} is not a file of results", "move it away")
        self.journal = Journal(path.with_suffix(".partial.jsonl"))

    def keep(self, model: str, measure: str, values: dict[str, Any]) -> None:
        """Write a result. Raises UserError if that fails."""
        self.content.setdefault(model, {})[measure] = values
        try:
            replace_file(self.path, json.dumps(self.content, indent=1) + "\n")
        except OSError as error:
            raise cannot_write(self.path.parent, error, FIX) from None


def path_of(found: Pretrained) -> Path:
    """Return where a model's results go: beside it if they may, else under OTHER_RESULTS."""
    folder = found.folder.resolve()
    beside = folder.parent / "evaluation" / f"{folder.name}.json" if found.is_ours else folder / RESULTS_FILE
    place = next(parent for parent in beside.parents if parent.exists())
    if Path(found.name).expanduser().is_dir() and os.access(place, os.W_OK):
        return beside
    return OTHER_RESULTS / f"{found.name.strip('/').replace('/', '--')}.json"


@contextlib.contextmanager
def open_results(paths: Iterable[Path]) -> Iterator[dict[Path, Results]]:
    """Lock the folders of all results while the block runs, and give the results; forget what is in the journals if it ends well.

    Raises UserError if another evaluation writes there, or a file or folder cannot be used.
    """
    paths = set(paths)
    with contextlib.ExitStack() as stack:
        for folder in sorted({path.parent for path in paths}):
            busy = f"another evaluation writes to {folder}: wait until it is done"
            stack.enter_context(only_writer(folder, busy, FIX))
        results = {path: Results(path) for path in paths}
        yield results
        for one in results.values():
            one.journal.forget()
