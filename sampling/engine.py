"""Prompts and a model to tokens: what to draw from, as pure functions over logits, and the decoding loop.

Owns temperature, top-k, top-p and the randomness of a sample. Leaves text and tokenizers, checkpoints, devices
and precision to its callers: it computes as the model and the autocast around it do.
"""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from model import GPT
from sampling.probabilities import check_sampling, next_token_probabilities


def draw(probabilities: Tensor, generators: Sequence[torch.Generator]) -> list[int]:
    """Draw a token from each row of (B, V), each with its own generator."""
    rows = zip(probabilities, generators, strict=True)
    return [int(torch.multinomial(row, 1, generator=generator)) for row, generator in rows]


def sample_generator(seed: int, prompt: Sequence[int], sample: int) -> torch.Generator:
    """Return the randomness of a prompt's n-th sample, unrelated to that of other samples, prompts and seeds."""
    digest = hashlib.sha256(f"{seed}/{sample}/{list(prompt)}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))


@torch.inference_mode()
def generate(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    *,
    n_samples: int = 1,
    max_new_tokens: int = 100,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    end_of_text: int | None = None,
) -> list[list[list[int]]]:
    """Continue each prompt `n_samples` times: `[p][s]` of the result are the new tokens of prompt p's sample s.

    A sample ends before its first `end_of_text`, or after `max_new_tokens`. The model sees the last block_size
    tokens. A sample depends on its prompt, the settings, `seed` and its number s alone: not on other prompts,
    nor on how many samples there are (but for rounding, which may differ with the number of rows computed).
    Raises ValueError for an empty prompt, a token outside the vocabulary or a setting out of range.
    """
    check_sampling(temperature, top_k, top_p, n_samples, max_new_tokens)
    for number, prompt in enumerate(prompts):
        check_prompt(prompt, number, model.config.vocab_size)

    def probabilities(logits: Tensor) -> Tensor:
        # On the CPU and in float64, so that a seed means the same on every device.
        return next_token_probabilities(logits.cpu().double(), temperature, top_k, top_p)

    was_training = model.training
    model.eval()
    try:
        return [
            decode(model, prompt, seed, n_samples, max_new_tokens, probabilities, end_of_text)
            for prompt in prompts
        ]
    finally:
        model.train(was_training)


def check_prompt(prompt: Sequence[int], number: int, vocab_size: int) -> None:
    """Raise ValueError for an empty prompt or a token that the model does not know."""
    if len(prompt) == 0:
        raise ValueError(f"prompts[{number}] is empty: begin it with the end-of-text token")
    unknown = [token for token in prompt if not 0 <= token < vocab_size]
    if unknown:
        raise ValueError(f"prompts[{number}] has token {unknown[0]}, outside the vocabulary of {vocab_size}")


def decode(
    model: GPT,
    prompt: Sequence[int],
    seed: int,
    n_samples: int,
    max_new_tokens: int,
    probabilities: Callable[[Tensor], Tensor],
    end_of_text: int | None,
) -> list[list[int]]:
    """Continue one prompt, a token at a time; return the new tokens of each sample.

    The samples that have not ended are a batch of equal lengths, so that nothing is padded. Each token is
    computed from the whole window anew.
    """
    device, block_size = next(model.parameters()).device, model.config.block_size
    generators = [sample_generator(seed, prompt, s) for s in range(n_samples)]
    samples = [list(prompt) for _ in range(n_samples)]
    running = list(range(n_samples))
    for _ in range(max_new_tokens):
        window = torch.tensor([samples[s][-block_size:] for s in running], device=device)  # (B, T)
        logits = model(window, last_only=True)[:, -1]  # (B, V)
        tokens = draw(probabilities(logits), [generators[s] for s in running])
        unended = []
        for s, token in zip(running, tokens, strict=True):
            if token != end_of_text:
                samples[s].append(token)
                unended.append(s)
        running = unended
        if not running:
            break
    return [sample[len(prompt) :] for sample in samples]
