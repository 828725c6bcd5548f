"""What our web servers share: where they listen, who may ask, what a request may hold, and how they stop.

A server listens on loopback unless it has a key. There it answers only requests that name it as localhost, so that no web
page can reach it under a name of its own.
"""

import asyncio
import errno
import hmac
import os
import re
import signal
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from system.errors import UserError, say

KEY_VARIABLE = "WIKIGPT_API_KEY"
MAX_BODY_BYTES = 2**20  # bytes
STOP_SECONDS = 10  # that running requests have to end, once the server is told to stop
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address or name."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Gate:
    """Lets through what may ask: with the key, if there is one, else requests from this machine to localhost.

    `public` paths, of a page that asks for the key, need none.
    """

    def __init__(self, app: ASGIApp, key: str, public: Collection[str] = ()) -> None:
        self.app, self.key, self.public = app, key.encode(), public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, n_bytes = Headers(scope=scope), 0

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    found.setdefault(name, value)  # an answer may have a policy of its own
            await send(message)

        async def receive_some() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > MAX_BODY_BYTES:
                raise HTTPException(413, f"the request has more than {MAX_BODY_BYTES:,} bytes")
            return message

        status, problem = self._refusal(scope, headers)
        if problem:
            await error_response(status, problem)(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive_some, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str]:
        """Return a status and why the request is not answered; an empty text if it is."""
        scheme, _, found = headers.get("authorization", "").partition(" ")
        is_right = hmac.compare_digest(found.strip().encode("latin-1"), self.key)
        needs_key = self.key and scope["path"] not in self.public
        if needs_key and not (is_right and scheme.lower() == "bearer"):
            return 401, "the API key is missing or wrong: send it as `Authorization: Bearer ...`"
        host = re.sub(r":\d*$", "", headers.get("host", "").lower())  # without its port
        if not self.key and not is_loopback(host):
            return 403, f"the request is for {host!r}: without a key this server answers to localhost only"
        if (
            scope["method"] == "POST"
            and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json"
        ):
            return 415, "the request must be JSON, with `Content-Type: application/json`"
        return 200, ""


def error_response(status: int, message: str, code: str | None = None) -> JSONResponse:
    """Return an error in the form that clients of the OpenAI API know."""
    kinds = {401: "authentication_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": None, "code": code}
    return JSONResponse({"error": error}, status)


async def http_error(request: Request, error: Exception) -> Response:
    """Return an error such as 404 in the form of the others."""
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail)


async def unexpected(request: Request, error: Exception) -> Response:
    """Return a mistake of ours, whose traceback is in the server's log, in the form of the others."""
    return error_response(500, "something went wrong: the server's log has it")


def api_key(host: str) -> str:
    """Return the key from the environment; raise UserError if a server on this host needs one."""
    key = os.environ.get(KEY_VARIABLE, "")
    if not key and not is_loopback(host):
        raise UserError(f"host={host}: others can reach it: set {KEY_VARIABLE}, the key that they must send")
    return key


def serve(
    app: Starlette,
    host: str,
    port: int,
    key: str,
    about: str,
    show: Callable[[str], object] | None = None,
    public: Collection[str] = (),
) -> None:
    """Serve until SIGINT or SIGTERM; then answer what has begun, for STOP_SECONDS at most.

    Says where it listens, and calls `show` with that address. Port 0 is any free one; `public` paths need no key. Raises UserError if it cannot listen
    there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        listening = socket.create_server(found[0][4][:2], family=found[0][0])
        # Else the body of an answer waits 40 ms for the client to confirm its headers. Connections inherit it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        is_name = isinstance(error, socket.gaierror)  # whose number is not the system's
        reason = error.strerror if is_name or not error.errno else os.strerror(error.errno)
        is_port = not is_name and error.errno in (errno.EADDRINUSE, errno.EACCES)
        fix = f"choose another --{'port' if is_port else 'host'}"
        raise UserError(f"host={host}, port={port}: {reason}: {fix}") from None
    place = f"[{host}]" if ":" in host else host
    address = f"http://{place}:{listening.getsockname()[1]}"

    def ready() -> None:
        say(f"listening on {address} ({about}); Ctrl-C stops it")
        if show:
            show(address)

    gate = Gate(app, key, public)
    config = uvicorn.Config(
        gate, log_level="warning", server_header=False, timeout_graceful_shutdown=STOP_SECONDS
    )
    _Server(config, ready).run([listening])
    say("stopped")


class _Server(uvicorn.Server):
    """uvicorn's server, which ends with status 0 at a signal, and calls `ready` once it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield
        for number in numbers:
            loop.remove_signal_handler(number)
