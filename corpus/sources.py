"""Where text comes from: the hub, a folder laid out like a hub dataset, local files, or the built-in corpus.

Owns finding the files of a source. Reading them is left to articles.py. `datasets` is imported only to find the
files of a dataset: pyarrow reads them, ten times as fast.
"""

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from system import hub
from system.errors import UserError
from system.network import reachable

SPLIT = "train"
WAYS_ON = "use --source=builtin, --source='a/local/*.parquet', or HF_HUB_OFFLINE=1 with a dataset in the hub's cache"
FILE_KINDS = (".parquet", ".jsonl", ".jsonl.gz", ".txt")
PAIRS, PAIR_FILES = "pairs:", (".jsonl", ".jsonl.gz")  # files of prompts and completions


class SourceFile(NamedTuple):
    """One file of text; the path of a hub file begins with hf://."""

    path: str
    bytes: int


@dataclass(frozen=True)
class Source:
    """The files to read, in order, and what the manifest says of where they are from."""

    kind: str  # "hub", "folder", "files", "pairs" or "builtin"
    files: tuple[SourceFile, ...]
    dataset: dict[str, str]  # dataset, subset and revision, where there are such

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest's entry."""
        files = [{"path": file.path, "bytes": file.bytes} for file in self.files]
        return {"kind": self.kind, **self.dataset, "files": files}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Source":
        """Undo `to_dict`."""
        files = tuple(SourceFile(**file) for file in content["files"])
        dataset = {key: value for key, value in content.items() if key not in ("kind", "files")}
        return cls(content["kind"], files, dataset)


def find_source(source: str, dataset: str, subset: str, n_shards: int) -> Source:
    """Return the files of `source`: `hub`, `builtin`, a folder, globs separated by commas, or `pairs:` and globs.

    `dataset` is read only for the hub, `subset` and `n_shards` (0: all files) for the hub and folders. Raises
    UserError where there is nothing to read, within 10 seconds where the hub does not answer.
    """
    if source == "builtin":
        return Source("builtin", (SourceFile("builtin", 0),), {})
    if source == "hub":
        return _hub_source(dataset, subset, n_shards)
    if Path(source).is_dir():
        return _dataset_files("folder", source, subset, n_shards)
    kind, patterns = ("pairs", source.removeprefix(PAIRS)) if source.startswith(PAIRS) else ("files", source)
    option, endings = ("--source=pairs:", PAIR_FILES) if kind == "pairs" else ("--source", FILE_KINDS)
    paths: list[str] = []
    for pattern in [patterns] if _matching(patterns) else patterns.split(","):  # a name may have commas
        found = _matching(pattern)
        if not found:
            raise UserError(
                f"--source={source}: no file matches {pattern!r}; quote globs, and look with `ls {pattern}`"
            )
        paths += [path for path in found if path not in paths]
    for path in paths:
        if not path.endswith(endings):
            raise UserError(f"cannot read {path}: {option} takes files that end in {', '.join(endings)}")
    return Source(kind, tuple(SourceFile(path, _size(path)) for path in paths), {})


def looked_at_again(source: Source, begun: int) -> Source:
    """Return the source with the sizes its local files have now, for going on with a preparation.

    Raises UserError if one of the files up to number `begun`, which has been read in part, has changed. A later one
    may have: it may have been cut off, the reason why the preparation stopped.
    """
    if source.kind not in ("files", "folder", "pairs"):
        return source
    files = tuple(SourceFile(file.path, _size(file.path)) for file in source.files)
    for before, now in zip(source.files[: begun + 1], files, strict=False):
        if before != now:
            raise UserError(
                f"{now.path} has {now.bytes} bytes, and had {before.bytes} when this preparation read it: delete the"
                " out_dir to start anew, or choose another"
            )
    return Source(source.kind, files, source.dataset)


def _matching(pattern: str) -> list[str]:
    if os.path.isfile(pattern):
        return [pattern]  # whatever glob would make of its name
    return sorted(path for path in glob.glob(pattern, recursive=True) if not os.path.isdir(path))


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _hub_source(dataset: str, subset: str, n_shards: int) -> Source:
    """Find the files of a hub dataset; offline (HF_HUB_OFFLINE=1), those that the hub's cache holds."""
    offline = hub.is_offline()
    if not offline and not reachable(hub.server()):
        raise UserError(f"cannot reach {hub.server()} for the dataset {dataset}: {WAYS_ON}")
    if not offline:
        return _dataset_files("hub", dataset, subset, n_shards)
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(dataset, repo_type="dataset", local_files_only=True)
    except (OSError, ValueError):
        raise UserError(
            f"the hub's cache has no {dataset}: with a network, `hf download {dataset} --repo-type dataset"
            f" --include '{subset}/*'` puts it there; or use --source=builtin or a local file"
        ) from None
    return _dataset_files("folder", folder, subset, n_shards)


def _dataset_files(kind: str, dataset: str, subset: str, n_shards: int) -> Source:
    """Let `datasets` read the `configs:` of the dataset's README.md, and take its first `n_shards` parquet files."""
    import datasets

    try:
        found = datasets.load_dataset_builder(dataset, subset).config.data_files or {}
    except Exception as error:  # datasets, the hub's library and its HTTP library share no other ancestor
        reason = str(error).partition("\n")[0] or type(error).__name__
        kinds = [ending for ending in FILE_KINDS if _matching(f"{dataset}/*{ending}")] or [".parquet"]
        local = f"; give another --subset, or --source='{dataset}/*{kinds[0]}'"
        ways_on = f"; {WAYS_ON}" if kind == "hub" else local
        raise UserError(f"cannot find the data of {dataset}, --subset={subset}: {reason}{ways_on}") from error
    paths = [str(path) for path in found.get(SPLIT, [])]
    if not paths or not all(path.endswith(".parquet") for path in paths):
        raise UserError(
            f"{dataset}, subset {subset}, has no split {SPLIT!r} in parquet files: name its files in --source"
        )
    if n_shards > len(paths):
        raise UserError(
            f"--n_shards={n_shards}: {dataset} has {len(paths)} parquet files; 0 takes all of them"
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
            f"the hub does not tell the size of {dataset}'s files ({type(error).__name__}): try again"
        ) from error
    revision = paths[0].partition("@")[2].partition("/")[0]  # hf://datasets/owner/name@revision/path
    return Source(kind, files, {**origin, "revision": revision})
