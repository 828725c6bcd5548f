"""Every way to name a tokenizer, and Hugging Face's layout: the same ids there and here, in many scripts."""

import functools
import json
import random
from pathlib import Path

import pytest
from preparing import gpt2_cache
from references import qwen_tokenizer
from tiktoken_ext import openai_public
from tokenizers import Tokenizer as Library
from transformers import AutoTokenizer

from corpus.bpe import train_bpe
from corpus.tokenizer import END_OF_TEXT, ForeignTokenizer, Tokenizer, byte_tokenizer
from corpus.tokenizer_json import GPT2_PATTERN, open_tokenizer, read_tokenizer, write_tokenizer
from system import hub
from system.errors import UserError

SCRIPTS = [
    (0x20, 0x7F),
    (0xA0, 0x24F),
    (0x300, 0x36F),
    (0x370, 0x3FF),
    (0x400, 0x4FF),
    (0x590, 0x6FF),
    (0x900, 0x97F),
]
SCRIPTS += [(0xE00, 0xE7F), (0x2000, 0x206F), (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0, 0x20)]
SCRIPTS += [(0x1F300, 0x1F6FF), (0x1D400, 0x1D7FF)]
BETWEEN = [
    "",
    " ",
    "  ",
    "   ",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    "'s",
    "'LL",
    " 12345",
    "3.14",
    "-",
    " " + END_OF_TEXT,
]


@functools.cache
def strings(count: int) -> list[str]:
    """Return strings of many scripts, white space, numbers and contractions."""
    chooser = random.Random(1)
    found = []
    for _ in range(count):
        pieces = []
        for _ in range(chooser.randrange(1, 8)):
            low, high = chooser.choice(SCRIPTS)
            pieces.append("".join(chr(chooser.randint(low, high)) for _ in range(chooser.randrange(1, 12))))
            pieces.append(chooser.choice(BETWEEN))
        found.append("".join(pieces))
    return found


def gpt2_split_bpe() -> Tokenizer:
    """A small BPE with GPT-2's pattern and its way of numbering bytes: not in their order."""
    trained = train_bpe(strings(1000), 1200)
    order = list(range(256))
    random.Random(2).shuffle(order)
    ranks = {token: order[token[0]] if len(token) == 1 else rank for token, rank in trained.ranks.items()}
    return Tokenizer("like gpt2", ranks, GPT2_PATTERN, trained.special_tokens)


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {
        "bytes": byte_tokenizer(),
        "bpe": train_bpe(strings(1000), 1500),
        "like gpt2": gpt2_split_bpe(),
    }


def test_a_tokenizer_is_opened_from_wherever_it_is(tokenizers, tmp_path, monkeypatch):
    ours = tokenizers["bpe"]
    run, data, model = (tmp_path / name for name in ("run", "data", "model"))
    for folder in (run / "step_00000010", data, model):
        folder.mkdir(parents=True)
    ours.save(data / "tokenizer.json")
    ours.save(run / "step_00000010/tokenizer.json")
    (run / "last").write_text("step_00000010\n")
    write_tokenizer(ours, model)
    (model / "config.json").write_text('{"model_type": "gpt2"}')
    monkeypatch.setattr(hub, "find_folder", lambda spec, weights: model if spec == "me/mine" else Path(spec))
    for spec in (data, data / "tokenizer.json", run, run / "step_00000010", model, "me/mine"):
        opened = open_tokenizer(str(spec))
        assert opened.hash == ours.hash, spec
        assert opened.name == (str(spec) if spec in (model, "me/mine") else "bpe:1500")
        assert opened.encode("the river") == ours.encode("the river")
    assert open_tokenizer("bytes").hash == byte_tokenizer().hash


def write_vocab_merges(tokenizer: Tokenizer, folder: Path, **settings: object) -> None:
    """Write a tokenizer as GPT-2's older files."""
    write_tokenizer(tokenizer, folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"] | {END_OF_TEXT: tokenizer.end_of_text}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    lines = [" ".join(merge) for merge in content["model"]["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *lines, ""]))
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def test_vocab_and_merges_are_the_same_tokenizer(tokenizers, tmp_path):
    ours = tokenizers["like gpt2"]
    write_vocab_merges(ours, tmp_path, tokenizer_class="GPT2Tokenizer", eos_token=END_OF_TEXT)
    assert open_tokenizer(str(tmp_path)).hash == ours.hash
    (tmp_path / "tokenizer_config.json").unlink()
    assert open_tokenizer(str(tmp_path)).hash == ours.hash
    assert AutoTokenizer.from_pretrained(tmp_path, tokenizer_type="gpt2")(strings(9)[3])[
        "input_ids"
    ] == ours.encode(strings(9)[3])
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|user|>": ours.vocab_size}))
    added = open_tokenizer(str(tmp_path))
    assert added.special_tokens == {END_OF_TEXT: ours.end_of_text, "<|user|>": ours.vocab_size}
    assert added.encode("the river") == ours.encode("the river")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|user|>": 9999}))
    with pytest.raises(UserError, match=r"the id of the added token .* does not follow those of vocab.json"):
        open_tokenizer(str(tmp_path))


def test_vocab_and_merges_without_an_end_are_rejected(tokenizers, tmp_path):
    """Also where a word of the vocabulary spells how Python prints that there is no name."""
    write_vocab_merges(tokenizers["like gpt2"], tmp_path)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    vocabulary["None"] = vocabulary.pop(END_OF_TEXT)
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    special = tmp_path / "special_tokens_map.json"
    for content in (None, {}, {"eos_token": None}, {"eos_token": {"content": None}}):
        special.unlink(missing_ok=True)
        if content is not None:
            special.write_text(json.dumps(content))
        with pytest.raises(UserError, match="its tokenizer has no end-of-text token: set eos_token in"):
            open_tokenizer(str(tmp_path))


def test_vocab_and_merges_that_cannot_be_read_are_named(tokenizers, tmp_path):
    write_vocab_merges(tokenizers["like gpt2"], tmp_path, tokenizer_class="Qwen2Tokenizer")
    with pytest.raises(
        UserError,
        match=rf"suffice for GPT-2's tokenizer only, not for Qwen2Tokenizer: write it with .*\" {tmp_path}`",
    ):
        open_tokenizer(str(tmp_path))
    (tmp_path / "tokenizer_config.json").unlink()
    for name in ("merges.txt", "vocab.json"):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 345\n")
        with pytest.raises(UserError, match=f"{name} is a Git LFS pointer, .*: run `git lfs pull`"):
            open_tokenizer(str(tmp_path))
        (tmp_path / name).write_text("[1]")
        with pytest.raises(UserError, match=r"cannot read .* \("):
            open_tokenizer(str(tmp_path))
    (tmp_path / "merges.txt").unlink()
    with pytest.raises(UserError, match=r"no tokenizer.json in .*, nor vocab.json with merges.txt"):
        open_tokenizer(str(tmp_path))


def test_the_end_of_vocab_and_merges_may_be_an_object_or_in_the_map_of_special_tokens(tokenizers, tmp_path):
    write_vocab_merges(tokenizers["like gpt2"], tmp_path)
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    vocabulary["</s>"] = vocabulary.pop(END_OF_TEXT)
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8-sig")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        for end in ("</s>", {"content": "</s>", "lstrip": False}):
            (tmp_path / name).write_text(json.dumps({"eos_token": end}))
            opened = open_tokenizer(str(tmp_path))
            assert opened.special_tokens == {"</s>": opened.end_of_text} == {"</s>": vocabulary["</s>"]}
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    "name", ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"]
)
@pytest.mark.parametrize(
    ("content", "words"), [("[1]", r"\(it holds a list, not an object\): it may be"), ("{", "download it")]
)
def test_a_broken_file_beside_the_merges_is_named(name, content, words, tmp_path):
    for file in ("vocab.json", "merges.txt"):
        (tmp_path / file).write_text("{}" if file == "vocab.json" else "")
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=f"cannot read {tmp_path}/{name} .*{words}"):
        open_tokenizer(str(tmp_path))


def test_a_tokenizer_json_alone_is_read(tokenizers, tmp_path, monkeypatch):
    """As `hf download openai-community/gpt2 tokenizer.json` leaves it, or under another name."""
    ours = tokenizers["like gpt2"]
    write_tokenizer(ours, tmp_path)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / name).unlink()
    assert open_tokenizer(str(tmp_path)).hash == ours.hash
    (tmp_path / "tokenizer.json").rename(tmp_path / "mine.json")
    assert open_tokenizer(str(tmp_path / "mine.json")).hash == ours.hash


def test_a_path_that_is_not_there_is_no_name_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for spec in ("mine/tokenizer.json", "data/x/tokenizer.json"):
        with pytest.raises(UserError, match=f"^tokenizer={spec}: no such file: check the path$"):
            open_tokenizer(spec)
    with pytest.raises(UserError, match=r"run `python prepare_data\.py --out_dir=data/x` first"):
        open_tokenizer("data/x")


def test_unknown_names_get_a_hint():
    with pytest.raises(UserError, match=r"'gtp2'.*did you mean gpt2\?"):
        open_tokenizer("gtp2")
    with pytest.raises(UserError, match=r"known are bytes, bpe:8192, gpt2"):
        open_tokenizer("zzzzzzzz")
    with pytest.raises(UserError, match=r"tokenizer=bpe:512: must be trained by prepare_data\.py"):
        open_tokenizer("bpe:512")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("bpe512", "bpe:512"), ("BPE-4096", "bpe:4096"), ("bpe_300", "bpe:300"), ("bpe", "bpe:8192")),
        *(("byte", "bytes"), ("chars", "bytes"), ("char-level", "bytes"), ("utf8", "bytes")),
        *(("gpt-4o", "o200k_base"), ("gpt-2", "gpt2"), ("cl100k", "cl100k_base")),
    ],
)
def test_a_tokenizer_by_another_name_has_a_hint(name: str, meant: str) -> None:
    with pytest.raises(UserError, match=rf"did you mean {meant}\?"):
        open_tokenizer(name)


@pytest.mark.parametrize("name", ["bert", "llama", "mine", "word"])
def test_a_tokenizer_that_resembles_none_has_no_wrong_hint(name: str) -> None:
    with pytest.raises(UserError, match="known are bytes, bpe:8192, gpt2,"):
        open_tokenizer(name)


@pytest.mark.parametrize("name", ["bytes", "bpe", "like gpt2"])
def test_ids_are_those_of_autotokenizer_and_the_tokenizer_comes_back_the_same(name, tokenizers, tmp_path):
    ours = tokenizers[name]
    write_tokenizer(ours, tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    texts = strings(3000)
    expected = theirs(texts, split_special_tokens=True, add_special_tokens=False)["input_ids"]
    assert [ours.encode(text) for text in texts] == expected
    assert max(map(max, expected)) > 256 or name == "bytes"
    assert theirs.model_input_names == ["input_ids", "attention_mask"], (
        "or transformers 4 gives GPT-2 token types"
    )
    assert (theirs.eos_token_id, len(theirs)) == (ours.end_of_text, ours.vocab_size)
    assert theirs.convert_tokens_to_ids(theirs.unk_token) == ours.end_of_text
    assert theirs.decode(ours.encode("a café, 数字")) == "a café, 数字"
    again = read_tokenizer(tmp_path, "a name")
    assert again.hash == ours.hash
    assert not isinstance(again, ForeignTokenizer)


def test_gpt2s_own_ids_are_those_of_autotokenizer(monkeypatch, tmp_path):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", gpt2_cache())
    ours = open_tokenizer("gpt2")
    write_tokenizer(ours, tmp_path)
    texts = strings(3000)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    expected = theirs(texts, split_special_tokens=True, add_special_tokens=False)["input_ids"]
    assert [ours.encode(text) for text in texts] == expected
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    assert len(content["model"]["merges"]) == 50_000
    assert read_tokenizer(tmp_path, "a name").hash == ours.hash


def test_the_end_of_text_in_a_text_is_a_control_token_there_by_default(tokenizers, tmp_path):
    ours = tokenizers["bpe"]
    write_tokenizer(ours, tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    text = f"one{END_OF_TEXT}two"
    assert ours.end_of_text not in ours.encode(text)
    assert ours.end_of_text in theirs(text)["input_ids"]
    assert theirs(text, split_special_tokens=True)["input_ids"] == ours.encode(text)


def test_the_hubs_old_way_of_writing_gpt2s_tokenizer_is_read(tokenizers, tmp_path):
    """Its model has no type, merges are strings, nothing says use_regex, and only the model's config names the end."""
    ours = tokenizers["like gpt2"]
    write_tokenizer(ours, tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    del content["model"]["type"], content["pre_tokenizer"]["use_regex"]
    content["model"] |= {"merges": [" ".join(merge) for merge in content["model"]["merges"]]}
    content["model"] |= {"continuing_subword_prefix": "", "unk_token": END_OF_TEXT}
    content["model"]["vocab"][END_OF_TEXT] = ours.end_of_text
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "tokenizer_config.json").write_text('{"model_max_length": 1024}')
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": ours.end_of_text}))
    again = read_tokenizer(tmp_path, "a name")
    assert again.hash == ours.hash
    assert not isinstance(again, ForeignTokenizer)


def like_qwen(folder: Path) -> Library:
    return qwen_tokenizer(folder, strings(1000)[:500])


def test_a_foreign_tokenizer_is_run_by_its_library_behind_the_same_interface(tmp_path):
    library = like_qwen(tmp_path)
    ours = read_tokenizer(tmp_path, "a name")
    assert isinstance(ours, ForeignTokenizer)
    assert ours.end_of_text == library.token_to_id("<|im_end|>")
    assert ours.vocab_size == library.get_vocab_size()
    library.encode_special_tokens = True
    for text in strings(1000)[:200]:
        ids = ours.encode(text)
        assert ids == library.encode(text, add_special_tokens=False).ids
        assert ours.end_of_text not in ids
        assert ours.decode(ids) == library.normalizer.normalize_str(text)
        assert ours.token_byte_lengths()[ids].sum() == len(ours.decode_bytes(ids))
    assert ours.token_byte_lengths()[ours.end_of_text] == 0
    word = library.token_to_id("<think>")
    assert ours.encode("<think>") == [word], "no control token, but a word"
    assert ours.token_byte_lengths()[word] == 7
    assert ours.decode([word, ours.vocab_size + 3]) == "<think>", (
        "a model may have more rows than there are tokens"
    )
    with pytest.raises(UnicodeEncodeError):
        ours.encode("\ud800")


def test_a_foreign_tokenizer_travels_with_its_identity(tmp_path):
    like_qwen(tmp_path)
    ours = read_tokenizer(tmp_path, "a name")
    ours.save(tmp_path / "ours.json")
    again = Tokenizer.load(tmp_path / "ours.json")
    assert isinstance(again, ForeignTokenizer)
    assert (again.hash, again.name, again.end_of_text) == (ours.hash, ours.name, ours.end_of_text)
    assert again.encode("the river") == ours.encode("the river")
    out = tmp_path / "out"
    out.mkdir()
    write_tokenizer(ours, out)
    assert read_tokenizer(out, "a name").hash == ours.hash
    damaged = (tmp_path / "ours.json").read_text().replace('"end_of_text": ', '"end_of_text": 1')
    (tmp_path / "ours.json").write_text(damaged)
    with pytest.raises(UserError, match="damaged"):
        Tokenizer.load(tmp_path / "ours.json")


def test_a_word_added_to_a_known_tokenizer_is_a_token_here_too(tokenizers, tmp_path):
    write_tokenizer(tokenizers["bpe"], tmp_path)
    library = Library.from_file(str(tmp_path / "tokenizer.json"))
    library.add_tokens(["<persona>"])
    library.save(str(tmp_path / "tokenizer.json"))
    ours = read_tokenizer(tmp_path, "a name")
    assert ours.encode("a<persona>b") == library.encode("a<persona>b").ids
    assert ours.vocab_size == library.get_vocab_size()


def test_an_unknown_split_pattern_stays_foreign(tokenizers, tmp_path):
    """tiktoken drops what a pattern does not match, the library keeps it."""
    write_tokenizer(tokenizers["bpe"], tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+"
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    ours = read_tokenizer(tmp_path, "a name")
    assert ours.decode(ours.encode("a b, c!")) == "a b, c!"


def test_merges_that_ranks_cannot_express_stay_foreign(tokenizers, tmp_path):
    """a+bc is never merged from a, b, c because a+b comes first; by ranks alone it would be."""
    write_tokenizer(tokenizers["bytes"], tmp_path)
    changed(tmp_path, model={"merges": [["a", "b"], ["b", "c"], ["a", "bc"]]})
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {"ab": 257, "bc": 258, "abc": 259}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    ours = read_tokenizer(tmp_path, "a name")
    library = Library.from_file(str(tmp_path / "tokenizer.json"))
    assert ours.encode("abc") == library.encode("abc").ids == [257, ord("c")]


@pytest.mark.parametrize(
    ("generation", "settings", "name"),
    [
        (
            {"eos_token_id": [602, 600]},
            {"eos_token": "<|im_end|>"},
            END_OF_TEXT,
        ),  # Qwen3-0.6B: an answer's end, a text's
        ({"eos_token_id": 602}, {"eos_token": END_OF_TEXT}, END_OF_TEXT),
        ({"eos_token_id": [602, 601]}, {}, "<|im_end|>"),
        ({"eos_token_id": 99999}, {"eos_token": {"content": "<|im_end|>"}}, "<|im_end|>"),
    ],
)
def test_the_end_of_a_text_is_found(generation, settings, name, tmp_path):
    library = like_qwen(tmp_path)
    assert [library.token_to_id(word) for word in (END_OF_TEXT, "<|im_start|>", "<|im_end|>")] == [
        600,
        601,
        602,
    ]
    (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert read_tokenizer(tmp_path, "a name").end_of_text == library.token_to_id(name)


def test_what_the_library_cannot_run_is_rejected(tokenizers, tmp_path):
    write_tokenizer(tokenizers["bpe"], tmp_path)
    changed(tmp_path, model={"merges": [["a", "nothing"]]})
    with pytest.raises(UserError, match=r"not a supported tokenizer.json"):
        read_tokenizer(tmp_path, "a name")


def changed(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    model = {**content["model"], **changes.pop("model", {})}  # type: ignore[dict-item]
    (folder / "tokenizer.json").write_text(json.dumps({**content, "model": model, **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"type": "WordPiece"}}, "WordPiece tokenizer"),
        ({"decoder": {"type": "Metaspace"}}, "decoded by Metaspace"),
        ({"decoder": None}, "decoded by None"),
        ({"added_tokens": 3}, "not a supported tokenizer.json"),
    ],
)
def test_what_is_not_byte_level_bpe_is_rejected(changes, words, tokenizers, tmp_path):
    write_tokenizer(tokenizers["bytes"], tmp_path)
    changed(tmp_path, **changes)
    with pytest.raises(UserError, match=words):
        read_tokenizer(tmp_path, "a name")


def test_merges_in_another_order_stay_foreign(tokenizers, tmp_path):
    write_tokenizer(tokenizers["bpe"], tmp_path)
    merges = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["merges"]
    changed(tmp_path, model={"merges": merges[::-1]})
    assert isinstance(read_tokenizer(tmp_path, "a name"), ForeignTokenizer)


def test_a_tokenizer_without_an_end_is_rejected(tokenizers, tmp_path):
    write_tokenizer(tokenizers["bytes"], tmp_path)
    token = json.loads((tmp_path / "tokenizer.json").read_text())["added_tokens"][0]
    changed(tmp_path, added_tokens=[{**token, "content": "<|end|>"}])
    (tmp_path / "special_tokens_map.json").unlink()
    for settings in ({}, {"eos_token": END_OF_TEXT}, {"eos_token": "<|none|>"}):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
        with pytest.raises(UserError, match="end-of-text token"):
            read_tokenizer(tmp_path, "a name")
    (tmp_path / "config.json").write_text('{"eos_token_id": [256, 255]}')
    assert read_tokenizer(tmp_path, "a name").end_of_text == 256
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"no tokenizer.json in .*, nor vocab.json"):
        read_tokenizer(tmp_path, "a name")


def test_a_pattern_of_possessive_counts_means_the_same_there(tmp_path):
    """cl100k_base's has them, whose vocabulary is not here: its pattern over our own ranks."""
    trained = train_bpe(strings(1000), 1000)
    source = openai_public.cl100k_base.__code__.co_consts
    pattern = next(value for value in source if isinstance(value, str) and r"\p{N}{1,3}" in value)
    ours = Tokenizer("cl100k's split", trained.ranks, pattern, trained.special_tokens)
    write_tokenizer(ours, tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    texts = strings(3000)
    expected = theirs(texts, split_special_tokens=True, add_special_tokens=False)["input_ids"]
    assert [ours.encode(text) for text in texts] == expected
