"""The verdicts as lines of text, aligned for a terminal."""

from collections.abc import Sequence

from tools.aligned import aligned
from tools.compare.runs import TrainedRun
from tools.compare.verdict import Verdict

COLUMNS = "run,verdict,bits/byte,reference,change,at step,last,tokens/s,change,steps,state,note".split(",")


def row(run: TrainedRun, verdict: Verdict, now: float) -> list[str]:
    """Return the cells of a run."""
    return [
        run.name,
        verdict.status,
        number(verdict.bits_per_byte, ".4f"),
        number(verdict.reference_bits, ".4f"),
        percent(verdict.bits_change),
        number(verdict.step, ","),
        number(last(run), ".4f"),
        number(verdict.tokens_per_second, ",.0f"),
        percent(verdict.speed_change),
        f"{run.step:,}/{run.settings['max_steps']:,}",
        run.state(now),
        verdict.reason,
    ]


def last(run: TrainedRun) -> float | None:
    """Return the bits per byte of a run's last evaluation."""
    evaluated = run.evaluated()
    return evaluated[max(evaluated)] if evaluated else None


def number(value: float | None, form: str) -> str:
    """Return a number as text, "" for None."""
    return "" if value is None else format(value, form)


def percent(share: float | None) -> str:
    """Return a change in percent, with its sign."""
    return "" if share is None else f"{100 * share:+.2f} %"


def lines(runs: Sequence[TrainedRun], found: Sequence[Verdict], now: float) -> list[str]:
    """Return the table, a heading and one line per run."""
    return aligned([COLUMNS, *(row(run, verdict, now) for run, verdict in zip(runs, found, strict=True))])
