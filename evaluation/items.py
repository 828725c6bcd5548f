"""Items that a model is asked to solve, from rows in HellaSwag's, LAMBADA's or this project's fields.

Contexts and choices are those of EleutherAI's lm-evaluation-harness (tests/test_lm_eval.py).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from system.errors import UserError

Kind = Literal["choice", "completion"]


class Item(NamedTuple):
    """A context and what may follow it: choices of which `answer` is right, or the one right completion."""

    context: str
    choices: tuple[str, ...]  # with the space before them
    answer: int = 0
    lengths: tuple[int, ...] = ()  # of the choices in characters, without that space


@dataclass(frozen=True)
class Task:
    """Items of one kind."""

    name: str
    kind: Kind
    items: list[Item]


# HellaSwag (Zellers et al. 2019): https://huggingface.co/datasets/Rowan/hellaswag


def hellaswag_text(text: str) -> str:
    """Return a text of HellaSwag without the marks that WikiHow's articles left in it."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def hellaswag(row: dict[str, Any]) -> Item:
    """Return an item of HellaSwag: the activity and the beginning of a sentence, with four endings."""
    context = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    endings = [hellaswag_text(ending) for ending in row["endings"]]
    return choice(hellaswag_text(context), endings, row["label"])


def lambada(row: dict[str, Any]) -> Item:
    """Return an item of LAMBADA (Paperno et al. 2016): a text, whose last word must be known from all before it."""
    context, _, word = row["text"].rpartition(" ")
    return Item(context, (f" {word}",))


def question(row: dict[str, Any]) -> Item:
    """Return an item of choices in this project's own fields."""
    return choice(row["prompt"], row["choices"], row["answer"])


def completion(row: dict[str, Any]) -> Item:
    """Return a prompt with the completion that is right."""
    return Item(row["prompt"], (row["completion"],))


def choice(context: str, choices: Sequence[str], answer: int | str) -> Item:
    """Return an item whose choices follow the context after a space."""
    return Item(context, tuple(f" {text}" for text in choices), int(answer), tuple(map(len, choices)))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_number(value: object) -> bool:
    if isinstance(value, str):  # as HellaSwag's labels
        return value.isdecimal()
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


FITS = {"a text": _is_text, "a list of texts": _are_texts, "a whole number from 0": _is_number}


class Format(NamedTuple):
    """A kind of file: what its keys hold, in the words of FITS, and how a row becomes an item."""

    keys: dict[str, str]
    kind: Kind
    item: Callable[[dict[str, Any]], Item]


TEXT, TEXTS, NUMBER = FITS
FORMATS = (
    Format(
        {"activity_label": TEXT, "ctx_a": TEXT, "ctx_b": TEXT, "endings": TEXTS, "label": NUMBER},
        "choice",
        hellaswag,
    ),
    Format({"prompt": TEXT, "choices": TEXTS, "answer": NUMBER}, "choice", question),
    Format({"prompt": TEXT, "completion": TEXT}, "completion", completion),
    Format({"text": TEXT}, "completion", lambada),
)


def format_of(row: Any, place: str) -> Format:
    """Return the format that has a row's keys; raise UserError if there is none."""
    for form in FORMATS:
        if isinstance(row, dict) and form.keys.keys() <= row.keys():
            if "title" in row and form.item is lambada:
                fix = "prepare a folder from the articles, and use --data_dir with --tasks=leads,last_words"
                raise UserError(f"{place} is an article, not an item of a task", fix)
            return form
    known = "; or ".join(", ".join(form.keys) for form in FORMATS)
    raise _no_item(row, place, known)


def read_item(form: Format, row: Any, place: str) -> Item:
    """Return the item of a row; raise UserError if it does not fit the format."""
    if not isinstance(row, dict) or not form.keys.keys() <= row.keys():
        raise _no_item(row, place, f"{', '.join(form.keys)}, as the first line has")
    for key, kind in form.keys.items():
        if not FITS[kind](row[key]):
            raise UserError(f"{place}: {key} is {row[key]!r:.40}", f"it must be {kind}")
    item = form.item(row)
    if form.kind == "choice" and len(item.choices) < 2:
        raise UserError(f"{place}: it has {len(item.choices)} choices", "write at least two")
    if form.item is lambada and not item.context.strip():
        raise UserError(f"{place}: {row['text']!r:.40} has no word before its last", "write a longer text")
    if item.answer >= len(item.choices):
        raise UserError(f"{place}: the right choice is {item.answer}, of {len(item.choices)}", "count from 0")
    if not all(text.strip() for text in item.choices):
        raise UserError(f"{place}: a choice is empty", "write one, or delete the item")
    return item


def _no_item(row: Any, place: str, known: str) -> UserError:
    found = f"it has {', '.join(row)}" if isinstance(row, dict) else f"it is {row!r:.40}"
    return UserError(f"{place} is not an item of a task", f"{found}, but needs {known}")
