"""The words of a text that carry its meaning, in one form each."""

import re
import threading
import unicodedata
from functools import lru_cache

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
WORD = re.compile(r"[^\W_]+")
ACCENTS = re.compile("[\u0300-\u036f]+")  # as characters of their own

stemmer = Stemmer.Stemmer("english", 0)  # 0: no cache of its own
stemming = threading.Lock()  # it keeps the word in itself, so that one thread may use it at a time


def words(text: str) -> list[str]:
    """Return the words of a text in order, in lower case and without accents."""
    text = text.casefold()
    if not text.isascii():  # it takes ten times as long
        text = ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return WORD.findall(text)


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
