"""The tokenizer: identity by hash, exact decoding, training, files, and one line for what goes wrong."""

import random
import re
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tiktoken

from corpus import tokenizer as tokenizer_module
from corpus.tokenizer import MAX_PART_CHARACTERS, Tokenizer, bpe_size, open_tokenizer, train_bpe
from system.errors import UserError

WORDS = "the quick brown fox jumps over a lazy dog and counts 1987 days, isn't it? naïve café 中文 😀".split()
ODD_TEXTS = [
    "",
    "\x00 NUL \x00",
    "emoji 😀👩‍👩‍👧 and 中文字 and ไทย",
    "<|endoftext|> is text, <|fim_prefix|> too",
    "line\r\nends\n\n\n   and\tspaces   ",
    "".join(chr(code) for code in range(0x20, 0x3000) if not 0xD800 <= code < 0xE000),
]


def some_documents(n: int = 300, seed: int = 0) -> list[str]:
    """Return documents of made-up words, of which there are enough for a thousand merges."""
    chooser = random.Random(seed)
    syllables = [a + b for a in "bcdfglmnprstv" for b in "aeiou"]
    made_up = ["".join(chooser.choices(syllables, k=chooser.randrange(2, 6))) for _ in range(500)]
    return [" ".join(chooser.choices(WORDS + made_up, k=60)) + "\n" + " " * (i % 4) for i in range(n)]


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return train_bpe(some_documents(), 400)


@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text[:12]))
@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_decoding_gives_the_text_back(kind: str, text: str, trained: Tokenizer) -> None:
    tokenizer = trained if kind == "bpe" else open_tokenizer("bytes")
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.end_of_text not in ids
    assert tokenizer.token_byte_lengths()[ids].sum() == len(text.encode())


LONG_TEXTS = {
    "one letter": "a" * 2_000_000,
    "one word": "".join(random.Random(1).choices("abcdefgh", k=1_000_000)),
    "spaces": " " * 2_000_000,
    "spaces, then a letter": " " * 1_000_000 + "x",  # overflows the regex stack if not cut
    "Chinese": "".join(map(chr, random.Random(2).choices(range(0x4E00, 0x5E00), k=300_000))),
}


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_very_long_words_come_back_exactly(name: str, trained: Tokenizer) -> None:
    assert trained.decode(trained.encode(LONG_TEXTS[name])) == LONG_TEXTS[name]


def test_cutting_a_long_text_does_not_change_its_ids(trained: Tokenizer) -> None:
    text = "".join(some_documents(2000)) + "  \n x"
    assert len(text) > 3 * MAX_PART_CHARACTERS
    assert trained.encode(text) == trained._encoding.encode_ordinary(text)


def test_a_lone_surrogate_is_refused(trained: Tokenizer) -> None:
    with pytest.raises(UnicodeEncodeError):
        trained.encode("a \ud800 b")


def test_bytes_has_257_tokens() -> None:
    tokenizer = open_tokenizer("bytes")
    assert (tokenizer.vocab_size, tokenizer.end_of_text) == (257, 256)
    assert tokenizer.encode("é") == [0xC3, 0xA9]
    assert tokenizer.encode_to_array("é").dtype == np.uint32


def test_training_gives_exactly_the_size_asked_for_and_repeats_itself(trained: Tokenizer) -> None:
    assert trained.vocab_size == 400
    assert trained.end_of_text == 399
    assert sorted(trained.ranks.values()) == list(range(399))
    assert {bytes([value]) for value in range(256)} <= set(trained.ranks)
    assert train_bpe(iter(some_documents()), 400).hash == trained.hash
    assert train_bpe(some_documents(seed=1), 401).hash != trained.hash


def test_tiktoken_gives_the_ids_of_the_tokenizers_library() -> None:
    documents = some_documents()
    ours = train_bpe(documents, 1_000)
    reference = tokenizer_module._trained(documents, 999)
    for text in [*documents, *some_documents(50, seed=9), *ODD_TEXTS]:
        assert ours.encode(text) == reference.encode(text).ids


def test_training_sees_no_overlong_word_and_every_character() -> None:
    word = "".join(random.Random(3).choices("abcdefghijklmnop", k=200_000))
    texts = list(
        tokenizer_module._training_texts([word + " x", "y" + " " * 100_000, "short words stay whole"])
    )
    longest = max(len(found) for text in texts for found in re.findall(r"\S+|\s+", text))
    assert longest == tokenizer_module.MAX_TRAINING_WORD
    assert "".join(texts) == word + " xy" + " " * 100_000 + "short words stay whole"
    assert texts[-1] == "short words stay whole"
    assert train_bpe([word], 300).vocab_size == 300


def test_a_text_too_small_for_the_vocabulary_names_the_largest_one() -> None:
    with pytest.raises(UserError, match=r"too small for bpe:5000.*--tokenizer=bpe:(\d+)") as refused:
        train_bpe(["one two three"], 5000)
    largest = int(str(refused.value).partition("--tokenizer=bpe:")[2].split()[0])
    assert train_bpe(["one two three"], largest).vocab_size == largest


def test_the_size_of_a_bpe_is_read_from_its_name() -> None:
    assert bpe_size("bpe:257") == 257
    assert [bpe_size(spec) for spec in ("gpt2", "./bpe:9", "bpe")] == [None] * 3
    for spec in ("bpe:256", "bpe:abc", "bpe:", "bpe:-300"):
        with pytest.raises(
            ValueError, match=f"tokenizer={spec}: bpe:N needs a number of tokens, at least 257"
        ):
            bpe_size(spec)


def test_the_hash_is_of_content_not_of_the_name(trained: Tokenizer) -> None:
    parts = (trained.ranks, trained.pattern, trained.special_tokens)
    assert Tokenizer("another name", *parts).hash == trained.hash
    assert (
        Tokenizer("bpe:400", trained.ranks, trained.pattern + "|x", trained.special_tokens).hash
        != trained.hash
    )
    assert Tokenizer("bpe:400", trained.ranks, trained.pattern, {"<|endoftext|>": 400}).hash != trained.hash
    swapped = {**trained.ranks, b"a": trained.ranks[b"b"], b"b": trained.ranks[b"a"]}
    assert Tokenizer("bpe:400", swapped, trained.pattern, trained.special_tokens).hash != trained.hash


def test_saved_and_loaded_it_is_the_same(trained: Tokenizer, tmp_path: Path) -> None:
    trained.save(tmp_path / "tokenizer.json")
    for spec in (tmp_path, tmp_path / "tokenizer.json"):
        loaded = open_tokenizer(str(spec))
        assert (loaded.hash, loaded.name, loaded.vocab_size) == (trained.hash, "bpe:400", 400)
        assert loaded.encode(WORDS[0] * 3) == trained.encode(WORDS[0] * 3)


def test_a_damaged_file_is_refused(trained: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    content = trained.to_json()
    path.write_text(content.replace('"<|endoftext|>": 399', '"<|endoftext|>": 400'))
    with pytest.raises(UserError, match="damaged"):
        Tokenizer.load(path)
    for broken in (
        content[:1000],
        content.replace('"hash"', '"hesh"'),
        "[]",
        "{}",
        '{"format": 1, "ranks": {}}',
    ):
        path.write_text(broken)
        with pytest.raises(UserError, match="not a tokenizer"):
            Tokenizer.load(path)
    path.write_text(content.replace('"format": 1', '"format": 2'))
    with pytest.raises(UserError, match="format 2"):
        Tokenizer.load(path)
    with pytest.raises(UserError, match="cannot read the tokenizer"):
        Tokenizer.load(tmp_path / "none.json")


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(UserError, match=r"'gtp2'.*did you mean gpt2\?"):
        open_tokenizer("gtp2")
    with pytest.raises(UserError, match=r"known are bytes, bpe:8192, gpt2"):
        open_tokenizer("zzzzzzzz")
    with pytest.raises(UserError, match=r"trained by prepare_data\.py"):
        open_tokenizer("bpe:512")


def test_ids_of_no_token_decode_to_nothing_and_too_large_ones_are_refused() -> None:
    gaps = Tokenizer(
        "gaps", {bytes([value]): value for value in range(256)}, r"[\s\S]", {"<|endoftext|>": 300}
    )
    assert gaps.vocab_size == 301
    assert gaps.decode([97, 270, 98, 300]) == "ab<|endoftext|>"
    assert gaps.token_byte_lengths()[[97, 270, 300]].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="301"):
        gaps.decode([301])


def test_half_a_character_decodes_to_a_replacement_mark() -> None:
    assert open_tokenizer("bytes").decode([0xC3]) == "\ufffd"
    assert open_tokenizer("bytes").decode_bytes([0xC3]) == b"\xc3"


def test_a_vocabulary_that_cannot_be_had_names_the_ways_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(name: str) -> tiktoken.Encoding:
        raise ConnectionError("no route")

    monkeypatch.setattr(tiktoken, "get_encoding", no_network)
    with pytest.raises(UserError, match=r"gpt2.*TIKTOKEN_CACHE_DIR.*--tokenizer=bpe:8192"):
        open_tokenizer("gpt2")


def test_a_download_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for_ever = threading.Event()
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: for_ever.wait(60))
    monkeypatch.setattr(tokenizer_module, "reachable", lambda url: False)
    started = time.perf_counter()
    with pytest.raises(UserError, match="no answer"):
        open_tokenizer("gpt2")
    assert time.perf_counter() - started < 10
    for_ever.set()


@pytest.fixture
def cached_vocabularies(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Path(__file__).parents[1] / "../shared/tiktoken_cache"
    if not cache.exists():
        pytest.skip("needs tiktoken's vocabularies in ../shared/tiktoken_cache")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(cache))


@pytest.mark.usefixtures("cached_vocabularies")
def test_gpt2_is_gpt2_and_r50k_base_is_the_same_tokenizer() -> None:
    gpt2 = open_tokenizer("gpt2")
    assert gpt2.encode("hello world") == [31373, 995]
    assert (gpt2.vocab_size, gpt2.end_of_text) == (50257, 50256)
    assert open_tokenizer("r50k_base").hash == gpt2.hash
