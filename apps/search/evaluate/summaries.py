"""How like an article's lead are summaries of the rest of it.

ROUGE (Lin 2004) compares words, pairs of words and the longest common subsequence. Beside ours: the first three sentences
(lead-3), and the three that are most like all others (LexRank, Erkan and Radev 2004).
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from apps.search.database import Hit
from apps.search.embedders import Embedder, normalized
from apps.search.evaluate.figures import with_error
from apps.search.extract import extract
from apps.search.passages import passages, sentences
from apps.search.ranking import Found
from apps.search.words import content_words
from apps.search.written import Writer, Written
from system.errors import UserError
from system.progress import tracked

N_SENTENCES = 3  # of lead-3 and LexRank
DAMPING, N_ITERATIONS = 0.85, 50  # of LexRank


class Made(NamedTuple):
    """The summaries of an article."""

    texts: dict[str, str]  # by what made them
    written: list[Written]  # by the model


def summaries(rows: Sequence[dict[str, Any]], embedder: Embedder, writer: Writer | None) -> list[Made]:
    """Return each article's summaries: rows have its title, and its body without the lead."""
    made = []
    for row in tracked(rows, "summarizing"):
        found = as_found(row["title"], row["body"])
        extracted = " ".join(one.text for one in extract(row["title"], [found], embedder))
        parts = sentences(row["body"])
        texts = {"extract": extracted, "lead-3": " ".join(parts[:N_SENTENCES]), "LexRank": lexrank(parts)}
        written = list(writer.write(row["title"], [found])) if writer else []
        if writer:
            texts["all that the model wrote"] = " ".join(one.text for one in written)
            supported = " ".join(one.text for one in written if one.source is not None)
            texts["what of it is supported, else extract"] = supported or extracted
        made.append(Made(texts, written))
    return made


def as_found(title: str, body: str) -> Found:
    """Return an article as a search returns it, with its passages in order."""
    none = np.empty(0, np.uint16)
    parts = enumerate(passages(body))
    return Found(1.0, [Hit(title, n, title, passage.section, "", passage.text, none) for n, passage in parts])


def lexrank(parts: Sequence[str]) -> str:
    """Return the sentences that are most like all others, in reading order."""
    counts = [Counter(content_words(part)) for part in parts]
    documents = Counter(word for count in counts for word in count)
    words = {word: place for place, word in enumerate(documents)}
    vectors = np.zeros((len(parts), len(words)))
    for row, count in zip(vectors, counts, strict=True):
        for word, n in count.items():
            row[words[word]] = n * math.log(1 + len(parts) / documents[word])
    vectors = normalized(vectors)
    links = vectors @ vectors.T
    links /= np.maximum(links.sum(1, keepdims=True), 1e-12)
    rank = np.full(len(parts), 1 / len(parts))
    for _ in range(N_ITERATIONS):
        rank = (1 - DAMPING) / len(parts) + DAMPING * rank @ links
    best = np.argsort(-rank, kind="stable")[:N_SENTENCES]
    return " ".join(parts[n] for n in sorted(best))


def report(rows: Sequence[dict[str, Any]], made: Sequence[Made]) -> str:
    """Return a table of ROUGE's F-measures against the leads, with standard errors."""
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise UserError("rouge-score is not installed: run `pip install rouge-score`") from None
    kinds = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(kinds, use_stemmer=True)
    lines = ["| summary | words | ROUGE-1 | ROUGE-2 | ROUGE-L |", "|---|---|---|---|---|"]
    for name in made[0].texts:
        scores = [scorer.score(row["lead"], one.texts[name]) for row, one in zip(rows, made, strict=True)]
        n_words = np.mean([len(one.texts[name].split()) for one in made])
        cells = [with_error(np.array([score[kind].fmeasure for score in scores])) for kind in kinds]
        lines.append(f"| {name} | {n_words:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)
