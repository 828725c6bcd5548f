"""What a search finds, says and shows, over the built-in encyclopedia and some hostile articles; the page in Chromium."""

import copy
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from conftest import ROOT, served
from starlette.testclient import TestClient

from apps.search.__main__ import ask
from apps.search.api import Api
from apps.search.build import build
from apps.search.config import MOST_WORDS, IndexConfig
from apps.search.extract import extract
from apps.search.near import different_tokens
from apps.search.passages import embedded_text, sentences
from apps.search.ranking import N_TEXT, N_VECTOR, Found, evidence
from apps.search.searcher import Searcher, marks, missing, snippet, web_address
from apps.search.words import content_words, words
from apps.search.written import Written
from corpus.builtin.encyclopedia import articles
from system.errors import UserError

SCRIPT = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"
HOSTILE = [
    {
        "id": "h1",
        "url": "javascript:alert(1)",
        "title": f"Zorbium {SCRIPT}",
        "text": f"Zorbium is a metal {SCRIPT}. It glows.",
    },
    {
        "id": "h2",
        "url": 'https://x.invalid/"onclick="y',
        "title": "",
        "text": "Zorbium \x1b[2J\x00\u202e has control characters.",
    },
    {"id": "h3", "url": "", "title": "Quxite", "text": "quxite" * 1_700_000},  # 10 MB
    {
        "id": "h5",
        "url": "https://example.org/who",
        "title": "The Who",
        "text": "The Who are a band. They are loud.",
    },
    {"id": "s1", "url": "", "title": "Нижний Новгород", "text": "Нижний Новгород стоит на Волге."},
    {"id": "s2", "url": "", "title": "Αθήνα", "text": "Πόλη είναι η Αθήνα."},
    {"id": "s3", "url": "", "title": "서울", "text": "서울에는 한강 공원이 있다."},
    {"id": "s4", "url": "", "title": "ベルリン", "text": "ベルリンはドイツの首都です。"},
    {"id": "s5", "url": "", "title": "भाषा", "text": "हिन्दी भारत की भाषा है।"},
    {"id": "s6", "url": "", "title": "Café", "text": "Le café est une boisson."},
    {"id": "h4", "url": "", "title": "東京", "text": "東京は日本の首都です。人口が多い。"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    lines = [
        json.dumps(article)
        for article in [*articles(), *HOSTILE]
        if not article["title"].startswith("Almanac")
    ]
    (folder / "articles.jsonl").write_text("\n".join(lines))
    build(IndexConfig(out_dir=str(folder / "index"), source=str(folder / "articles.jsonl")))
    return folder / "index"


@pytest.fixture(scope="module")
def searcher(folder: Path) -> Searcher:
    return Searcher(folder)


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Seine", "Seine"),
        ("the who", "The Who"),
        ("seine", "Seine"),
        ("What is the capital of Mauritania?", "Mauritania"),
        ("woman who dug fossils out of English cliffs", "Mary Anning"),
        ('"Mary Anning"', "Mary Anning"),
        ("MARY ANNING!!!", "Mary Anning"),
        ("首都", "東京"),
        ("Нижний", "Нижний Новгород"),
        ("Αθήνα", "Αθήνα"),
        ("한강", "서울"),
        ("ドイツ", "ベルリン"),
        ("हिन्दी", "भाषा"),
        ("cafe", "Café"),
        ("the of and Seine", "Seine"),
    ],
)
def test_articles_are_found(searcher: Searcher, query: str, title: str) -> None:
    assert title in [result.title for result in searcher.ask(query, 3).results]


@pytest.mark.parametrize("word", ["Нижний", "Αθήνα", "한강", "ドイツ", "हिन्दी", "CAFE", "首都"])
def test_words_of_any_script_are_found_as_they_are(searcher: Searcher, word: str) -> None:
    [wanted] = words(word)
    assert searcher.database.by_words(wanted, "text", 1).rows.size
    assert not searcher.ask(word, 3).note


@pytest.mark.parametrize(
    "query",
    [
        "",
        "  ",
        "?!",
        "😀",
        "'; DROP TABLE passages; --",
        'a" OR "b',
        "the of and",
        "x" * 5000,
        "\x00\x1b",
        "\ud800",
        "Seine \ud800",
        "word," * 30_000,
        "intitle:a " * 10_000,
    ],
)
def test_any_query_has_an_answer(searcher: Searcher, query: str) -> None:
    answer = searcher.ask(query, 5)
    assert answer.results or answer.note or not query.strip()


def test_long_questions_are_cut_and_say_so(searcher: Searcher) -> None:
    answer = searcher.ask("Seine river Paris " + "word " * 10_000, 5)
    assert f"Only the first {MOST_WORDS} words were searched for." in answer.note
    assert answer.results


def test_wrong_spelling_is_put_right_and_said(searcher: Searcher) -> None:
    wrong, right = (searcher.ask(f"capital of {name}", 3) for name in ("Mauritannia", "Mauritania"))
    assert [result.title for result in wrong.results] == [result.title for result in right.results]
    assert wrong.note == "Searched for “mauritania” instead of “mauritannia”, which is in no article."
    assert (wrong.query, wrong.searched_for) == ("capital of Mauritannia", "capital of mauritania")
    assert (right.note, right.searched_for) == ("", "")
    both = searcher.ask("telepone fosils", 3).note
    assert (
        both
        == "Searched for “telephone” instead of “telepone” and “fossils” instead of “fosils”, which are in no article."
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("frnace", "france"),  # two letters in each other's place
        ("rivr", ""),  # too short for a mistake that can be told
        ("whcih", ""),  # "which", which says nothing
        ("mountian", "mountain"),
        ("blockchain", ""),  # near nothing
        ("alert", ""),  # a word, though no article has it
        ("zrance", ""),  # another first letter
        ("нижнии", ""),  # met too seldom to be told
    ],
)
def test_only_likely_mistakes_are_corrected(searcher: Searcher, typed: str, meant: str) -> None:
    assert searcher.ask(typed, 3).searched_for == meant


def test_the_answer_is_sentences_of_its_sources(searcher: Searcher) -> None:
    for query in (
        "which river flows through Paris",
        "Who invented the telephone?",
        "animals that sleep all day",
    ):
        _, found, _ = searcher.find(query)
        answer = searcher.ask(query, 10)
        assert 1 <= len(answer.sentences) <= 4
        assert len({one["text"] for one in answer.sentences}) == len(answer.sentences)
        for one in answer.sentences:
            texts = [hit.text for hit in found[one["source"] - 1].passages]
            assert any(one["text"] in sentences(text) for text in texts)
        order = [one["source"] for one in answer.sentences]
        assert order == sorted(order)
    assert "Seine" in searcher.ask("which river flows through Paris", 10).sentences[0]["text"]
    assert extract("nothing", [], searcher.embedder) == []
    for query, sentence in (("首都", "東京は日本の首都です。"), ("भाषा", "हिन्दी भारत की भाषा है।")):
        assert sentence in [one["text"] for one in searcher.ask(query, 3).sentences]


def test_results_are_articles_once_each(searcher: Searcher) -> None:
    results = searcher.ask("countries in Europe", 10).results
    assert len({result.title for result in results}) == len(results) == 10


def test_near_words_count_as_far_as_they_are_near(searcher: Searcher) -> None:
    near = searcher.near
    texts = ["Paris is the capital of France", "The main city of Germany", "bananas", "capital"]
    tokens = list(different_tokens(near.table, texts))
    query = "the capital of France"
    [wanted] = different_tokens(near.table, [query])
    table = near.table.table.astype(float)
    expected = []
    for ids in tokens:
        total = 0.0
        for token in wanted:
            # The cosine, times the length of the query's own vector.
            total += max(table[token] @ table[other] / np.linalg.norm(table[other]) for other in ids)
        expected.append(total / np.linalg.norm(table[wanted], axis=1).sum())
    assert near.compare(query, tokens) == pytest.approx(expected, abs=1e-5)
    assert expected[0] == pytest.approx(1)
    assert near.compare(query.upper(), tokens) == pytest.approx(expected, abs=1e-5)
    assert near.compare("town", tokens)[1] > near.compare("town", tokens)[2]
    with pytest.raises(ValueError, match="has no token"):
        near.compare("", tokens)


def test_passages_are_read_in_the_order_asked_for(searcher: Searcher) -> None:
    database = searcher.database
    rows = database.by_words("river city", "text", 9).rows[::-1]
    hits = database.hits(rows)
    assert [hit.text for hit in hits] == [database.hits(rows[n : n + 1])[0].text for n in range(len(rows))]
    for hit in hits:
        text = embedded_text(hit.title, hit.section, hit.text)
        [tokens] = searcher.near.table.tokens([text.lower()])
        assert hit.tokens.tolist() == sorted(set(tokens))
    assert database.hits(rows[:0]) == []


def test_evidence_is_of_all_three_searches(searcher: Searcher) -> None:
    query = "a river in France"
    found = evidence(searcher.database, searcher.embedder, searcher.near, query)
    [vector] = searcher.embedder.queries([query])
    texts = [embedded_text(one.hit.title, one.hit.section, one.hit.text) for one in found]
    exact = searcher.embedder.passages(texts) @ vector
    for one, expected in zip(found, exact.tolist(), strict=True):
        assert one.vector == pytest.approx(expected, abs=1e-5) or (
            one.vector > expected and not one.by_vector
        )
    assert max(one.text for one in found) == max(one.title for one in found) == 1
    assert sum(one.by_vector for one in found) == N_VECTOR
    assert sum(one.by_words for one in found) >= N_TEXT
    assert all(one.by_words or one.by_vector for one in found)


def test_titles_can_be_a_condition(searcher: Searcher) -> None:
    everywhere = {result.title for result in searcher.ask("river", 10).results}
    rivers = searcher.ask("capital city intitle:sei", 10).results
    assert [one.title for one in rivers if "sei" not in one.title.lower()] == []
    assert "Seine" in [one.title for one in rivers]
    assert len(everywhere) > 1
    assert searcher.ask('intitle:"The Who"', 10).results[0].title == "The Who"
    assert searcher.ask("river intitle:o'x\"", 10).note == "Nothing was found."
    for odd in ("intitle:", 'intitle:""', "intitle:' OR 1=1 --", 'intitle:"'):
        searcher.ask(odd, 3)


def test_what_is_not_there_is_said(searcher: Searcher) -> None:
    answer = searcher.ask("Seine zzyzx river", 3)
    assert answer.results[0].missing == ["zzyzx"]
    assert answer.note == ""
    lost = searcher.ask("zzyzx 77123", 3)
    assert lost.note == "No good match: none of these has “zzyzx”, “77123”."
    assert (lost.sentences, len(lost.results)) == ([], 3)
    assert missing("京", {"東京は日本"}, "東京は日本") == []
    assert searcher.ask("river intitle:seine?", 3).results[0].title == "Seine"
    assert missing("The rivers of Brazil", {"river", "chile"}, "A river in Chile") == ["brazil"]


def test_snippets_show_where_the_words_are(searcher: Searcher) -> None:
    text = "It is old. " * 30 + "Leaves fall in autumn. They were changing colours."
    parts = sentences(text)
    part = snippet(parts, [set(content_words(part)) for part in parts], {"leav", "colour"})
    assert part.endswith("changing colours.")
    assert len(part.split()) <= 60
    assert [part[start:stop] for start, stop in marks(part, {"leav", "colour"})] == ["Leaves", "colours"]
    assert [web_address(url) for url in ("https://a.b", "javascript:x", "")] == ["https://a.b", "", ""]


def test_questions_are_asked_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture) -> None:
    ask(["which river", "flows through Paris", f"--index={folder}", "--n_results=2", "--json=True"])
    found = json.loads(capsys.readouterr().out)
    assert [set(found), len(found["results"])] == [
        {"query", "searched_for", "sentences", "results", "note", "seconds"},
        2,
    ]
    assert found["query"] == "which river flows through Paris"
    ask(["zorbium", f"--index={folder}"])
    shown = capsys.readouterr().out
    assert "] Zorbium <script>" in shown
    assert "] Without a title" in shown
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", shown)
    ask(["zzyzx", f"--index={folder}"])
    assert capsys.readouterr().out.startswith("No good match")
    ask(["Seine \udcff", f"--index={folder}"])
    for nothing in ([], ["  "]):
        with pytest.raises(UserError, match="no question: write it after ask"):
            ask([*nothing, f"--index={folder}"])
    with pytest.raises(SystemExit):
        ask(["-h"])
    assert 'ask "..." [--key=value ...]' in capsys.readouterr().out


class Page:
    """The server of the page, in a process of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        command = [sys.executable, "-m", "apps.search", "serve", f"--index={folder}", "--port=0"]
        variables = os.environ | environment
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=variables)
        assert self.process.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+", self.process.stdout.readline())
        assert found
        self.url = found[0]

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.communicate(timeout=30)[0] == "stopped\n"
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def client(searcher: Searcher) -> Iterator[TestClient]:
    with TestClient(Api(searcher, 10).app()) as client:
        yield client


def test_the_api_answers_and_refuses(client: TestClient, searcher: Searcher) -> None:
    found = client.post("/api/search", json={"query": "Seine"}).json()
    expected = json.loads(json.dumps(searcher.ask("Seine", 10).to_dict()))
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}
    assert client.post("/api/search", json={"query": ""}).json()["results"] == []
    assert client.post("/api/search", json={"query": "Seine " * 10_000}).status_code == 200
    refused: dict[str, dict] = {
        "query: String should have at most 200000 characters": {"query": "x" * 200_001},
        "query: Field required": {},
        "query: Input should be a valid string": {"query": 1},
        "other: Extra inputs are not permitted": {"query": "x", "other": 1},
    }
    for message, body in refused.items():
        answer = client.post("/api/search", json=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)
    assert client.post("/api/search", content="{").status_code == 400
    assert client.get("/nothing").status_code == 404
    assert client.get("/api/search").status_code == 405
    assert client.get("/api/about").json()["articles"] == searcher.database.info.n_articles


def test_too_many_questions_at_once_are_refused(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(searcher, 10)
    api.n_asked = 64
    with TestClient(api.app()) as client:
        assert client.post("/api/search", json={"query": "Seine"}).status_code == 429
        api.n_asked = 63
        assert client.post("/api/search", json={"query": "Seine"}).status_code == 200
    assert api.n_asked == 63


def test_errors_are_answers_in_json(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: Exception) -> Callable:
        def ask(query: str, n_results: int) -> None:
            raise error

        return ask

    with TestClient(Api(searcher, 10).app(), raise_server_exceptions=False) as client:
        for error, status in ((UserError("it is being rebuilt"), 503), (ZeroDivisionError(), 500)):
            monkeypatch.setattr(searcher, "ask", fail(error))
            answer = client.post("/api/search", json={"query": "Seine"})
            assert (answer.status_code, bool(answer.json()["error"]["message"])) == (status, True)


def test_the_page_fetches_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/style.css", "/script.js", "/icon.svg"):
        answer = client.get(path)
        assert answer.status_code == 200
        links = [
            link
            for link in re.findall(r"https?://[^\"'\s]+", answer.text)
            if "www.w3.org/2000/svg" not in link
        ]
        assert links == []
        assert "innerHTML" not in answer.text


def test_the_server_serves_the_page_to_this_machine_alone(folder: Path) -> None:
    page = Page(folder)
    answer = httpx.get(page.url)
    assert "Search Wikipedia by meaning" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert httpx.get(page.url, headers={"Host": "evil.example"}).status_code == 403
    assert httpx.post(f"{page.url}/api/search", json={"query": "Seine"}).json()["results"]
    page.stop()


class Writes:
    """Stands for a model that writes a sentence on its question, and after that on "Seine" for ever."""

    def write(self, query: str, found: Sequence[Found]) -> Iterator[Written]:
        yield Written(f"So much on {query}.", 0)
        yield Written("This is not so.", None)
        while query == "Seine":
            time.sleep(0.05)
            yield Written("Nor is this.", None)


def test_a_summary_replaces_the_answer_and_ends_with_its_question(searcher: Searcher, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    def text(selector: str) -> str:
        return browser.find_element(By.CSS_SELECTOR, selector).text

    def wait(condition: Any) -> None:
        WebDriverWait(browser, 20).until(lambda _: condition())

    writing = copy.copy(searcher)
    writing.writer = Writes()  # type: ignore[assignment]
    with served(Api(writing, 10).app()) as address:
        browser.get(f"{address}/?q=Seine")
        wait(lambda: "It is still writing" in text("#origin"))
        assert text("#sentences") == "So much on Seine.[1]"
        box = browser.find_element(By.CSS_SELECTOR, "#query")
        box.clear()
        box.send_keys("The Who\n")  # the server writes one summary at a time
        wait(lambda: "1 sentence was left out" in text("#origin"))
        assert text("#sentences") == "So much on The Who.[1]"
        assert text("#origin").startswith("Written by a model. Each sentence was checked")


def test_the_page_asks_for_the_key_of_its_server(folder: Path, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    def wait(selector: str, text: str) -> None:
        WebDriverWait(browser, 20).until(
            lambda _: text in browser.find_element(By.CSS_SELECTOR, selector).text
        )

    page = Page(folder, WIKIGPT_API_KEY="a/key")
    assert httpx.get(f"{page.url}/api/about").status_code == 401
    browser.get(f"{page.url}/?q=Seine")
    wait("#status", "the server needs its key")
    for key, status in (("wrong", "this is not the server's key"), ("a/key", "articles in")):
        browser.switch_to.active_element.send_keys(f"{key}\n")
        wait("#status", status)
    wait("#results", "Seine")
    page.stop()


def test_the_page_is_used_with_the_keyboard_alone(folder: Path, browser: Any) -> None:
    """A question, its answer, a source, the articles, back; hostile articles do nothing; a server that is gone is said."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    def one(selector: str) -> Any:
        return browser.find_element(By.CSS_SELECTOR, selector)

    def press(*keys: str) -> None:
        browser.switch_to.active_element.send_keys(*keys)

    def wait(condition: Any) -> None:
        WebDriverWait(browser, 20).until(lambda _: condition())

    page = Page(folder)
    browser.get(page.url)
    wait(lambda: "articles" in one("#about").text)
    press("which river flows through Paris", Keys.ENTER)
    wait(lambda: "articles in" in one("#status").text)
    assert browser.current_url.endswith("?q=which%20river%20flows%20through%20Paris")
    assert "Seine" in one("#sentences").text
    assert {mark.text for mark in browser.find_elements(By.CSS_SELECTOR, "mark")} >= {
        "river",
        "flows",
        "Paris",
    }
    source = one("#sentences a")
    press(Keys.TAB, Keys.TAB)
    while browser.switch_to.active_element != source:
        press(Keys.TAB)
    press(Keys.ENTER)
    number = source.text.strip("[]")
    assert browser.switch_to.active_element == one(f"#result-{number} .title")
    press(Keys.ESCAPE)
    assert browser.switch_to.active_element == one("#query")
    press(Keys.ARROW_DOWN)
    press(Keys.ARROW_DOWN)
    second = browser.switch_to.active_element
    assert second == one("#result-2 .title")
    press("/")
    assert browser.switch_to.active_element == one("#query")
    press(Keys.CONTROL + "a")
    press("the who", Keys.ENTER)
    wait(lambda: "The Who" in one("#results").text)
    press(Keys.ARROW_DOWN)
    first = browser.switch_to.active_element
    assert [first.get_attribute(name) for name in ("href", "rel", "target")] == [
        "https://example.org/who",
        "noopener noreferrer",
        "_blank",
    ]
    press("/")
    press(Keys.CONTROL + "a")
    press("zorbium", Keys.ENTER)
    wait(lambda: "Zorbium <script>" in one("#results").text)
    assert browser.title == "Search Wikipedia by meaning"
    assert browser.find_elements(By.CSS_SELECTOR, "#results script, #results img") == []
    assert "javascript:" not in [
        link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, "#results a")
    ]
    browser.back()
    wait(lambda: "The Who" in one("#results").text)
    assert one("#query").get_attribute("value") == "the who"
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    page.stop()
    one("#query").send_keys(" again", Keys.ENTER)
    wait(lambda: "does not answer. Is it still running?" in one("#status").text)


def test_help_names_the_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "apps.search"], cwd=ROOT, capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 0
    assert all(f"apps.search {name}" in done.stdout for name in ("index", "ask", "serve"))
