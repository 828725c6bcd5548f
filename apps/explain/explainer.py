"""From a text to all that the page shows: `Explainer.load("out/demo").explain("The capital of Japan is Tokyo.")`."""

import math
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from apps.explain import influence
from apps.explain.agreement import agreement
from apps.explain.config import GRADIENT, LEAVE_ONE_OUT, SLOW_METHODS
from apps.explain.influence import Attention, Predictions
from checkpointing import pretrained
from corpus.tokenizer import Tokenizer
from model import GPT
from system.errors import UserError, say
from system.progress import duration, tracked

ATTENTION, ROLLOUT = "attention", "rollout"
MOST_TOKENS = 1024  # of a text: a page of more would be too large
N_ALTERNATIVES = 5  # tokens that the page shows as what the model expected
LONG_SECONDS = 10.0  # of a method that is announced before it begins
FUNCTIONS = {GRADIENT: influence.gradient_x_input, LEAVE_ONE_OUT: influence.leave_one_out}


@dataclass(frozen=True)
class Explanation:
    """A text as the model saw it. Row t is about the prediction of token t."""

    model: str
    n_parameters: int
    pieces: list[str]  # the tokens as text
    predictions: Predictions
    alternatives: list[list[str]]  # to each token: predictions.top as text
    attention: Attention
    influences: dict[str, np.ndarray]  # (T, T) by method
    notes: list[str]  # on methods that were left out

    def agreements(self) -> dict[str, np.ndarray]:
        """Return how well each method agrees with leave-one-out at each token, (T,); nothing if that was left out."""
        cheap = dict(self.influences)
        reference = cheap.pop(LEAVE_ONE_OUT, None)
        return {} if reference is None else {name: agreement(rows, reference) for name, rows in cheap.items()}

    def mean_agreements(self) -> dict[str, float]:
        """Return the means of `agreements` over the text, of methods and texts that have any."""
        known = {name: rho[~np.isnan(rho)] for name, rho in self.agreements().items()}
        return {name: float(rho.mean()) for name, rho in known.items() if len(rho)}


@dataclass(frozen=True)
class Explainer:
    """A model in float32, and its tokenizer."""

    name: str
    model: GPT
    tokenizer: Tokenizer

    @staticmethod
    def load(spec: str, device: str = "auto") -> "Explainer":
        """Return the explainer of a run, a checkpoint, a Hugging Face folder or a hub name. Raises UserError."""
        model, tokenizer, _ = pretrained.load(spec, device, "float32")
        return Explainer(Path(spec).name, model, tokenizer)

    @property
    def most_tokens(self) -> int:
        """The longest text that can be explained, in tokens."""
        return min(self.model.config.block_size, MOST_TOKENS)

    def checked(self, ids: Sequence[int]) -> Tensor:
        """Return a text's tokens, (T,) int64; raise UserError if they are too few or too many."""
        if len(ids) < 2:
            count = "no token" if not ids else "only one token"
            raise UserError(f"the text has {count}, so nothing is predicted", "write a longer text")
        if len(ids) > self.most_tokens:
            limit = "the model's block_size" if self.most_tokens < MOST_TOKENS else "what a page can hold"
            message = f"the text has {len(ids):,} tokens, and {limit} is {self.most_tokens:,}"
            raise UserError(message, "shorten it")
        return torch.tensor(ids, device=self.model.transformer.wte.weight.device)

    def explain(
        self,
        text: str,
        methods: Collection[str] = SLOW_METHODS,
        most_seconds: float = math.inf,
        show: bool = False,
    ) -> Explanation:
        """Explain each token of a text: see `explain_tokens`. Raises UserError if it is not valid Unicode."""
        try:
            ids = self.tokenizer.encode(text)
        except UnicodeEncodeError as error:
            problem = f"the text is not valid Unicode at position {error.start}"
            raise UserError(problem, "write it in UTF-8") from None
        return self.explain_tokens(ids, methods, most_seconds, show)

    def explain_tokens(
        self,
        ids: Sequence[int],
        methods: Collection[str] = SLOW_METHODS,
        most_seconds: float = math.inf,
        show: bool = False,
    ) -> Explanation:
        """Explain each token of a text, by attention, rollout and some of the SLOW_METHODS.

        A slow method that would take more than about `most_seconds` is left out, and the notes say so. `show` prints
        how far it is. Raises UserError for a text that is too short or too long.
        """
        tokens = self.checked(ids)
        started = time.perf_counter()
        predictions = influence.predictions(self.model, tokens, N_ALTERNATIVES)
        # Each computes, for every token, what precedes or follows it again: half of the text on average.
        seconds = (time.perf_counter() - started) * len(tokens) / 2
        attention = influence.attention(self.model, tokens, influence.kept_keys(self.model, len(tokens)))
        influences = {ATTENTION: attention.mean, ROLLOUT: attention.rollout}
        notes = []
        for name in SLOW_METHODS:
            if name not in methods:
                notes.append(f"Without {name}, as the command said.")
            elif seconds > most_seconds:
                notes.append(f"Without {name}, which would take about {duration(seconds)} for this text.")
            else:
                influences[name] = FUNCTIONS[name](self.model, tokens, progress(name, seconds, show))
        return Explanation(
            self.name,
            self.model.n_params(),
            [self.piece(token) for token in tokens.tolist()],
            predictions,
            [[self.piece(token) for token in row] for row in predictions.top.tolist()],
            attention,
            {name: rows.cpu().numpy() for name, rows in influences.items()},
            notes,
        )

    def piece(self, token: int) -> str:
        r"""Return a token as text; bytes that are not whole characters as "\xe2\x82"."""
        content = self.tokenizer.decode_bytes([token])
        return content.decode(errors="backslashreplace") or f"token {token}"


def progress(name: str, seconds: float, show: bool) -> influence.Progress:
    """Return what shows how far a method is, which will take about `seconds`."""
    if not show:
        return iter
    if seconds > LONG_SECONDS:
        flag = name.replace("-", "_").replace(" ", "_")
        say(f"{name}: about {duration(seconds)} (--{flag}=False leaves it out)", sys.stderr)
    return partial(tracked, doing=name, file=sys.stderr)
