"""The page where a text is typed, and its API, for this machine alone."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from apps.explain.explainer import Explainer
from apps.explain.page import PAGE, content
from system.errors import UserError
from system.http import error_response, http_error, unexpected

FILES = {"/": "page.html", "/style.css": "style.css", "/script.js": "script.js"}
MOST_SECONDS = 30.0  # of a slow method; above, it is left out, and the page says so
MOST_WAITING = 4  # texts, of which one is explained at a time
MOST_CHARACTERS = 100_000


class Body(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True)
    text: Annotated[str, Field(max_length=MOST_CHARACTERS)]


class Api:
    """Explains texts, one at a time."""

    def __init__(self, explainer: Explainer) -> None:
        self.explainer = explainer
        self.turn = asyncio.Lock()
        self.n_waiting = 0

    def app(self) -> Starlette:
        """Return the app that serves page and API."""
        routes = [
            *(Route(path, partial(file, PAGE / name)) for path, name in FILES.items()),
            Route("/favicon.ico", no_icon),
            Route("/api/explain", self.explain, methods=["POST"]),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: http_error, Exception: unexpected})

    async def explain(self, request: Request) -> Response:
        """Answer with the explanation of a text."""
        try:
            text = Body.model_validate_json(await request.body()).text
        except ClientDisconnect:
            return Response(status_code=400)  # which nobody reads
        except ValidationError as error:
            return error_response(400, error.errors()[0]["msg"])
        if self.n_waiting >= MOST_WAITING:
            return error_response(429, "too many texts at once: try again in a moment")
        self.n_waiting += 1
        try:
            async with self.turn:
                return JSONResponse(await asyncio.to_thread(self._content, text))
        except UserError as error:
            return error_response(400, str(error))
        finally:
            self.n_waiting -= 1

    def _content(self, text: str) -> dict:
        return content(self.explainer.explain(text, most_seconds=MOST_SECONDS))


async def file(path: Path, request: Request) -> FileResponse:
    """Answer with a file of the page."""
    return FileResponse(path)


async def no_icon(request: Request) -> Response:
    """Answer a browser's request for an icon: there is none."""
    return Response(status_code=204)
