"""The table of an ablation: what the runs reached, as rows of text."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import NamedTuple

FEWEST_SEEDS = 3  # for a verdict


class Reading(NamedTuple):
    """What a finished run reached."""

    bits_per_byte: float  # on the validation text, at its end
    steps: int
    tokens: int
    seconds: float  # of its training steps alone

    @property
    def tokens_per_second(self) -> float:
        """Speed of training."""
        return self.tokens / self.seconds


class Outcome(NamedTuple):
    """What a choice reached with one seed; it may be one run."""

    by_time: Reading
    by_tokens: Reading


def summary(name: str, seed: int, outcome: Outcome | str) -> str:
    """Return a line about the outcome with one seed."""
    if isinstance(outcome, str):
        return f"seed {seed} | {name} | failed: {outcome}"
    by_time, by_tokens = (f"{reading.bits_per_byte:.4f}" for reading in outcome)
    return f"seed {seed} | {name} | {by_time} bits per byte at equal time, {by_tokens} at equal tokens"


def columns(minutes: float) -> list[str]:
    """Return the head of the table."""
    by_time, by_tokens = ([f"bits per byte at equal {what}", "difference"] for what in ("time", "tokens"))
    return ["choice", *by_time, f"tokens in {minutes:g} min", "tokens/s", *by_tokens]


def rows(results: Mapping[str, Sequence[Outcome | str]]) -> list[list[str]]:
    """Return the rows, the config's first. `results` has each choice's outcomes by seed, or why it failed."""
    names = list(results)
    base = [outcome for outcome in results[names[0]] if not isinstance(outcome, str)]
    return [row(name, outcomes, base, name == names[0]) for name, outcomes in results.items()]


def row(name: str, outcomes: Sequence[Outcome | str], base: Sequence[Outcome], is_base: bool) -> list[str]:
    """Return the row of a choice: what it reached, or why it failed with some seed."""
    if reasons := [outcome for outcome in outcomes if isinstance(outcome, str)]:
        reason = f"failed with {len(reasons)} of {len(outcomes)} seeds: {reasons[0]}"
        return [name, reason, *[""] * (len(columns(0)) - 2)]
    ours = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    by_time, by_tokens = (
        quality([o[kind].bits_per_byte for o in ours], [b[kind].bits_per_byte for b in base], is_base)
        for kind in (0, 1)
    )
    runs = [outcome.by_time for outcome in ours]
    trained = f"{mean(run.tokens for run in runs):,.0f}, {mean(run.seconds for run in runs):.0f} s of steps"
    return [
        name,
        *by_time,
        trained,
        mean_and_range([run.tokens_per_second for run in runs], "{:,.0f}"),
        *by_tokens,
    ]


def quality(ours: Sequence[float], theirs: Sequence[float], is_base: bool) -> list[str]:
    """Return the cells on bits per byte: a choice's, and their differences to the config's with the same seeds."""
    differences = [own - other for own, other in zip(ours, theirs, strict=True)]
    compared = f"{mean_and_range(differences, '{:+.4f}')}: {verdict(differences)}"
    return [mean_and_range(ours, "{:.4f}"), "" if is_base else compared]


def verdict(differences: Sequence[float]) -> str:
    """Return whether a choice is better or worse: only if it is with every seed. Fewer bits are better."""
    if len(differences) < FEWEST_SEEDS:
        return f"fewer than {FEWEST_SEEDS} seeds"
    if max(differences) < 0:
        return "better"
    return "worse" if min(differences) > 0 else "no clear difference"


def mean_and_range(values: Sequence[float], form: str) -> str:
    """Return the mean of the values with the smallest and the largest."""
    return f"{form.format(mean(values))} ({form.format(min(values))} to {form.format(max(values))})"
