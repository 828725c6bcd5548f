"""The search page and its API. Nothing of an article is ever HTML: the page makes text of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from apps.search.searcher import Searcher, left_out
from system.errors import UserError
from system.http import error_response, http_error, unexpected

PAGE = Path(__file__).parent / "page"
FILES = {"/": "page.html", "/style.css": "style.css", "/script.js": "script.js", "/icon.svg": "icon.svg"}
AT_ONCE, MOST_AT_ONCE = 4, 64  # questions that are answered, and with those that wait; more are refused
MOST_WRITING = 8  # summaries, of which one is written at a time
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
        self.writing = asyncio.Lock()
        self.n_asked = self.n_writing = 0

    def app(self) -> Starlette:
        """Return the app that serves page and API."""

        async def page(request: Request) -> FileResponse:
            return FileResponse(PAGE / FILES[request.url.path])

        routes = [
            *(Route(path, page) for path in FILES),
            Route("/api/search", self.search, methods=["POST"]),
            Route("/api/summary", self.summary, methods=["POST"]),
            Route("/api/about", self.about),
        ]
        handlers = {HTTPException: http_error, UserError: index_error, Exception: unexpected}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def about(self, request: Request) -> JSONResponse:
        """Say what is indexed, and whether a model writes summaries."""
        info, writes = self.searcher.database.info, self.searcher.writer is not None
        return JSONResponse({"articles": info.n_articles, "passages": info.n_passages, "writes": writes})

    async def search(self, request: Request) -> Response:
        """Answer a question."""
        question = await read_question(request)
        if isinstance(question, Response):
            return question
        if self.n_asked >= MOST_AT_ONCE:
            return error_response(429, "too many questions at once: ask again in a moment")
        self.n_asked += 1
        try:
            async with self.turn:
                answer = await asyncio.to_thread(self.searcher.ask, question.query, self.n_results)
        finally:
            self.n_asked -= 1
        return JSONResponse(answer.to_dict())

    async def summary(self, request: Request) -> Response:
        """Write a summary, a line of JSON for each sentence, and a last one that says what was left out."""
        question = await read_question(request)
        if isinstance(question, Response):
            return question
        if self.searcher.writer is None:
            return error_response(404, "no model writes summaries: start the server with --checkpoint")
        if self.n_writing >= MOST_WRITING:
            return error_response(429, "too many summaries at once: ask again in a moment")
        return StreamingResponse(self._written(question.query), media_type="application/x-ndjson")

    async def _written(self, query: str) -> AsyncIterator[str]:
        n_written = n_shown = 0
        self.n_writing += 1
        try:
            async with self.writing:
                async for sentence in iterate_in_threadpool(self.searcher.summary(query, self.n_results)):
                    n_written += 1
                    if sentence.source is not None:
                        n_shown += 1
                        yield json.dumps({"text": sentence.text, "source": sentence.source + 1}) + "\n"
            yield json.dumps({"note": left_out(n_written, n_shown)}) + "\n"
        except UserError as error:  # the index is being rebuilt
            yield json.dumps({"note": str(error)}) + "\n"
        finally:
            self.n_writing -= 1


async def read_question(request: Request) -> Question | Response:
    """Return the question of a request, or what to answer to a wrong one."""
    try:
        return Question.model_validate_json(await request.body())
    except ClientDisconnect:
        return Response(status_code=400)  # which nobody reads
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        return error_response(400, f"{where}: {problem['msg']}" if where else problem["msg"])


async def index_error(request: Request, error: Exception) -> Response:
    """Return why the index cannot be read: another command may be rebuilding it."""
    return error_response(503, str(error))
