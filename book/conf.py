"""Sphinx's settings for the book: `make book` builds it into out/book."""

import hashlib
import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jupyter_server_mathjax
import nbformat
from bs4 import BeautifulSoup
from jupyter_cache import get_cache
from sphinx.directives.code import LiteralIncludeReader
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for this process
os.environ["PYTHONPATH"] = str(ROOT)  # and for the kernels that execute the cells

# The chapters' networks are small: a second thread would wait for the first more than it helps.
os.environ.setdefault("OMP_NUM_THREADS", "1")

project = "Self-attention for newbies"
author = "the wikigpt authors"
copyright = author
extensions = ["myst_nb", "sphinx_external_toc"]
external_toc_path = "_toc.yml"
exclude_patterns = ["exercises", "measured", "style", "*.ipynb"]  # notebooks: downloaded, and run in here
html_theme = "sphinx_book_theme"
html_title = project
html_theme_options = {
    "use_download_button": True,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "logo": {"text": project},
    "navbar_persistent": [],  # else a second, hidden header takes the clicks on the menu buttons
}
html_static_path = ["style"]
html_css_files = ["book.css"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3

# A chapter is executed again when its text changes, or any code or figures that it may read: then the cache has a new name.
_FOLDERS = (
    "apps/explain book/measure checkpointing configs corpus evaluation sampling system training".split()
)
_paths = [*ROOT.glob("*.py"), *ROOT.glob("book/*.py"), *ROOT.glob("book/measured/*.json")]
_paths += [
    ROOT / "tools/invented_pairs.py",
    *(path for name in _FOLDERS for path in (ROOT / name).rglob("*.py")),
]
_paths.remove(ROOT / "book/check.py")
_digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_paths))).hexdigest()[:16]
QUOTED_FILE = re.compile(r"```\{literalinclude\} (\S+)\n((?::.*\n)*)```")
_caches = ROOT / "out" / "book" / "executed"
for _old in _caches.glob("*"):
    if _old.name != _digest:
        shutil.rmtree(_old)
nb_execution_mode = "cache"
nb_execution_cache_path = str(_caches / _digest)
nb_execution_raise_on_error = True
nb_execution_show_tb = True  # which cell, and why
nb_execution_timeout = 600  # seconds for a cell
nb_merge_streams = True

# MathJax 2.7 comes with the package jupyter-server-mathjax and is copied beside the pages, so that no page asks another host.
mathjax_path = "mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full,Safe"
mathjax2_config = {  # the package has no other fonts
    "HTML-CSS": {"availableFonts": [], "preferredFont": None, "webFont": "STIX-Web", "imageFont": None},
    "SVG": {"font": "STIX-Web"},
}
myst_update_mathjax = False


def _copy_mathjax(app, error) -> None:  # type: ignore[no-untyped-def]
    if error is None and app.builder.format == "html":  # one page or many
        source = Path(jupyter_server_mathjax.__file__).parent / "static"
        shutil.copytree(source, Path(app.outdir) / "_static" / "mathjax", dirs_exist_ok=True)


def _quoted(directive: re.Match[str], config: Any) -> str:
    """Return the lines of a file of code that a chapter quotes, as a notebook can show them."""
    options = {key: value or None for key, value in re.findall(r":([\w-]+): ?(.*)", directive[2])}
    text, _ = LiteralIncludeReader(str(ROOT / "book" / directive[1]), options, config).read()
    return f"```python\n{text.rstrip()}\n```"


def _offer_notebook(app, page, _template, context, _tree) -> None:  # type: ignore[no-untyped-def]
    """Put a chapter's notebook, with what its cells printed, where the theme's download button looks for it."""
    # What myst-nb writes has no outputs if the cells came from the cache.
    written = Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb"
    if app.builder.name == "html" and written.is_file():
        cache = get_cache(nb_execution_cache_path)
        try:
            _, executed = cache.merge_match_into_notebook(nbformat.read(written, 4))
        except KeyError:
            raise ExtensionError(
                f"{page} is not in {cache.path}: delete out/book, then run make book"
            ) from None
        for cell in executed.cells:
            if cell.cell_type == "markdown":
                cell.source = QUOTED_FILE.sub(partial(_quoted, config=app.config), cell.source)
        context["ipynb_source"] = written.name
        folder = Path(app.outdir) / "_sources"
        folder.mkdir(exist_ok=True)
        nbformat.write(executed, folder / written.name)


def _remove_search(app, error) -> None:  # type: ignore[no-untyped-def]
    """Take the theme's search out of the book on one page, which has no index of its words: the browser searches it."""
    if error is None and app.builder.name == "singlehtml":
        page = Path(app.outdir) / "index.html"
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        for part in soup.select(
            "[rel=search], [rel=index], script[src*=search], #pst-search-dialog, .search-button__button"
        ):
            part.decompose()
        page.write_text(str(soup), encoding="utf-8")


def setup(app) -> None:  # type: ignore[no-untyped-def]
    """Let Sphinx read the chapters in parallel, and call us when it writes a page and when it has built all."""
    # Makes the cache's tables: two readers that both make them fail.
    get_cache(nb_execution_cache_path).db  # noqa: B018
    # It is the only extension that does not say that it can: it numbers the chapters when all of them are read.
    app.extensions["sphinx_multitoc_numbering"].parallel_read_safe = True
    app.connect("html-page-context", _offer_notebook)
    app.connect("build-finished", _copy_mathjax)
    app.connect("build-finished", _remove_search)
