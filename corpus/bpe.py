"""Training of a byte-level BPE: its name `bpe:N`, the sample of documents and the training itself."""

import heapq
import re
from collections.abc import Iterable, Iterator
from typing import Any

from corpus.articles import Batch, documents
from corpus.tokenizer import END_OF_TEXT, Tokenizer, characters_to_bytes, text_parts
from system.errors import UserError

MIN_BPE_TOKENS = 257
MAX_SAMPLE_BYTES = 32_000_000
MAX_DOCUMENT_BYTES = 4_000_000  # so that a single huge document is not the whole sample
# Training counts pairs in every distinct word: an unbroken word of megabytes would make it quadratic.
MAX_WORD_CHARACTERS = 256

# GPT-4's split pattern, with at most two digits to a number (as nanochat: three would spend a small vocabulary on
# numbers), and without possessive quantifiers, which tokenizers' regex engine reads differently after {1,2}.
SPLIT_PATTERN = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
_LONG_WORD = re.compile(rf"\S{{{MAX_WORD_CHARACTERS}}}|\s{{{MAX_WORD_CHARACTERS}}}")


def bpe_size(spec: str) -> int | None:
    """Return the N of `bpe:N`, None if `spec` names another tokenizer. Raises ValueError for an invalid N."""
    name, colon, size = spec.partition(":")
    if name != "bpe" or not colon:
        return None
    if not size.isdecimal() or int(size) < MIN_BPE_TOKENS:
        raise ValueError(
            f"tokenizer={spec}: must be bpe:N with N at least {MIN_BPE_TOKENS} (256 bytes and end-of-text)"
        )
    return int(size)


def training_sample(batches: Iterable[Batch], validation_fraction: float) -> list[bytes]:
    """Return the training documents with the lowest ranks, up to MAX_SAMPLE_BYTES, in order of rank.

    The same articles in any order give the same sample: once a document does not fit, no higher rank is accepted.
    """
    heap: list[tuple[float, bytes]] = []  # the highest rank first
    size, limit = 0, 1.0
    for batch in batches:
        for document in documents(batch, validation_fraction):
            if document.split == "val" or document.rank >= limit:
                continue
            content = (document.prompt + document.text).encode()[:MAX_DOCUMENT_BYTES]
            heapq.heappush(heap, (-document.rank, content))
            size += len(content)
            while size > MAX_SAMPLE_BYTES or (heap and -heap[0][0] >= limit):
                negative_rank, dropped = heapq.heappop(heap)
                size, limit = size - len(dropped), -negative_rank
    return [content for _, content in sorted(heap, key=lambda item: (-item[0], item[1]))]


def train_bpe(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE of `vocab_size` tokens; the last id is end-of-text.

    The same texts give the same tokenizer. Words and white space are cut at MAX_WORD_CHARACTERS, in training only.
    Raises UserError if the texts are too few for `vocab_size`.
    """
    assert vocab_size >= MIN_BPE_TOKENS, vocab_size
    vocabulary = _library_bpe(texts, vocab_size - 1).get_vocab()
    largest = len(vocabulary) + 1
    if largest != vocab_size:
        raise UserError(
            f"tokenizer=bpe:{vocab_size}: the text is too small, it yields {largest} tokens:"
            f" set --tokenizer=bpe:{largest} or prepare more text"
        )
    ranks = {characters_to_bytes(token): index for token, index in vocabulary.items()}
    return Tokenizer(f"bpe:{vocab_size}", ranks, SPLIT_PATTERN, {END_OF_TEXT: len(ranks)})


def _library_bpe(texts: Iterable[str], n_tokens: int) -> Any:
    """Return a BPE trained by the `tokenizers` library, whose ids, in the order of the merges, become the ranks."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=n_tokens, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_without_long_words(texts), trainer)
    return tokenizer


def _without_long_words(texts: Iterable[str]) -> Iterator[str]:
    for part in (part for text in texts for part in text_parts(text)):
        start = 0
        for long_word in _LONG_WORD.finditer(part):
            yield part[start : long_word.end()]
            start = long_word.end()
        yield part[start:]
