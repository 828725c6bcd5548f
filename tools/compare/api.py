"""The live page and what it asks for, for this machine alone."""

import asyncio
import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from system.errors import UserError
from system.http import HEADERS, error_response, http_error, unexpected
from tools.compare.config import CompareConfig
from tools.compare.page import FILES, PAGE, content, live_html, plotly_source
from tools.compare.runs import CONFIG, EVALUATION, now, read_runs
from tools.compare.verdict import verdicts
from training.plot import METRICS

STYLED_BY_SCRIPT = {  # plotly makes styles
    "Content-Security-Policy": f"{HEADERS['Content-Security-Policy']}; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
}


class Api:
    """Reads the runs again when one of their files has changed. Raises UserError if they cannot be read at the start."""

    def __init__(self, folders: Sequence[Path], config: CompareConfig) -> None:
        self.folders, self.config = folders, config
        self.plotly = plotly_source()
        self.turn = asyncio.Lock()
        self.version = ""
        self.content: dict[str, Any] = {}
        self.read()

    def app(self) -> Starlette:
        """Return the app that serves page and data."""
        routes = [
            Route("/", lambda _: HTMLResponse(live_html(), headers=STYLED_BY_SCRIPT)),
            *(Route(f"/{name}", partial(file, name)) for name in FILES),
            Route("/plotly.js", lambda _: Response(self.plotly, media_type="text/javascript")),
            Route("/favicon.ico", lambda _: Response(status_code=204)),
            Route("/api/runs", self.runs),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: http_error, Exception: unexpected})

    async def runs(self, request: Request) -> Response:
        """Answer with all that the page shows, or with nothing if it is what the page has."""
        try:
            async with self.turn:
                await asyncio.to_thread(self.read)
        except UserError as error:
            return error_response(503, str(error))
        if request.query_params.get("since") == self.version:
            return Response(status_code=204)
        return JSONResponse(self.content)

    def read(self) -> None:
        """Read the runs if they have changed. Raises UserError."""
        version = self.newest()
        if version == self.version:
            return
        runs, time = read_runs(self.folders), now()
        found = verdicts(runs, self.config)
        self.content = content(runs, found, self.config, time, "") | {"version": version}
        self.version = version

    def newest(self) -> str:
        """Return a text that changes when a file of a run does, and each minute, as the age of a record is shown."""
        paths = [folder / name for folder in self.folders for name in (METRICS, CONFIG)]
        paths += [path for folder in self.folders for path in sorted((folder / EVALUATION).glob("*.json"))]
        states = [path.stat() for path in paths if path.is_file()]
        times = [f"{state.st_mtime_ns}:{state.st_size}" for state in states]
        return hashlib.sha256(" ".join([*times, f"{now() // 60:.0f}"]).encode()).hexdigest()


async def file(name: str, request: Request) -> FileResponse:
    """Answer with a file of the page."""
    return FileResponse(PAGE / name)
