"""The settings of prepare_data.py: what to prepare and how, which of them decide the data, and the source that they name."""

import os
from dataclasses import dataclass, fields
from typing import Any

from corpus.bpe import bpe_size
from corpus.parts import Part, part_of
from corpus.sources import Source, find_source
from system.errors import UserError
from system.progress import announced
from system.settings import PathsText, PathText, checked

MIN_SHARD_TOKENS = 10_000  # puts all of English Wikipedia in fewer than a million files
_SOURCE = "source, with globs of text files: --source='mine/*.txt'"
# What Hugging Face and others call the settings, each with ours and what differs, or with a hint where we have none.
OTHER_NAMES = {
    "block_size": "a setting of train.py: the tokens are stored as one stream",
    "data_dir": "out_dir for the folder to write, source for the text to read",
    "dataset_config": "subset",
    "dataset_config_name": "subset",
    "dataset_name": "dataset",
    "encoding": "tokenizer, which is a tiktoken encoding, bpe:N, bytes, a run or a model",
    **dict.fromkeys(("data_files", "file", "input", "input_file", "text_file", "train_file"), _SOURCE),
    "model_name_or_path": "tokenizer, which may be a run or a model",
    "num_files": "n_shards, the parquet files of a hub dataset to read",
    "num_proc": "workers",
    "num_workers": "workers",
    **dict.fromkeys(("out", "output", "output_dir"), "out_dir"),
    "force": "overwrite",
    "seed": "not needed: a hash of its id decides an article's split",
    "shard_size": "shard_tokens, in tokens",
    "split": "not available: the split train is read, and validation_fraction of it held out",
    "test_size": "validation_fraction",
    "tokenizer_name": "tokenizer",
    "val_fraction": "validation_fraction",
    "validation_split": "validation_fraction",
    "validation_split_percentage": "validation_fraction, as a fraction",
    "vocab_size": "tokenizer, as bpe:N for a vocabulary of N tokens trained on this text",
}


@checked
@dataclass(frozen=True)
class PrepareConfig:
    """What to prepare, and how. Raises ValueError on invalid values."""

    out_dir: PathText = "data/wikipedia"  # the folder for shards, tokenizer and manifest
    source: PathsText = (
        "hub"  # hub, builtin, a folder like a hub dataset, globs of text files, or pairs:*.jsonl
    )
    dataset: str = "wikimedia/wikipedia"  # the hub dataset to read
    subset: str = "20231101.en"  # its subset (hub and folder)
    n_shards: int = 1  # parquet files of the subset to read; 0: all (hub and folder)
    tokenizer: PathText = (
        "gpt2"  # a tiktoken encoding, bpe:N (trained on this text), bytes, a run, or a model
    )
    validation_fraction: float = 0.01  # fraction of the articles, by a hash of their ids, kept for validation
    shard_tokens: int = 100_000_000  # tokens per shard file, at least 10,000
    part: str = ""  # K/N, such as 3/16: prepare this part of the source's files only, to join all N later
    merge: PathsText = ""  # folders of parts, or globs of them: join them in out_dir, with their options
    tokenizer_only: bool = False  # only write the tokenizer to out_dir, for the --tokenizer of all parts
    workers: int = 0  # tokenizing processes; 0: one per core, at most 8; does not change the files
    verify: bool = False  # only check the hashes of a finished out_dir
    overwrite: bool = False  # replace the data in out_dir, after asking twice on a terminal

    other_names = OTHER_NAMES

    def __post_init__(self) -> None:
        if self.merge:
            self._check_only_merges()
        is_trained = bpe_size(self.tokenizer) is not None
        if self.part:
            Part.parse(self.part)
        if self.part and self.tokenizer_only:
            raise ValueError(f"part={self.part}: leave it out, as all parts have one tokenizer")
        if self.part and is_trained:
            raise ValueError(
                f"tokenizer={self.tokenizer}: a part alone cannot train it: run the command once with --tokenizer_only,"
                " without --part and with another --out_dir, then set --tokenizer to that folder for all parts"
            )
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction}: must be above 0 and below 1: train.py evaluates on it"
            )
        for name, least in (("shard_tokens", MIN_SHARD_TOKENS), ("n_shards", 0), ("workers", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")

    def _check_only_merges(self) -> None:
        """Raise ValueError for a setting that a merge does not have."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("merge", "out_dir", "overwrite") and value != field.default:
                raise ValueError(
                    f"{field.name}={value}: leave it out, --merge takes the options of the parts"
                )


def content_options(config: PrepareConfig) -> dict[str, Any]:
    """Return the options that decide the content of the folder."""
    options: dict[str, Any] = {"source": config.source}
    if config.source == "hub":
        options["dataset"] = config.dataset
    if config.source == "hub" or os.path.isdir(config.source):
        options |= {"subset": config.subset, "n_shards": config.n_shards}
    options |= {
        "tokenizer": config.tokenizer,
        "validation_fraction": config.validation_fraction,
        "shard_tokens": config.shard_tokens,
    }
    return options | ({"part": config.part} if config.part else {})


def source_of(config: PrepareConfig) -> Source:
    """Return the files to read: those of the part, if there is one."""
    with announced(f"finding the files of {config.dataset if config.source == 'hub' else config.source}"):
        source = find_source(config.source, config.dataset, config.subset, config.n_shards)
    if not config.part:
        return source
    try:
        return part_of(source, Part.parse(config.part))
    except UserError as error:
        if "n_shards" in content_options(config) and config.n_shards:
            raise UserError(
                error.problem,
                f"set --n_shards=0 to read all files, or N to at most {config.n_shards}",
            ) from None
        raise
