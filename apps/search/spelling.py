"""Words that no article has, and the words of articles that were probably meant.

A typing mistake is a letter too many, too few or wrong, or two in each other's place: the distance of optimal string
alignment counts them. Of the words that are near, the one is taken that is frequent for its distance, as in a noisy channel
(Kernighan, Church and Gale 1990).
"""

import math
from functools import cached_property
from pathlib import Path

import lancedb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet
from rapidfuzz import process
from rapidfuzz.distance import OSA

from apps.search.database import Database, Hit
from apps.search.embedders import TableEmbedder
from apps.search.words import STOP_WORDS, words

VOCABULARY_FILE = "words.parquet"
LEAST_LETTERS, LEAST_COUNT = 4, 3  # of a word that another is taken for
LEAST_PART = 5e-7  # of all words, in a large index
MIN_LENGTH, MAX_LENGTH = 5, 30  # of a word that is corrected
LONG = 7  # letters, from which there may be two mistakes
MISTAKE = 4.0  # what one takes off the logarithm of a word's frequency
LEAST_SCORE = -3.0  # so with two mistakes a word must occur 150 times
BATCH = 4096  # passages


class Vocabulary:
    """The words of an index's texts with how often they occur, read when first needed.

    Raises OSError or ValueError if they cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / VOCABULARY_FILE

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each word occurs; rare ones are left out."""
        table = parquet.read_table(self.path)
        return dict(zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True))

    def nearest(self, word: str) -> str:
        """Return the word that was probably meant; empty if none is near, or the nearest says nothing, such as "which"."""
        most = 2 if len(word) >= LONG else 1
        near = process.extract(word, self.counts.keys(), scorer=OSA.distance, score_cutoff=most, limit=None)
        scores = {
            other: math.log(self.counts[other]) - MISTAKE * distance
            for other, distance, _ in near
            if other[0] == word[0]
        }
        best = max(scores, key=scores.__getitem__, default="")
        return best if best and scores[best] >= LEAST_SCORE and best not in STOP_WORDS else ""


def write_vocabulary(folder: Path, table: lancedb.table.Table) -> None:
    """Count the words of all passages of an index."""
    parts = [pa.table({"word": pa.array([], pa.string()), "count": pa.array([], pa.int64())})]
    for batch in table.search().select(["text"]).limit(None).to_batches(BATCH):
        found = pc.split_pattern_regex(pc.utf8_lower(batch["text"]), r"[^\pL\pM]+")
        counted = pc.value_counts(pc.list_flatten(found))
        parts.append(pa.table({"word": counted.field("values"), "count": counted.field("counts")}))
    counts = (
        pa.concat_tables(parts)
        .group_by("word")
        .aggregate([("count", "sum")])
        .rename_columns(["word", "count"])
    )
    is_long = pc.greater_equal(pc.utf8_length(counts["word"]), LEAST_LETTERS)
    least = max(LEAST_COUNT, (pc.sum(counts["count"]).as_py() or 0) * LEAST_PART)
    kept = counts.filter(pc.and_(is_long, pc.greater_equal(counts["count"], least)))
    partial = folder / f"{VOCABULARY_FILE}.tmp"
    parquet.write_table(kept.sort_by("word"), partial)
    partial.replace(folder / VOCABULARY_FILE)


def corrections(
    database: Database, vocabulary: Vocabulary, table: TableEmbedder, query: str, found: list[Hit]
) -> dict[str, str]:
    """Return the words of a query that are in no article, and what was probably meant, as far as that can be told.

    `found` is what the query found: words in it need no search. Nor do words that are a token of the table: they are rare in
    this index, but no mistakes.
    """
    text = " ".join(f"{hit.title} {hit.text}" for hit in found).casefold()
    corrected: dict[str, str] = {}
    for word in dict.fromkeys(words(query)):
        if not MIN_LENGTH <= len(word) <= MAX_LENGTH or not word.isalpha() or word in STOP_WORDS:
            continue
        if word in text or word in vocabulary.counts or len(next(table.tokens([word]))) == 1:
            continue
        if any(len(database.by_words(word, column, 1).rows) for column in ("text", "title")):
            continue
        if nearest := vocabulary.nearest(word):
            corrected[word] = nearest
    return corrected
