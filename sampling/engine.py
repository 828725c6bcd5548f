"""Decoding, in tokens: a model continues many texts at once. Text is in text.py."""

import hashlib
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from model import GPT, Cache
from sampling.config import Sampling
from sampling.graphs import DecodingGraphs, next_logits
from sampling.probabilities import candidates, drawn, penalized
from system.errors import UserError
from system.hardware import to_device

CACHE_TOKENS = 8192  # that `generate` keeps in the cache, if one text does not need more
PREFILL_TOKENS = 2048  # in a forward pass, if one prompt is not longer


class TokenLogprob(NamedTuple):
    """A token with its log-probability in the model's own distribution, before temperature, penalty and top_k."""

    token: int
    logprob: float
    top: dict[int, float]  # the most probable tokens, with theirs


@dataclass(eq=False)
class Text:
    """A text that the engine continues. Its new tokens depend only on its prompt, settings and number."""

    prompt: Sequence[int]
    sampling: Sampling
    number: int = 0  # of several continuations of the prompt
    is_done: Callable[[list[int]], bool] = lambda tokens: False  # asked after each new token
    top_logprobs: int | None = None  # how many to keep besides the chosen token's; None: not even that
    tokens: list[int] = field(default_factory=list)  # the new ones
    logprobs: list[TokenLogprob] = field(default_factory=list)  # of the new tokens, if they are kept
    finish_reason: str = (
        ""  # "stop" at an end token or when done, "length" after max_new_tokens; "" while it runs
    )
    generator: torch.Generator = field(init=False)  # gives a number for each new token

    def __post_init__(self) -> None:
        self.generator = sample_generator(self.sampling.seed, self.prompt, self.number)
        if not self.sampling.max_new_tokens:
            self.finish_reason = "length"

    def last(self, n: int) -> list[int]:
        """Return the last n tokens of prompt and new tokens, or all if there are fewer."""
        n_prompt = min(max(0, n - len(self.tokens)), len(self.prompt))
        return [*self.prompt[len(self.prompt) - n_prompt :], *self.tokens[-n:]]

    def add(self, token: int, is_end: bool, logprob: TokenLogprob | None = None) -> None:
        """Take the next token; an end token ends the text and is not part of it."""
        if not is_end:
            self.tokens.append(token)
            self.logprobs += [logprob] if logprob else []
        if is_end or self.is_done(self.tokens):
            self.finish_reason = "stop"
        elif len(self.tokens) == self.sampling.max_new_tokens:
            self.finish_reason = "length"


class Launched(NamedTuple):
    """A step of which the device may not be done yet."""

    texts: list[Text]
    tokens: Tensor  # (B,), on their way to the CPU; -1 for logits that are not finite
    logits: dict[Text, Tensor]  # (V,) of the texts that keep log-probabilities
    done: torch.cuda.Event | None  # when the tokens have arrived; None: they have


class Engine:
    """Continues up to `slots` texts at a time, each by a token per step. Others wait and join when slots become free.

    The running texts have the first slots of one cache; when one ends, the last takes its slot. A text sees its last
    `context` tokens (0: block_size): when the window is full, its second half is kept and computed again. A context above
    block_size needs rotary positions, and the model was not trained for it. Only `allowed` ids are drawn (None: all): a
    model may have more rows than its tokenizer has tokens, such as GPT-2 padded to 50,304. The model must be in
    evaluation mode; `for_sampling` in kernels.py makes it faster.

    With `ahead` the device begins each step before the tokens of the last one are read, so that it never waits for Python;
    a text that has ended is computed once more, in vain. On CUDA, a step of decoding is one graph too (graphs.py), of
    compiled kernels with `compile`.
    """

    def __init__(
        self,
        model: GPT,
        slots: int,
        context: int = 0,
        *,
        end_tokens: Iterable[int] = (),
        allowed: Sequence[int] | np.ndarray | None = None,
        ahead: bool | None = None,  # None: on CUDA
        compile: bool = False,
    ) -> None:
        if model.training:  # it would drop units
            raise ValueError("the model is in training mode: call model.eval()")
        self.model, self.device = model, model.transformer.wte.weight.device
        block: Any = model.transformer.h[0]
        keys = block.attn.c_attn(model.transformer.wte.weight[:1])
        self.cache = Cache(model.config, slots, context, self.device, keys.dtype)
        self.end_tokens = frozenset(end_tokens)
        self.forbidden: Tensor | None = None
        if allowed is not None:
            forbidden = torch.ones(model.config.vocab_size, dtype=torch.bool)  # (V,)
            forbidden[torch.as_tensor(allowed)] = False
            self.forbidden = forbidden.to(self.device) if forbidden.any() else None
        self.slots = slots
        self.waiting: deque[Text] = deque()
        self.running: list[Text] = []  # in the order of their slots
        self.newest = torch.zeros(
            slots, dtype=torch.int64, device=self.device
        )  # the token that each slot drew last
        is_cuda = self.device.type == "cuda"
        self.ahead = is_cuda if ahead is None else ahead
        self.launched: Launched | None = None
        self.graphs = DecodingGraphs(model, self.cache, compile) if is_cuda else None

    def add(self, text: Text) -> None:
        """Let a text wait for a slot. Raises ValueError for an empty prompt or a token outside the vocabulary."""
        check_prompt(text.prompt, "the prompt", self.model.config.vocab_size)
        if not text.finish_reason:
            self.waiting.append(text)

    def remove(self, text: Text) -> None:
        """Cancel a waiting or running text."""
        if text in self.waiting:
            self.waiting.remove(text)
        elif text in self.running:
            self._free(self.running.index(text))

    def reset(self) -> None:
        """Cancel all texts, after a step that failed."""
        self.waiting.clear()
        self.running.clear()
        self.launched = None
        for memory in (self.cache.keys, self.cache.values):
            memory.zero_()  # it may hold what is not finite

    @torch.inference_mode()
    def step(self) -> list[Text]:
        """Give waiting texts the free slots, add a token to each running text, and return these, those that ended too.

        With `ahead`, the tokens are those of the step before; the first step returns no text. Raises UserError for logits
        that are not finite.
        """
        before = self.launched
        self.launched = None if before and self._needs_tokens(before) else self._launch()
        if not self.ahead:
            before, self.launched = self.launched, None
        return self._read(before) if before else []

    def _needs_tokens(self, before: Launched) -> bool:
        """Return whether the next step depends on tokens that have not been read, or all texts end with them."""

        def is_last(text: Text) -> bool:
            return len(text.tokens) + 1 == text.sampling.max_new_tokens

        lengths = self.cache.lengths[: len(self.running)]
        return (
            self.cache.size in lengths  # then a part of the window is computed again
            or any(text.sampling.repetition_penalty != 1 for text in self.running)
            or (before.texts == self.running and not self.waiting and all(map(is_last, self.running)))
        )

    def _launch(self) -> Launched | None:
        """Let the device compute a token for each running text and for those that join; None if there are no texts."""
        parts = [self._decode()] if self.running else []
        parts += self._join()
        texts = list(self.running)
        if not texts:
            return None
        logits = parts[0] if len(parts) == 1 else torch.cat(parts)  # (B, V)
        is_finite = logits.amax(-1).isfinite()  # (B,): the largest is nan if any is
        if self.forbidden is not None:
            logits = logits.masked_fill(self.forbidden, -math.inf)
        tokens = self.newest[: len(texts)] = self._sample(logits)
        kept = {
            text: logits[slot].clone() for slot, text in enumerate(texts) if text.top_logprobs is not None
        }
        is_cuda = logits.is_cuda
        tokens = tokens.where(is_finite, -1).to("cpu", non_blocking=is_cuda)  # into pinned memory
        done = torch.cuda.Event() if is_cuda else None
        if done:
            done.record()
        return Launched(texts, tokens, kept, done)

    def _read(self, launched: Launched) -> list[Text]:
        """Add its tokens to the texts that still run, free the slots of those that end, and return them all."""
        if launched.done:
            launched.done.synchronize()
        running = set(self.running)  # a text that ended or was removed after the launch is not in it
        found = [
            pair for pair in zip(launched.texts, launched.tokens.tolist(), strict=True) if pair[0] in running
        ]
        if any(token < 0 for _, token in found):
            raise UserError(
                "the model's logits are not finite", "use weights that are, or --precision=float32"
            )
        for text, token in found:
            logprob = (
                token_logprob(launched.logits[text], token, text.top_logprobs or 0)
                if text in launched.logits
                else None
            )
            text.add(token, token in self.end_tokens, logprob)
        for slot in reversed(range(len(self.running))):
            if self.running[slot].finish_reason:
                self._free(slot)
        return [text for text, _ in found]

    def _decode(self) -> Tensor:
        """Return the logits of the running texts' next tokens, (B, V)."""
        B = len(self.running)
        for slot in range(B):
            if self.cache.lengths[slot] == self.cache.size:
                self._drop_half(slot)
        if self.graphs is not None:
            return self.graphs.decode(self.newest, B)
        return next_logits(self.model, self.newest[:B], self.cache.rows(0, B))

    def _join(self) -> list[Tensor]:
        """Give free slots to waiting texts; return the logits of their next tokens, (B, V) in parts.

        Texts with the same prompt share its computation.
        """
        by_prompt: dict[tuple[int, ...], list[Text]] = {}
        for _ in range(min(self.slots - len(self.running), len(self.waiting))):
            text = self.waiting.popleft()
            by_prompt.setdefault(tuple(text.last(self.cache.size)), []).append(text)
        parts = []
        for prompts in prefill_batches(by_prompt):
            start = len(self.running)
            self.running += [by_prompt[prompt][0] for prompt in prompts]
            logits = self._prefill(start, prompts)  # (n, V)
            parts.append(logits)
            for number, prompt in enumerate(prompts):
                for text in by_prompt[prompt][1:]:
                    self.running.append(text)
                    self._copy(start + number, len(self.running) - 1)
                    parts.append(logits[number : number + 1])
        return parts

    def _prefill(self, start: int, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Begin the slots from `start` on with these tokens; return the logits that follow each one's last, (B, V).

        Shorter prompts are padded at the end. Their tokens do not see it, and the next ones are written over it.
        """
        stop, lengths = start + len(prompts), [len(prompt) for prompt in prompts]
        T = max(lengths)
        tokens = torch.tensor([[*prompt, *[0] * (T - len(prompt))] for prompt in prompts], dtype=torch.int64)
        self.cache.lengths[start:stop] = [0] * len(prompts)
        x = self.model.transformer(tokens.to(self.device), self.cache.rows(start, stop))  # (B, T, C)
        self.cache.lengths[start:stop] = lengths
        return self.model.logits(x[torch.arange(len(prompts)), torch.tensor(lengths) - 1])

    def _drop_half(self, slot: int) -> None:
        """Begin a slot again with the second half of its text's window, but for its newest token."""
        kept = self.running[slot].last(max(1, self.cache.size // 2))[:-1]
        self.cache.lengths[slot] = 0
        if kept:
            self._prefill(slot, [kept])

    def _copy(self, slot: int, to_slot: int) -> None:
        """Copy what the cache holds of a slot to another."""
        n = self.cache.lengths[to_slot] = self.cache.lengths[slot]
        self.newest[to_slot] = self.newest[slot]
        for memory in (self.cache.keys, self.cache.values):
            memory[:, to_slot, :, :n] = memory[:, slot, :, :n]

    def _free(self, slot: int) -> None:
        """Take a text out; the last one moves into its slot."""
        last = len(self.running) - 1
        if slot < last:
            self._copy(last, slot)
            self.running[slot] = self.running[last]
        self.running.pop()

    def _sample(self, logits: Tensor) -> Tensor:
        """Return the next token of each running text: (B, V) -> (B,). Texts with the same settings are drawn together."""
        if any(text.sampling.repetition_penalty != 1 for text in self.running):
            logits = logits.clone()
            for slot, text in enumerate(self.running):
                seen = torch.tensor([*{*text.prompt, *text.tokens}], device=self.device)
                logits[slot] = penalized(logits[slot], seen, text.sampling.repetition_penalty)
        by_controls: dict[tuple[float, int, float, float], list[int]] = {}
        for slot, text in enumerate(self.running):
            by_controls.setdefault(text.sampling.controls, []).append(slot)
        if len(by_controls) == 1:
            return self._drawn(logits, range(len(self.running)))
        sampled = torch.empty(len(logits), dtype=torch.int64, device=self.device)
        for slots in by_controls.values():
            rows = to_device(torch.tensor(slots), self.device)  # (n,)
            sampled[rows] = self._drawn(logits[rows], slots)
        return sampled

    def _drawn(self, logits: Tensor, slots: Sequence[int]) -> Tensor:
        """Return the next tokens of texts with the same settings: (n, V) -> (n,)."""
        controls = self.running[slots[0]].sampling.controls
        if controls[0] == 0:  # temperature
            return logits.argmax(-1)
        uniforms = torch.cat([torch.rand(1, generator=self.running[slot].generator) for slot in slots])
        return drawn(*candidates(logits, *controls), to_device(uniforms, self.device))


def token_logprob(logits: Tensor, token: int, n_top: int) -> TokenLogprob:
    """Return a token's log-probability, and the n most probable tokens with theirs, from (V,) logits."""
    row = logits.log_softmax(-1)  # (V,)
    values, ids = row.topk(min(n_top, len(row)))
    return TokenLogprob(token, float(row[token]), dict(zip(ids.tolist(), values.tolist(), strict=True)))


@torch.inference_mode()
def generate(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    context: int = 0,
    end_tokens: Iterable[int] = (),
    allowed: Sequence[int] | np.ndarray | None = None,
    is_done: Callable[[int, list[int]], bool] = lambda prompt, tokens: False,
) -> list[list[list[int]]]:
    """Continue each prompt `n_samples` times: `[p][s]` of the result holds the new tokens of prompt p's sample s.

    A sample ends before its first end token, once `is_done(p, its new tokens)`, or after `max_new_tokens`. `context` and
    `allowed` are those of Engine. A sample depends only on its prompt, the settings and its number s, not on other
    prompts or on how many samples there are (except for rounding, which may differ with the batch). Raises ValueError for
    an empty prompt or a token outside the vocabulary, UserError for logits that are not finite.
    """
    for number, prompt in enumerate(prompts):
        check_prompt(prompt, f"prompts[{number}]", model.config.vocab_size)
    texts = [
        [Text(prompt, sampling, s, partial(is_done, number)) for s in range(sampling.n_samples)]
        for number, prompt in enumerate(prompts)
    ]
    queue = list(itertools.chain(*texts))
    slots, size = needed(queue, context or model.config.block_size)
    engine = Engine(model, slots, size, end_tokens=end_tokens, allowed=allowed)
    for text in queue:
        engine.add(text)
    while engine.waiting or engine.running:
        engine.step()
    return [[text.tokens for text in samples] for samples in texts]


def needed(texts: Sequence[Text], context: int) -> tuple[int, int]:
    """Return the slots and the context of an engine for these texts: no more of either than they need."""
    longest = max((len(text.prompt) + text.sampling.max_new_tokens for text in texts), default=1)
    size = min(longest, context)
    return min(len(texts), max(1, CACHE_TOKENS // size)), size


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
