"""Show which tokens of a text influenced the prediction of each other one, on a page of its own.

    python -m apps.explain --checkpoint=out/demo --text="The capital of Japan is Tokyo." --out=explain.html

To type texts into a page at http://127.0.0.1:8000 instead:

    python -m apps.explain serve --checkpoint=out/demo
"""

import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from system.command_line import parse_config
from system.errors import UserError, run_command, say

# isort: split
from apps.explain.config import ExplainConfig, ServeConfig
from system.files import check_writable, fix_for, replace_file
from system.progress import announced_on_stderr
from system.settings import did_you_mean


def explain(argv: Sequence[str]) -> None:
    """Write a text's page to a file."""
    config = parse_config(ExplainConfig(), argv, __doc__ or "", main_setting="text")
    text, out = read_text(config), Path(config.out)
    check_writable(out, "explain.html")  # before minutes of work
    with announced_on_stderr(f"loading {config.checkpoint}"):
        from apps.explain.explainer import Explainer
        from apps.explain.page import html

        explainer = Explainer.load(config.checkpoint, config.device)
    explanation = explainer.explain(text, config.methods, show=True)
    page = html(explanation)
    try:
        replace_file(out, page)
    except OSError as error:
        raise UserError(f"out={out}: {error.strerror}", fix_for(error, "choose another --out")) from None
    means = explanation.mean_agreements()
    if means:
        rhos = ", ".join(f"{name} {rho:.2f}" for name, rho in means.items())
        say(f"rank correlation with leave-one-out: {rhos}")
    elif config.leave_one_out:
        say("rank correlation with leave-one-out: none, no token has enough others before it")
    say(f"{out}: {len(page.encode()) / 1000:,.0f} kB: open it in a browser")


def read_text(config: ExplainConfig) -> str:
    """Return the text that the settings name; raise UserError if it cannot be read."""
    if not config.text_file:
        return config.text
    try:
        return Path(config.text_file).read_text(encoding="utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError as error:
        problem = f"text_file={config.text_file}: not UTF-8 at byte {error.start}"
        raise UserError(problem, "convert it to UTF-8") from None
    except OSError as error:
        raise UserError(f"text_file={config.text_file}: {error.strerror}", "use a text file") from None


def serve(argv: Sequence[str]) -> None:
    """Serve the page on this machine."""
    config = parse_config(ServeConfig(), argv, serve.__doc__ or "", "serve [--key=value ...]", "checkpoint")
    try:
        from system.http import serve as listen
    except ImportError as error:
        fix = "run `pip install -r requirements-apps.txt`"
        raise UserError(f"{error.name} is not installed", fix) from None
    with announced_on_stderr(f"loading {config.checkpoint}"):
        from apps.explain.api import Api
        from apps.explain.explainer import Explainer

        explainer = Explainer.load(config.checkpoint, config.device)
    about = f"model {explainer.name}, texts of up to {explainer.most_tokens:,} tokens"
    show = webbrowser.open if config.open else None
    listen(Api(explainer).app(), "127.0.0.1", config.port, "", about, show)


def main() -> None:
    name, *rest = sys.argv[1:] or [""]
    if name == "serve":
        serve(rest)
    elif not name.startswith("-") and (hint := did_you_mean(name, {"serve": "serve"})):
        raise UserError(f"unknown command {name!r}{hint}")
    else:
        explain(sys.argv[1:])


if __name__ == "__main__":
    run_command(main, resumes=False)
