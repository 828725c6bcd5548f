"""Tokenizers in Hugging Face's layout, tokenizer.json and friends, to ours and from ours.

Owns the translation. A byte-level BPE that is all there is to a tokenizer.json becomes ranks that tiktoken runs, so
that GPT-2's is one and the same tokenizer wherever it comes from; any other byte-level one stays as it is and is run
by the `tokenizers` library, behind the same interface.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from tiktoken_ext.openai_public import r50k_pat_str as GPT2_PATTERN

import hub
from errors import UserError
from tokenizer import (
    BYTE_OF_CHARACTER,
    END_OF_TEXT,
    TOKENIZER_FILE,
    ForeignTokenizer,
    Tokenizer,
    open_tokenizer,
)

TOKENIZER_CONFIG, GENERATION_CONFIG = "tokenizer_config.json", "generation_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
_CHARACTER_OF_BYTE = {byte: character for character, byte in BYTE_OF_CHARACTER.items()}
_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
_ABSENT = ("unk_token", "dropout", "continuing_subword_prefix", "end_of_word_suffix")
_OFF = dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False)


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a model's folder; raise UserError for one that is not byte-level BPE, or has no end."""
    path = folder / TOKENIZER_FILE
    content = _read_json(path)
    try:
        model, decoder = content["model"], content["decoder"] or {}
        kind = model.get("type", "BPE" if "merges" in model else None)  # old files leave it to be found
        decoders = decoder.get("decoders", [decoder])
        if kind != "BPE" or [part.get("type") for part in decoders] != ["ByteLevel"]:
            raise UserError(
                f"{path} is a {kind} tokenizer, decoded by {decoder.get('type')}: supported is byte-level BPE"
            )
        special = {token["content"]: token["id"] for token in content["added_tokens"] if token["special"]}
        end = _end_of_text(folder, special)
        ranks, pattern = _plain_ranks(content), _split_pattern(content)
        if ranks and pattern and special == {END_OF_TEXT: end}:
            return Tokenizer(folder.name, ranks, pattern, special)
        return ForeignTokenizer(folder.name, content, end)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is not a tokenizer.json that can be read here ({error!r})") from None


def find_tokenizer(spec: str) -> Tokenizer:
    """Return the tokenizer of the model that `spec` names (a folder or a hub name), or one that `open_tokenizer` knows."""
    folder = hub.find_folder(spec, weights=False)
    return read_tokenizer(folder) if hub.is_model_folder(folder) else open_tokenizer(spec)


def _end_of_text(folder: Path, special: dict[str, int]) -> int:
    """Return the token that ends a text: what the tokenizer's settings say, else the model's."""
    name = _read_json(folder / TOKENIZER_CONFIG, missing={}).get("eos_token")
    name = name.get("content") if isinstance(name, dict) else name
    if name in special:
        return special[name]
    for file in (GENERATION_CONFIG, hub.CONFIG):
        index = _read_json(folder / file, missing={}).get("eos_token_id")
        index = index[0] if isinstance(index, list) else index
        if isinstance(index, int):
            return index
    raise UserError(
        f"{folder}: none of its files names an end-of-text token (eos_token): add one to {TOKENIZER_CONFIG}"
    )


def _plain_ranks(content: dict[str, Any]) -> dict[bytes, int] | None:
    """Return the tokens' bytes with their ids, if joining by lowest id is what the merges say, else None."""
    model = content["model"]
    if content["normalizer"] or any(model.get(key) for key in (*_ABSENT[1:], *_OFF)):
        return None
    added = {token["content"] for token in content["added_tokens"]}
    vocabulary = {token: index for token, index in model["vocab"].items() if token not in added}
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    merged = [vocabulary.get(left + right, -1) for left, right in merges]
    singles = sum(len(token) == 1 for token in vocabulary)
    if merged != sorted(set(merged)) or len(merged) + singles != len(vocabulary) or singles != 256:
        return None
    return {
        bytes(BYTE_OF_CHARACTER[character] for character in token): index
        for token, index in vocabulary.items()
    }


def _split_pattern(content: dict[str, Any]) -> str | None:
    """Return the regular expression that splits a text into words, None where something else does."""
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
    """Write tokenizer.json and its settings, from which AutoTokenizer makes the same ids. Raises OSError."""
    end = tokenizer.decode([tokenizer.end_of_text])
    # Every byte is a token, so that nothing is unknown; but converters ask what stands for it.
    named = dict.fromkeys(("bos_token", "eos_token", "unk_token"), end)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **named}
    content = tokenizer.content if isinstance(tokenizer, ForeignTokenizer) else _tokenizer_there(tokenizer)
    for name, value in ((TOKENIZER_FILE, content), (TOKENIZER_CONFIG, settings), (SPECIAL_TOKENS, named)):
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _tokenizer_there(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return tokenizer.json: ranks become a vocabulary and merges, in the byte-level alphabet."""
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": index, "content": name, **special} for name, index in tokenizer.special_tokens.items()]
    vocabulary = {_characters(token): index for token, index in tokenizer.ranks.items()}
    merges = [[_characters(left), _characters(right)] for left, right in _merges(tokenizer.ranks)]
    split: dict[str, Any] = dict(_BYTE_LEVEL, use_regex=True)
    if tokenizer.pattern != GPT2_PATTERN:
        # The library's regular expressions read a + after {1,3} as "again", not as "without going back".
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
    """Yield the two tokens that each longer token is joined from, in the order in which they are joined."""
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


def _read_json(path: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise UserError(f"{path} is missing: get it again") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}): get it again") from None
