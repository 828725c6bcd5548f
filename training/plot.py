"""Reading a run's metrics.jsonl, and drawing its losses."""

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from system.errors import UserError

METRICS, PLOT = "metrics.jsonl", "loss.png"


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """Return the records of a metrics.jsonl, except a last line that a kill cut short.

    Raises UserError for any other line that is not a record of a later step: leaving it out would make a gap.
    """
    path = Path(path)
    if not path.is_file():
        return []
    *lines, _cut_short = path.read_bytes().split(b"\n")
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            is_later = record["step"] > (records[-1]["step"] if records else -1)
        except (ValueError, TypeError, KeyError):
            is_later = False
        if not is_later:
            raise UserError(
                f"{path}:{number} is corrupt, not the record of a later step: repair that line, or move the file away to"
                " resume without its records"
            )
        records.append(record)
    return records


def plot_losses(out_dir: Path, path: Path) -> None:
    """Draw the training and validation losses of a run, finished or not, as a PNG.

    The figure does not depend on matplotlib's settings or the environment. May raise whatever matplotlib raises.
    """
    with plain_matplotlib() as matplotlib, matplotlib.rc_context(matplotlib.rcParamsDefault):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), layout="constrained")
        add_losses(figure, read_metrics(out_dir / METRICS))
        # A folder's name may hold bytes that are not text, which have no glyphs.
        name = os.fsencode(out_dir.name).decode(errors="replace")
        figure.axes[0].set_title(name, parse_math=False)
        partial = path.with_name(path.name + ".tmp")
        try:
            FigureCanvasAgg(figure).print_png(partial, metadata={"Software": None})
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def add_losses(figure: Any, records: list[dict[str, Any]]) -> None:
    """Add axes with the training and validation losses to a matplotlib figure."""
    train = [(record["step"], record["loss"]) for record in records if record.get("loss") is not None]
    validation = [(record["step"], record["val_loss"]) for record in records if "val_loss" in record]
    axes = figure.add_subplot()
    if train:
        axes.plot(*zip(*train, strict=True), color="tab:blue", alpha=0.6, linewidth=1, label="training")
    if validation:
        label = f"validation, {validation[-1][1]:.3f} at step {validation[-1][0]}"
        axes.plot(*zip(*validation, strict=True), color="tab:orange", marker="o", markersize=3, label=label)
    axes.set(xlabel="step", ylabel="loss (nats per token)")
    axes.grid(alpha=0.3)
    if train or validation:
        axes.legend()


@contextmanager
def plain_matplotlib() -> Iterator[Any]:
    """Import matplotlib, without a notebook's backend, and without its warnings in the block.

    It reads MPLBACKEND when it is imported, and fails if that backend is not installed, though we need none.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # about a matplotlibrc, whose settings we do not use
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about characters that the font lacks
            import matplotlib

            yield matplotlib
    finally:
        logger.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
