"""The tokenizer: identity by hash, exact decoding, its file, and one line for what goes wrong."""

import hashlib
import random
import threading
from pathlib import Path

import numpy as np
import pytest
import tiktoken
import tiktoken.load
from preparing import ODD_TEXTS, gpt2_cache, some_texts

from corpus import tokenizer as module
from corpus.bpe import train_bpe
from corpus.tokenizer import (
    MAX_PART_CHARACTERS,
    VOCABULARY_SERVER,
    Tokenizer,
    byte_tokenizer,
    tiktoken_tokenizer,
)
from system.errors import UserError


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return train_bpe(some_texts(), 400)


@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text[:12]))
@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_decoding_gives_the_text_back(kind: str, text: str, trained: Tokenizer) -> None:
    tokenizer = trained if kind == "bpe" else byte_tokenizer()
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.end_of_text not in ids
    assert tokenizer.token_byte_lengths()[ids].sum() == len(text.encode())


LONG_TEXTS = {
    "one letter": "a" * 1_000_000,
    "one word": "".join(random.Random(1).choices("abcdefgh", k=300_000)),
    "spaces": " " * 1_000_000,
    "spaces, then a letter": " " * 1_000_000 + "x",  # overflows the regex stack if not cut
    "Chinese": "".join(map(chr, random.Random(2).choices(range(0x4E00, 0x5E00), k=300_000))),
}


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_very_long_words_come_back_exactly(name: str, trained: Tokenizer) -> None:
    assert trained.decode(trained.encode(LONG_TEXTS[name])) == LONG_TEXTS[name]


def test_cutting_a_long_text_does_not_change_its_ids(trained: Tokenizer) -> None:
    text = "".join(some_texts(2000)) + "  \n x"
    assert len(text) > 3 * MAX_PART_CHARACTERS
    assert trained.encode(text) == trained._encoding.encode_ordinary(text)


def test_a_lone_surrogate_is_rejected(trained: Tokenizer) -> None:
    with pytest.raises(UnicodeEncodeError):
        trained.encode("a \ud800 b")


def test_bytes_has_257_tokens() -> None:
    tokenizer = byte_tokenizer()
    assert (tokenizer.vocab_size, tokenizer.end_of_text) == (257, 256)
    assert tokenizer.encode("é") == [0xC3, 0xA9]
    assert tokenizer.encode_to_array("é").dtype == np.uint32


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


def test_a_saved_tokenizer_is_the_same_and_a_damaged_file_is_rejected(
    trained: Tokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    trained.save(path)
    loaded = Tokenizer.load(path)
    assert (loaded.hash, loaded.name, loaded.vocab_size) == (trained.hash, "bpe:400", 400)
    assert loaded.encode("the quick fox") == trained.encode("the quick fox")
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


def test_unused_ids_decode_to_nothing_and_too_large_ones_are_rejected() -> None:
    gaps = Tokenizer(
        "gaps", {bytes([value]): value for value in range(256)}, r"[\s\S]", {"<|endoftext|>": 300}
    )
    assert gaps.vocab_size == 301
    assert gaps.decode([97, 270, 98, 300]) == "ab<|endoftext|>"
    assert gaps.token_byte_lengths()[[97, 270, 300]].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="301"):
        gaps.decode([301])


def test_half_a_character_decodes_to_a_replacement_mark() -> None:
    assert byte_tokenizer().decode([0xC3]) == "\ufffd"
    assert byte_tokenizer().decode_bytes([0xC3]) == b"\xc3"


def test_a_vocabulary_that_is_not_available_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(name: str) -> tiktoken.Encoding:
        raise ConnectionError("no route")

    monkeypatch.setattr(tiktoken, "get_encoding", no_network)
    with pytest.raises(UserError, match=r"gpt2.*ConnectionError.*TIKTOKEN_CACHE_DIR.*--tokenizer=bpe:8192"):
        tiktoken_tokenizer("gpt2")


def test_a_corrupt_copy_in_the_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(url: str) -> bytes:
        raise ConnectionError("no route")

    monkeypatch.setattr(tiktoken.load, "read_file", no_network)
    monkeypatch.setattr(tiktoken.registry, "ENCODINGS", {})  # those that other tests have loaded
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    url = f"{VOCABULARY_SERVER}gpt-2/encodings/main/vocab.bpe"
    path = tmp_path / hashlib.sha1(url.encode()).hexdigest()
    path.write_text("cut")
    with pytest.raises(
        UserError, match=f"the cached {path} was corrupt and cannot .*: copy it there again, or"
    ):
        tiktoken_tokenizer("gpt2")
    with pytest.raises(
        UserError, match="tiktoken's vocabulary gpt2 cannot be downloaded"
    ):  # it is deleted now
        tiktoken_tokenizer("gpt2")


def test_a_corrupt_copy_in_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    (tmp_path / "copy").touch()
    for error, reason in (
        (ConnectionError("no route"), "ConnectionError"),
        (
            PermissionError(13, "Permission denied", f"{tmp_path}/x.tmp"),
            f"{tmp_path}/x.tmp: Permission denied",
        ),
    ):
        monkeypatch.setattr(tiktoken, "get_encoding", lambda name, error=error: (_ for _ in ()).throw(error))
        found = f"cannot be downloaded from .* \\({reason}\\), and its copy in {tmp_path} is missing or corrupt: set TIKTOKEN"
        with pytest.raises(UserError, match=found):
            tiktoken_tokenizer("gpt2")


def test_a_download_without_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: answer.wait(60))
    monkeypatch.setattr(module, "reachable", lambda url: False)
    monkeypatch.setattr(module, "DOWNLOAD_SECONDS", 0.05)
    with pytest.raises(UserError, match="no answer"):
        tiktoken_tokenizer("gpt2")
    answer.set()


def test_gpt2_is_gpt2_and_r50k_base_is_the_same_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", gpt2_cache())
    gpt2 = tiktoken_tokenizer("gpt2")
    assert gpt2.encode("hello world") == [31373, 995]
    assert (gpt2.vocab_size, gpt2.end_of_text) == (50257, 50256)
    assert tiktoken_tokenizer("r50k_base").hash == gpt2.hash
