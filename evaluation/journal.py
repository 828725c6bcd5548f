"""What a stopped evaluation had scored, in a file beside the results, so that the same command goes on from there."""

import json
from pathlib import Path

import numpy as np

from system.errors import say
from system.files import append_to_file

Rows = dict[int, np.ndarray]  # by the number of a request: (n_parts, 2)


class Journal:
    """Scores by key, which tells one model and its requests from others. One process writes it."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a line that a kill cut off is left out."""
        self.path = path
        self.is_writable = True
        self.scores: dict[str, Rows] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
                rows = {int(number): np.array(result) for number, result in entry["rows"].items()}
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
            self.scores.setdefault(entry["key"], {}).update(rows)

    def known(self, key: str) -> Rows:
        """Return the scores of the requests that are done."""
        return self.scores.get(key, {})

    def add(self, key: str, rows: Rows) -> None:
        """Keep some more. If the disk does not take them, say so once and go on without."""
        if not self.is_writable:
            return
        entry = {"key": key, "rows": {str(number): result.tolist() for number, result in rows.items()}}
        try:
            append_to_file(self.path, json.dumps(entry) + "\n")
        except OSError as error:
            self.is_writable = False
            say(f"cannot write {self.path} ({error.strerror}): what is scored from here on is lost in a stop")

    def delete(self) -> None:
        """Forget all, as the results are written."""
        self.path.unlink(missing_ok=True)
