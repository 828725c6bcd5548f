"""`open_tokenizer`, which opens any tokenizer by its name or place, and Hugging Face's tokenizer.json, read and written.

A plain byte-level BPE with a split pattern that we know becomes ranks that tiktoken runs: GPT-2's tokenizer has one hash
wherever it comes from. Any other byte-level BPE stays as it is and runs in the `tokenizers` library.
"""

import contextlib
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import tiktoken
from tiktoken_ext.openai_public import r50k_pat_str as GPT2_PATTERN

from corpus.bpe import SPLIT_PATTERN
from corpus.tokenizer import (
    BYTE_OF_CHARACTER,
    BYTES_PATTERN,
    END_OF_TEXT,
    TOKENIZER_FILE,
    ForeignTokenizer,
    Tokenizer,
    byte_tokenizer,
    characters_to_bytes,
    tiktoken_tokenizer,
)
from corpus.vocab_merges import SPECIAL_TOKENS, VOCABULARY, known_tokens, read_vocab_merges
from system import hub
from system.errors import UserError
from system.files import read_json
from system.recipes import preparation, training

TOKENIZER_CONFIG, GENERATION_CONFIG = "tokenizer_config.json", "generation_config.json"
# tiktoken and `tokenizers` read regular expressions differently: these patterns mean the same in both.
KNOWN_PATTERNS = (GPT2_PATTERN, SPLIT_PATTERN, BYTES_PATTERN)
_CHARACTER_OF_BYTE = {byte: character for character, byte in BYTE_OF_CHARACTER.items()}
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
_ABSENT = ("unk_token", "dropout", "continuing_subword_prefix", "end_of_word_suffix")
_OFF = dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False)


def open_tokenizer(spec: str) -> Tokenizer:
    """Return the tokenizer that `spec` names.

    `spec` is `bytes`, a tiktoken encoding, a tokenizer.json of ours or Hugging Face's, the folder of one, the folder of a
    training run, or a model in Hugging Face's layout: a folder or a hub name. Raises UserError if it is none of these.
    """
    folder = hub.find_folder(spec, weights=False)
    if hub.is_model_folder(folder) or any(
        (folder / name).is_file() for name in (TOKENIZER_CONFIG, VOCABULARY)
    ):
        return read_tokenizer(folder, spec)
    if spec == "bytes":
        return byte_tokenizer()
    if spec in tiktoken.list_encoding_names():
        return tiktoken_tokenizer(spec)
    path = _tokenizer_path(folder)
    if path.exists():
        return read_tokenizer(path.parent, spec, path.name) if _is_foreign(path) else Tokenizer.load(path)
    if spec.startswith("bpe:"):
        raise UserError(
            f"tokenizer={spec}: must be trained by prepare_data.py: open the {TOKENIZER_FILE} that it wrote"
        )
    if spec.endswith(hub.FILE_ENDINGS):
        raise UserError(f"tokenizer={spec}: no such file: check the path")
    if "/" in spec:
        command = preparation(spec) if spec.startswith("data/") else training(spec)
        raise UserError(
            f"tokenizer={spec}: no such file or folder: for the tokenizer in it, run {command} first"
        )
    raise UserError(f"no tokenizer named {spec!r} and no file of that name: {_hint(spec)}")


def _hint(spec: str) -> str:
    """Return the tokenizer that `spec` may mean: a BPE of our own, bytes, or the encoding of one of OpenAI's models."""
    own = re.fullmatch(r"bpe\W*(\d*)", spec.lower().replace("_", "-"))
    if own:
        return f"did you mean bpe:{own[1] or 8192}?"
    if re.fullmatch(r"(byte|char|character)s?(.level)?|utf-?8", spec.lower()):
        return "did you mean bytes?"
    with contextlib.suppress(KeyError):
        return f"did you mean {tiktoken.encoding_name_for_model(spec.lower())}?"
    known = ["bytes", "bpe:8192", *tiktoken.list_encoding_names()]
    begun = [name for name in known if spec and name.startswith(spec.lower())]
    close = begun or difflib.get_close_matches(spec.lower(), known, n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _tokenizer_path(path: Path) -> Path:
    """Return the tokenizer file in a data folder, a checkpoint or a run's folder, or the path itself."""
    if (path / "last").is_file():  # a run's folder: all its checkpoints have the same tokenizer
        return path / (path / "last").read_text().strip() / TOKENIZER_FILE
    return path / TOKENIZER_FILE if path.is_dir() else path


def _is_foreign(path: Path) -> bool:
    """Return whether a file is a tokenizer.json of Hugging Face's, which has a model, and not one of ours."""
    with contextlib.suppress(UserError):
        return "model" in read_json(path)
    return False


def read_tokenizer(folder: Path, name: str, file: str = TOKENIZER_FILE) -> Tokenizer:
    """Return the tokenizer of a model's folder in Hugging Face's layout, with `name` as its label.

    Raises UserError if it is not byte-level BPE or has no end-of-text token.
    """
    path = folder / file
    settings = read_json(folder / TOKENIZER_CONFIG, missing={})
    if path.exists():
        content = read_json(path)
    else:
        settings = {"eos_token": END_OF_TEXT, **settings}  # the default of transformers' GPT2Tokenizer
        content = read_vocab_merges(folder, settings)
    try:
        model, decoder = content["model"], content["decoder"] or {}
        kind = model.get("type", "BPE" if "merges" in model else None)  # old files have no type
        decoders = decoder.get("decoders", [decoder])
        if kind != "BPE" or [part.get("type") for part in decoders] != ["ByteLevel"]:
            raise UserError(
                f"{path} is a {kind} tokenizer, decoded by {decoder.get('type')}: must be byte-level BPE"
            )
        added = {token["content"]: token["id"] for token in content["added_tokens"]}
        end = _end_of_text(folder, added, settings)
        ranks, pattern = _plain_ranks(content), _split_pattern(content)
        if ranks and pattern and pattern in KNOWN_PATTERNS and added == {END_OF_TEXT: end}:
            return Tokenizer(name, ranks, pattern, added)
        return ForeignTokenizer(name, content, end)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is not a supported tokenizer.json ({error!r})") from None


def _end_of_text(folder: Path, added: dict[str, int], settings: dict[str, Any]) -> int:
    """Return the id that ends a text: <|endoftext|> if the model ends with it, else the first that its files name.

    Chat models end an answer and a text with different tokens, and list both.
    """
    ends: list[Any] = []
    for file in (GENERATION_CONFIG, hub.CONFIG):
        found = read_json(folder / file, missing={}).get("eos_token_id")
        ends += found if isinstance(found, list) else [found]
    if added.get(END_OF_TEXT, -1) in ends:
        return added[END_OF_TEXT]
    name = settings.get("eos_token")
    known = [*known_tokens([name], added).values(), *(end for end in ends if end in added.values())]
    if name in (None, END_OF_TEXT):
        others = read_json(folder / SPECIAL_TOKENS, missing={})
        known += known_tokens([others.get("eos_token"), END_OF_TEXT], added).values()
    if not known:
        raise UserError(
            f"{folder}: its tokenizer has no end-of-text token: set eos_token in {TOKENIZER_CONFIG}"
        )
    return known[0]


def _plain_ranks(content: dict[str, Any]) -> dict[bytes, int] | None:
    """Return each token's bytes and id if merging by lowest id gives the same tokens as the merges, else None."""
    model = content["model"]
    if content["normalizer"] or any(model.get(key) for key in (*_ABSENT[1:], *_OFF)):
        return None
    added = {token["content"] for token in content["added_tokens"]}
    vocabulary = {token: index for token, index in model["vocab"].items() if token not in added}
    ranks = {characters_to_bytes(token): index for token, index in vocabulary.items()}
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    ours = [[_characters(left), _characters(right)] for left, right in _merges(ranks)]
    n_bytes = sum(len(token) == 1 for token in ranks)
    return ranks if merges == ours and n_bytes == 256 and len(ranks) == 256 + len(ours) else None


def _split_pattern(content: dict[str, Any]) -> str | None:
    """Return the regular expression that splits a text into words, None if the split is anything else."""
    before = content["pre_tokenizer"] or {}
    steps = before.get("pretokenizers", [before])
    byte_level = steps[-1]
    if byte_level.get("type") != "ByteLevel" or byte_level.get("add_prefix_space"):
        return None
    if len(steps) == 1 and byte_level.get("use_regex", True):
        return GPT2_PATTERN
    split = steps[0]
    alone = len(steps) == 2 and split.get("type") == "Split" and not byte_level.get("use_regex", True)
    if alone and split.get("behavior") == "Isolated" and not split.get("invert"):
        return split["pattern"].get("Regex")
    return None


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json and its settings, so that AutoTokenizer gives the same ids. Raises OSError."""
    end = tokenizer.decode([tokenizer.end_of_text])
    # Every byte is a token, so nothing is unknown, but converters expect an unk_token.
    named = dict.fromkeys(("bos_token", "eos_token", "unk_token"), end)
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **named,
    }
    # Without this, transformers 4 passes token types to the model, which GPT-2 takes for tokens.
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    content = tokenizer.content if isinstance(tokenizer, ForeignTokenizer) else _content(tokenizer)
    for name, value in ((TOKENIZER_FILE, content), (TOKENIZER_CONFIG, settings), (SPECIAL_TOKENS, named)):
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _content(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the content of tokenizer.json: vocabulary and merges from the ranks, in the byte-level alphabet."""
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": index, "content": name, **special} for name, index in tokenizer.special_tokens.items()]
    vocabulary = {_characters(token): index for token, index in tokenizer.ranks.items()}
    merges = [[_characters(left), _characters(right)] for left, right in _merges(tokenizer.ranks)]
    split: dict[str, Any] = dict(_BYTE_LEVEL, use_regex=True)
    if tokenizer.pattern != GPT2_PATTERN:
        # The library reads the + in {1,3}+ as a repetition, not as a possessive quantifier.
        pattern = re.sub(r"(\{\d+,\d+\})\+", r"\1", tokenizer.pattern)
        regex = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        split = {"type": "Sequence", "pretokenizers": [regex, _BYTE_LEVEL]}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": sorted(added, key=lambda token: token["id"]),
        "normalizer": None,
        "pre_tokenizer": split,
        "post_processor": None,
        "decoder": _BYTE_LEVEL,
        "model": {"type": "BPE", **dict.fromkeys(_ABSENT), **_OFF, "vocab": vocabulary, "merges": merges},
    }


def _merges(ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the two tokens that each longer token is merged from, in the order of the merges."""
    for token in sorted(ranks, key=ranks.__getitem__):
        pieces = [token[i : i + 1] for i in range(len(token))]
        while len(pieces) > 2:
            joined = [ranks.get(left + right, len(ranks)) for left, right in pairwise(pieces)]
            best = joined.index(min(joined))
            pieces[best : best + 2] = [pieces[best] + pieces[best + 1]]
        if len(pieces) == 2:
            yield pieces[0], pieces[1]


def _characters(token: bytes) -> str:
    return "".join(_CHARACTER_OF_BYTE[byte] for byte in token)
