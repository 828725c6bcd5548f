"""The page: curves as JSON, tables as HTML, in one file that needs no other, or in parts for the live page."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from system.errors import UserError
from tools.compare import table
from tools.compare.config import CompareConfig
from tools.compare.differences import evaluation_tables, setting_tables
from tools.compare.runs import TrainedRun
from tools.compare.verdict import NOISE, Verdict, passed

PAGE = Path(__file__).parent / "page"
FILES = ("style.css", "curves.js", "script.js")
TITLES = {
    "loss": "Training loss (nats per token)",
    "val_loss": "Validation loss (nats per token)",
    "val_bits_per_byte": "Validation, bits per byte",
    "tokens_per_second": "Speed (tokens/s)",
    "grad_norm": "Gradient norm",
    "learning_rate": "Learning rate",
}
NOISY = (
    "loss",
    "tokens_per_second",
    "grad_norm",
)  # which are smoothed, as are figures with names of their own
TASK = "task_"  # with which the names of eval_tasks' shares begin
NO_FIGURES = {"step", "skipped"}
DIGITS = 6  # significant, of the numbers in the page


def content(
    runs: Sequence[TrainedRun], found: Sequence[Verdict], config: CompareConfig, now: float, written: str
) -> dict[str, Any]:
    """Return all that the page shows: `runs` and `figures` for script.js, `tables` as HTML."""
    keys = {
        key for run in runs for record in run.records for key, value in record.items() if is_number(value)
    }
    others = sorted(keys - TITLES.keys() - NO_FIGURES)
    figures = [figure(key) for key in [*(key for key in TITLES if key in keys), *others]]
    rows = [table.row(run, verdict, now) for run, verdict in zip(runs, found, strict=True)]
    return {
        "runs": [curves(run, [one["key"] for one in figures]) for run in runs],
        "figures": figures,
        "tables": environment()
        .get_template("tables.html")
        .render(
            columns=table.COLUMNS,
            rows=[(verdict.status.replace(" ", "-"), cells) for verdict, cells in zip(found, rows, strict=True)],
            tolerance=f"{100 * config.tolerance:g} %",
            speed_tolerance=f"{100 * config.speed_tolerance:g} %" if config.speed_tolerance else "",
            passed=passed(found),
            names=[run.name for run in runs],
            noise=NOISE if len(runs) > 1 else "",
            settings=setting_tables(runs),
            evaluations=evaluation_tables(runs),
            written=written,
        ),
    }  # fmt: skip


def figure(key: str) -> dict[str, Any]:
    """Return the title of a figure, and whether its values are smoothed, as those of each evaluation are not."""
    is_task = key.startswith(TASK)
    title = f"Task {key.removeprefix(TASK)} (share of right answers)" if is_task else TITLES.get(key, key)
    return {"key": key, "title": title, "noisy": key in NOISY or (key not in TITLES and not is_task)}


def curves(run: TrainedRun, keys: Sequence[str]) -> dict[str, Any]:
    """Return what a run recorded as columns, with None where a record has no number."""
    return {
        "name": run.name,
        "tokens_per_step": run.tokens_per_step,
        "steps": [record["step"] for record in run.records],
        "seconds": [rounded(second) for second in run.seconds],
        "skipped": [place for place, record in enumerate(run.records) if record.get("skipped")],
        "values": {key: [rounded(record.get(key)) for record in run.records] for key in keys},
    }


def is_number(value: object) -> bool:
    """Return whether a value of a record can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def rounded(value: Any) -> float | None:
    """Return a number with DIGITS significant digits, None for anything else."""
    return float(f"{value:.{DIGITS}g}") if is_number(value) else None


def environment() -> Environment:
    """Return how templates are filled in: nothing of a run is ever HTML."""
    return Environment(loader=FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def plotly_source() -> str:
    """Return plotly.js. Raises UserError if plotly is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UserError("plotly is not installed", "run `pip install plotly`") from None
    return get_plotlyjs()


def html(page_content: dict[str, Any]) -> str:
    """Return the page as one file. Its policy lets no other script run and nothing load."""
    style, *ours = ((PAGE / name).read_text(encoding="utf-8") for name in FILES)
    scripts = [plotly_source(), *ours]
    hashes = " ".join(map(source_hash, scripts))
    # plotly sets the style of what it draws.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src {hashes}"
    data = {key: page_content[key] for key in ("runs", "figures")}
    return (
        environment()
        .get_template("page.html")
        .render(
            policy=policy,
            style=style,
            scripts=scripts,
            tables=page_content["tables"],
            data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
        )
    )


def live_html() -> str:
    """Return the page of a server, which loads its parts and asks for what it shows."""
    return environment().get_template("page.html").render(live=True)


def source_hash(source: str) -> str:
    """Return how a Content-Security-Policy names a script of the page itself."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
