"""Whether a server answers, within seconds whatever it does."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from system.network import reachable


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing_server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_refusal_is_an_answer(refusing_server: str) -> None:
    assert reachable(refusing_server)


def test_a_closed_port_is_none() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert not reachable(f"http://127.0.0.1:{closed.getsockname()[1]}/")


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.perf_counter()
        assert not reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.3)
        assert time.perf_counter() - started < 3
