"""Queries that are made from articles, the questions that people wrote, and the figures."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from apps.search.build import build
from apps.search.config import IndexConfig
from apps.search.evaluate.__main__ import EvaluateConfig, bootstrap_error, reciprocal, run_score, with_error
from apps.search.evaluate.queries import (
    KINDS,
    made,
    paraphrased,
    prepare,
    read_queries,
    read_synonyms,
)
from apps.search.words import content_words, stem, words
from corpus.articles import Article
from corpus.sources import find_source

SYNONYMS = read_synonyms(ROOT / "apps/search/evaluate/synonyms.txt")
FIRST = "In the following years several large villages near the northern border were usually governed by a council."
TEXT = f"Foxes live here. {FIRST} Foxes are red.\nHabits.\nThey sleep."
ARTICLE = Article("7", "The red fox", TEXT)


def test_words_are_compared_by_their_stems() -> None:
    assert words("Café-owner's ÜBER 东京") == ["cafe", "owner", "s", "uber", "东京"]
    assert content_words("The leaves of which Paris was running out") == ["leav", "pari", "run"]


def test_queries_are_made_by_their_rules() -> None:
    assert made("titles", ARTICLE, SYNONYMS) == ("the red fox", TEXT)
    query, text = made("sentences", ARTICLE, SYNONYMS)
    assert (query, text) == (FIRST, TEXT.replace(FIRST, ""))
    query, text = made("paraphrases", ARTICLE, SYNONYMS)
    assert text == TEXT
    assert 2 <= len(set(FIRST.lower().split()) - set(query.split())) < len(FIRST.split())
    assert made("sentences", ARTICLE._replace(text="Foxes only. Short."), SYNONYMS)[0] == ""


def test_paraphrases_have_other_words_in_another_order() -> None:
    query, n_replaced = paraphrased(
        "He lived there, and she began early.", {"began": ["started"]}, random.Random(1)
    )
    assert (query, n_replaced) == ("and she started early, He lived there", 1)


def test_synonyms_have_another_stem() -> None:
    assert len(SYNONYMS) > 1200
    same = [
        word
        for word, others in SYNONYMS.items()
        for other in others
        if content_words(other) == content_words(word)
    ]
    assert len(same) <= 0.01 * len(SYNONYMS), same


def test_questions_are_of_different_articles_and_fixed() -> None:
    rows = [json.loads(line) for line in (ROOT / "configs/search_questions.jsonl").read_text().splitlines()]
    assert [sum(row["split"] == split for row in rows) for split in ("dev", "test")] == [120, 300]
    assert len({row["id"] for row in rows}) == len({row["question"] for row in rows}) == 420
    assert all(len(set(content_words(row["question"]))) >= 3 for row in rows)


def test_figures_are_means_with_their_errors() -> None:
    assert reciprocal(np.array([1, 2, 0, 4])).tolist() == [1, 0.5, 0, 0.25]
    assert with_error(np.array([1.0, 0.0, 1.0, 0.0])) == "0.500 ± 0.289"
    differences = np.random.default_rng(0).normal(size=400)
    assert bootstrap_error(differences) == pytest.approx(1 / 20, rel=0.1)


def test_a_source_is_prepared_indexed_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rng = random.Random(2)
    rows = []
    for number in range(40):
        name = f"Lake{''.join(rng.choice('bdgklmnprst') + rng.choice('aeiou') for _ in range(4))}"
        facts = [
            f"{FIRST[:-1]} {rng.randrange(1000)} times under mayor {name[::-1]}x{at}, who liked boats."
            for at in range(12)
        ]
        rows.append(
            {"id": str(number), "url": "", "title": name, "text": f"{name} is a place. " + " ".join(facts)}
        )
    path = tmp_path / "articles.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries = prepare(find_source(str(path), "", "", 0), tmp_path, SYNONYMS, n_test=6, n_dev=3)
    assert queries == read_queries(tmp_path / "queries.jsonl")
    assert [(query.kind, query.split) for query in queries] == [
        (kind, split) for kind in KINDS for split in ["dev"] * 3 + ["test"] * 6
    ]
    assert len({query.article for query in queries}) == len(queries)
    build(IndexConfig(out_dir=str(tmp_path / "index"), source=str(tmp_path / "articles.parquet")))
    capsys.readouterr()
    (tmp_path / "none.jsonl").touch()
    run_score(EvaluateConfig(out_dir=str(tmp_path), questions=str(tmp_path / "none.jsonl")))
    table = capsys.readouterr().out
    assert "| titles | words | 6 | 1.000 ± 0.000 | 1.000 ± 0.000 | 1.000 ± 0.000 |" in table
    assert table.count("\n") == 2 + 3 * 3


def test_words_are_stemmed_by_many_threads_at_once() -> None:
    made_up = [f"{a}{b}ingly" for a in ("run", "hopp", "walk", "rel", "nat") for b in map(str, range(300))]
    expected = [stem(word) for word in made_up]
    stem.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(stem, made_up)) == expected
