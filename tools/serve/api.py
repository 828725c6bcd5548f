"""The routes of the OpenAI API, over one sampler."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from corpus.tokenizer import Tokenizer
from sampling.engine import Chosen
from sampling.sampler import Sampler
from sampling.text import Continuation
from system.errors import UserError
from system.http import error_response
from tools.serve.config import ServeConfig
from tools.serve.requests import ChatRequest, Common, CompletionRequest, parsed
from tools.serve.worker import Job, TooManyTexts, Worker, WritingFailed

GONE_SECONDS = 0.5  # between looks whether a client still waits
LARGEST_CONTEXT = 4096  # unless it is set: the cache of a longer one may not fit in memory

Kind = TypeVar("Kind", bound=Common)
Result = TypeVar("Result")


@dataclass
class Answer:
    """An answer in the form of its route, whole or in parts."""

    body: Common
    samples: Sequence[Continuation]
    tokenizer: Tokenizer
    model: str
    is_chat: bool = False
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def frame(self, choices: list[dict[str, Any]], is_part: bool = False) -> dict[str, Any]:
        """Return an answer with these choices."""
        kind = "text_completion"
        if self.is_chat:
            kind = "chat.completion.chunk" if is_part else "chat.completion"
        prefix = "chatcmpl" if self.is_chat else "cmpl"
        base = {"id": f"{prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}
        return base | {"choices": choices}

    def choice(self, number: int, text: str, reason: str, first: int = 0) -> dict[str, Any]:
        """Return a whole sample; of its log-probabilities those from token `first` on."""
        content: dict[str, Any] = {"text": text}
        if self.is_chat:
            content = {"message": {"role": "assistant", "content": text}}
        return {
            "index": number,
            **content,
            "logprobs": self.log_probabilities(number, first),
            "finish_reason": reason or None,
        }

    def part(self, number: int, text: str, reason: str, first: int) -> dict[str, Any]:
        """Return a part of a sample."""
        choice = self.choice(number, text, reason, first)
        if self.is_chat:
            del choice["message"]
            choice["delta"] = {"content": text}
        return choice

    def usage(self) -> dict[str, int]:
        """Return how many tokens were read and written. A prompt counts once, however many samples continue it."""
        n_prompt = sum(len(sample.text.prompt) for sample in self.samples if not sample.number)
        n_new = sum(len(sample.text.tokens) for sample in self.samples)
        return {
            "prompt_tokens": n_prompt,
            "completion_tokens": n_new,
            "total_tokens": n_prompt + n_new,
        }

    def log_probabilities(self, number: int, first: int) -> dict[str, Any] | None:
        """Return a sample's log-probabilities in the route's form, from token `first` on; None if they are not kept."""
        text = self.samples[number].text
        if text.n_likeliest is None:
            return None
        chosen = text.chosen[first:]
        if self.is_chat:
            return {"content": [self._entry(token) for token in chosen], "refusal": None}
        names = [self.tokenizer.decode([token.token]) for token in text.chosen]
        offsets = [sum(map(len, names[:place])) for place in range(first, len(names))]
        return {
            "tokens": names[first:],
            "token_logprobs": [token.log_probability for token in chosen],
            "top_logprobs": [
                {self.tokenizer.decode([other]): value for other, value in token.likeliest.items()}
                for token in chosen
            ],
            "text_offset": offsets,
        }

    def _entry(self, chosen: Chosen) -> dict[str, Any]:
        def named(token: int, value: float) -> dict[str, Any]:
            raw = self.tokenizer.decode_bytes([token])
            return {"token": self.tokenizer.decode([token]), "logprob": value, "bytes": list(raw)}

        likeliest = [named(token, value) for token, value in chosen.likeliest.items()]
        return named(chosen.token, chosen.log_probability) | {"top_logprobs": likeliest}


class Api:
    """The app. It checks requests, lets a Worker write, and answers."""

    def __init__(self, sampler: Sampler, config: ServeConfig, name: str) -> None:
        self.sampler, self.config, self.name = sampler, config, name
        self.context = config.context or min(sampler.model.config.block_size, LARGEST_CONTEXT)
        self.worker = Worker(lambda: sampler.engine(config.slots, self.context), config.queue)
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

        handlers: dict[Any, Any] = {HTTPException: refuse, Exception: apologize}
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
        sampling, samples = body.sampling(), []
        for prompt in body.prompts():
            tokens = self._tokens(prompt)
            shown = prompt if isinstance(prompt, str) else ""
            for number in range(body.n):
                samples.append(
                    Continuation(
                        self.sampler.tokenizer, shown, sampling, number, body.stop, tokens, body.logprobs
                    )
                )
        return await self._answer(request, body, samples, is_chat=False)

    async def chat_completions(self, request: Request) -> Response:
        """Answer messages."""
        body = await self._read(ChatRequest, request)
        body.max_tokens = body.max_completion_tokens or body.max_tokens or self.config.max_tokens
        self._check_length(body)
        messages = [message.as_message() for message in body.messages]
        if self.sampler.template is None:
            raise HTTPException(400, f"{self.name} has no chat template: use /v1/completions")
        n_likeliest = body.top_logprobs if body.logprobs else None
        thinking, sampling = body.chat_template_kwargs.enable_thinking, body.sampling()
        try:
            samples = [
                self.sampler.begin(
                    messages, sampling, n, body.stop, thinking=thinking, n_likeliest=n_likeliest
                )
                for n in range(body.n)
            ]
        except UserError as error:
            raise HTTPException(400, str(error)) from None
        return await self._answer(request, body, samples, is_chat=True)

    async def _read(self, kind: type[Kind], request: Request) -> Kind:
        """Return the checked body of a request."""
        try:
            body = parsed(kind, await request.body())
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        if body.model:
            self._check_name(body.model)
        self._check_length(body)
        return body

    def _check_name(self, name: str) -> None:
        if name != self.name:
            raise HTTPException(404, f"no model {name!r} here: this server has {self.name!r}")

    def _check_length(self, body: Common) -> None:
        if body.max_tokens > self.config.max_tokens:
            raise HTTPException(
                400, f"max_tokens={body.max_tokens}: must be at most {self.config.max_tokens} here"
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
        self, request: Request, body: Common, samples: list[Continuation], is_chat: bool
    ) -> Response:
        """Let the samples be written, and answer with them: whole, or while they are written."""
        for sample in samples:
            if len(sample.text.prompt) > self.context:
                n = len(sample.text.prompt)
                message = f"the prompt has {n:,} tokens: must be at most {self.context:,} here"
                raise HTTPException(400, message)
        try:
            job = self.worker.submit(samples)
        except TooManyTexts:
            raise HTTPException(429, "too many texts are waiting: try again later") from None
        answer = Answer(body, samples, self.sampler.tokenizer, self.name, is_chat)
        if body.stream:
            return StreamingResponse(self._events(job, answer), media_type="text/event-stream")
        try:
            choices = await until_gone(request, self._whole(job, answer))
        except WritingFailed as error:
            raise HTTPException(500, str(error)) from None
        return JSONResponse(answer.frame(choices) | {"usage": answer.usage()})

    async def _whole(self, job: Job, answer: Answer) -> list[dict[str, Any]]:
        """Return the choices once all are written."""
        texts, reasons = [""] * len(job.samples), [""] * len(job.samples)
        async for number, text, reason in self.worker.follow(job):
            texts[number] += text
            reasons[number] = reason
        return [answer.choice(n, text, reasons[n]) for n, text in enumerate(texts)]

    async def _events(self, job: Job, answer: Answer) -> AsyncIterator[str]:
        """Yield the parts of an answer as server-sent events."""
        with_usage = answer.body.stream_options.include_usage
        rest: dict[str, Any] = {"usage": None} if with_usage else {}
        n_told = [0] * len(job.samples)  # tokens whose log-probabilities were sent
        if answer.is_chat:
            for number in range(len(job.samples)):
                choice = {
                    "index": number,
                    "delta": {"role": "assistant", "content": ""},
                    "finish_reason": None,
                }
                yield event(answer.frame([choice], is_part=True) | rest)
        try:
            async for number, text, reason in self.worker.follow(job):
                part = answer.part(number, text, reason, n_told[number])
                n_told[number] = len(job.samples[number].text.chosen)
                yield event(answer.frame([part], is_part=True) | rest)
        except WritingFailed as error:
            yield f"data: {bytes(error_response(500, str(error)).body).decode()}\n\n"
            return
        if with_usage:
            yield event(answer.frame([], is_part=True) | {"usage": answer.usage()})
        yield "data: [DONE]\n\n"

    def _about(self) -> dict[str, Any]:
        return {"id": self.name, "object": "model", "created": self.started, "owned_by": "wikigpt"}


def event(content: dict[str, Any]) -> str:
    """Return a server-sent event."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


async def until_gone(request: Request, work: Awaitable[Result]) -> Result:
    """Return the result of some work; give it up when the client no longer waits for it."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=GONE_SECONDS)
            if not task.done() and await request.is_disconnected():
                raise HTTPException(499, "the client is gone")
        return task.result()
    finally:
        task.cancel()


async def refuse(request: Request, error: HTTPException) -> Response:
    """Answer a wrong request."""
    known = {404: "no such path: this server has /v1/models, /v1/completions and /v1/chat/completions"}
    is_default = error.detail in ("Not Found",)
    code = "model_not_found" if error.status_code == 404 and not is_default else None
    return error_response(error.status_code, known[404] if is_default else error.detail, code)


async def apologize(request: Request, error: Exception) -> Response:
    """Answer when the server itself is wrong; the error is in its log."""
    return error_response(500, "the server failed: its log has the error")
