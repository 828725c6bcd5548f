"""The scores that a stopped evaluation leaves in a file beside its results, for the same command to resume from."""

import json
from pathlib import Path

import numpy as np

from system.errors import say
from system.files import append_to_file, replace_file

Rows = dict[int, np.ndarray]  # by the number of a request: (n_parts, 2)


class Journal:
    """Scores by key, which tells one model and its requests from others. One process writes it."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a line that a kill cut off is left out."""
        self.path = path
        self.is_writable = True
        self.scores: dict[str, Rows] = {}
        self.used: set[str] = set()  # keys that were asked for
        text = path.read_text(errors="replace") if path.exists() else ""
        self.ends_line = text.endswith("\n") or not text
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                rows = {int(number): np.array(result) for number, result in entry["rows"].items()}
                self.scores.setdefault(entry["key"], {}).update(rows)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue

    def known(self, key: str) -> Rows:
        """Return the scores of the requests that are done."""
        self.used.add(key)
        return self.scores.get(key, {})

    def add(self, key: str, rows: Rows) -> None:
        """Keep some more. If the disk does not take them, say so once and go on without."""
        if not self.is_writable:
            return
        text = "" if self.ends_line else "\n"
        try:
            append_to_file(self.path, text + line_of(key, rows))
            self.ends_line = True
        except OSError as error:
            self.is_writable = False
            say(f"cannot write {self.path} ({error.strerror}): what is scored from here on is lost in a stop")

    def forget(self) -> None:
        """Forget what was asked for, as the results are written, and keep what other evaluations left."""
        others = {key: rows for key, rows in self.scores.items() if key not in self.used}
        if others:
            replace_file(self.path, "".join(line_of(key, rows) for key, rows in others.items()))
        else:
            self.path.unlink(missing_ok=True)


def line_of(key: str, rows: Rows) -> str:
    """Return an entry of a journal."""
    values = {str(number): result.tolist() for number, result in rows.items()}
    return json.dumps({"key": key, "rows": values}) + "\n"
