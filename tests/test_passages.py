"""Articles as sections, sentences and passages."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.search.passages import (
    MAX_SENTENCE,
    MAX_WORD,
    MAX_WORDS,
    MIN_WORDS,
    is_heading,
    passages,
    sections,
    sentences,
)

OLD = """Arthur Price (1678 - 1752) was an archbishop. He lived in Dublin.
Childhood and patronage.
Arthur was the son of Samuel Price.
He died.
Guinness connection.
Price took over the brewery of the town in 1722, with his steward as its head.
His will named the son of Richard, who had been steward for more than thirty years.
"""
NEW = """Arthur Price was an archbishop.

Childhood and patronage

Arthur was the son of Samuel Price.

1722: the brewery
Price took over the brewery.
"""


def test_headings_are_found_in_both_extractions() -> None:
    """With a full stop and no blank lines, as extracted in 2014, and between blank lines, as on the hub."""
    assert [section.heading for section in sections(OLD)] == [
        "",
        "Childhood and patronage",
        "Guinness connection",
    ]
    assert [section.heading for section in sections(NEW)] == [
        "",
        "Childhood and patronage",
        "1722: the brewery",
    ]
    assert (
        sections(OLD)[2].text
        == "Price took over the brewery of the town in 1722, with his steward as its head.\nHis will named the son of Richard, who had been steward for more than thirty years."
    )
    assert sections("") == sections(" \n \n") == []


@pytest.mark.parametrize(
    "line",
    [
        "he played.",
        "He died.",
        "This is all",
        "It ended. Then it began.",
        "a " * 12,
        "What is it?",
        "x" * 90 + ".",
        "",
    ],
)
def test_a_line_of_text_is_no_heading(line: str) -> None:
    assert not is_heading(["Lead.", line, "More text."], 1)
    assert not is_heading(["Lead.", "", line, "", "More text."], 2)


def test_a_heading_without_text_below_is_text() -> None:
    assert not is_heading(["Lead.", "Sources.", " "], 1)
    assert not is_heading(["Sources.", "Text."], 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He met Dr. Who. She left.", ["He met Dr. Who.", "She left."]),
        ("J. R. Smith lived in St. Louis, U.S. in 1990.", ["J. R. Smith lived in St. Louis, U.S. in 1990."]),
        ('He said "No." Then he left!', ['He said "No."', "Then he left!"]),
        (
            "It cost 3.5 million. 12 died (all men). The end",
            ["It cost 3.5 million.", "12 died (all men).", "The end"],
        ),
        ("第一章。第二章！ok", ["第一章。", "第二章！", "ok"]),  # noqa: RUF001
        ("One\ntwo", ["One", "two"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_passages_have_some_sentences_of_one_section() -> None:
    sentence = "This sentence, which is short, has eight words."
    text = f"{' '.join([sentence] * 30)}\nHistory.\n{sentence}\nNames.\n{sentence}"
    found = list(passages(text))
    assert [passage.section for passage in found] == ["", "", "History"]
    assert [len(passage.text.split()) for passage in found] == [160, 80, 16]


@given(
    st.lists(
        st.text(max_size=60) | st.just("word " * 300) | st.just("x" * 700) | st.just("History."), max_size=12
    )
)
def test_passages_lose_nothing_and_are_never_long(lines: list[str]) -> None:
    text = "\n".join(lines)
    found = list(passages(text))
    for passage in found:
        assert 0 < len(passage.text.split()) <= max(MAX_WORDS, MAX_SENTENCE)
        assert max(map(len, passage.text.split())) <= MAX_WORD
    joined = re.sub(r"\s", "", "".join(passage.text for passage in found))
    assert joined == re.sub(r"\s", "", "".join(section.text for section in sections(text)))
    short = [passage for passage in found[:-1] if len(passage.text.split()) < MIN_WORDS]
    assert len(short) <= len(found) / 2 + text.count("word " * 300)


def test_a_line_of_megabytes_takes_no_longer_than_its_words() -> None:
    found = list(passages("x" * 10_000_000))
    assert sum(len(passage.text.replace(" ", "")) for passage in found) == 10_000_000
    assert len(list(passages("A b. " * 100_000))) >= 1000
