"""A data folder on disk: its files, what `manifest.json` says about them, and the check of their hashes.

The folder holds `manifest.json`, `tokenizer.json` and, for each split, headerless little-endian shards
`train_00000.bin`, `train_00001.bin`, ...: one stream of tokens, cut at a fixed size; documents run across the cuts.
"""

import contextlib
import hashlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from system.errors import UserError
from system.files import reject_lfs_pointer
from system.recipes import preparation

MANIFEST_FILE = "manifest.json"
JOURNAL_FILE = "journal.json"  # exists while a preparation is unfinished; corpus/writer.py writes it
MANIFEST_FORMAT = 1
SPLITS = ("train", "val")
NO_LOSS = 2**31  # this bit marks a prompt's tokens, which do not count in the loss
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Shard:
    """One file of tokens."""

    name: str
    tokens: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """The shards of one split, in order, and what they hold."""

    documents: int
    tokens: int  # including one end-of-text token per document
    text_bytes: int  # UTF-8 bytes of the documents, prompts included; end-of-text adds none
    shards: tuple[Shard, ...]

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Split":
        """Undo `dataclasses.asdict`."""
        return cls(**{**content, "shards": tuple(Shard(**shard) for shard in content["shards"])})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of `manifest.json`. Equal preparations write equal manifests: no times, no machine names."""

    format: int = MANIFEST_FORMAT
    dtype: str  # "uint16" or "uint32", little-endian
    tokenizer: dict[str, Any]  # name, hash, vocab_size, end_of_text
    splits: dict[str, Split]
    skipped_documents: int  # without text
    source: dict[str, Any]  # kind; dataset, subset and revision if it has them; files with their sizes
    options: dict[str, Any]  # the options that decide the content

    @property
    def has_pairs(self) -> bool:
        """Whether each document is a prompt with its completion, read as one sequence."""
        return self.source["kind"] == "pairs"

    @property
    def part(self) -> str:
        """Which part of the source's files it is of, such as 3/16; "" for all files."""
        return str(self.options.get("part", ""))

    @property
    def shards(self) -> list[Shard]:
        """The shards of all splits."""
        return [shard for split in self.splits.values() for shard in split.shards]

    def summary(self) -> dict[str, str | int]:
        """Return what a checkpoint records about its data: source, tokenizer name and tokens per split."""
        files = [file["path"] for file in self.source["files"]]
        origin = [self.source[key] for key in ("dataset", "subset", "revision") if key in self.source]
        origin += [f"part {self.part}"] if self.part else []
        is_builtin = self.source["kind"] == "builtin"
        names = files if is_builtin else [f"{len(files)} file(s), {Path(files[0]).name} first"]
        counts = {f"{name}_tokens": split.tokens for name, split in self.splits.items()}
        texts = {"source": " ".join([*origin, *names]), "tokenizer": self.tokenizer["name"]}
        # A path that is not UTF-8 is only shown here, and what shows it may not accept surrogates.
        shown = {
            key: text.encode(errors="surrogateescape").decode(errors="replace") for key, text in texts.items()
        }
        return {**shown, **counts}

    def to_json(self) -> str:
        """Return the text of the file."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"
        # File names that are not UTF-8 have surrogates: backslashreplace writes them as JSON does, \udce9.
        return text.encode(errors="backslashreplace").decode()

    @classmethod
    def read(cls, data_dir: str | Path) -> "Manifest":
        """Read the manifest of a finished data folder. Raises UserError if it is missing or invalid."""
        path = Path(data_dir) / MANIFEST_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != MANIFEST_FORMAT:
                raise UserError(
                    f"{path} has format {content['format']}, this code reads {MANIFEST_FORMAT}: {remedy(data_dir)}"
                )
            splits = {name: Split.from_dict(split) for name, split in content["splits"].items()}
            return cls(**{**content, "splits": splits})
        except FileNotFoundError:
            raise UserError(_missing_manifest(Path(data_dir))) from None
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            reject_lfs_pointer(path)
            raise UserError(
                f"{path} is not a manifest written by prepare_data.py: {remedy(data_dir)}"
            ) from None


def check_shards(data_dir: str | Path, manifest: Manifest) -> Iterator[str]:
    """Compare the sha256 of every shard with the manifest, reading one chunk per step so that the caller can pause.

    Yields "" after each chunk, and one sentence for each shard that is corrupt or cannot be read.
    """
    buffer = memoryview(bytearray(CHUNK_BYTES))
    for shard in manifest.shards:
        path, digest = Path(data_dir) / shard.name, hashlib.sha256()
        try:
            with open(path, "rb", buffering=0) as file:
                while n_bytes := file.readinto(buffer):
                    digest.update(buffer[:n_bytes])
                    yield ""
        except OSError as error:
            yield f"cannot read {path} ({error.strerror})"
            continue
        if digest.hexdigest() != shard.sha256:
            yield f"{path} is corrupt (its sha256 differs from the manifest)"


def remedy(data_dir: str | Path) -> str:
    """Return the fix for a damaged data folder; prepare_data.py would keep the files that it finds in it."""
    command = _command(Path(data_dir))
    return f"delete {data_dir} and prepare it again{f' with `{command}`' if command else ''}"


def _missing_manifest(data_dir: Path) -> str:
    command = f"python prepare_data.py --out_dir={shlex.quote(str(data_dir))}"
    if (data_dir / JOURNAL_FILE).exists():
        same = _command(data_dir)
        rerun = f"`{same}`" if same else f"`{command}` with the same options"
        return f"the preparation of {data_dir} is unfinished: rerun {rerun} to resume"
    return f"no {MANIFEST_FILE} in {data_dir}: run {preparation(data_dir)} first"


def _command(data_dir: Path) -> str:
    """Return the command that made a data folder, "" if its manifest and journal do not tell."""
    for name in (MANIFEST_FILE, JOURNAL_FILE):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            options = json.loads((data_dir / name).read_text(encoding="utf-8"))["options"]
            settings = [f"--{key}={value}" for key, value in options.items()]
            if settings:
                return shlex.join(["python", "prepare_data.py", *settings, f"--out_dir={data_dir}"])
    return ""
