"""Training a BPE: its size and sample, the same ids as the `tokenizers` library, texts of any kind."""

import random
import re

import pytest
from preparing import ODD_TEXTS, batches_of, some_articles, some_texts

from corpus import bpe
from corpus.articles import documents
from corpus.bpe import bpe_size, train_bpe, training_sample
from system.errors import UserError


def test_the_sample_is_of_training_articles_and_independent_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some_articles(500)
    ranks = {d.text: d.rank for batch in batches_of(rows, 500) for d in documents(batch)}
    everything = [text.decode() for text in training_sample(batches_of(rows, 50), 0.2)]
    assert everything == sorted((text for text in ranks if ranks[text] >= 0.2), key=ranks.__getitem__)

    monkeypatch.setattr(bpe, "MAX_SAMPLE_BYTES", 20_000)
    samples = []
    for seed in range(5):
        shuffled = random.Random(seed).sample(rows, len(rows))
        samples.append([text.decode() for text in training_sample(batches_of(shuffled, 7 + seed), 0.2)])
    assert all(sample == samples[0] for sample in samples)
    assert samples[0] == everything[: len(samples[0])]
    size = sum(len(text.encode()) for text in samples[0])
    assert size <= 20_000 < size + len(everything[len(samples[0])].encode())


def test_training_gives_exactly_the_requested_size_and_repeats_itself() -> None:
    trained = train_bpe(some_texts(), 400)
    assert trained.vocab_size == 400
    assert trained.end_of_text == 399
    assert sorted(trained.ranks.values()) == list(range(399))
    assert {bytes([value]) for value in range(256)} <= set(trained.ranks)
    assert train_bpe(iter(some_texts()), 400).hash == trained.hash
    assert train_bpe(some_texts(seed=1), 401).hash != trained.hash


def test_tiktoken_gives_the_ids_of_the_tokenizers_library() -> None:
    texts = some_texts()
    ours = train_bpe(texts, 1_000)
    reference = bpe._library_bpe(texts, 999)
    for text in [*texts, *some_texts(50, seed=9), *ODD_TEXTS]:
        assert ours.encode(text) == reference.encode(text).ids


def test_training_sees_no_overlong_word_and_every_character() -> None:
    word = "".join(random.Random(3).choices("abcdefghijklmnop", k=200_000))
    texts = list(bpe._without_long_words([word + " x", "y" + " " * 100_000, "short words stay whole"]))
    longest = max(len(found) for text in texts for found in re.findall(r"\S+|\s+", text))
    assert longest == bpe.MAX_WORD_CHARACTERS
    assert "".join(texts) == word + " xy" + " " * 100_000 + "short words stay whole"
    assert texts[-1] == "short words stay whole"
    assert train_bpe([word], 300).vocab_size == 300


def test_a_text_too_small_for_the_vocabulary_names_the_largest_one() -> None:
    with pytest.raises(
        UserError, match=r"^tokenizer=bpe:5000: the text is too small.*--tokenizer=bpe:\d+"
    ) as error:
        train_bpe(["one two three"], 5000)
    largest = int(str(error.value).partition("--tokenizer=bpe:")[2].split()[0])
    assert train_bpe(["one two three"], largest).vocab_size == largest


def test_the_size_of_a_bpe_is_read_from_its_name() -> None:
    assert bpe_size("bpe:257") == 257
    assert [bpe_size(spec) for spec in ("gpt2", "./bpe:9", "bpe")] == [None] * 3
    for spec in ("bpe:256", "bpe:abc", "bpe:", "bpe:-300"):
        with pytest.raises(ValueError, match=f"tokenizer={spec}: must be bpe:N with N at least 257"):
            bpe_size(spec)
