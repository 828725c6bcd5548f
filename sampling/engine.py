"""The decoding loop: a model continues prompts, as tokens (`generate`) or as text (`continuations`)."""

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from corpus.tokenizer import Tokenizer
from model import GPT
from sampling.config import Sampling
from sampling.probabilities import next_token_probabilities
from system import hardware
from system.errors import UserError

BATCH_TOKENS = 8192  # in a forward pass, if that is more than one prompt's samples


def continuations(
    model: GPT, tokenizer: Tokenizer, prompt: str, sampling: Sampling, dtype: torch.dtype = torch.float32
) -> list[str]:
    """Return `n_samples` texts that the model writes after `prompt`; an empty prompt starts a new article."""
    tokens = tokenizer.encode(prompt) or [tokenizer.end_of_text]
    end = tokenizer.end_of_text
    [samples] = generate(model, [tokens], sampling, end_of_text=end, allowed=tokenizer.ids, dtype=dtype)
    return [tokenizer.decode(sample) for sample in samples]


@torch.inference_mode()
def generate(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    end_of_text: int | None = None,
    allowed: Sequence[int] | np.ndarray | None = None,
    is_done: Callable[[int, list[int]], bool] = lambda prompt, tokens: False,
    dtype: torch.dtype = torch.float32,
) -> list[list[list[int]]]:
    """Continue each prompt `n_samples` times: `[p][s]` of the result holds the new tokens of prompt p's sample s.

    A sample ends before its first `end_of_text`, once `is_done(p, its new tokens)`, or after `max_new_tokens`. Only
    `allowed` ids are drawn (None: all): a model may have more rows than its tokenizer has tokens, such as GPT-2 padded
    to 50,304. The model sees the last block_size tokens; its matrix multiplications run in `dtype`. Prompts of the same
    length run together, yet a sample depends only on its prompt, the settings and its number s, not on other prompts or on
    how many samples there are (except for rounding, which may differ with the batch size). Raises ValueError for an
    empty prompt or a token outside the vocabulary, UserError for logits that are not finite.
    """
    for number, prompt in enumerate(prompts):
        check_prompt(prompt, number, model.config.vocab_size)
    never = torch.zeros(model.config.vocab_size, dtype=torch.bool)  # (V,)
    if allowed is not None:
        never.fill_(True)[torch.as_tensor(allowed)] = False
    was_training = model.training
    model.eval()
    try:
        with hardware.autocast(next(model.parameters()).device, dtype):
            found: dict[int, list[list[int]]] = {}
            for batch in batches(prompts, sampling, model.config.block_size):
                same_length = {number: prompts[number] for number in batch}
                found |= decode(model, same_length, sampling, end_of_text, never, is_done)
            return [found[number] for number in range(len(prompts))]
    finally:
        model.train(was_training)


def check_prompt(prompt: Sequence[int], number: int, vocab_size: int) -> None:
    """Raise ValueError for an empty prompt or a token outside the vocabulary."""
    if len(prompt) == 0:
        raise ValueError(f"prompts[{number}] is empty: start it with the end-of-text token")
    unknown = [token for token in prompt if not 0 <= token < vocab_size]
    if unknown:
        raise ValueError(f"prompts[{number}] has token {unknown[0]}: must be in [0, {vocab_size})")


def batches(prompts: Sequence[Sequence[int]], sampling: Sampling, block_size: int) -> Iterator[list[int]]:
    """Yield the numbers of prompts of the same length, as many at a time as fit into BATCH_TOKENS; at least one."""
    by_length = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
    for length, same in itertools.groupby(by_length, key=lambda number: len(prompts[number])):
        numbers = list(same)
        tokens = min(length + sampling.max_new_tokens, block_size) * sampling.n_samples
        at_once = max(1, BATCH_TOKENS // tokens)
        yield from (numbers[start : start + at_once] for start in range(0, len(numbers), at_once))


def decode(
    model: GPT,
    prompts: Mapping[int, Sequence[int]],
    sampling: Sampling,
    end_of_text: int | None,
    never: Tensor,
    is_done: Callable[[int, list[int]], bool],
) -> dict[int, list[list[int]]]:
    """Continue prompts of one length token by token, without the ids where `never` (V,) is true; return the new tokens.

    The unfinished samples form a batch of equal lengths, so nothing is padded. Each token is computed from the
    whole window: there is no cache.
    """
    device, block_size = next(model.parameters()).device, model.config.block_size
    rows = [(number, s) for number in prompts for s in range(sampling.n_samples)]
    generators = {(number, s): sample_generator(sampling.seed, prompts[number], s) for number, s in rows}
    found: dict[tuple[int, int], list[int]] = {row: [] for row in rows}
    running = rows
    for _ in range(sampling.max_new_tokens):
        texts = [[*prompts[number], *found[number, s]] for number, s in running]
        window = torch.tensor([text[-block_size:] for text in texts], device=device)  # (B, T)
        # On the CPU and in float64, so that a seed means the same on every device.
        logits = model(window, last_only=True)[:, -1].cpu().double()  # (B, V)
        if not logits.isfinite().all():
            raise UserError(
                "the model's logits are not finite", "use weights that are, or --precision=float32"
            )
        probabilities = next_token_probabilities(
            logits.masked_fill(never, float("-inf")),
            sampling.temperature,
            sampling.top_k,
            sampling.top_p,
        )
        tokens = draw(probabilities, [generators[row] for row in running])
        unfinished = []
        for row, token in zip(running, tokens, strict=True):
            if token != end_of_text:
                found[row].append(token)
                if not is_done(row[0], found[row]):
                    unfinished.append(row)
        running = unfinished
        if not running:
            break
    return {number: [found[number, s] for s in range(sampling.n_samples)] for number in prompts}


def draw(probabilities: Tensor, generators: Sequence[torch.Generator]) -> list[int]:
    """Draw a token from each row of (B, V), each with its own generator."""
    rows = zip(probabilities, generators, strict=True)
    return [int(torch.multinomial(row, 1, generator=generator)) for row, generator in rows]


def sample_generator(seed: int, prompt: Sequence[int], sample: int) -> torch.Generator:
    """Return a random generator for a prompt's n-th sample, independent of other samples, prompts and seeds."""
    digest = hashlib.sha256(f"{seed}/{sample}/{list(prompt)}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
