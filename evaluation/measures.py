"""What is measured of a model: its loss on a split, with an interval, and its answers to a task, each as one line of text and as JSON."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from evaluation.bootstrap import Interval, bits_per_byte_interval
from evaluation.tasks import Outcome, standard_error
from evaluation.windows import Scored


class Measured(Protocol):
    """What was measured of one model."""

    def to_dict(self) -> dict[str, Any]:
        """Return the values by their names, for JSON."""

    def line(self, reference: Any) -> str:
        """Return the values as text, with the difference from the same measure of another model, or None."""


@dataclass(frozen=True)
class Loss:
    """A loss over documents."""

    scored: Scored

    def to_dict(self) -> dict[str, Any]:
        """Return the values by their names, for JSON."""
        interval = bits_per_byte_interval(self.scored.nats, self.scored.n_bytes)
        return {
            "bits_per_byte": self.scored.bits_per_byte,
            "bits_per_byte_interval": interval and list(interval),
            "nats_per_token": self.scored.nats_per_token,
            "perplexity": self.scored.perplexity,
            "documents": len(self.scored.nats),
            "tokens": int(self.scored.n_tokens.sum()),
            "bytes": int(self.scored.n_bytes.sum()),
        }

    def line(self, reference: "Loss | None") -> str:
        """Return the values as text, with the difference from another model's on the same documents."""
        scored = self.scored
        interval = bits_per_byte_interval(scored.nats, scored.n_bytes)
        text = f"{scored.bits_per_byte:.4f} bits per byte{between(interval)}"
        text += f", {scored.nats_per_token:.4f} nats per token, perplexity {scored.perplexity:.2f}"
        if not reference:
            counts = f"{scored.n_tokens.sum():,.0f} tokens, {scored.n_bytes.sum():,.0f} bytes"
            return f"{text}, over {len(scored.nats):,} documents, {counts}"
        difference = scored.bits_per_byte - reference.scored.bits_per_byte
        interval = bits_per_byte_interval(scored.nats - reference.scored.nats, scored.n_bytes)
        return f"{text}, {difference:+.4f} bits per byte{between(interval, '+')}"


@dataclass(frozen=True)
class Answers:
    """The answers to a task's items."""

    outcome: Outcome
    seen: np.ndarray | None = None  # which items the training text has, (N,) bool; None: not checked

    def to_dict(self) -> dict[str, Any]:
        """Return the values by their names, for JSON."""
        outcome = self.outcome
        values: dict[str, Any] = {
            "items": len(outcome.right),
            "accuracy": outcome.accuracy,
            "accuracy_error": standard_error(outcome.right),  # standard errors
        }
        if self.seen is not None:
            values |= {"seen_in_training": float(self.seen.mean())}
            values |= {"accuracy_of_unseen": mean(outcome.right[~self.seen])}
        if outcome.right_normalised is None:
            return values | {"perplexity": outcome.perplexity}
        return values | {
            "accuracy_normalised": float(outcome.right_normalised.mean()),
            "accuracy_normalised_error": standard_error(outcome.right_normalised),
        }

    def line(self, reference: "Answers | None") -> str:
        """Return the values as text, with the difference from another model's answers to the same items."""
        values = self.to_dict()
        text = f"{percent(values['accuracy'], values['accuracy_error'])} right"
        if self.outcome.right_normalised is None:
            text += f", perplexity {values['perplexity']:.2f}"
        else:
            error = values["accuracy_normalised_error"]
            text += f", {percent(values['accuracy_normalised'], error)} by likelihood per character"
        if self.seen is not None:
            unseen = self.outcome.right[~self.seen]
            text += f", {self.seen.sum():,} items seen in training"
            text += (
                f", {percent(unseen.mean(), standard_error(unseen))} right of the others"
                if len(unseen)
                else ""
            )
        if not reference:
            return f"{text}, of {values['items']:,} items"
        difference = self.outcome.right.astype(float) - reference.outcome.right
        return f"{text}, {percent(difference.mean(), standard_error(difference), '+')}"


def between(interval: Interval | None, sign: str = "") -> str:
    """Return the ends of an interval in brackets, if there is one."""
    return f" ({interval.low:{sign}.4f} to {interval.high:{sign}.4f})" if interval else ""


def mean(values: np.ndarray) -> float | None:
    """Return the mean of values, if there are any."""
    return float(values.mean()) if len(values) else None


def percent(share: float, error: float, sign: str = "") -> str:
    """Return a share and its standard error in percent."""
    return f"{100 * share:{sign}.1f} ± {100 * error:.1f} %"
