"""How well the search finds what it should.

    python -m apps.search.evaluate prepare --source='dump/*.parquet' --out_dir=out/search      # queries, and what to index
    python -m apps.search index --source=out/search/articles.parquet --out_dir=out/search/index
    python -m apps.search.evaluate tune --out_dir=out/search      # weights, on the development queries
    python -m apps.search.evaluate score --out_dir=out/search     # the test queries
    python -m apps.search.evaluate load --out_dir=out/search --clients=16     # how fast a running server answers them
    python -m apps.search.evaluate summaries --pairs=data/lead_pairs/held_out.jsonl --checkpoint=out/summarize

`score` prints recall@1, recall@10 and the mean reciprocal rank, with standard errors, for words alone,
vectors alone and both. `summaries` prints how like the leads of articles are summaries of the rest (ROUGE).
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from apps.search.config import MOST_WORDS, IndexConfig
from apps.search.evaluate.figures import bootstrap_error, with_error
from apps.search.evaluate.queries import QUERIES_FILE, Query, prepare, read_queries, read_synonyms
from apps.search.words import first_words
from corpus.articles import jsonl_objects
from corpus.sources import find_source
from system.command_line import parse_config
from system.errors import UserError, run_command
from system.progress import tracked
from system.settings import PathsText, PathText, checked

if TYPE_CHECKING:
    from apps.search.ranking import Evidence, Weights

Kinds = Literal["words", "vectors", "both"]  # of evidence that counts
HERE = Path(__file__).parent


@checked
@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate. Raises ValueError on invalid values."""

    out_dir: PathText = "out/search"  # of the queries and the articles
    source: PathsText = "builtin"  # of the articles: see `apps.search index` (prepare)
    n_test: int = 1000  # queries of each kind (prepare)
    n_dev: int = 300  # more of them, for choosing the weights (prepare)
    questions: PathText = "configs/search_questions.jsonl"  # that people wrote; of articles in the index
    index: PathText = ""  # empty: out_dir/index (tune, score)
    split: Literal["test", "dev"] = "test"  # whose queries (score)
    most: int = 0  # queries of each kind, or articles (summaries); 0: all (tune, score)
    url: str = "http://127.0.0.1:8000"  # of the server (load)
    clients: int = 1  # that ask at the same time (load)
    seconds: float = 30.0  # (load)
    pairs: PathText = "data/lead_pairs/held_out.jsonl"  # from `python -m apps.search.pairs` (summaries)
    checkpoint: PathText = ""  # that summarizes too (summaries)
    show: int = 0  # supported sentences of the model that are printed with their sources (summaries)

    def __post_init__(self) -> None:
        for name, least in {"n_test": 1, "n_dev": 1, "most": 0, "clients": 1, "show": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least {least}")
        if self.seconds <= 0:
            raise ValueError(f"seconds={self.seconds}: must be positive")


def run_prepare(config: EvaluateConfig) -> None:
    """Write queries and articles."""
    folder = Path(config.out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    source = find_source(config.source, IndexConfig.dataset, IndexConfig.subset, 1)
    queries = prepare(source, folder, read_synonyms(HERE / "synonyms.txt"), config.n_test, config.n_dev)
    for kind in dict.fromkeys(query.kind for query in queries):
        n = [
            sum(query.kind == kind and query.split == split for query in queries) for split in ("dev", "test")
        ]
        print(f"{kind}: {n[0]} for development, {n[1]} for the test")


def all_queries(config: EvaluateConfig) -> list[Query]:
    """Return the queries of a folder, and the questions."""
    folder = Path(config.out_dir)
    if not (folder / QUERIES_FILE).exists():
        raise UserError(
            f"no {QUERIES_FILE} in {folder}", "run `python -m apps.search.evaluate prepare` first"
        )
    queries = read_queries(folder / QUERIES_FILE)
    if not Path(config.questions).exists():
        raise UserError(
            f"questions={config.questions}: no such file", "run the command in the project's folder"
        )
    for row, _, _ in jsonl_objects(config.questions, ("id", "question", "split")):
        queries.append(Query("questions", row["split"], row["question"], row["id"]))
    return queries


class Asked(NamedTuple):
    """A query and what it found, before that is weighed."""

    query: Query
    evidence: "list[Evidence]"


def find(config: EvaluateConfig, split: str) -> list[Asked]:
    """Return the evidence of all queries of a split."""
    from apps.search.ranking import evidence
    from apps.search.searcher import Searcher

    searcher = Searcher(Path(config.index or Path(config.out_dir) / "index"))
    queries = [query for query in all_queries(config) if query.split == split]
    kinds = list(dict.fromkeys(query.kind for query in queries))
    if config.most:
        queries = [query for kind in kinds for query in [q for q in queries if q.kind == kind][: config.most]]
    present = searcher.database.articles()
    queries = [query for query in queries if query.article in present]
    found = []
    for query in tracked(queries, "searching"):
        own = evidence(
            searcher.database, searcher.embedder, searcher.near, first_words(query.query, MOST_WORDS)
        )
        empty = np.empty(0, np.uint16)  # so that texts need no memory
        found.append(Asked(query, [one._replace(hit=one.hit._replace(text="", tokens=empty)) for one in own]))
    return found


def ranks(found: Sequence[Asked], weights: "Weights", kinds: Kinds = "both") -> np.ndarray:
    """Return at which place each query's article came, from 1; 0 if it was not found."""
    from apps.search.ranking import ranked

    places = []
    for query, evidence in found:
        kept = [one for one in evidence if is_of(one, kinds)]
        order = [result.passages[0].article for result in ranked(kept, weights)]
        places.append(order.index(query.article) + 1 if query.article in order else 0)
    return np.array(places)


def is_of(evidence: "Evidence", kinds: Kinds) -> bool:
    """Return whether evidence was found by words ("words"), by vectors ("vectors"), or either ("both")."""
    return kinds == "both" or (evidence.by_words if kinds == "words" else evidence.by_vector)


def reciprocal(places: np.ndarray) -> np.ndarray:
    """Return 1 over each place, 0 where there is none."""
    return np.where(places > 0, 1 / np.maximum(places, 1), 0.0)


def by_kind(found: Sequence[Asked]) -> dict[str, np.ndarray]:
    """Return which queries are of each kind."""
    kinds = np.array([one.query.kind for one in found])
    return {kind: kinds == kind for kind in dict.fromkeys(kinds.tolist())}


def mean_of_kinds(found: Sequence[Asked], weights: "Weights", kinds: Kinds = "both") -> float:
    """Return what tuning raises: the mean over kinds of the mean reciprocal rank."""
    values = reciprocal(ranks(found, weights, kinds))
    return float(np.mean([values[chosen].mean() for chosen in by_kind(found).values()]))


def tuned(found: Sequence[Asked], weights: "Weights", kinds: Kinds = "both") -> "Weights":
    """Return better weights: each is tried at other values in turn, as long as that helps."""
    best = mean_of_kinds(found, weights, kinds)
    for factor in (2.0, 2.0, 1.4, 1.4, 1.2):
        for field in fields(weights):
            if field.name == "text" or (kinds == "words" and field.name in ("vector", "near")):
                continue  # only ratios count
            value = getattr(weights, field.name)
            for other in (value * factor, value / factor):
                changed = replace(weights, **{field.name: round(other, 3)})
                score = mean_of_kinds(found, changed, kinds)
                if score > best + 1e-4:
                    best, weights = score, changed
        print(f"{best:.4f} with {asdict(weights)}", flush=True)
    return weights


def run_tune(config: EvaluateConfig) -> None:
    """Choose weights on the development queries."""
    from apps.search.ranking import WORDS_ALONE, Weights

    found = find(config, "dev")
    print("words and vectors:")
    tuned(found, Weights())
    print("words alone:")
    tuned(found, WORDS_ALONE, "words")


def run_score(config: EvaluateConfig) -> None:
    """Print a table of the queries' figures."""
    from apps.search.ranking import VECTORS_ALONE, WORDS_ALONE, Weights

    found = find(config, config.split)
    systems = {
        "words": ranks(found, WORDS_ALONE, "words"),
        "vectors": ranks(found, VECTORS_ALONE, "vectors"),
        "both": ranks(found, Weights()),
    }
    print("| queries | | n | recall@1 | recall@10 | MRR | MRR minus words' |\n|---|---|---|---|---|---|---|")
    for kind, chosen in by_kind(found).items():
        for name, places in systems.items():
            own = places[chosen]
            first, ten = own == 1, (own > 0) & (own <= 10)
            less = ""
            if name != "words":
                difference = reciprocal(own) - reciprocal(systems["words"][chosen])
                less = f"{difference.mean():+.3f} ± {bootstrap_error(difference):.3f}"
            figures = " | ".join(with_error(values) for values in (first, ten, reciprocal(own)))
            print(f"| {kind} | {name} | {len(own)} | {figures} | {less} |")


def run_load(config: EvaluateConfig) -> None:
    """Print how fast a running server answers the test's queries."""
    from apps.search.evaluate.load import load, report

    queries = [query.query for query in all_queries(config) if query.split == "test"]
    random.Random(1).shuffle(queries)
    print(report(*load(config.url, queries, config.clients, config.seconds), config.clients))


def run_summaries(config: EvaluateConfig) -> None:
    """Print how like the leads are summaries."""
    from apps.search.embedders import open_table
    from apps.search.evaluate.summaries import report, summaries
    from apps.search.written import Writer
    from sampling.sampler import Sampler

    rows = [row for row, _, _ in jsonl_objects(config.pairs, ("title", "lead", "body"))]
    rows = rows[: config.most or None]
    if not rows:
        raise UserError(
            f"pairs={config.pairs}: it has no articles", "run `python -m apps.search.pairs` first"
        )
    embedder = open_table()
    writer = Writer(Sampler.load(config.checkpoint, rows=1), embedder) if config.checkpoint else None
    made = summaries(rows, embedder, writer)
    print(report(rows, made))
    written = [(row, one) for row, each in zip(rows, made, strict=True) for one in each.written]
    supported = [(row, one) for row, one in written if one.source is not None]
    if writer:
        print(f"{len(supported)} of {len(written)} sentences that the model wrote are supported")
    for row, one in supported[: config.show]:
        print(f"\n{row['title']}: {one.text}\n  source: {row['prompt'][:2000]}")


COMMANDS = {
    "prepare": run_prepare,
    "tune": run_tune,
    "score": run_score,
    "load": run_load,
    "summaries": run_summaries,
}


def main() -> None:
    name, *rest = sys.argv[1:] or ["--help"]
    if name not in COMMANDS and name not in ("--help", "-h"):
        raise UserError(f"unknown command {name!r}: must be {', '.join(COMMANDS)}")
    config = parse_config(EvaluateConfig(), rest if name in COMMANDS else [name], __doc__ or "")
    COMMANDS[name](config)


if __name__ == "__main__":
    run_command(main, resumes=False)
