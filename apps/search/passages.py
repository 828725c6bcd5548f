"""An article as sections, sentences and passages: what is embedded, found and shown.

Articles have their headings as plain lines: "Track listing." as extracted in 2014, "Track listing" between blank lines in
the hub's wikimedia/wikipedia.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_WORDS = 160  # of a passage; one sentence alone may have MAX_SENTENCE
MIN_WORDS = 60  # a passage with fewer takes the next section's first sentences too
MAX_SENTENCE = 200  # words; longer ones are cut
MAX_WORD = 200  # characters; longer ones are cut, such as a line of megabytes without a space

HEADING_WORDS, HEADING_CHARACTERS = 9, 80
HEADING = re.compile(r"[^\W_a-z][^.!?;]*\.?|\W?[A-Z][^.!?;]*\.?")
# What makes a short line a sentence.
SENTENCE_WORDS = frozenset(
    "he she it they there is was are were has had have did died can could will would".split()
)
# A sentence ends at . ! or ? with closing quotes, before a space and what can begin another.
SENTENCE_END = re.compile(r"""[.!?…]["'”’»)\]]*\s+(?=["'“‘«(\[]*[^\W_a-z])|[。！？।؟۔]\s*""")  # noqa: RUF001
# Not after an initial or a common abbreviation.
ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[^\W\d_]|(?:[a-z]\.)+[a-z]|Mr|Mrs|Ms|Dr|Prof|Rev|Fr|Gen|Col|Lt|Sgt|Capt|Gov|Sen|Rep|Hon|St|Mt|Ft|Jr|Sr"
    r"|Inc|Ltd|Co|Corp|Bros|vs|cf|ca|approx|etc|No|Vol|pp|ed|eds|vol|fig|al|Jan|Feb|Mar|Apr|Aug|Sept|Sep|Oct|Nov|Dec)\.$"
)


class Section(NamedTuple):
    """A part of an article under one heading; the first one, the lead, has none."""

    heading: str
    text: str


class Passage(NamedTuple):
    """A part of an article that is found and shown as one: some sentences in a row."""

    section: str  # the heading above its first sentence; empty in the lead
    text: str


def sections(text: str) -> list[Section]:
    """Return an article's sections in order. Their texts have no headings; a section without text is left out."""
    lines = text.splitlines()
    found: list[Section] = []
    heading = ""
    body: list[str] = []
    for number, line in enumerate(lines):
        if is_heading(lines, number):
            found.append(Section(heading, "\n".join(body).strip()))
            heading, body = line.strip().removesuffix("."), []
        else:
            body.append(line)
    found.append(Section(heading, "\n".join(body).strip()))
    return [section for section in found if section.text]


def is_heading(lines: list[str], number: int) -> bool:
    """Return whether a line is a heading: short, like a title, and above some text."""
    line = lines[number].strip()
    if number == 0 or not 0 < len(line) <= HEADING_CHARACTERS or len(line.split()) > HEADING_WORDS:
        return False
    if not HEADING.fullmatch(line) or not any(
        following.strip() for following in lines[number + 1 : number + 4]
    ):
        return False
    if SENTENCE_WORDS.intersection(line.lower().rstrip(".").split()):
        return False
    return line.endswith(".") or not lines[number - 1].strip()


def sentences(text: str) -> list[str]:
    """Return a text's sentences, without the spaces between them. A line break ends one."""
    found = []
    for line in text.splitlines():
        start = 0
        for end in SENTENCE_END.finditer(line):
            if not ABBREVIATION.search(line[max(start, end.start() - 12) : end.start() + 1]):
                found.append(line[start : end.end()].strip())
                start = end.end()
        found.append(line[start:].strip())
    return [sentence for sentence in found if sentence]


def passages(text: str) -> Iterator[Passage]:
    """Yield an article's passages: sentences up to MAX_WORDS, of one section where it is long enough."""
    kept: list[str] = []
    n_words, heading = 0, ""
    for section in sections(text):
        if n_words >= MIN_WORDS:
            yield Passage(heading, " ".join(kept))
            kept, n_words = [], 0
        for sentence in pieces(section.text):
            more = len(sentence.split())
            if kept and n_words + more > MAX_WORDS:
                yield Passage(heading, " ".join(kept))
                kept, n_words = [], 0
            if not kept:
                heading = section.heading
            kept.append(sentence)
            n_words += more
    if kept:
        yield Passage(heading, " ".join(kept))


def embedded_text(title: str, section: str, text: str) -> str:
    """Return what is embedded of a passage: its words with what they are about."""
    return ". ".join(part for part in (title, section, text) if part)


def summary_prompt(title: str, text: str) -> str:
    """Return what our own summarizer continues with a summary: configs/summarize.py trains on such prompts."""
    return f"{title}\n\n{text}\n\nSummary:"


def pieces(text: str) -> Iterator[str]:
    """Yield a text's sentences; long ones in parts."""
    for sentence in sentences(text):
        words = [
            word[at : at + MAX_WORD] for word in sentence.split() for at in range(0, len(word), MAX_WORD)
        ]
        for start in range(0, len(words), MAX_SENTENCE):
            yield " ".join(words[start : start + MAX_SENTENCE])
