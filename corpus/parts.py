"""The parts of a source that several machines prepare: which files a part reads, and whether data folders are all parts.

A part is a data folder of its own: its manifest lists the files that it read, and of which list they are a part.
"""

import glob
import hashlib
import os
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from corpus.manifest import MANIFEST_FILE, SPLITS, Manifest
from corpus.sources import Source
from corpus.tokenizer import TOKENIZER_FILE
from system.errors import UserError
from system.files import file_hash
from system.settings import listed

PART = re.compile(r"(\d{1,6})/(\d{1,6})")


class Part(NamedTuple):
    """Part `number`, from 1, of `total`."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Return the part that `3/16` names. Raises ValueError for anything else."""
        found = PART.fullmatch(text)
        part = cls(int(found[1]), int(found[2])) if found else cls(0, 0)
        if not 1 <= part.number <= part.total:
            raise ValueError(f"part={text}: must be K/N with K from 1 to N, such as 3/16")
        return part


def part_of(source: Source, part: Part) -> Source:
    """Return the files of a part: consecutive ones, near 1/N of the bytes. Raises UserError if there are too few files."""
    n_files = len(source.files)
    if n_files < part.total:
        raise UserError(
            f"part={part.number}/{part.total}: a part reads whole files, and the source has {n_files} file{'s' * (n_files > 1)}",
            f"set N to at most {n_files}, or divide the files first" if n_files > 1 else "divide it first",
        )
    ends = file_ends([file.bytes for file in source.files], part.total)
    first, end = ([0, *ends])[part.number - 1], ends[part.number - 1]
    paths = b"\0".join(os.fsencode(file.path) for file in source.files)
    whole = {"files": n_files, "first": first, "sha256": hashlib.sha256(paths).hexdigest()}
    return replace(source, files=source.files[first:end], part_of=whole)


def file_ends(sizes: Sequence[int], total: int) -> list[int]:
    """Return the end of each of `total` parts in a list of files: where it is nearest to its share of the bytes.

    No part is empty: there must be as many files as parts.
    """
    assert total <= len(sizes)
    before = [0, *accumulate(sizes)]
    ends = [0]
    for number in range(1, total):
        share = before[-1] * number / total
        place = bisect_left(before, share)
        nearest = place if before[place] - share < share - before[place - 1] else place - 1
        ends.append(min(max(nearest, ends[-1] + 1), len(sizes) - (total - number)))
    return [*ends[1:], len(sizes)]


@dataclass(frozen=True)
class PartFolder:
    """A data folder that is a part, and its manifest."""

    folder: Path
    manifest: Manifest
    manifest_hash: str

    @property
    def part(self) -> Part:
        """Which part it is."""
        return Part.parse(self.manifest.part)

    @property
    def options(self) -> dict[str, Any]:
        """The options without `part`: those of one machine that prepares everything."""
        return {key: value for key, value in self.manifest.options.items() if key != "part"}

    def __str__(self) -> str:
        return f"{self.folder} (part {self.manifest.part})"


def find_parts(merge: str, out_dir: Path) -> list[PartFolder]:
    """Return the folders that `merge` names, in the order of the source: folders or globs of them, separated by commas.

    Raises UserError unless they are all parts of one source, prepared with the same options and tokenizer.
    """
    folders = [folder for pattern in listed(merge) for folder in _folders(pattern)]
    if not folders:
        raise UserError(f"merge={merge}: must name the folders of all parts")
    if out_dir.resolve() in [folder.resolve() for folder in folders]:
        raise UserError(
            f"out_dir={out_dir}: is one of the folders of --merge={merge}: choose another --out_dir"
        )
    parts = [_open_part(folder) for folder in folders]
    first = parts[0]
    for other in parts[1:]:
        if difference := _difference(first, other):
            raise UserError(f"{first} and {other} cannot be merged: {difference}")
    by_number: dict[int, PartFolder] = {}
    for part in parts:
        other = by_number.setdefault(part.part.number, part)
        if other is not part:
            raise UserError(
                f"part {part.manifest.part} is in {other.folder} and in {part.folder}: leave one out"
            )
    total = first.part.total
    missing = [f"{number}/{total}" for number in range(1, total + 1) if number not in by_number]
    if missing:
        raise UserError(
            f"merge={merge}: {_some(missing)} missing: prepare what is missing, and name its folder too"
        )
    ordered = [by_number[number] for number in range(1, total + 1)]
    _check_files(ordered)
    return ordered


def _some(parts: list[str]) -> str:
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return f"part{'s' * (len(parts) > 1)} {', '.join(parts[:3])}{more}"


def _folders(pattern: str) -> list[Path]:
    found = [pattern] if os.path.isdir(pattern) else sorted(filter(os.path.isdir, glob.glob(pattern)))
    if not found:
        raise UserError(f"merge={pattern}: no folder of this name: check the name, and quote globs")
    return [Path(path) for path in found]


def _open_part(folder: Path) -> PartFolder:
    manifest = Manifest.read(folder)
    if not manifest.part:
        raise UserError(f"{folder} is not a part, it was prepared without --part: leave it out")
    return PartFolder(folder, manifest, file_hash(folder / MANIFEST_FILE))


def _difference(one: PartFolder, other: PartFolder) -> str:
    """Return what keeps two folders from being parts of the same data, "" if nothing does."""
    options, others = one.options, other.options
    for key in {**options, **others}:
        if options.get(key) != others.get(key):
            return f"{key} is {options.get(key)!r} in one and {others.get(key)!r} in the other"
    if one.part.total != other.part.total:
        return "all must be of the same number of parts"
    source, another = one.manifest.source, other.manifest.source
    for key in ("kind", "dataset", "subset", "revision"):
        if source.get(key) != another.get(key):
            return f"the {key} of the source is {source.get(key)} in one and {another.get(key)} in the other"
    whole, others_whole = source["part_of"], another["part_of"]
    if whole["files"] != others_whole["files"]:
        return f"the source had {whole['files']} files for one and {others_whole['files']} for the other"
    if whole["sha256"] != others_whole["sha256"]:
        return "the files of the source had other names"
    if one.manifest.tokenizer != other.manifest.tokenizer:
        return f"their {TOKENIZER_FILE} differ"
    return ""


def _check_files(parts: list[PartFolder]) -> None:
    """Raise UserError if files are missing between two parts, or in both: the source was divided in different ways."""
    end = 0
    for before, part in zip([parts[0], *parts], parts, strict=False):
        first = part.manifest.source["part_of"]["first"]
        if first != end:
            raise UserError(
                f"{before} and {part} cannot be merged: one ends at file {end} of the source and the other begins after"
                f" file {first}, because files changed their sizes in between: prepare them again"
            )
        end += len(part.manifest.source["files"])


def whole_source(parts: list[PartFolder]) -> dict[str, Any]:
    """Return the source that one machine would have read, as the manifest has it."""
    source = {key: value for key, value in parts[0].manifest.source.items() if key != "part_of"}
    return {**source, "files": [file for part in parts for file in part.manifest.source["files"]]}


def n_in_all(parts: list[PartFolder], split: str, what: str) -> int:
    """Return the `documents` or `text_bytes` of a split in all parts."""
    assert split in SPLITS
    return sum(getattr(part.manifest.splits[split], what) for part in parts)
