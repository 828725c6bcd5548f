"""The built-in encyclopedia: a small text corpus that needs no network.

`prepare_data.py --source=builtin` reads it: about 1.8 MB of plain articles in the schema of Wikipedia dumps (`id, url,
title, text`), made by a deterministic generator. The tables in `facts_*.py` hold facts of general knowledge, collected
and written down for this project; `write_*.py` put them into varied sentences; numbers and calendars are computed. Each
fact is stated in several articles, so that training sees it even if some of them are held out for validation. The
text has the project's own licence, MIT.

The same version of these files gives the same bytes everywhere. An article's id depends on its title alone, so that
adding an article does not move another one to the other split.
"""

from collections.abc import Iterator

from corpus.builtin import (
    write_almanac,
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
    write_almanac,
)


def articles() -> Iterator[dict[str, str]]:
    """Yield every article as a dictionary with the keys id, url, title and text."""
    for writer in WRITERS:
        for draft in writer.drafts():
            yield draft.article()
