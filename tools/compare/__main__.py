"""Compare training runs on one page, and say which is worse than the first.

    python -m tools.compare out/a out/b --out=compare.html

The exit status is 0 if every run was compared and none is worse, 1 otherwise. To watch runs that train, on a page at
http://127.0.0.1:8000:

    python -m tools.compare out/a out/b --live
"""

import sys
from datetime import datetime
from pathlib import Path

from system.errors import UserError, run_command, say

# isort: split
from system.files import check_writable, fix_for, replace_file
from tools.compare.config import CompareConfig, parse_command


def write_page(folders: list[Path], config: CompareConfig) -> bool:
    """Write the page and print the verdicts; return whether every run passed."""
    out = Path(config.out)
    check_writable(out, "compare.html")  # before anything is read
    from tools.compare import page, table
    from tools.compare.runs import now, read_runs
    from tools.compare.verdict import NOISE, passed, verdicts

    runs = read_runs(folders)
    found, read_at = verdicts(runs, config), now()
    running = [run.name for run in runs if run.state(read_at).startswith("running")]
    also = f"; {', '.join(running)} may have trained on since" if running else ""
    written = f"Written {datetime.fromtimestamp(read_at):%Y-%m-%d %H:%M:%S}{also}."
    text = page.html(page.content(runs, found, config, read_at, written))
    for line in table.lines(runs, found, read_at):
        say(line)
    if len(runs) > 1:
        say(NOISE)
    try:
        replace_file(out, text)
    except OSError as error:
        raise UserError(f"out={out}: {error.strerror}", fix_for(error, "choose another --out")) from None
    say(f"{out}: {len(text.encode()) / 1e6:.1f} MB: open it in a browser")
    return passed(found)


def serve(folders: list[Path], config: CompareConfig) -> None:
    """Serve the page on this machine until it is stopped."""
    try:
        from system.http import serve as listen
        from tools.compare.api import Api
    except ImportError as error:
        fix = "run `pip install -r requirements-apps.txt`"
        raise UserError(f"{error.name} is not installed", fix) from None
    api = Api(folders, config)
    runs = "1 run" if len(folders) == 1 else f"{len(folders)} runs"
    listen(api.app(), "127.0.0.1", config.port, "", runs)


def main() -> None:
    folders, config = parse_command(sys.argv[1:], __doc__ or "")
    if config.live:
        serve(folders, config)
    elif not write_page(folders, config):
        sys.exit(1)


if __name__ == "__main__":
    run_command(main, resumes=False)
