"""Search Wikipedia by meaning, and read a short answer with its sources.

python -m apps.search index --source=builtin --out_dir=index/builtin     # make an index
python -m apps.search ask "why do leaves change colour" --index=index/builtin
python -m apps.search serve --index=index/builtin                        # a page at http://127.0.0.1:8000
python -m apps.search remove "Seine" --index=index/builtin               # take an article out
"""

import json
import os
import shutil
import sys
import textwrap
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from system.command_line import parse_config
from system.errors import UserError, run_command, say

# isort: split
from apps.search.config import AskConfig, IndexConfig, RemoveConfig, ServeConfig
from system.progress import announced_on_stderr

if TYPE_CHECKING:
    from apps.search.searcher import Searcher

# Before numpy loads: a question's matrices are small, and its other threads would spin beside the next question.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
WIDTH = 100  # of the printed text, at most


def index(argv: Sequence[str]) -> None:
    """Make an index of a source's articles. If it is stopped, rerun the same command to resume."""
    config = parse_config(IndexConfig(), argv, index.__doc__ or "", "index [--key=value ...]")
    check_packages()
    from apps.search.build import build

    build(config)


def ask(argv: Sequence[str]) -> None:
    """Answer a question with a few sentences and the articles that they are from."""
    usage = '"..." [--key=value ...]'
    config = parse_config(AskConfig(), first_words_as("question", argv), ask.__doc__ or "", f"ask {usage}")
    if not config.question.strip():
        raise UserError("no question", 'write it after ask: `python -m apps.search ask "why do leaves fall"`')
    check_packages()
    with announced_on_stderr(f"opening {config.index}"):
        from apps.search.searcher import Searcher

        searcher = Searcher(Path(config.index), config.checkpoint)
    answer = searcher.ask(config.question, config.n_results).to_dict()
    if searcher.writer and answer["sentences"]:
        answer |= written_answer(searcher, config, answer)
    if config.json:
        print(json.dumps(answer, ensure_ascii=False, indent=1))
    else:
        print(as_text(answer, min(WIDTH, shutil.get_terminal_size().columns)))


def remove(argv: Sequence[str]) -> None:
    """Take the articles with a title out of an index."""
    usage = 'remove "..." [--key=value ...]'
    config = parse_config(RemoveConfig(), first_words_as("title", argv), remove.__doc__ or "", usage)
    if not config.title:
        raise UserError("no title", 'write it after remove: `python -m apps.search remove "Seine"`')
    check_packages()
    from apps.search.build import remove as take_out

    take_out(config)


def first_words_as(setting: str, argv: Sequence[str]) -> list[str]:
    """Return a command's words with those before the first setting as one."""
    at = next((n for n, word in enumerate(argv) if word.startswith("--") or word == "-h"), len(argv))
    text = " ".join(argv[:at]).encode(errors="replace").decode()  # a terminal may send what is no text
    return [*([f"--{setting}={text}"] if text.strip() else []), *argv[at:]]


def written_answer(searcher: "Searcher", config: AskConfig, answer: dict) -> dict:
    """Return the sentences that a model writes and a note on those left out; without any, the answer's own."""
    from apps.search.searcher import left_out

    with announced_on_stderr("writing a summary"):
        written = list(searcher.summary(config.question, config.n_results))
    shown = [{"text": one.text, "source": one.source + 1} for one in written if one.source is not None]
    note = f"{answer['note']} {left_out(len(written), len(shown))}".strip()
    return {"sentences": shown or answer["sentences"], "note": note, "written": bool(shown)}


def as_text(answer: dict, width: int) -> str:
    """Return an answer for a terminal."""
    sentences = printable(" ".join(f"{one['text']} [{one['source']}]" for one in answer["sentences"]))
    parts = [part for part in (answer["note"], textwrap.fill(sentences, width)) if part]
    for number, result in enumerate(answer["results"], 1):
        where = " - ".join(part for part in (result["title"] or "Without a title", result["section"]) if part)
        lines = [f"[{number}] {where}", *([f"    {result['url']}"] if result["url"] else [])]
        indent = " " * 4
        lines.append(textwrap.fill(result["snippet"], width, initial_indent=indent, subsequent_indent=indent))
        parts.append(printable("\n".join(lines)))
    return "\n\n".join(parts)


def printable(text: str) -> str:
    """Return a text without control characters, which could move a terminal's cursor."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def serve(argv: Sequence[str]) -> None:
    """Serve the search page."""
    config = parse_config(ServeConfig(), argv, serve.__doc__ or "", "serve [--key=value ...]")
    check_packages()
    from system.http import api_key
    from system.http import serve as listen

    key = api_key(config.host)
    with announced_on_stderr(f"opening {config.index}"):
        from apps.search.api import FILES, Api
        from apps.search.searcher import Searcher

        searcher = Searcher(Path(config.index), config.checkpoint)
    info = searcher.database.info
    about = f"{info.n_articles:,} articles"
    app = Api(searcher, config.n_results).app()
    listen(app, config.host, config.port, key, about, webbrowser.open if config.open else None, FILES)


def check_packages() -> None:
    """Raise UserError if the packages of the apps are not installed."""
    try:
        import lancedb  # noqa: F401
        import starlette  # noqa: F401
        import Stemmer  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed: run `pip install -r requirements-apps.txt`"
        ) from None


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "index": index,
    "ask": ask,
    "serve": serve,
    "remove": remove,
}


def main() -> None:
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h"):
        say(
            f"{(__doc__ or '').strip()}\n\n`python -m apps.search index --help` explains a command's settings."
        )
        return
    if name not in COMMANDS:
        raise UserError(f"unknown command {name!r}: must be {', '.join(COMMANDS)}")
    COMMANDS[name](rest)


if __name__ == "__main__":
    run_command(main, resumes=sys.argv[1:2] == ["index"])
