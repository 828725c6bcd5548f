"""The pages that `make book` built: links, notebooks, and what a phone shows. `make test-book` runs these tests."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

BOOK = Path(__file__).parent.parent / "out" / "book"
CHAPTERS = sorted(path.stem for path in (BOOK.parent.parent / "book").glob("[01]*.md"))
PAGES = [f"html/{name}.html" for name in [*CHAPTERS, "index", "glossary", "references"]] + ["page/index.html"]
PHONE = (390, 900)  # pixels

pytestmark = pytest.mark.pages


def soup(path: Path) -> Any:
    from bs4 import BeautifulSoup

    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    assert (BOOK / "page/index.html").is_file(), "run `make book` first"


def test_links_lead_somewhere_and_nothing_is_loaded_from_another_host() -> None:
    anchors: dict[Path, set[str]] = {}
    n_links, broken = 0, []
    for page in (*(BOOK / "html").glob("*.html"), *(BOOK / "page").glob("*.html")):
        content = soup(page)
        loaded = [
            one.get("src") or one.get("href") for one in content.select("[src], link:not([rel=canonical])")
        ]
        assert not [url for url in loaded if urlsplit(url).netloc], page
        for link in (one["href"] for one in content.select("a[href]")):
            url = urlsplit(link)
            if url.scheme:
                continue
            n_links += 1
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            if target.suffix == ".html" and target.is_file() and target not in anchors:
                anchors[target] = {one["id"] for one in soup(target).select("[id]")}
            if not target.exists() or (url.fragment and unquote(url.fragment) not in anchors.get(target, ())):
                broken.append(f"{page.name}: {link}")
    assert not broken
    assert n_links > 1000


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_can_be_downloaded_as_a_notebook_with_its_outputs(chapter: str) -> None:
    import nbformat

    link = soup(BOOK / "html" / f"{chapter}.html").select_one("a.btn-download-notebook-button")
    notebook = nbformat.read(BOOK / "html" / link["href"], 4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) >= 5
    assert all(cell.execution_count for cell in cells)
    printed = [out for cell in cells for out in cell.outputs]
    assert len(printed) > len(cells) / 3
    assert not [out for out in printed if out.output_type == "error" or out.get("name") == "stderr"]
    assert "literalinclude" not in "".join(
        cell.source for cell in notebook.cells
    )  # the code itself stands there


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_a_phone_and_its_menus_open(page: str, browser: Any) -> None:
    browser.set_window_size(*PHONE)
    browser.get((BOOK / page).as_uri())
    browser.set_script_timeout(120)
    n_formulas = len(soup(BOOK / page).select(".math"))
    if n_formulas:
        browser.execute_async_script("const done = arguments[0]; MathJax.Hub.Queue(() => done());")
    assert len(browser.find_elements("css selector", "span.MathJax")) >= n_formulas
    assert browser.find_elements("css selector", ".merror, .MathJax_Error") == []
    wide, visible = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= visible
    for name in ("primary", "secondary"):
        buttons = browser.find_elements("css selector", f"button.{name}-toggle")
        shown = [button for button in buttons if button.is_displayed()]
        assert shown or name == "secondary"
        for button in shown:
            button.click()
            menu = browser.find_element("css selector", f"dialog#pst-{name}-sidebar-modal")
            assert menu.get_property("open"), name
            assert menu.text.strip()
            browser.execute_script("arguments[0].close()", menu)
    tables = browser.execute_script(
        "return [...document.querySelectorAll('div.cell_output pre')].map(one => one.scrollWidth > one.clientWidth)"
    )
    assert any(tables) or "09_" not in page  # they scroll by themselves
    assert re.search(r"\w", browser.title)
    requested = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert all(url.startswith("file:") for url in requested)
