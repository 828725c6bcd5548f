"""What is measured of a model: its loss on a split, with an interval, and its answers to a task, each as one line of text and as JSON."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np

from evaluation.bootstrap import Interval, bits_per_byte_interval
from evaluation.contamination import Seen
from evaluation.tasks import Outcome, standard_error
from evaluation.windows import Scored


class Measured(Protocol):
    """What was measured of one model, by itself or against the same measure of another one."""

    def against(self, reference: Any) -> Self:
        """Return it with its difference from a reference, if there is one."""

    def to_dict(self) -> dict[str, Any]:
        """Return the values by their names, for JSON."""

    def line(self) -> str:
        """Return the values as text."""

    def cell(self) -> str:
        """Return the most important value as text."""


@dataclass(frozen=True)
class Loss:
    """A loss over documents."""

    scored: Scored
    note: str = ""  # on what was not scored
    tokenizer: str = ""  # its hash
    reference: "Loss | None" = None  # of another model, on the same documents

    def against(self, reference: "Loss | None") -> "Loss":
        """Return it with its difference from a reference, if there is one."""
        return replace(self, reference=reference)

    @cached_property
    def interval(self) -> Interval | None:
        """The interval of its bits per byte."""
        scored = self.scored
        return bits_per_byte_interval(scored.nats[scored.is_scored], scored.n_bytes[scored.is_scored])

    @cached_property
    def difference(self) -> tuple[float, Interval | None] | None:
        """By how many bits per byte it is above the reference, on documents of which both scored the same text; the interval."""
        if not self.reference:
            return None
        ours, theirs = self.scored, self.reference.scored
        # A pair that one model had to cut is not the same text; nor is a first document whose first token is not scored.
        same = ours.is_scored & theirs.is_scored & (ours.n_bytes == theirs.n_bytes)
        # One may have lost its end-of-text token, which has no byte.
        if self.tokenizer == self.reference.tokenizer:
            same &= ours.n_tokens == theirs.n_tokens
        nats, n_bytes = (ours.nats - theirs.nats)[same], ours.n_bytes[same]
        difference = nats.sum() / math.log(2) / n_bytes.sum() if same.any() else math.nan
        return difference, bits_per_byte_interval(nats, n_bytes)

    def to_dict(self) -> dict[str, Any]:
        """Return the values by their names, for JSON."""
        values = {
            "bits_per_byte": self.scored.bits_per_byte,
            "bits_per_byte_interval": self.interval and list(self.interval),
            "nats_per_token": self.scored.nats_per_token,
            "perplexity": self.scored.perplexity,
            "documents": int(self.scored.is_scored.sum()),
            "tokens": int(self.scored.n_tokens.sum()),
            "bytes": int(self.scored.n_bytes.sum()),
        }
        if not self.difference:
            return values
        difference, interval = self.difference
        return values | {"difference": difference, "difference_interval": interval and list(interval)}

    def line(self) -> str:
        """Return the values as text."""
        scored = self.scored
        text = f"{scored.bits_per_byte:.4f} bits per byte{between(self.interval)}"
        text += f", {scored.nats_per_token:.4f} nats per token, perplexity {scored.perplexity:.2f}"
        if self.difference:
            difference, interval = self.difference
            text += f", {difference:+.4f} bits per byte{between(interval, '+')}"
        else:
            counts = f"{scored.n_tokens.sum():,.0f} tokens, {scored.n_bytes.sum():,.0f} bytes"
            text += f", over {scored.is_scored.sum():,} documents, {counts}"
        return f"{text}, {self.note}" if self.note else text

    def cell(self) -> str:
        """Return the bits per byte as text."""
        text = f"{self.scored.bits_per_byte:.4f}"
        if not self.difference:
            return text
        difference, interval = self.difference
        return f"{text}, {difference:+.4f}{between(interval, '+')}"


@dataclass(frozen=True)
class Answers:
    """The answers to a task's items."""

    outcome: Outcome
    check: Seen | None = None  # of the training text
    n_cut: int = 0  # requests of which the context did not fit
    reference: "Answers | None" = None  # of another model, to the same items

    def against(self, reference: "Answers | None") -> "Answers":
        """Return it with its difference from a reference, if there is one."""
        return replace(self, reference=reference)

    @property
    def unseen(self) -> np.ndarray | None:
        """Whether the answers to the items that the training text does not have are right; None: not checked, or no such item."""
        is_new = ~(self.check.seen | self.check.too_short) if self.check else np.empty(0, dtype=bool)
        return self.outcome.right[is_new] if is_new.any() else None

    @property
    def difference(self) -> tuple[float, float] | None:
        """How much the accuracy is above the reference's on the same items, and the standard error of that."""
        if not self.reference:
            return None
        values = self.outcome.right.astype(float) - self.reference.outcome.right
        return float(values.mean()), standard_error(values)

    def to_dict(self) -> dict[str, Any]:
        """Return the values by their names, for JSON."""
        outcome = self.outcome
        values: dict[str, Any] = {
            "items": len(outcome.right),
            "accuracy": outcome.accuracy,
            "accuracy_error": standard_error(outcome.right),  # standard errors
            "contexts_cut": self.n_cut,
        }
        if outcome.right_normalised is None:
            values["perplexity"] = outcome.perplexity
        else:
            values["accuracy_normalised"] = float(outcome.right_normalised.mean())
            values["accuracy_normalised_error"] = standard_error(outcome.right_normalised)
        if self.check:
            values["items_seen_in_training"] = int(self.check.seen.sum())
            values["items_too_short_to_tell"] = int(self.check.too_short.sum())
            values["accuracy_of_unseen"] = None if self.unseen is None else float(self.unseen.mean())
        if self.difference:
            values["difference"], values["difference_error"] = self.difference
        return values

    def line(self) -> str:
        """Return the values as text."""
        outcome = self.outcome
        parts = [f"{percent(outcome.accuracy, standard_error(outcome.right))} right"]
        if outcome.right_normalised is None:
            parts.append(f"perplexity {outcome.perplexity:.2f}")
        else:
            normalised = outcome.right_normalised
            parts.append(
                f"{percent(normalised.mean(), standard_error(normalised))} by likelihood per character"
            )
        if self.check:
            parts.append(f"{self.check.seen.sum():,} items seen in training")
            if self.check.too_short.any():
                parts.append(f"{self.check.too_short.sum():,} too short to tell")
            if self.unseen is not None:
                share = percent(self.unseen.mean(), standard_error(self.unseen))
                parts.append(f"{share} right of those not seen")
        if self.n_cut:
            parts.append(f"{self.n_cut:,} contexts cut to fit block_size")
        difference = percent(*self.difference, "+") if self.difference else ""
        return ", ".join([*parts, difference or f"of {len(outcome.right):,} items"])

    def cell(self) -> str:
        """Return the accuracy as text."""
        text = percent(self.outcome.accuracy, standard_error(self.outcome.right))
        return f"{text}, {percent(*self.difference, '+')}" if self.difference else text


def between(interval: Interval | None, sign: str = "") -> str:
    """Return the ends of an interval in brackets, if there is one."""
    return f" ({interval.low:{sign}.4f} to {interval.high:{sign}.4f})" if interval else ""


def percent(share: float, error: float, sign: str = "") -> str:
    """Return a share and its standard error in percent."""
    return f"{100 * share:{sign}.1f} ± {100 * error:.1f} %"
