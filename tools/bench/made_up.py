"""A data folder of random tokens, so that a benchmark runs anywhere."""

from itertools import islice, product
from pathlib import Path

import numpy as np

from corpus.tokenizer import BYTES_PATTERN, END_OF_TEXT, TOKENIZER_FILE, Tokenizer
from corpus.writer import Addition, DatasetWriter, Journal, token_dtype

N_TOKENS = 1_000_000  # at least: more than a step has


def write_made_up_data(folder: Path, vocab_size: int, block_size: int) -> None:
    """Write a data folder of random tokens: which ones they are does not change the speed."""
    texts = (bytes(letters) for length in (1, 2, 3) for letters in product(range(256), repeat=length))
    ranks = {text: number for number, text in enumerate(islice(texts, vocab_size - 1))}
    tokenizer = Tokenizer("made up", ranks, BYTES_PATTERN, {END_OF_TEXT: vocab_size - 1})
    folder.mkdir(parents=True)
    tokenizer.save(folder / TOKENIZER_FILE)
    chooser, additions = np.random.default_rng(0), {}
    for split, n_tokens in (("train", max(N_TOKENS, 8 * block_size)), ("val", 8 * block_size)):
        tokens = chooser.integers(vocab_size, size=n_tokens)
        additions[split] = Addition(tokens, 1, n_tokens)
    journal = Journal({}, {"kind": "made up", "files": [{"path": "random tokens"}]}, tokenizer.hash)
    with DatasetWriter(folder, token_dtype(vocab_size), 100_000_000, journal) as writer:
        writer.append(0, 0, 0, additions)
        writer.finish(tokenizer)
