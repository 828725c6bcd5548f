"""GPT-2's older tokenizer files, vocab.json and merges.txt, as the tokenizer.json that they correspond to."""

import json
from pathlib import Path
from typing import Any

from corpus.tokenizer import END_OF_TEXT
from system.errors import UserError
from system.files import cannot_read

VOCABULARY, MERGES, ADDED_TOKENS = "vocab.json", "merges.txt", "added_tokens.json"
CLASSES = (None, "GPT2Tokenizer", "GPT2TokenizerFast")


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
        code = f"from transformers import AutoTokenizer as T; T.from_pretrained('{folder}').save_pretrained('{folder}')"
        raise UserError(
            f"no tokenizer.json in {folder}, and {VOCABULARY} with {MERGES} suffice for GPT-2's tokenizer only, not for"
            f' {kind}: write it with `python -c "{code}"`'
        )
    try:
        json.loads(vocabulary.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise cannot_read(vocabulary, error) from None
    try:
        prefix = bool(settings.get("add_prefix_space"))
        found = ByteLevelBPETokenizer(str(vocabulary), str(merges), add_prefix_space=prefix)
        added = _added_tokens(folder, settings, found.get_vocab())
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


def _added_tokens(
    folder: Path, settings: dict[str, Any], vocabulary: dict[str, int]
) -> dict[int, dict[str, Any]]:
    """Return the tokens that no merge makes, by id: the end of text, and what the folder's other files list."""
    end = settings.get("eos_token") or END_OF_TEXT
    names = {name: vocabulary[name] for name in (END_OF_TEXT, str(end)) if name in vocabulary}
    if (folder / ADDED_TOKENS).is_file():
        names |= json.loads((folder / ADDED_TOKENS).read_text(encoding="utf-8"))
    listed = settings.get("added_tokens_decoder") or {}
    special = {index: {"content": name, "special": True} for name, index in names.items()}
    return special | {int(index): item for index, item in listed.items()}
