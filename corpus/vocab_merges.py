"""GPT-2's older tokenizer files, vocab.json and merges.txt, as the tokenizer.json that they correspond to."""

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from corpus.tokenizer import END_OF_TEXT
from system.errors import UserError
from system.files import cannot_read, read_json

VOCABULARY, MERGES, ADDED_TOKENS = "vocab.json", "merges.txt", "added_tokens.json"
SPECIAL_TOKENS = "special_tokens_map.json"
CLASSES = (None, "GPT2Tokenizer", "GPT2TokenizerFast")
WRITE_TOKENIZER = "import sys; from transformers import AutoTokenizer as T; d = sys.argv[1]; T.from_pretrained(d).save_pretrained(d)"


def read_vocab_merges(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what the tokenizer.json that `folder` lacks would hold.

    `settings` are those of tokenizer_config.json. Raises UserError if the files are missing, broken or of another
    tokenizer than GPT-2's, which may normalize or split text in its own way.
    """
    import tokenizers
    from tokenizers.implementations import ByteLevelBPETokenizer

    vocabulary, merges = folder / VOCABULARY, folder / MERGES
    if not (vocabulary.is_file() and merges.is_file()):
        raise UserError(
            f"no tokenizer.json in {folder}, nor {VOCABULARY} with {MERGES}: download the model's tokenizer too"
        )
    kind = settings.get("tokenizer_class")
    if kind not in CLASSES:
        raise UserError(
            f"no tokenizer.json in {folder}, and {VOCABULARY} with {MERGES} suffice for GPT-2's tokenizer only, not for"
            f' {kind}: write it with `python -c "{WRITE_TOKENIZER}" {shlex.quote(str(folder))}`'
        )
    ids = read_json(vocabulary)
    words, others = (read_json(folder / name, missing={}) for name in (ADDED_TOKENS, SPECIAL_TOKENS))
    try:
        lines = merges.read_text(encoding="utf-8-sig").split("\n")
        pairs: Any = [tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")]
        prefix = bool(settings.get("add_prefix_space"))
        found = ByteLevelBPETokenizer(ids, pairs, add_prefix_space=prefix)
        added = _added_tokens(settings, others, ids, words)
        found.add_tokens(
            [tokenizers.AddedToken(**{"normalized": False, **added[index]}) for index in sorted(added)]
        )
    except Exception as error:  # the library has no narrower class
        raise cannot_read(merges, error) from None
    wrong = [item["content"] for index, item in added.items() if found.token_to_id(item["content"]) != index]
    if wrong:
        raise UserError(
            f"{folder}: the id of the added token {wrong[0]!r} does not follow those of {VOCABULARY}"
        )
    return json.loads(found.to_str())


def known_tokens(tokens: Iterable[Any], ids: Mapping[str, int]) -> dict[str, int]:
    """Return those special tokens that have ids, with them; settings may describe a token by an object, or as null."""
    names = [token["content"] if isinstance(token, dict) else token for token in tokens]
    return {name: ids[name] for name in names if name in ids}


def _added_tokens(
    settings: dict[str, Any], others: dict[str, Any], vocabulary: dict[str, int], words: dict[str, int]
) -> dict[int, dict[str, Any]]:
    """Return the tokens that no merge makes, by id: the end of text, and those that the folder's other files list."""
    ends = known_tokens([settings.get("eos_token"), END_OF_TEXT], vocabulary)
    names = (ends or known_tokens([others.get("eos_token")], vocabulary)) | words
    listed = settings.get("added_tokens_decoder") or {}
    special = {index: {"content": name, "special": True} for name, index in names.items()}
    return special | {int(index): item for index, item in listed.items()}
