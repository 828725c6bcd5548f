"""The windows in which a whole split is scored, and each document's loss."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from corpus.dataset import TokenDataset
from corpus.manifest import NO_LOSS
from corpus.tokenizer import Tokenizer
from evaluation.likelihood import Request
from system.errors import UserError

Windows = Literal["stream", "document"]


@dataclass(frozen=True)
class Split:
    """All documents of a split, one after the other, in a tokenizer's tokens."""

    tokens: np.ndarray  # (n,) int64; in pairs, NO_LOSS more for those that are not scored
    ends: np.ndarray  # (D,): where each document ends, behind its end-of-text token
    has_pairs: bool
    end_of_text: int


@dataclass(frozen=True)
class Part:
    """Some consecutive tokens of one document, scored by one window."""

    document: int
    n_tokens: int
    n_bytes: int


@dataclass(frozen=True)
class Scored:
    """The losses of all D documents of a split: sums of nats, scored tokens and bytes of UTF-8, (D,) each."""

    nats: np.ndarray
    n_tokens: np.ndarray
    n_bytes: np.ndarray

    @property
    def is_scored(self) -> np.ndarray:
        """Which documents have a scored token, (D,)."""
        return self.n_tokens > 0

    @property
    def nats_per_token(self) -> float:
        """The mean loss."""
        return self.nats.sum() / self.n_tokens.sum()

    @property
    def perplexity(self) -> float:
        """The exponential of the mean loss: only comparable between models with the same tokenizer."""
        return math.exp(self.nats_per_token)

    @property
    def bits_per_byte(self) -> float:
        """The loss per byte of text, which compares across tokenizers."""
        return self.nats.sum() / math.log(2) / self.n_bytes.sum()


def spans(n_targets: int, size: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Yield windows over targets 0 to n_targets - 1 that score each target once: first and end of a window, and how many it scores.

    A window has at most `size` targets and scores the last `stride` of them, but the first window all. Where the text
    is longer than a window, every later target sees at least size - stride tokens; the last window reaches back as far as
    the others, as in lm-evaluation-harness's `get_rolling_token_windows`.
    """
    done = 0
    while done < n_targets:
        end = min(done + (stride if done else size), n_targets)
        yield max(0, end - size), end, end - done
        done = end


def read_split(data: TokenDataset, tokenizer: Tokenizer) -> Split:
    """Return a split in a model's tokens, which are made from its text if it was prepared with another tokenizer.

    Raises UserError if a token is damaged, or the split has no document or pairs in other tokens.
    """
    own = data.manifest.tokenizer
    tokens = data.read(0, data.n_tokens).astype(np.int64)
    unknown = np.flatnonzero(tokens % NO_LOSS >= own["vocab_size"])
    if len(unknown):
        raise data.unknown_token(int(unknown[0]))
    if not len(tokens):
        problem = f"{data.data_dir}: its {data.split} split has no text"
        raise UserError(problem, "prepare it with a larger --validation_fraction")
    if tokenizer.hash == own["hash"]:
        return Split(tokens, data.pair_ends, data.manifest.has_pairs, tokenizer.end_of_text)
    if data.manifest.has_pairs:
        raise other_tokens(data, "the model")
    texts = [[*tokenizer.encode(text), tokenizer.end_of_text] for text in data.texts()]
    ends = np.cumsum([len(text) for text in texts])
    return Split(np.concatenate(texts).astype(np.int64), ends, False, tokenizer.end_of_text)


def other_tokens(data: TokenDataset, model: str) -> UserError:
    """Return the error for pairs in other tokens than a model's: where their completions begin is not known in those."""
    problem = f"data_dir={data.data_dir} has pairs, prepared with another tokenizer than that of {model}"
    return UserError(problem, "prepare it with --tokenizer= and the model's checkpoint")


def windows(
    split: Split, block_size: int, kind: Windows, stride: int, token_bytes: np.ndarray
) -> list[tuple[Request, list[Part]]]:
    """Return the windows that score all of a split, each with the documents that its parts belong to.

    "stream": the split is one text, in which a document follows another and each end-of-text token is scored.
    "document": each document by itself, after an end-of-text token, its own not scored. Pairs are always apart, and their
    completions and end-of-text tokens are scored.
    """
    if split.has_pairs:
        found = _pair_windows(split, block_size)
    elif kind == "stream":
        found = _stream_windows(split, block_size, stride)
    else:
        found = _document_windows(split, block_size, stride)
    return [(request, _parts(request, documents, token_bytes)) for request, documents in found]


def _parts(request: Request, documents: list[int], token_bytes: np.ndarray) -> list[Part]:
    scored = request.tokens[len(request.tokens) - request.n_scored :]
    each = np.split(token_bytes[scored], np.cumsum(request.parts)[:-1])
    return [
        Part(document, len(part), int(part.sum())) for document, part in zip(documents, each, strict=True)
    ]


Found = Iterator[tuple[Request, list[int]]]  # a window, and the document of each of its parts


def _stream_windows(split: Split, size: int, stride: int) -> Found:
    for begin, end, n_scored in spans(len(split.tokens) - 1, size, stride):
        first, last = end + 1 - n_scored, end + 1  # of the scored tokens in the stream
        oldest, newest = np.searchsorted(split.ends, [first, last - 1], side="right")
        documents = np.arange(oldest, newest + 1)
        edges = np.clip([first, *split.ends[documents]], first, last)
        yield Request(split.tokens[begin:last], tuple(np.diff(edges).tolist())), documents.tolist()


def _document_windows(split: Split, size: int, stride: int) -> Found:
    for document, tokens in enumerate(_documents(split)):
        for request in rolling(tokens[:-1], split.end_of_text, size, stride):
            yield request, [document]


def rolling(tokens: np.ndarray, prefix: int, size: int, stride: int) -> Iterator[Request]:
    """Yield the windows that score each token of a text, (n,), which begins after the token `prefix`."""
    tokens = np.concatenate([[prefix], tokens]).astype(np.int64)
    for begin, end, n_scored in spans(len(tokens) - 1, size, stride):
        yield Request(tokens[begin : end + 1], (n_scored,))


def _pair_windows(split: Split, size: int) -> Found:
    for document, tokens in enumerate(_documents(split)):
        tokens = tokens[: size + 1]
        n_scored = int((tokens[1:] < NO_LOSS).sum())
        if n_scored:
            yield Request(tokens % NO_LOSS, (n_scored,)), [document]


def _documents(split: Split) -> Iterator[np.ndarray]:
    """Yield each document's tokens, with its end-of-text token."""
    first = 0
    for last in split.ends.tolist():
        yield split.tokens[first:last]
        first = last


def by_document(parts: list[Part], log_likelihoods: np.ndarray, n_documents: int) -> Scored:
    """Add up the parts' log-likelihoods, (n_parts,) in nats, by document; 0 for those of which nothing is scored."""
    documents = np.array([part.document for part in parts])
    values = (-log_likelihoods, [part.n_tokens for part in parts], [part.n_bytes for part in parts])
    return Scored(*(np.bincount(documents, value, n_documents) for value in values))
