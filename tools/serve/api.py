"""The routes of the OpenAI API, over one sampler."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from corpus.tokenizer import Tokenizer
from sampling.engine import TokenLogprob
from sampling.sampler import Sampler
from sampling.text import Continuation
from system.errors import UserError
from system.http import error_response
from tools.serve.config import ServeConfig
from tools.serve.requests import ChatRequest, Common, CompletionRequest, parsed
from tools.serve.worker import Job, Part, TooManyTexts, Worker, WritingFailed

DISCONNECT_POLL_SECONDS = 0.5  # between looks whether a client still waits
MAX_DEFAULT_CONTEXT = 4096  # unless it is set: the cache of a longer one may not fit in memory

Kind = TypeVar("Kind", bound=Common)
Result = TypeVar("Result")


@dataclass
class Answer:
    """An answer in the form of its route, whole or in parts."""

    samples: Sequence[Continuation]
    tokenizer: Tokenizer
    model: str
    is_chat: bool
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def envelope(self, choices: list[dict[str, Any]], is_part: bool = False) -> dict[str, Any]:
        """Return an answer with these choices."""
        kind = "text_completion"
        if self.is_chat:
            kind = "chat.completion.chunk" if is_part else "chat.completion"
        prefix = "chatcmpl" if self.is_chat else "cmpl"
        base = {"id": f"{prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}
        return base | {"choices": choices}

    def choice(self, part: Part, is_part: bool = False) -> dict[str, Any]:
        """Return a sample, or a part of it."""
        content: dict[str, Any] = {"text": part.text}
        if self.is_chat:
            message = {"role": "assistant", "content": part.text}
            content = {"delta": {"content": part.text}} if is_part else {"message": message}
        reason = part.finish_reason or None
        return {"index": part.number, **content, "logprobs": self.logprobs(part), "finish_reason": reason}

    def usage(self) -> dict[str, int]:
        """Return how many tokens were read and written. A prompt counts once, however many samples continue it."""
        n_prompt = sum(len(sample.text.prompt) for sample in self.samples if not sample.number)
        n_new = sum(len(sample.text.tokens) for sample in self.samples)
        return {"prompt_tokens": n_prompt, "completion_tokens": n_new, "total_tokens": n_prompt + n_new}

    def logprobs(self, part: Part) -> dict[str, Any] | None:
        """Return the log-probabilities of a part's tokens in the route's form; None if they are not kept."""
        text = self.samples[part.number].text
        if text.top_logprobs is None:
            return None
        kept = text.logprobs[part.start : part.stop]
        if self.is_chat:
            return {"content": [self._entry(token) for token in kept], "refusal": None}
        offset = len(self.tokenizer.decode(text.tokens[: part.start]))
        names = [self.tokenizer.decode([token.token]) for token in kept]
        tops = [{self.tokenizer.decode([t]): value for t, value in token.top.items()} for token in kept]
        return {
            "tokens": names,
            "token_logprobs": [token.logprob for token in kept],
            "top_logprobs": tops,
            "text_offset": [*accumulate(map(len, names), initial=offset)][:-1],
        }

    def _entry(self, token: TokenLogprob) -> dict[str, Any]:
        def named(token: int, value: float) -> dict[str, Any]:
            raw = self.tokenizer.decode_bytes([token])
            return {"token": self.tokenizer.decode([token]), "logprob": value, "bytes": list(raw)}

        top = [named(other, value) for other, value in token.top.items()]
        return named(token.token, token.logprob) | {"top_logprobs": top}


class Api:
    """The app. It checks requests, lets a Worker write, and answers."""

    def __init__(self, sampler: Sampler, config: ServeConfig, name: str) -> None:
        self.sampler, self.config, self.name = sampler, config, name
        self.context = config.context or min(sampler.model.config.block_size, MAX_DEFAULT_CONTEXT)
        self.worker = Worker(sampler.engine(config.slots, self.context), config.queue)
        self.started = int(time.time())

    def app(self) -> Starlette:
        """Return the app with its routes."""
        routes = [
            Route("/v1/models", self.models),
            Route("/v1/models/{name:path}", self.model),
            Route("/v1/completions", self.completions, methods=["POST"]),
            Route("/v1/chat/completions", self.chat_completions, methods=["POST"]),
        ]

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            self.worker.start()
            yield
            await self.worker.stop()

        handlers: dict[Any, Any] = {HTTPException: http_error, Exception: internal_error}
        return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)

    async def models(self, request: Request) -> Response:
        """Answer with the one model there is."""
        return JSONResponse({"object": "list", "data": [self._about()]})

    async def model(self, request: Request) -> Response:
        """Answer with a model by its name."""
        self._check_name(request.path_params["name"])
        return JSONResponse(self._about())

    async def completions(self, request: Request) -> Response:
        """Continue texts."""
        body = await self._read(CompletionRequest, request)
        prompts = body.prompts()
        self._check_count(len(prompts) * body.n)
        tokens = await asyncio.to_thread(lambda: [self._tokens(prompt) for prompt in prompts])
        return await self._answer(request, body, tokens, body.logprobs, is_chat=False)

    async def chat_completions(self, request: Request) -> Response:
        """Answer messages."""
        body = await self._read(ChatRequest, request)
        self._check_count(body.n)
        template = self.sampler.template
        if template is None:
            raise HTTPException(400, f"{self.name} has no chat template: use /v1/completions")
        messages = [message.as_message() for message in body.messages]
        options = body.chat_template_kwargs.model_dump()
        try:
            tokens = await asyncio.to_thread(lambda: template.tokens(messages, **options))
        except UserError as error:
            raise HTTPException(400, str(error)) from None
        top_logprobs = body.top_logprobs if body.logprobs else None
        return await self._answer(request, body, [tokens], top_logprobs, is_chat=True)

    async def _read(self, kind: type[Kind], request: Request) -> Kind:
        """Return the checked body of a request."""
        try:
            body = parsed(kind, await request.body())
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        if body.model:
            self._check_name(body.model)
        if (body.max_tokens or 0) > self.config.max_tokens:
            most = self.config.max_tokens
            raise HTTPException(400, f"max_tokens={body.max_tokens}: must be at most {most} here")
        return body

    def _check_name(self, name: str) -> None:
        if name != self.name:
            raise HTTPException(404, f"no model {name!r} here: this server has {self.name!r}")

    def _check_count(self, n_texts: int) -> None:
        if n_texts > self.worker.most:
            raise HTTPException(
                400, f"n: {n_texts:,} texts are asked for: must be at most {self.worker.most:,} here"
            )

    def _tokens(self, prompt: str | list[int]) -> list[int]:
        """Return the tokens of a prompt; an empty one begins a text."""
        tokenizer, size = self.sampler.tokenizer, self.sampler.model.config.vocab_size
        if isinstance(prompt, str):
            return tokenizer.encode(prompt) or [tokenizer.end_of_text]
        unknown = [token for token in prompt if not 0 <= token < size]
        if unknown:
            raise HTTPException(400, f"prompt: there is no token {unknown[0]}: must be in [0, {size})")
        return prompt or [tokenizer.end_of_text]

    async def _answer(
        self,
        request: Request,
        body: Common,
        prompts: list[list[int]],
        top_logprobs: int | None,
        is_chat: bool,
    ) -> Response:
        """Let the prompts be continued, and answer: with the whole, or while it is written."""
        longest = max(map(len, prompts))
        if not 0 < longest <= self.context:
            message = f"the prompt has {longest:,} tokens: must be 1 to {self.context:,} here"
            raise HTTPException(400, message)
        try:
            sampling = body.sampling(self.config.max_tokens)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        tokenizer = self.sampler.tokenizer
        samples = [
            Continuation(tokenizer, "", sampling, number, body.stop, tokens, top_logprobs)
            for tokens in prompts
            for number in range(body.n)
        ]
        try:
            job = self.worker.submit(samples)
        except TooManyTexts:
            raise HTTPException(429, "too many texts are waiting: try again later") from None
        answer = Answer(samples, tokenizer, self.name, is_chat)
        if body.stream:
            events = self._events(job, answer, body.stream_options.include_usage)
            return Stream(events, lambda: self.worker.cancel(job))
        try:
            choices = await until_gone(request, self._whole(job, answer))
        except WritingFailed as error:
            raise HTTPException(500, str(error)) from None
        finally:
            self.worker.cancel(job)
        return JSONResponse(answer.envelope(choices) | {"usage": answer.usage()})

    async def _whole(self, job: Job, answer: Answer) -> list[dict[str, Any]]:
        """Return the choices once all are written."""
        wholes = [Part(number, "", "", 0, 0) for number in range(len(job.samples))]
        async for part in self.worker.follow(job):
            before = wholes[part.number]
            wholes[part.number] = part._replace(text=before.text + part.text, start=0)
        return [answer.choice(whole) for whole in wholes]

    async def _events(self, job: Job, answer: Answer, with_usage: bool) -> AsyncIterator[str]:
        """Yield the parts of an answer as server-sent events."""
        no_usage: dict[str, Any] = {"usage": None} if with_usage else {}
        if answer.is_chat:
            for number in range(len(job.samples)):
                first = {
                    "index": number,
                    "delta": {"role": "assistant", "content": ""},
                    "finish_reason": None,
                }
                yield event(answer.envelope([first], is_part=True) | no_usage)
        try:
            async for part in self.worker.follow(job):
                choice = answer.choice(part, is_part=True)
                yield event(answer.envelope([choice], is_part=True) | no_usage)
        except WritingFailed as error:
            yield f"data: {bytes(error_response(500, str(error)).body).decode()}\n\n"
            return
        if with_usage:
            yield event(answer.envelope([], is_part=True) | {"usage": answer.usage()})
        yield "data: [DONE]\n\n"

    def _about(self) -> dict[str, Any]:
        return {"id": self.name, "object": "model", "created": self.started, "owned_by": "wikigpt"}


class Stream(StreamingResponse):
    """Server-sent events. Calls `close` at their end, also if the client has left before the first."""

    def __init__(self, events: AsyncIterator[str], close: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self.close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.close()


def event(content: dict[str, Any]) -> str:
    """Return a server-sent event."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


async def until_gone(request: Request, work: Awaitable[Result]) -> Result:
    """Return the result of some work; give it up when the client no longer waits for it."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=DISCONNECT_POLL_SECONDS)
            if not task.done() and await request.is_disconnected():
                raise HTTPException(499, "the client is gone")
        return task.result()
    finally:
        task.cancel()


async def http_error(request: Request, error: HTTPException) -> Response:
    """Answer a wrong request."""
    detail, code = error.detail, None
    if detail == "Not Found":  # Starlette's, for a path
        detail = "no such path: this server has /v1/models, /v1/completions and /v1/chat/completions"
    elif error.status_code == 404:
        code = "model_not_found"
    return error_response(error.status_code, detail, code)


async def internal_error(request: Request, error: Exception) -> Response:
    """Answer when the server itself is wrong; the error is in its log."""
    return error_response(500, "the server failed: its log has the error")
