"""A GPT as an embedder: the mean of its last layer's outputs, trained so that a sentence is near to its own passage.

    python -m apps.search.pairs --kind=sentences --out_dir=data/sentence_pairs
    python prepare_data.py --source=pairs:data/sentence_pairs/train.jsonl --tokenizer=out/wikipedia_512 --out_dir=data/sentences
    [torchrun ...] python -m apps.search.biencoder configs/search_embedder.py      # what train.py takes
    python -m apps.search index --embedder=out/search_embedder

The other passages of the micro-batch are the wrong answers (InfoNCE, van den Oord et al. 2018), so its size matters.
"""

import hashlib
import sys
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from checkpointing import pretrained
from evaluation.losses import Batch
from model import IGNORED
from system.errors import run_command
from system.hardware import autocast
from train import train
from training.config import parse_train_config

TEMPERATURE = 0.05  # of the softmax over the passages
BATCH_TEXTS = 32  # that are embedded at a time


def contrastive_loss(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of finding each pair's completion by its prompt, and each prompt by its completion, summed.

    The second number is how many there are, two for each pair.
    """
    inputs, targets = batch  # (B, T)
    places = torch.arange(inputs.shape[1], device=inputs.device)
    scored = targets != IGNORED
    whole = scored.any(1)  # not of pairs whose prompt is longer than block_size
    starts = scored.int().argmax(1, keepdim=True) + 1  # of the completions
    prompts = places < starts
    completions = inputs.gather(1, (places + starts).clamp(max=len(places) - 1))  # moved to the left
    lengths = scored.sum(1, keepdim=True) - 1
    texts = torch.cat([inputs, completions])
    kept = torch.cat([prompts, places < lengths])
    vectors = pooled(model(texts, hidden=True), kept)
    scores = vectors[: len(inputs)] @ vectors[len(inputs) :].T / TEMPERATURE  # (B, B)
    own = torch.where(whole, torch.arange(len(inputs), device=inputs.device), IGNORED)
    nothing = torch.finfo(scores.dtype).min
    found = torch.stack([scores, scores.T]).masked_fill(~whole, nothing)  # (2, B, B)
    loss = F.cross_entropy(found.flatten(0, 1), own.repeat(2), ignore_index=IGNORED, reduction="sum")
    return loss, 2 * whole.sum()


def pooled(hidden: Tensor, kept: Tensor) -> Tensor:
    """Return the mean output of each text's tokens (B, T, C) that are kept (B, T), of length 1: (B, C) float32."""
    weights = kept.float() / kept.sum(1, keepdim=True).clamp(min=1)
    return F.normalize((hidden.float() * weights[:, :, None]).sum(1), dim=1)


class GPTEmbedder:
    """A trained bi-encoder; texts are cut at its block_size. On CUDA if there is a device."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model, self.tokenizer, self.dtype = pretrained.load(name)
        self.size = self.model.config.n_embd
        digest = hashlib.sha256()
        for key, tensor in sorted(self.model.weights().items()):
            digest.update(key.encode() + tensor.cpu().numpy().tobytes())
        self.identity = digest.hexdigest()

    @torch.inference_mode()
    def passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts, of length 1: (N, D) float32."""
        most = self.model.config.block_size
        tokens = [torch.tensor(self.tokenizer.encode(text)[:most], dtype=torch.long) for text in texts]
        vectors = np.zeros((len(texts), self.size), np.float32)
        in_order = sorted(range(len(texts)), key=lambda n: len(tokens[n]))  # so that little is padded
        for start in range(0, len(texts), BATCH_TEXTS):
            chosen = in_order[start : start + BATCH_TEXTS]
            padded = nn.utils.rnn.pad_sequence(
                [tokens[n] for n in chosen], batch_first=True, padding_value=IGNORED
            )
            padded = padded.to(self.model.lm_head.weight.device)
            if padded.shape[1]:
                kept = padded != IGNORED
                with autocast(padded.device, self.dtype):
                    hidden = self.model(padded.where(kept, 0), hidden=True)
                vectors[chosen] = pooled(hidden, kept).cpu().numpy()
        return vectors

    queries = passages


def main() -> None:
    train(parse_train_config(sys.argv[1:], __doc__ or ""), contrastive_loss)


if __name__ == "__main__":
    run_command(main)
