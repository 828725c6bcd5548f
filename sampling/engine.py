"""Decoding, in tokens: a model continues many texts at once. Text is in text.py."""

import copy
import hashlib
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model import GPT, Cache
from sampling.config import Sampling
from sampling.probabilities import candidates, drawn, penalized
from system import hardware
from system.errors import UserError

CACHE_TOKENS = 8192  # that `generate` keeps in the cache, if one text does not need more
PREFILL_TOKENS = 2048  # in a forward pass, if one prompt is not longer


@dataclass(eq=False)
class Text:
    """A text that the engine continues. Its prompt, settings and number decide what is added to it, and nothing else."""

    prompt: Sequence[int]
    sampling: Sampling
    number: int = 0  # of several continuations of the prompt
    is_done: Callable[[list[int]], bool] = lambda tokens: False  # asked after each new token
    tokens: list[int] = field(default_factory=list)  # the new ones
    finish_reason: str = (
        ""  # "stop" at an end token or when done, "length" after max_new_tokens; "" while it runs
    )
    n_cached: int = 0  # tokens of it in the cache
    generator: torch.Generator = field(init=False)  # gives a number for each new token

    def __post_init__(self) -> None:
        self.generator = sample_generator(self.sampling.seed, self.prompt, self.number)
        if not self.sampling.max_new_tokens:
            self.finish_reason = "length"

    def last(self, n: int) -> list[int]:
        """Return the last n tokens of prompt and new tokens, or all if there are fewer."""
        n_prompt = min(max(0, n - len(self.tokens)), len(self.prompt))
        return [*self.prompt[len(self.prompt) - n_prompt :], *self.tokens[-n:]]

    def add(self, token: int, is_end: bool) -> None:
        """Take the next token; an end token ends the text and is not part of it."""
        if not is_end:
            self.tokens.append(token)
        if is_end or self.is_done(self.tokens):
            self.finish_reason = "stop"
        elif len(self.tokens) == self.sampling.max_new_tokens:
            self.finish_reason = "length"


class Engine:
    """Continues up to `rows` texts at a time, each by a token per step. Others wait and join when rows become free.

    The running texts have the first rows of one cache; when one ends, the last takes its row. A text sees its last
    `context` tokens (0: block_size): when it outgrows them it goes on with the second half, computed again. Beyond
    block_size, which only rotary positions allow, a model was not trained. Only `allowed` ids are drawn (None: all): a
    model may have more rows than its tokenizer has tokens, such as GPT-2 padded to 50,304. Matrix multiplications run
    in `dtype`.
    """

    def __init__(
        self,
        model: GPT,
        rows: int,
        context: int = 0,
        *,
        end_tokens: Sequence[int] = (),
        allowed: Sequence[int] | np.ndarray | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        parameter = next(model.parameters())
        self.model, self.device, self.dtype = decoder(model, dtype), parameter.device, dtype
        kept = parameter.dtype if dtype == torch.float32 else dtype
        self.cache = Cache(model.config, rows, context, self.device, kept)
        self.end_tokens = frozenset(end_tokens)
        never = torch.zeros(model.config.vocab_size, dtype=torch.bool)  # (V,)
        if allowed is not None:
            never.fill_(True)[torch.as_tensor(allowed)] = False
        self.never = never.to(self.device)
        self.rows = rows
        self.waiting: deque[Text] = deque()
        self.running: list[Text] = []  # in the order of their rows

    def add(self, text: Text) -> None:
        """Let a text wait for a row. Raises ValueError for an empty prompt or a token outside the vocabulary."""
        check_prompt(text.prompt, "the prompt", self.model.config.vocab_size)
        if not text.finish_reason:
            self.waiting.append(text)

    @torch.inference_mode()
    def step(self) -> list[Text]:
        """Give waiting texts the free rows, add a token to each running text, and return these, those that ended too.

        Raises UserError for logits that are not finite.
        """
        with hardware.autocast(self.device, self.dtype):
            parts = [self._decode()] if self.running else []
            parts += self._join()
        texts = list(self.running)
        if texts:
            for text, token in zip(texts, self._choose(torch.cat(parts)), strict=True):
                text.add(token, token in self.end_tokens)
        for row in reversed(range(len(texts))):
            if texts[row].finish_reason:
                self._free(row)
        return texts

    def _decode(self) -> Tensor:
        """Return the logits of the running texts' next tokens, (B, V)."""
        for row, text in enumerate(self.running):
            if text.n_cached == self.cache.size:
                self._drop_half(row)
        newest = torch.tensor([text.last(1) for text in self.running], device=self.device)  # (B, 1)
        longest = max(text.n_cached for text in self.running)
        x = self.model.transformer(newest, self.cache.rows(0, len(newest), longest))  # (B, 1, C)
        for text in self.running:
            text.n_cached += 1
        return self.model.logits(x[:, 0])

    def _join(self) -> list[Tensor]:
        """Give free rows to waiting texts; return the logits of their next tokens, (B, V) in parts.

        Texts with the same prompt share its computation.
        """
        by_prompt: dict[tuple[int, ...], list[Text]] = {}
        for _ in range(min(self.rows - len(self.running), len(self.waiting))):
            text = self.waiting.popleft()
            by_prompt.setdefault(tuple(text.last(self.cache.size)), []).append(text)
        parts = []
        for prompts in prefill_batches(by_prompt):
            start = len(self.running)
            self.running += [by_prompt[prompt][0] for prompt in prompts]
            logits = self._compute(start, prompts)  # (n, V)
            parts.append(logits)
            for number, prompt in enumerate(prompts):
                for text in by_prompt[prompt][1:]:
                    self.running.append(text)
                    self._copy(start + number, len(self.running) - 1)
                    parts.append(logits[number : number + 1])
        return parts

    def _compute(self, start: int, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Begin the rows from `start` on with these tokens; return the logits that follow each row's last, (B, V).

        Shorter rows are padded at the end. Their tokens do not see it, and the next ones are written over it.
        """
        stop, lengths = start + len(prompts), torch.tensor([len(prompt) for prompt in prompts])
        T = max(map(len, prompts))
        tokens = torch.tensor([[*prompt, *[0] * (T - len(prompt))] for prompt in prompts], dtype=torch.int64)
        self.cache.lengths[start:stop] = 0
        x = self.model.transformer(
            tokens.to(self.device), self.cache.rows(start, stop, longest=0)
        )  # (B, T, C)
        self.cache.lengths[start:stop] = lengths
        for text, length in zip(self.running[start:stop], lengths.tolist(), strict=True):
            text.n_cached = length
        return self.model.logits(x[torch.arange(len(prompts)), lengths - 1])

    def _drop_half(self, row: int) -> None:
        """Begin a row again with the second half of its text's window, but for its newest token."""
        kept = self.running[row].last(max(1, self.cache.size // 2))[:-1]
        self.cache.lengths[row] = self.running[row].n_cached = 0
        if kept:
            self._compute(row, [kept])

    def _copy(self, row: int, to_row: int) -> None:
        """Copy what the cache holds of a row to the row of another running text."""
        n = self.running[row].n_cached
        for memory in (self.cache.keys, self.cache.values):
            memory[:, to_row, :, :n] = memory[:, row, :, :n]
        self.cache.lengths[to_row] = n
        self.running[to_row].n_cached = n

    def _free(self, row: int) -> None:
        """Take a text out; the last one moves into its row."""
        last = len(self.running) - 1
        if row < last:
            self._copy(last, row)
            self.running[row] = self.running[last]
        self.running.pop()

    def _choose(self, logits: Tensor) -> list[int]:
        """Return the next token of each running text: (B, V) -> B ids. Texts with the same settings are chosen together."""
        if not logits.sum().isfinite():
            raise UserError(
                "the model's logits are not finite", "use weights that are, or --precision=float32"
            )
        logits = logits.masked_fill(self.never, -math.inf)
        for row, text in enumerate(self.running):
            if text.sampling.repetition_penalty != 1:
                seen = torch.tensor([*{*text.prompt, *text.tokens}], device=self.device)
                logits[row] = penalized(logits[row], seen, text.sampling.repetition_penalty)
        by_controls: dict[tuple[float, int, float, float], list[int]] = {}
        for row, text in enumerate(self.running):
            by_controls.setdefault(text.sampling.controls, []).append(row)
        chosen = torch.empty(len(logits), dtype=torch.int64, device=self.device)
        for controls, rows in by_controls.items():
            own = logits[rows]  # (n, V)
            if controls[0] == 0:  # temperature
                chosen[rows] = own.argmax(-1)
            else:
                uniforms = torch.cat([torch.rand(1, generator=self.running[row].generator) for row in rows])
                chosen[rows] = drawn(*candidates(own, *controls), uniforms.to(self.device))
        return chosen.tolist()


@torch.inference_mode()
def generate(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    context: int = 0,
    end_of_text: int | None = None,
    allowed: Sequence[int] | np.ndarray | None = None,
    is_done: Callable[[int, list[int]], bool] = lambda prompt, tokens: False,
    dtype: torch.dtype = torch.float32,
) -> list[list[list[int]]]:
    """Continue each prompt `n_samples` times: `[p][s]` of the result holds the new tokens of prompt p's sample s.

    A sample ends before its first `end_of_text`, once `is_done(p, its new tokens)`, or after `max_new_tokens`. Only
    `allowed` ids are drawn (None: all): a model may have more rows than its tokenizer has tokens, such as GPT-2 padded
    to 50,304. The model sees the last `context` tokens (0: block_size), fewer once that many are reached: see Engine.
    A sample depends only on its prompt, the settings and its number s, not on other prompts or on how many samples there are
    (except for rounding, which may differ with the batch). Raises ValueError for an empty prompt or a token outside the
    vocabulary, UserError for logits that are not finite.
    """
    for number, prompt in enumerate(prompts):
        check_prompt(prompt, f"prompts[{number}]", model.config.vocab_size)
    texts = [
        [Text(prompt, sampling, s, partial(is_done, number)) for s in range(sampling.n_samples)]
        for number, prompt in enumerate(prompts)
    ]
    engine = engine_for(
        model, itertools.chain(*texts), context, end_of_text=end_of_text, allowed=allowed, dtype=dtype
    )
    while engine.waiting or engine.running:
        engine.step()
    return [[text.tokens for text in samples] for samples in texts]


def decoder(model: GPT, dtype: torch.dtype) -> GPT:
    """Return the model in evaluation mode, with the weights of its linear layers in `dtype` if that is a half precision.

    It shares all other weights with the model, which stays as it is. Under autocast alone the linear layers' weights
    would be converted again for each token.
    """
    shared = {id(parameter): parameter for parameter in model.parameters()}
    copied = copy.deepcopy(model, shared).eval()
    if dtype != torch.float32:
        for layer in copied.modules():
            if isinstance(layer, nn.Linear):
                for name, parameter in list(layer.named_parameters(recurse=False)):
                    setattr(layer, name, nn.Parameter(parameter.detach().to(dtype), requires_grad=False))
    return copied


def engine_for(
    model: GPT, texts: Iterable[Text], context: int = 0, *, end_of_text: int | None, **settings: Any
) -> Engine:
    """Return an engine for these texts, which wait in it: with no more rows, or longer ones, than they need."""
    queue = list(texts)
    lengths = [len(text.prompt) + text.sampling.max_new_tokens for text in queue]
    size = min(max(lengths, default=1), context or model.config.block_size)
    rows = min(len(queue), max(1, CACHE_TOKENS // size))
    engine = Engine(model, rows, size, end_tokens=[] if end_of_text is None else [end_of_text], **settings)
    for text in queue:
        engine.add(text)
    return engine


def check_prompt(prompt: Sequence[int], name: str, vocab_size: int) -> None:
    """Raise ValueError for an empty prompt or a token outside the vocabulary."""
    if len(prompt) == 0:
        raise ValueError(f"{name} is empty: start it with the end-of-text token")
    unknown = [token for token in prompt if not 0 <= token < vocab_size]
    if unknown:
        raise ValueError(f"{name} has token {unknown[0]}: must be in [0, {vocab_size})")


def prefill_batches(prompts: Iterable[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """Yield prompts in lists that, padded, have up to PREFILL_TOKENS; at least one each."""
    batch: list[tuple[int, ...]] = []
    for prompt in sorted(prompts, key=len):
        if batch and (len(batch) + 1) * len(prompt) > PREFILL_TOKENS:
            yield batch
            batch = []
        batch.append(prompt)
    if batch:
        yield batch


def sample_generator(seed: int, prompt: Sequence[int], sample: int) -> torch.Generator:
    """Return a random generator for a prompt's n-th sample, independent of other samples, prompts and seeds."""
    digest = hashlib.sha256(f"{seed}/{sample}/{list(prompt)}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
