"""The built-in encyclopedia: a small text corpus that needs no network.

It is what `prepare_data.py --source=builtin` reads: about 1.6 MB of plain articles in the schema of Wikipedia dumps
(`id, url, title, text`), made by a deterministic generator. The tables in `facts_*.py` hold facts of general
knowledge, which nobody owns, collected and written down for this project; `write_*.py` say them in varied sentences;
numbers and calendars are computed. Each fact is stated in several articles, because whole articles are set aside for
validation and training should still have seen the fact. The text falls under the project's own licence, MIT.

`articles()` is all of the interface. The same version of these files gives the same bytes everywhere; an article's id
depends on its title alone, so that adding an article does not move another one to the other split.
"""

from collections.abc import Iterator

from corpus.builtin import (
    write_countries,
    write_country_lists,
    write_elements,
    write_history,
    write_ideas,
    write_nature,
    write_numbers,
    write_people,
    write_places,
    write_space,
)

WRITERS = (
    write_countries,
    write_country_lists,
    write_elements,
    write_space,
    write_people,
    write_places,
    write_nature,
    write_ideas,
    write_history,
    write_numbers,
)


def articles() -> Iterator[dict[str, str]]:
    """Yield every article as a dictionary with the keys id, url, title and text."""
    for writer in WRITERS:
        for draft in writer.drafts():
            yield draft.article()
