"""Summaries that a model writes: what is a supported sentence, what the model sees, the pairs it learns from, the server."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from references import chat_model
from starlette.testclient import TestClient

from apps.search.api import Api
from apps.search.build import build
from apps.search.config import IndexConfig
from apps.search.embedders import TableEmbedder, open_table
from apps.search.evaluate.summaries import as_found, lexrank, report, summaries
from apps.search.pairs import PairsConfig, divided, up_to, write_pairs
from apps.search.ranking import Found
from apps.search.searcher import Searcher, left_out
from apps.search.written import MAX_NEW_TOKENS, Source, Writer, messages, source_of, supports
from corpus.tokenizer_json import open_tokenizer
from model import GPT, GPTConfig
from sampling.sampler import Sampler

BODY = (
    "The river rises near Dijon and flows 777 km to the sea. Paris lies on it. Barges carry gravel and grain. "
    "Claude Monet painted its banks in 1874."
)
TEXT = "Seine is a river in northern France. " * 3 + "\nCourse.\n" + BODY * 8


@pytest.fixture(scope="module")
def table() -> TableEmbedder:
    return open_table()


@pytest.fixture
def found() -> list[Found]:
    return [as_found("Seine", BODY), as_found("Gravel", "Gravel is loose stone, larger than sand.")]


class Says:
    """Stands for a model that writes a given text, some characters at a time."""

    template = None

    def __init__(self, text: str, block_size: int = 512) -> None:
        self.text = text
        self.model = SimpleNamespace(config=SimpleNamespace(block_size=block_size))
        self.prompts: list[str] = []

    def begin(self, prompt: str, *_: object, **settings: object) -> SimpleNamespace:
        self.prompts.append(prompt)
        return SimpleNamespace(text=SimpleNamespace(prompt=prompt.split()))

    def in_order(self, samples: Sequence[object]) -> Iterator[tuple[object, str]]:
        for start in range(0, len(self.text), 5):
            yield samples[0], self.text[start : start + 5]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The Seine flows 777 km to the sea.", True),
        ("The Seine flows 778 km to the sea.", False),  # another number
        ("Claude Monet painted its banks.", True),
        ("Painted by Edouard Manet, its banks are in the river.", False),  # another name
        ("Barges carry gravel, coal, iron, wood and grain.", False),  # other words
        ("Sea grain banks gravel.", False),  # its words, but nothing that the source says
        ("Napoleon painted its banks in 1874.", False),  # another name, first
        ("Elephants carry gravel and grain.", False),
        ("Claude Monet never painted its banks.", False),
        ("Claude Monet didn't paint its banks.", False),
        ("Paris lies near Dijon.", False),  # mixed from two sentences
        ("Barges carry gravel in 1874.", False),
        ("The answer to the question is that the river rises near Dijon and flows 777 km to the sea.", False),
        ('Barges carry "gravel and grain.', False),
        ("It was a nice day for everyone.", False),
        ("Monet.", False),
    ],
)
def test_sentences_are_checked_against_their_source(
    table: TableEmbedder, found: list[Found], sentence: str, expected: bool
) -> None:
    source = source_of(found[0], table)
    assert supports(source, sentence, table) is expected


def test_each_sentence_comes_once_with_its_source(table: TableEmbedder, found: list[Found]) -> None:
    said = " Paris lies on it. It has 12 ports. Paris lies on it. Gravel is loose stone. Barges carry"
    sampler = Says(said)
    written = list(Writer(sampler, table).write("river", found))  # type: ignore[arg-type]
    assert written == [
        ("Paris lies on it.", 0),
        ("It has 12 ports.", None),
        ("Gravel is loose stone.", None),  # of the second article, which this model does not see
    ]
    assert sampler.prompts[-1] == f"Seine\n\n{BODY}\n\nSummary:"
    assert list(Writer(sampler, table).write("river", [])) == []  # type: ignore[arg-type]
    assert left_out(3, 1) == "2 sentences were left out, as no article supports them."
    assert left_out(2, 1) == "1 sentence was left out, as no article supports it."
    assert left_out(1, 0) == "1 sentence was written, but no article supports it."
    assert left_out(3, 3) == ""


def test_a_chat_model_sees_the_question_and_several_sources(table: TableEmbedder, found: list[Found]) -> None:
    system, message = messages("What is it?", [source_of(one, table) for one in found])
    assert "three short sentences" in system["content"]
    assert "Seine: The river rises" in message["content"]
    assert "Gravel: Gravel is loose" in message["content"]
    assert message["content"].endswith("Question: What is it?")


@pytest.mark.parametrize("block_size", [MAX_NEW_TOKENS + 1, MAX_NEW_TOKENS + 150, 2000])
def test_the_prompt_fits_the_model(table: TableEmbedder, found: list[Found], block_size: int) -> None:
    torch.manual_seed(1)
    tokenizer = open_tokenizer("bytes")
    config = GPTConfig(vocab_size=tokenizer.vocab_size, block_size=block_size, n_layer=1, n_head=1, n_embd=8)
    writer = Writer(Sampler(GPT(config).eval(), tokenizer), table)
    prompt = writer.prompt("river", [source_of(found[0], table)])
    assert isinstance(prompt, str)
    whole = f"Seine\n\n{BODY}\n\nSummary:"
    assert len(prompt.encode()) <= max(block_size - MAX_NEW_TOKENS, len("Seine\n\n\n\nSummary:"))
    assert (prompt == whole) == (block_size == 2000)
    assert ("Paris" in prompt) == (block_size != MAX_NEW_TOKENS + 1)
    for sentence in writer.write("river", found):
        assert sentence.text


def test_a_chat_model_of_the_hub_writes(table: TableEmbedder, found: list[Found], tmp_path: Path) -> None:
    sampler = Sampler.load(chat_model(tmp_path / "tiny"), "cpu", "float32")
    writer = Writer(sampler, table)
    asked = writer.prompt("What is it?", [source_of(one, table) for one in found])
    assert not isinstance(asked, str), "the template makes a text of it"
    assert "Question: What is it?" in asked[1]["content"]
    written = [one.source for one in writer.write("What is it?", found)]
    assert written == [None] * len(written), "it is not trained"


def test_articles_are_divided_into_lead_and_body(tmp_path: Path) -> None:
    parts = divided(TEXT)
    assert parts
    assert (parts.lead, parts.body) == (("Seine is a river in northern France. " * 3).strip(), BODY * 8)
    assert divided(BODY * 8) is None
    assert up_to("One two. Three four. Five.", 4) == "One two. Three four."
    assert up_to("One two three.", 2) == "One two"
    rows = [{"id": str(n), "title": f"Seine {n}", "text": TEXT} for n in range(30)]
    (tmp_path / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = PairsConfig(str(tmp_path / "leads"), source=str(tmp_path / "articles.jsonl"), n_held_out=4)
    assert write_pairs(config) == (26, 4)
    training, held_out = (
        [json.loads(line) for line in (tmp_path / f"leads/{name}.jsonl").read_text().splitlines()]
        for name in ("train", "held_out")
    )
    assert sorted(row["id"] for row in training + held_out) == sorted(row["id"] for row in rows)
    assert all(row["prompt"].startswith(f"Seine {row['id']}\n\nThe river rises") for row in training)
    assert all("northern France" not in row["prompt"] for row in training)
    assert all(row["completion"].startswith(" Seine is a river in northern France.") for row in training)
    assert all((row["lead"], row["body"]) == parts for row in held_out)


def test_sentences_are_taken_out_of_their_passages(tmp_path: Path) -> None:
    rows = [{"id": str(n), "title": f"Seine {n}", "text": TEXT} for n in range(3)]
    (tmp_path / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = PairsConfig(str(tmp_path), "sentences", str(tmp_path / "articles.jsonl"), n_held_out=1)
    n_training, n_held_out = write_pairs(config)
    assert n_training == 2 * n_held_out > 0
    for line in (tmp_path / "train.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert len(row["prompt"].split()) >= 8
        assert row["completion"].startswith("Seine ")


@pytest.mark.parametrize(
    "said", [" 首都は東京です。", " He said “it.”", " So it is (or was).", " And so on…"]
)
def test_a_last_sentence_may_end_in_any_script(table: TableEmbedder, found: list[Found], said: str) -> None:
    assert [one.text for one in Writer(Says(said), table).write("x", found)] == [said.strip()]  # type: ignore[arg-type]


def test_lexrank_takes_what_most_others_say() -> None:
    same = [
        f"The old harbour has {thing} and many ships." for thing in ("cranes", "barges", "sheds", "docks")
    ]
    chosen = lexrank(["Bananas are sold in the harbour.", *same, "Music is loud on ships."])
    assert "Bananas" not in chosen
    assert "Music" not in chosen


def test_summaries_are_compared_with_leads(table: TableEmbedder) -> None:
    pytest.importorskip("rouge_score")
    rows = [{"title": "Seine", "lead": "Paris lies on it.", "body": BODY}] * 2
    made = summaries(rows, table, Writer(Says(" Paris lies on it. It has 12 ports."), table))  # type: ignore[arg-type]
    table_lines = report(rows, made).splitlines()
    assert len(table_lines) == 2 + 5
    assert table_lines[-1].endswith("| 4 | 1.000 ± 0.000 | 1.000 ± 0.000 | 1.000 ± 0.000 |")
    assert "| all that the model wrote | 8 |" in table_lines[-2]


def test_the_server_writes_sentence_by_sentence(tmp_path: Path) -> None:
    rows = [{"id": "1", "title": "Seine", "text": BODY}]
    (tmp_path / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build(IndexConfig(str(tmp_path / "index"), str(tmp_path / "articles.jsonl")))
    searcher = Searcher(tmp_path / "index")
    with TestClient(Api(searcher, 10).app()) as client:
        assert client.get("/api/about").json()["writes"] is False
        assert client.post("/api/summary", json={"query": "Seine"}).status_code == 404
        searcher.writer = Writer(
            Says(" Paris lies on it. It has 12 ports. Barges carry grain."), searcher.embedder
        )  # type: ignore[arg-type]
        assert client.get("/api/about").json()["writes"] is True
        lines = client.post("/api/summary", json={"query": "Seine"}).text.splitlines()
        assert list(map(json.loads, lines)) == [
            {"text": "Paris lies on it.", "source": 1},
            {"text": "Barges carry grain.", "source": 1},
            {"note": "1 sentence was left out, as no article supports it."},
        ]
        searcher.writer = Writer(Says(" It has 12 ports."), searcher.embedder)  # type: ignore[arg-type]
        [line] = client.post("/api/summary", json={"query": "Seine"}).text.splitlines()
        assert "no article supports it" in json.loads(line)["note"]
        assert client.post("/api/summary", json={"question": "Seine"}).status_code == 400


def test_sources_hold_all_words_of_their_passages(table: TableEmbedder, found: list[Found]) -> None:
    source = source_of(found[0], table)
    assert isinstance(source, Source)
    assert [one.numbers for one in source.statements] == [{"777"}, set(), set(), {"1874"}]
    assert {"sein", "grain"} <= source.statements[2].stems
    assert source.vectors.shape == (len(source.sentences), table.size)
    assert np.allclose(np.linalg.norm(source.vectors, axis=1), 1, atol=1e-5)
