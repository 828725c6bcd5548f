"""The encyclopedia's language: drafts of articles, choice between sentence patterns, a little English grammar.

The facts are in `facts_*.py`, the sentence patterns in `write_*.py`. Choices come from a keyed hash of the article's
title and the sentence's place, so that the same tables give the same text on any machine and any Python.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")

# Words that start with a vowel letter but a consonant sound, and the other way round.
CONSONANT_SOUND = re.compile(r"(?:u(?:ni[^nm]|se|k|ga|ru|ran|tah)|eu|one\b|ewe)", re.IGNORECASE)
VOWEL_SOUND = re.compile(r"(?:hour|honest|heir|8|11\b|18\b|[FHLMNRSX](?=-|\d|\b))")

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = ". . twenty thirty forty fifty sixty seventy eighty ninety".split()
IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def read_table(row: Callable[..., Item], table: str) -> list[Item]:
    """Return one `row(*cells)` for each non-empty line of `table`, its cells separated by `|`."""
    return [row(*map(str.strip, line.split("|"))) for line in table.splitlines() if line.strip()]


def keyed_hash(key: str) -> int:
    """Return a 64-bit hash of `key` that is the same in every process, unlike Python's own `hash`."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def choice(key: str, options: Sequence[Item]) -> Item:
    """Return the option that `key` selects."""
    return options[keyed_hash(key) % len(options)]


def shuffled(key: str, items: Iterable[Item]) -> list[Item]:
    """Return the items in an order that `key` selects."""
    return [item for _, item in sorted(enumerate(items), key=lambda pair: keyed_hash(f"{key}/{pair[0]}"))]


def a(noun: str) -> str:
    """Return the noun phrase with its indefinite article: "a planet", "an English poet"."""
    vowel = bool(VOWEL_SOUND.match(noun)) or (noun[0] in "aeiouAEIOUÅÉÖ" and not CONSONANT_SOUND.match(noun))
    return f"{'an' if vowel else 'a'} {noun}"


def capitalized(text: str) -> str:
    """Return the text with its first letter in upper case and the rest untouched."""
    return text[:1].upper() + text[1:]


def series(items: Iterable[str]) -> str:
    """Join words as English does: "red", "red and blue", "red, green and blue"."""
    *head, last = items
    return f"{', '.join(head)} and {last}" if head else last


def possessive(name: str) -> str:
    """Return the possessive form: "France's", "the Netherlands'"."""
    return name + ("'" if name.endswith("s") else "'s")


def in_words(number: int) -> str:
    """Spell out a number below one million: 42 is "forty-two"."""
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (f"-{ONES[ones]}" if ones else "")
    unit, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    count, rest = divmod(number, unit)
    joint = " and " if rest < 100 else " "
    return f"{in_words(count)} {name}" + (f"{joint}{in_words(rest)}" if rest else "")


def ordinal_in_words(number: int) -> str:
    """Spell out a rank: 21 is "twenty-first"."""
    head, joint, last = re.fullmatch(r"(.*?)([ -]?)([a-z]+)", in_words(number)).groups()  # type: ignore[union-attr]
    if last in IRREGULAR_ORDINALS:
        last = IRREGULAR_ORDINALS[last]
    else:
        last = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return head + joint + last


def ordinal(number: int) -> str:
    """Write a rank in digits: 21 is "21st"."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


class Draft:
    """An article being written: sentences gather into paragraphs, paragraphs follow headings."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._blocks: list[tuple[str, list[str]]] = [("", [])]
        self._n_sentences = 0

    def say(self, *patterns: str, **facts: object) -> None:
        """Add one sentence from one of the patterns, filled with the facts."""
        self._n_sentences += 1
        pattern = choice(f"{self.title}/{self._n_sentences}/{patterns[0]}", patterns)
        sentence = capitalized(pattern.format(**facts))
        # "Washington, D.C." brings its own full stop to the end of a sentence.
        self._blocks[-1][1].append(sentence.removesuffix(".") if sentence.endswith("..") else sentence)

    def paragraph(self) -> None:
        """Start a new paragraph under the same heading."""
        self._blocks.append(("", []))

    def section(self, heading: str) -> None:
        """Start a section; one that gets no sentence leaves no trace."""
        self._blocks.append((f"{heading}.\n", []))

    def article(self) -> dict[str, str]:
        """Return the finished article; id and url depend on the title alone."""
        return {
            "id": str(keyed_hash(self.title) % 10**9),
            "url": "builtin://" + self.title.replace(" ", "_"),
            "title": self.title,
            "text": "\n".join(
                heading + " ".join(sentences) for heading, sentences in self._blocks if sentences
            ),
        }
