"""Queries without labels: each is made from an article, which is the one that should be found.

Three kinds: the words of its title; a sentence without any of them, which is taken out of the text that is indexed; and a
sentence that stays there, with other words for some of its words and its parts in another order. The fourth kind are
questions that people wrote (configs/search_questions.jsonl).
"""

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as parquet

from apps.search.passages import sections, sentences
from apps.search.words import content_words
from corpus.articles import Article, has_text, read_batches
from corpus.sources import Source
from system.files import write_jsonl

KINDS = ("titles", "sentences", "paraphrases")
QUERIES_FILE, ARTICLES_FILE = "queries.jsonl", "articles.parquet"
RESERVE = 1.1  # articles for each query: some give none
MIN_CONTENT_WORDS = 8  # of a sentence that becomes a query
MIN_REPLACED = 2  # words of a paraphrase
LEAST_CHARACTERS = 1500  # of an article that gives queries
ARTICLES_AT_ONCE = 2000  # of the copy in memory
CLAUSE = re.compile(
    r"[,;:]\s+|\s+(?=(?:and|but|which|who|while|when|where|although|because|after|before|until)\s)"
)
WORD = re.compile(r"[a-z]+")
NOT_ARTICLES = ("List of ", "Lists of ", "Index of ", "Outline of ")


class Query(NamedTuple):
    """What is asked, and the article that should be found."""

    kind: str
    split: str  # dev: for choosing weights; test: for the figures
    query: str
    article: str


def prepare(
    source: Source, folder: Path, synonyms: dict[str, list[str]], n_test: int, n_dev: int
) -> list[Query]:
    """Write the articles that are indexed and the queries to a folder, and return the queries.

    Articles are taken in the order of a hash of their ids, so a part of them is the same in any source.
    """
    chosen = choose(source, round(RESERVE * len(KINDS) * (n_test + n_dev)))
    kinds = {id: KINDS[n % len(KINDS)] for n, id in enumerate(chosen)}
    made_of: dict[str, str] = {}
    schema = pa.schema([(name, pa.string()) for name in ("id", "url", "title", "text")])
    with parquet.ParquetWriter(folder / ARTICLES_FILE, schema, compression="zstd") as writer:
        rows = []
        for article in articles(source):
            text, query = article.text or "", ""
            if article.id in kinds:
                query, text = made(kinds[article.id], article, synonyms)
            if query:
                made_of[article.id or ""] = query
            rows.append({"id": article.id, "url": article.url, "title": article.title, "text": text})
            if len(rows) == ARTICLES_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))
    queries = []
    for kind in KINDS:
        ids = [id for id in chosen if kinds[id] == kind and id in made_of][: n_dev + n_test]
        queries += [Query(kind, "dev" if n < n_dev else "test", made_of[id], id) for n, id in enumerate(ids)]
    write_jsonl(folder / QUERIES_FILE, [query._asdict() for query in queries])
    return queries


def articles(source: Source) -> Iterator[Article]:
    """Yield the articles of a source that have text."""
    for batch in read_batches(source):
        yield from filter(has_text, batch.articles)


def choose(source: Source, n: int) -> list[str]:
    """Return the ids of n articles that can give a query of any kind, in the order of a hash."""
    titles: Counter[frozenset[str]] = Counter()
    found: dict[str, frozenset[str]] = {}
    for article in articles(source):
        words = frozenset(content_words(article.title or ""))
        titles[words] += 1
        is_long = len(article.text or "") >= LEAST_CHARACTERS
        if article.id and words and is_long and not (article.title or "").startswith(NOT_ARTICLES):
            found[article.id] = words
    ids = [id for id, words in found.items() if titles[words] == 1]
    return sorted(ids, key=lambda id: hashlib.sha256(id.encode()).digest())[:n]


def made(kind: str, article: Article, synonyms: dict[str, list[str]]) -> tuple[str, str]:
    """Return an article's query of a kind, empty if it gives none, and its text to index."""
    title, text = article.title or "", article.text or ""
    if kind == "titles":
        return " ".join(re.findall(r"\w+", title.lower())), text
    rng = random.Random(f"{kind} {article.id}")
    fitting = [sentence for sentence in body_sentences(text) if is_query(sentence, title)]
    rng.shuffle(fitting)
    if kind == "sentences":
        for sentence in fitting:
            if text.count(sentence) == 1:
                return sentence, text.replace(sentence, "", 1)
        return "", text
    for sentence in fitting:
        query, n_replaced = paraphrased(sentence, synonyms, rng)
        if n_replaced >= MIN_REPLACED:
            return query, text
    return "", text


def body_sentences(text: str) -> list[str]:
    """Return the sentences of an article, without its headings."""
    return [sentence for section in sections(text) for sentence in sentences(section.text)]


def is_query(sentence: str, title: str) -> bool:
    """Return whether a sentence can stand alone: long enough, without a word of the title."""
    words = content_words(sentence)
    return MIN_CONTENT_WORDS <= len(words) <= 40 and not set(words) & set(content_words(title))


def paraphrased(sentence: str, synonyms: dict[str, list[str]], rng: random.Random) -> tuple[str, int]:
    """Return a sentence with other words and its clauses in another order, and how many words were replaced."""
    n_replaced = 0

    def other(match: re.Match) -> str:
        nonlocal n_replaced
        known = synonyms.get(match[0])
        if not known:
            return match[0]
        n_replaced += 1
        return rng.choice(known)

    clauses = [clause.strip() for clause in CLAUSE.split(sentence.rstrip(".!? ")) if clause.strip()]
    clauses = clauses[len(clauses) // 2 :] + clauses[: len(clauses) // 2]
    return WORD.sub(other, ", ".join(clauses)), n_replaced


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """Return other words by word, from lines such as `films: movies, pictures`."""
    lines = (line.partition(":") for line in path.read_text().splitlines() if line.strip())
    return {word.strip(): [other.strip() for other in others.split(",")] for word, _, others in lines}


def read_queries(path: Path) -> list[Query]:
    """Return the queries of a JSONL file."""
    return [Query(**json.loads(line)) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
