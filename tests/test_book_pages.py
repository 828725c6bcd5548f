"""The book's pages, without running their cells: every cell is one, every picture says what it shows."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

BOOK = ROOT / "book"
PAGES = sorted(BOOK.glob("*.md"))
CHAPTERS = [page for page in PAGES if page.name[0].isdigit()]


def cells(page: Path) -> list[tuple[str, str]]:
    """Return a page's code cells: their headers and their code. Raises AssertionError if a fence is astray."""
    found: list[tuple[str, str]] = []
    opening, lines = "", []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif opening:
            assert line == "```", f"{page.name}:{number}: {opening} is not closed"
            if opening == "```{code-cell} ipython3":
                header, _, code = "\n".join(lines).removeprefix("---\n").rpartition("\n---\n")
                found.append((header, code))
            opening = ""
        else:
            assert line != "```", f"{page.name}:{number}: a fence that opens nothing"
            opening, lines = line, []
    assert not opening, f"{page.name}: {opening} is not closed"
    return found


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_cells_are_python_and_pictures_have_a_description(page: Path) -> None:
    found = cells(page)
    assert len(found) > 5
    for header, code in found:
        ast.parse(code)
        image = (yaml.safe_load(header) or {}).get("mystnb", {}).get("image", {})
        assert ("plt.show()" in code) == bool(image.get("alt")), code
    assert any("assert " in code for _, code in found)
    assert re.search(rf"^# {int(page.stem[:2])}\. ", page.read_text(), re.MULTILINE)


def test_every_page_is_in_the_contents() -> None:
    contents = (BOOK / "_toc.yml").read_text()
    listed = re.findall(r"(?:root|file): (\S+)", contents)
    assert sorted(listed) == [page.stem for page in PAGES]
    assert [name for name in listed if name[0].isdigit()] == [page.stem for page in CHAPTERS]
