"""Tasks that any articles give: the right lead among four, and the last word of a lead.

They are asked of the validation split, which the model was not trained on.
"""

import random
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from evaluation.items import Item, Kind

N_LEADS = 4  # of which one is right


class Lead(NamedTuple):
    """An article's title and its first sentence."""

    title: str
    text: str


def lead_of(article: str) -> Lead | None:
    """Return an article's lead; None if it has no title, or none that ends with a full stop."""
    title, _, text = article.partition("\n\n")
    found = re.match(r"[^\n]+?\.(?=\s|$)(?<!\b[A-Z]\.)", text)
    return Lead(title, found[0]) if found and "\n" not in title else None


def leads(articles: Iterable[str]) -> list[Item]:
    """Return items that ask which of four leads belongs to a title.

    The three wrong ones are of other articles, with this title in place of theirs: none is given away by its name.
    """
    known = [lead for lead in map(lead_of, articles) if lead and lead.title in lead.text]
    chooser = random.Random("leads")
    items = []
    for right in known if len({lead.title for lead in known}) >= N_LEADS else []:
        others: dict[str, str] = {}
        while len(others) < N_LEADS - 1:
            other = chooser.choice(known)
            if other.title != right.title:
                others[other.title] = other.text.replace(other.title, right.title)
        texts = list(others.values())
        answer = chooser.randrange(N_LEADS)
        texts.insert(answer, right.text)
        items.append(Item(f"{right.title}\n\n", tuple(texts), answer, tuple(map(len, texts))))
    return items


def last_words(articles: Iterable[str]) -> list[Item]:
    """Return items that ask for the last word of an article's first sentence, as LAMBADA does."""
    items = []
    for lead in filter(None, map(lead_of, articles)):
        context, space, word = lead.text.rstrip(".").rpartition(" ")
        if context and word:
            items.append(Item(f"{lead.title}\n\n{context}", (space + word,)))
    return items


FROM_ARTICLES: dict[str, tuple[Kind, Callable[[Iterable[str]], list[Item]]]] = {
    "leads": ("choice", leads),
    "last_words": ("completion", last_words),
}
