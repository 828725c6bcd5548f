"""Finding the files of a source: the hub, a folder laid out like a hub dataset, local files, or the built-in corpus.

`datasets` only finds the files of a dataset; pyarrow reads them (in articles.py), ten times as fast.
"""

import glob
import os
import re
import shlex
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from corpus.input_files import DECOMPRESSED, file_ending, uncompressed_name
from system import hub
from system.errors import UserError
from system.network import reachable

SPLIT = "train"
ALTERNATIVES = "use --source=builtin, --source='a/local/*.parquet', or HF_HUB_OFFLINE=1 with a dataset in the hub's cache"
PAIRS = "pairs:"  # before the globs of prompts and completions
# What a file's name ends in without the ending of a compressed one; or it has none, as wikiextractor's wiki_00.
PARQUET, OBJECT_FILES, TEXT_FILES = ".parquet", (".jsonl", ".json", ".ndjson"), (".txt",)
DUMP = re.compile(r"\.xml(-p\d+p\d+)?(\.(bz2|gz|xz|zst|7z))?$")
DUMP_INDEX = "-multistream-index"


class SourceFile(NamedTuple):
    """One file of text; the path of a hub file begins with hf://."""

    path: str
    bytes: int


@dataclass(frozen=True)
class Source:
    """The files to read, in order, and where they come from."""

    kind: str  # "hub", "folder", "files", "text" (a single one), "pairs" or "builtin"
    files: tuple[SourceFile, ...]
    dataset: dict[str, str]  # dataset, subset and revision, if the source has them
    part_of: dict[str, Any] = field(default_factory=dict)  # for a part: the list of files that it is of

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest's entry."""
        files = [{"path": file.path, "bytes": file.bytes} for file in self.files]
        part_of = {"part_of": self.part_of} if self.part_of else {}
        return {"kind": self.kind, **self.dataset, **part_of, "files": files}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Source":
        """Undo `to_dict`."""
        files = tuple(SourceFile(**file) for file in content["files"])
        others = ("kind", "files", "part_of")
        dataset = {key: value for key, value in content.items() if key not in others}
        return cls(content["kind"], files, dataset, content.get("part_of", {}))


def find_source(source: str, dataset: str, subset: str, n_shards: int) -> Source:
    """Return the files of `source`: `hub`, `builtin`, a folder, globs separated by commas, or `pairs:` and globs.

    `dataset` is used only for the hub, `subset` and `n_shards` (0: all files) for the hub and folders. Raises
    UserError if there is nothing to read, within 10 seconds if the hub does not answer.
    """
    if source == "builtin":
        return Source("builtin", (SourceFile("builtin", 0),), {})
    if source == "hub":
        return _hub_source(dataset, subset, n_shards)
    if os.path.isdir(source):
        return _dataset_files("folder", source, subset, n_shards)
    kind, patterns = ("pairs", source.removeprefix(PAIRS)) if source.startswith(PAIRS) else ("files", source)
    paths: list[str] = []
    for pattern in (
        [patterns] if _matching(patterns) else patterns.split(",")
    ):  # a file's name may have commas
        found = _matching(pattern)
        if not found:
            raise UserError(f"source={source}: no file matches {pattern!r}: {_source_hint(pattern)}")
        paths += [path for path in found if path not in paths]
    for path in paths:
        _check_name(path, kind)
    if len(paths) == 1 and file_ending(paths[0]) in TEXT_FILES:
        kind = "text"
    return Source(kind, tuple(SourceFile(path, _size(path)) for path in paths), {})


def _check_name(path: str, kind: str) -> None:
    """Raise UserError if the name is not one of a file that this kind of source reads."""
    if DUMP.search(path):
        raise UserError(_dump_hint(path))
    if DUMP_INDEX in os.path.basename(path):
        raise UserError(f"{path} is the index of a Wikipedia dump, not its text: leave it out")
    if not _is_readable(path, kind):
        endings = OBJECT_FILES if kind == "pairs" else (PARQUET, *OBJECT_FILES, *TEXT_FILES)
        option, which = ("--source=pairs:", "") if kind == "pairs" else ("--source", f" all but {PARQUET}")
        raise UserError(
            f"cannot read {path}: {option} must name files that end in {', '.join(endings)};"
            f" {', '.join(DECOMPRESSED)} may follow{which}"
        )


def _is_readable(path: str, kind: str) -> bool:
    """Return whether the name is one of a file that this kind of source reads."""
    if kind == "files" and (path.lower().endswith(PARQUET) or file_ending(path) in TEXT_FILES):
        return DUMP_INDEX not in os.path.basename(path)
    has_no_ending = "." not in os.path.basename(uncompressed_name(path)) and os.path.isfile(path)
    return has_no_ending or file_ending(path) in OBJECT_FILES


def _dump_hint(path: str) -> str:
    return (
        f"{path} is a Wikipedia dump: extract its text with `pip install wikiextractor` and"
        f" `wikiextractor --json --html-safe '' -o extracted {shlex.quote(path)}`, then run"
        " `python prepare_data.py --source='extracted/*/wiki_*'` with your other settings"
    )


def _source_hint(pattern: str) -> str:
    """Return the fix for a source that is neither a keyword, nor a folder, nor matches a file."""
    plain = re.sub(r"[^a-z]", "", pattern.lower())
    if plain in ("hub", "builtin"):
        return f"did you mean {plain}?"
    if hub.NAME.fullmatch(pattern) and not os.path.exists(os.path.dirname(pattern)):
        return f"for a dataset on the hub, set --source=hub --dataset={pattern}"
    if glob.has_magic(pattern):
        return "check the pattern and the folder that it names, and quote globs"
    here = "" if os.path.isabs(pattern) else f" in {os.getcwd()}"
    return f"there is no file or folder of this name{here}" if pattern else "set a folder or files"


def with_current_sizes(source: Source, current: int) -> Source:
    """Return the source of a preparation to resume, with its local files' sizes of now.

    Raises UserError if a file up to number `current`, the one being read, has changed. Later files may change: one may
    have been fixed because the preparation stopped at it.
    """
    if source.kind not in ("files", "folder", "pairs", "text"):
        return source
    files = tuple(SourceFile(file.path, _size(file.path)) for file in source.files)
    for before, now in zip(source.files[: current + 1], files, strict=False):
        if before != now:
            raise UserError(
                f"{now.path} has {now.bytes} bytes, but had {before.bytes} when this preparation read it: add"
                " --overwrite to start over, or choose another --out_dir"
            )
    return replace(source, files=files)


def _folder_hint(folder: str) -> str:
    """Return the fix for a folder that is not laid out like a hub dataset: a glob of files in it, the top ones first."""
    folder = folder.rstrip("/") or "/"
    order = (PARQUET, *OBJECT_FILES, *TEXT_FILES, "")
    paths = _matching(f"{glob.escape(folder)}/**")
    named = [path for path in paths if file_ending(path) or os.path.basename(path).startswith("wiki_")]
    ranked = {
        path: (os.path.dirname(path) != folder, order.index(file_ending(path)))
        for path in named
        if _is_readable(path, "files")
    }
    if not ranked:
        dump = next(filter(DUMP.search, paths), None)
        return _dump_hint(dump) if dump else "it has no files to read: set another --source"
    first = min(ranked, key=ranked.__getitem__)
    ending = first.removeprefix(os.path.splitext(uncompressed_name(first))[0])
    place, start = "**/" if ranked[first][0] else "", "" if file_ending(first) else "wiki_"
    pattern = f"{glob.escape(folder)}/{place}{start}*{ending}"
    subset = "set another --subset, or " if file_ending(first) == PARQUET else ""
    return f"{subset}set --source={shlex.quote(pattern)}"


def _matching(pattern: str) -> list[str]:
    if os.path.isfile(pattern):
        return [pattern]  # even if its name has glob characters
    return sorted(path for path in glob.glob(pattern, recursive=True) if not os.path.isdir(path))


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _hub_source(dataset: str, subset: str, n_shards: int) -> Source:
    """Find the files of a hub dataset; offline (HF_HUB_OFFLINE=1), those in the hub's cache."""
    offline = hub.is_offline()
    if not offline and not reachable(hub.server()):
        raise UserError(f"cannot reach {hub.server()} for the dataset {dataset}: {ALTERNATIVES}")
    if not offline:
        return _dataset_files("hub", dataset, subset, n_shards)
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(dataset, repo_type="dataset", local_files_only=True)
    except (OSError, ValueError):
        raise UserError(
            f"the hub's cache has no {dataset}: run `hf download {dataset} --repo-type dataset --include '{subset}/*'`"
            " with a network, or use --source=builtin or a local file"
        ) from None
    return _dataset_files("folder", folder, subset, n_shards)


def _dataset_files(kind: str, dataset: str, subset: str, n_shards: int) -> Source:
    """Let `datasets` find the files in the dataset's README.md, and return the first `n_shards` parquet files."""
    import datasets

    try:
        found = datasets.load_dataset_builder(dataset, subset).config.data_files or {}
    except Exception as error:  # datasets, the hub's library and its HTTP library share no other ancestor
        reason = str(error).partition("\n")[0] or type(error).__name__
        fix = ALTERNATIVES if kind == "hub" else _folder_hint(dataset)
        if kind == "folder" and not os.path.exists(os.path.join(dataset, "README.md")):
            raise UserError(f"{dataset} has no README.md with the subsets of a hub dataset: {fix}") from None
        raise UserError(f"cannot find the data of {dataset}, --subset={subset} ({reason}): {fix}") from error
    paths = [str(path) for path in found.get(SPLIT, [])]
    if not paths or not all(path.endswith(".parquet") for path in paths):
        raise UserError(
            f"{dataset}, --subset={subset}: has no split {SPLIT!r} in parquet files: name its files in --source"
        )
    if n_shards > len(paths):
        raise UserError(
            f"n_shards={n_shards}: must be at most {len(paths)}, the number of parquet files in {dataset}, or 0 for all"
        )
    paths = paths[:n_shards] if n_shards else paths
    origin = {"dataset": dataset, "subset": subset}
    if kind == "folder":
        return Source(kind, tuple(SourceFile(path, _size(path)) for path in paths), origin)
    from huggingface_hub import HfFileSystem

    try:
        files = tuple(SourceFile(path, int(HfFileSystem().info(path)["size"])) for path in paths)
    except Exception as error:  # as above
        raise UserError(
            f"the hub did not send the file sizes of {dataset} ({type(error).__name__}): rerun the same command"
        ) from error
    revision = paths[0].partition("@")[2].partition("/")[0]  # hf://datasets/owner/name@revision/path
    return Source(kind, files, {**origin, "revision": revision})
