"""The words of a text that carry its meaning, in one form each."""

import re
import threading
import unicodedata
from functools import lru_cache
from itertools import islice

import Stemmer

STOP_WORDS = frozenset(
    """a about above after again against all almost along already also although always am among an and another any anybody
    anyone anything are around as at away back be became because become been before behind being below between both but by
    can cannot could did do does doing done down during each either else enough etc even ever every everybody everyone
    everything few for from further gave get gets give given go goes going gone got had has have having he her here hers
    herself him himself his how however i if in instead into is it its itself just know known least less let like made
    make makes making many may me might mine more most much must my myself name named near need neither never next no
    nobody none nor not nothing now of off often on once one only onto or other others our ours ourselves out over own per
    perhaps put quite rather really same shall she should since so some somebody someone something still such take taken
    takes than that the their theirs them themselves then there these they thing things this those though through thus to
    together too took toward towards under unless until up upon us use used uses using very via was we well went were what
    whatever when whenever where wherever whether which while who whoever whole whom whose why will with within without
    would yet you your yours yourself yourselves""".split()
)
# Marks that stand for vowels in India's scripts and others belong to a word; \w leaves them out.
MARKS = "".join(c for c in map(chr, range(0x300, 0x10000)) if unicodedata.category(c).startswith("M"))
WORD = re.compile(rf"[^\W_]+(?:[{MARKS}]+[^\W_]*)*")
ACCENTS = re.compile("(?<=[a-z])[\u0300-\u036f]+")  # of Latin letters, as characters of their own

stemmer = Stemmer.Stemmer("english", 0)  # 0: no cache of its own
stemming = threading.Lock()  # it keeps the word in itself, so that one thread may use it at a time


def words(text: str) -> list[str]:
    """Return the words of a text in order, in lower case, those of Latin letters without accents."""
    text = text.casefold()
    if not text.isascii():  # it takes twice as long
        text = unicodedata.normalize("NFC", ACCENTS.sub("", unicodedata.normalize("NFD", text)))
    return WORD.findall(text)


def first_words(text: str, n: int) -> str:
    """Return a text as it is up to the end of its n-th word, without what is no character."""
    text = text.encode(errors="replace").decode()
    last = next(islice(WORD.finditer(text), n - 1, None), None)
    return text[: last.end()] if last else text


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return a word's stem: one form for "leaf" and "leafs", "running" and "run" (Snowball's English stemmer)."""
    with stemming:
        return stemmer.stemWord(word)


def content_words(text: str) -> list[str]:
    """Return the stems of the words that are not function words such as "the" and "which", in order."""
    return [stem(word) for word in words(text) if word not in STOP_WORDS and len(word) > 1]


@lru_cache(maxsize=1 << 16)
def forms(word: str) -> tuple[str, ...]:
    """Return the stems of what is one word in a text, none for a function word."""
    return tuple(stem(part) for part in words(word) if part not in STOP_WORDS)
