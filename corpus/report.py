"""What a preparation prints: progress now and then, and a summary of the finished folder."""

import time
from pathlib import Path

from corpus.manifest import Manifest
from corpus.writer import Journal

PROGRESS_SECONDS = 2.0
MIN_DOCUMENTS, MIN_TOKENS = 20, 10_000  # of a validation split that differs little from another sample
MAX_FRACTION = 0.3  # beyond which too little is left for training


class ProgressPrinter:
    """Prints how far a preparation is, in plain lines that suit a log file."""

    def __init__(self) -> None:
        self._first: tuple[float, float, int] | None = None  # time, done, bytes of text
        self._reported = 0.0

    def report(self, journal: Journal, done: float) -> None:
        """Print a line if the last one is PROGRESS_SECONDS old; `done` is the fraction of the source that is written.

        Speed and time left are measured from the first call, so that start-up does not count.
        """
        now = time.perf_counter()
        text_bytes = sum(split.text_bytes for split in journal.splits.values())
        if self._first is None:
            self._first, self._reported = (now, done, text_bytes), now
        if now - self._reported < PROGRESS_SECONDS:
            return
        self._reported = now
        then, done_then, text_bytes_then = self._first
        speed = (text_bytes - text_bytes_then) / (now - then) / 1e6
        minutes, seconds = divmod(round((1 - done) * (now - then) / max(1e-9, done - done_then)), 60)
        print(
            f"{journal.n_documents:,} articles, {journal.n_tokens:,} tokens, {speed:.1f} MB/s, {done:.0%},"
            f" {minutes} min {seconds:02} s left",
            flush=True,
        )


def print_summary(
    manifest: Manifest, out_dir: Path, seconds: float, tokens_before: int, fix: str = "add --overwrite"
) -> None:
    """Print the content of a finished folder, and the speed of this command, which did not write `tokens_before`.

    `fix` comes before a larger --validation_fraction, where that is needed.
    """
    print(f"\n{'split':8}{'articles':>12}{'tokens':>16}{'text bytes':>16}{'bytes/token':>13}{'shards':>8}")
    for name, split in manifest.splits.items():
        ratio = split.text_bytes / max(1, split.tokens)
        print(
            f"{name:8}{split.documents:12,}{split.tokens:16,}{split.text_bytes:16,}{ratio:13.2f}{len(split.shards):8}"
        )
    print(f"{manifest.skipped_documents:,} articles without text were skipped")
    print(
        f"tokenizer {manifest.tokenizer['name']}, {manifest.tokenizer['vocab_size']:,} tokens, {manifest.dtype}"
    )
    if not manifest.part and (note := validation_note(manifest, fix)):
        print(note)
    speed = (sum(split.tokens for split in manifest.splits.values()) - tokens_before) / seconds
    print(f"{out_dir} is complete: {seconds:.1f} s, {speed:,.0f} tokens/s")


def split_problem(journal: Journal) -> str:
    """Return what is wrong with a preparation that leaves a split without an article, and the fix; "" if none is empty."""
    source, fraction = journal.options["source"], journal.options["validation_fraction"]
    empty = [name for name, split in journal.splits.items() if not split.documents]
    if not empty:
        return ""
    if not journal.n_documents:
        return f"source={source}: must have an article with text ({journal.skipped_documents} are empty)"
    if journal.source["kind"] == "text":
        return f"source={source}: too short to be cut into training and validation text"
    if journal.n_documents == 1:
        return (
            f"source={source}: one document cannot be in two splits: add others, or write its text alone to a"
            " .txt file, whose end is then kept for validation"
        )
    # With a fraction of 3 / n, all of n articles miss the split once in twenty times.
    likely = min(0.5, max(2 * fraction, 3 / journal.n_documents)) if empty == ["val"] else fraction / 2
    return (
        f"validation_fraction={fraction}: leaves none of the {journal.n_documents} articles with text for the split"
        f" {empty[0]!r}: set --validation_fraction={likely:.2g} or add text"
    )


def validation_note(manifest: Manifest, how: str = "add --overwrite") -> str:
    """Return a note that the validation split is too small to judge a model by, "" if it is not."""
    split = manifest.splits["val"]
    in_tokens = manifest.source["kind"] == "text"  # which has one document in each split
    count, least = (split.tokens, MIN_TOKENS) if in_tokens else (split.documents, MIN_DOCUMENTS)
    if count >= least:
        return ""
    fraction = 1.5 * manifest.options["validation_fraction"] * least / max(1, count)
    fix = f"{how} --validation_fraction={fraction:.2g}" if fraction <= MAX_FRACTION else "add text"
    unit = "token" if in_tokens else "document"
    return f"note: {count:,} validation {unit}{'s' * (count != 1)}: too few to judge a model by: {fix}"
