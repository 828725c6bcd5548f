"""The search page and its API. Nothing of an article is ever HTML: the page makes text of it."""

import asyncio
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from apps.search.searcher import Searcher
from system.http import error_response

PAGE = Path(__file__).parent / "page"
FILES = {"/": "page.html", "/style.css": "style.css", "/script.js": "script.js", "/icon.svg": "icon.svg"}
AT_ONCE, MOST_WAITING = 4, 64  # questions; more are refused
MOST_CHARACTERS = 200_000  # of a question, of which the first words count


class Question(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True)
    query: Annotated[str, Field(max_length=MOST_CHARACTERS)]


class Api:
    """Answers questions from an index, some at a time."""

    def __init__(self, searcher: Searcher, n_results: int) -> None:
        self.searcher, self.n_results = searcher, n_results
        self.turn = asyncio.Semaphore(AT_ONCE)
        self.n_waiting = 0

    def app(self) -> Starlette:
        """Return the app that serves page and API."""

        async def page(request: Request) -> FileResponse:
            return FileResponse(PAGE / FILES[request.url.path])

        routes = [
            *(Route(path, page) for path in FILES),
            Route("/api/search", self.search, methods=["POST"]),
            Route("/api/about", self.about),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: http_error})

    async def about(self, request: Request) -> JSONResponse:
        """Say what is indexed."""
        info = self.searcher.database.info
        return JSONResponse({"articles": info.n_articles, "passages": info.n_passages})

    async def search(self, request: Request) -> JSONResponse:
        """Answer a question."""
        try:
            question = Question.model_validate_json(await request.body())
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            return error_response(400, f"{where}: {problem['msg']}" if where else problem["msg"])
        if self.n_waiting >= MOST_WAITING:
            return error_response(429, "too many questions at once: ask again in a moment")
        self.n_waiting += 1
        try:
            async with self.turn:
                answer = await asyncio.to_thread(self.searcher.ask, question.query, self.n_results)
        finally:
            self.n_waiting -= 1
        return JSONResponse(answer.to_dict())


async def http_error(request: Request, error: Exception) -> Response:
    """Return an error such as 404 in the form of the others."""
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail)
