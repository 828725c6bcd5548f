"""Words that no article has, and the nearest ones that articles do have."""

import difflib
import re
from collections import Counter

from apps.search.database import Database, Hit
from apps.search.words import STOP_WORDS, stem, words

MIN_LENGTH, MAX_LENGTH = 4, 30  # of a word that is corrected
LONG = 6  # characters, from which two of them may be wrong
MIN_LIKENESS = 0.7  # of the two words, by difflib
N_FUZZY = 20  # passages in which a word is looked for


def corrections(database: Database, query: str, found: list[Hit]) -> dict[str, str]:
    """Return other spellings of a query's words that are in no article, as far as there are any.

    `found` is what the query found: a word in it needs no other search.
    """
    text = " ".join(f"{hit.title} {hit.text}" for hit in found).casefold()
    corrected: dict[str, str] = {}
    for word in dict.fromkeys(words(query)):
        if not MIN_LENGTH <= len(word) <= MAX_LENGTH or not word.isalpha() or word in STOP_WORDS:
            continue
        if word in text or stem(word) in map(stem, set(re.findall(rf"\b{word[:3]}\w*", text))):
            continue
        if any(len(database.by_words(word, column, 1).rows) for column in ("text", "title")):
            continue
        if nearest := nearest_word(database, word):
            corrected[word] = nearest
    return corrected


def nearest_word(database: Database, word: str) -> str:
    """Return the word of the index that is most like another; empty if none is."""
    fuzziness = 2 if len(word) >= LONG else 1
    counts: Counter[str] = Counter()
    for column in ("title", "text"):
        for hit in database.hits(database.by_words(stem(word), column, N_FUZZY, fuzziness).rows):
            counts.update(set(words(f"{hit.title} {hit.text}")))
    like = {
        other: difflib.SequenceMatcher(None, word, other).ratio() for other in counts if other[0] == word[0]
    }
    best = max(like, key=lambda other: (round(like[other], 2), counts[other]), default="")
    return best if best and like[best] >= MIN_LIKENESS else ""
