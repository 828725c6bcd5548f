"""`tools.serve`, as the openai client sees it: answers are those of the library, whoever else asks; nothing is lost."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from conftest import ROOT
from references import chat_model
from starlette.applications import Starlette
from starlette.testclient import TestClient

from sampling.config import Sampling
from sampling.engine import Engine, Text
from sampling.sampler import Sampler
from system.errors import UserError
from system.http import api_key, is_loopback, serve
from tools.serve.api import Api
from tools.serve.config import ServeConfig

SETTINGS = ["--device=cpu", "--precision=float32", "--kernel=torch", "--port=0"]
QUESTION: list[Any] = [{"role": "user", "content": "the river"}]


class Server:
    """A server in a process of its own."""

    def __init__(self, *settings: str, **environment: str) -> None:
        command = [sys.executable, "-m", "tools.serve", *SETTINGS, *settings]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert self.process.stdout
        self.ready = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", self.ready)
        assert found, self.ready
        self.url = found[0]
        self.client = openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=60)

    def stop(self, number: int = signal.SIGTERM) -> str:
        """Stop it, check its exit status, and return what else it printed."""
        self.process.send_signal(number)
        output = self.process.communicate(timeout=30)[0]
        assert self.process.returncode == 0
        return output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chat_model(tmp_path_factory.mktemp("serve") / "tiny")


@pytest.fixture(scope="module")
def sampler(folder: Path) -> Sampler:
    return Sampler.load(folder, "cpu", "float32", kernel="torch")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    running = Server(f"--checkpoint={folder}", "--slots=3", "--queue=40", "--max_tokens=100000")
    yield running
    assert running.stop() == "stopped\n"


def text_of(sampler: Sampler, prompt: Any, number: int = 0, stop: Any = (), **settings: Any) -> str:
    sample = sampler.begin(prompt, Sampling(**{"top_k": 0, "temperature": 1.0, **settings}), number, stop)
    for _ in sampler.in_order([sample]):
        pass
    return "".join(sample.pieces)


def test_it_says_where_it_listens_and_what_it_has(server: Server) -> None:
    about = r"model tiny, float32, kernel torch, 3 slots"
    assert re.fullmatch(rf"listening on {server.url} \({about}\); Ctrl-C stops it\n", server.ready)
    [model] = server.client.models.list().data
    assert (model.id, server.client.models.retrieve("tiny").id) == ("tiny", "tiny")


def test_completions_are_those_of_the_library(server: Server, sampler: Sampler) -> None:
    prompts = ["the river", "", "the sun is high above"]
    found = server.client.completions.create(model="tiny", prompt=prompts, n=2, seed=4, max_tokens=20)
    expected = [text_of(sampler, prompt, n, seed=4, max_new_tokens=20) for prompt in prompts for n in (0, 1)]
    assert [choice.text for choice in found.choices] == expected
    assert [choice.index for choice in found.choices] == list(range(6))
    assert {choice.finish_reason for choice in found.choices} <= {"length", "stop"}
    n_prompt = sum(len(sampler.tokenizer.encode(prompt) or [0]) for prompt in prompts)
    assert found.usage
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (
        n_prompt,
        n_prompt + found.usage.completion_tokens,
    )
    tokens = [sampler.tokenizer.encode(prompt) for prompt in prompts]
    again = server.client.completions.create(model="tiny", prompt=tokens, n=2, seed=4, max_tokens=20)
    assert [choice.text for choice in again.choices] == expected


def test_every_setting_reaches_the_engine(server: Server, sampler: Sampler) -> None:
    free = text_of(sampler, "the", seed=1, max_new_tokens=30)
    letter = next(character for character in free[3:] if character.isascii())
    settings: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"temperature": 0}, {"temperature": 0}),
        ({"top_p": 0.3}, {"top_p": 0.3}),
        ({"extra_body": {"top_k": 2}}, {"top_k": 2}),
        ({"extra_body": {"min_p": 0.5}}, {"min_p": 0.5}),
        ({"extra_body": {"repetition_penalty": 3.0}}, {"repetition_penalty": 3.0}),
        ({"stop": letter}, {"stop": [letter]}),
        ({"stop": ["no such text", free[1:3]]}, {"stop": ["no such text", free[1:3]]}),
    ]
    texts = set()
    for asked, ours in settings:
        found = server.client.completions.create(
            model="tiny", prompt="the", seed=1, max_tokens=30, **asked
        ).choices[0]
        expected = text_of(sampler, "the", seed=1, max_new_tokens=30, **ours)
        assert found.text == expected, asked
        assert (found.finish_reason == "stop") >= ("stop" in asked)
        texts.add(found.text)
    assert len(texts) == len(settings)
    seeds = {
        server.client.completions.create(model="tiny", prompt="a", max_tokens=20).choices[0].text
        for _ in "abc"
    }
    assert len(seeds) == 3, "without a seed each request has another one"


def test_streams_have_the_same_text_and_a_usage(server: Server) -> None:
    options: dict[str, Any] = {"model": "tiny", "seed": 2, "n": 2, "max_tokens": 25, "logprobs": 1}
    whole = server.client.completions.create(prompt="the sea", **options)
    texts, reasons, tokens = ["", ""], ["", ""], [[], []]  # type: ignore[var-annotated]
    usage = None
    stream = server.client.completions.create(
        prompt="the sea", stream=True, stream_options={"include_usage": True}, **options
    )
    for part in stream:
        usage = usage or part.usage
        for choice in part.choices:
            texts[choice.index] += choice.text
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
            assert choice.logprobs
            tokens[choice.index] += choice.logprobs.tokens or []
    assert texts == [choice.text for choice in whole.choices]
    assert reasons == [choice.finish_reason for choice in whole.choices]
    assert tokens == [choice.logprobs.tokens for choice in whole.choices if choice.logprobs]
    assert usage == whole.usage


def test_a_chat_is_answered(server: Server, sampler: Sampler) -> None:
    def ask(**options: Any) -> Any:
        return server.client.chat.completions.create(model="tiny", messages=QUESTION, seed=3, **options)

    expected = text_of(sampler, QUESTION, seed=3, max_new_tokens=20)
    found = ask(max_tokens=20, logprobs=True, top_logprobs=3)
    assert found.choices[0].message.content == expected
    content = found.choices[0].logprobs.content
    assert len(content) == found.usage.completion_tokens
    assert all(len(entry.top_logprobs) == 3 for entry in content)
    assert b"".join(bytes(entry.bytes) for entry in content).decode("utf-8", "replace") == expected
    parts = [part.choices[0].delta for part in ask(max_completion_tokens=20, stream=True)]
    assert parts[0].role == "assistant"
    assert "".join(part.content or "" for part in parts) == expected
    with pytest.raises(openai.BadRequestError, match="max_completion_tokens: set only one of the two"):
        ask(max_tokens=3, max_completion_tokens=4)
    unthinking = ask(max_tokens=20, extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    assert unthinking.choices[0].message.content != expected
    parts_of_text: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "the river"}]}]
    again = server.client.chat.completions.create(model="tiny", messages=parts_of_text, seed=3, max_tokens=20)
    assert again.choices[0].message.content == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": None}, "prompt: Field required"),
        ({"prompt": []}, "prompt: must be a text, token ids, or a list of either"),
        ({"prompt": [1, "a"]}, "prompt: must be a text, token ids, or a list of either"),
        ({"prompt": [True]}, "prompt: must be a text, token ids, or a list of either"),
        ({"prompt": [""] * 44}, "n: 44 texts are asked for: must be at most 43 here"),
        ({"temperature": 1e-46}, "temperature=1e-46: must be 0 (always the most probable token) or in"),
        ({"repetition_penalty": 1e39}, "repetition_penalty: Input should be less than or equal to 100"),
        ({"prompt": 5}, "prompt: must be a text, token ids, or a list of either"),
        ({"prompt": [[1, 99999]]}, "there is no token 99999: must be in [0, "),
        ({"prompt": "river " * 300}, "tokens: must be 1 to 256 here"),
        ({"max_tokens": 100001}, "max_tokens=100001: must be at most 100000 here"),
        ({"max_tokens": "5"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"temperature": -1}, "temperature: Input should be greater than or equal to 0"),
        ({"top_p": 0}, "top_p: Input should be greater than 0"),
        ({"logprobs": 21}, "logprobs: Input should be less than or equal to 20"),
        ({"stop": ""}, "stop: must not be empty"),
        ({"tools": []}, "tools: this server does not have it"),
        ({"presence_penalty": 1}, "presence_penalty: not supported here: leave it out"),
        ({"prompt": "\ud800"}, "not valid Unicode"),
    ],
)
def test_wrong_requests_are_one_line(server: Server, change: dict[str, Any], message: str) -> None:
    body = {"model": "tiny", "prompt": "a", "max_tokens": 5, **change}
    answer = httpx.post(
        f"{server.url}/v1/completions", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    found = answer.json()["error"]
    assert message in found["message"]
    assert "\n" not in found["message"]
    assert found["type"] == "invalid_request_error"


def test_wrong_routes_bodies_and_hosts_are_refused(server: Server) -> None:
    def status(method: str, path: str, **options: Any) -> int:
        answer = httpx.request(method, server.url + path, **options)
        assert answer.json()["error"]["message"]
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        return answer.status_code

    headers = {"Content-Type": "application/json"}
    assert status("GET", "/v1/nothing") == 404
    assert status("GET", "/v1/models/other") == 404
    assert status("GET", "/v1/completions") == 405
    assert status("POST", "/v1/completions", content=b"{}") == 415
    assert status("POST", "/v1/completions", content=b"[" * 99999, headers=headers) == 400
    assert status("POST", "/v1/completions", content=b"\xff", headers=headers) == 400
    assert status("POST", "/v1/completions", content=b" " * 2**21, headers=headers) == 413
    assert status("GET", "/v1/models", headers={"Host": "evil.example:80"}) == 403
    with pytest.raises(openai.NotFoundError, match="this server has 'tiny'"):
        server.client.completions.create(model="other", prompt="a")


def test_what_clients_send_for_nothing_is_taken(server: Server, sampler: Sampler) -> None:
    nothing: dict[str, Any] = {"logit_bias": {}, "frequency_penalty": 0, "user": "me"}
    nothing["extra_body"] = {"metadata": {"a": "b"}, "store": False}
    assert server.client.completions.create(model="tiny", prompt="a", **nothing).choices[0].text
    history: Any = [*QUESTION, {"role": "assistant", "content": "the sea", "refusal": None}, QUESTION[0]]
    nothing |= {"response_format": {"type": "text"}, "tools": [], "stop": None}
    answer = server.client.chat.completions.create(
        model="tiny", messages=history, seed=1, max_tokens=9, **nothing
    )
    plain = [*QUESTION, {"role": "assistant", "content": "the sea"}, *QUESTION]
    assert answer.choices[0].message.content == text_of(sampler, plain, seed=1, max_new_tokens=9)


def test_many_clients_get_their_own_answers_and_some_leave(server: Server, sampler: Sampler) -> None:
    """What those that leave had, which would take minutes, is free for others: else this takes minutes."""
    prompts = [f"the {word} {n}" for n in range(8) for word in ("river", "sea", "sun")]

    def ask(number: int) -> str:
        if number % 4 == 3:
            with server.client.completions.create(
                model="tiny", prompt=prompts[number], max_tokens=100000, temperature=0, stream=True
            ) as stream:
                next(iter(stream))
            return ""
        return (
            server.client.completions.create(
                model="tiny", prompt=prompts[number], seed=number, max_tokens=20, temperature=1.0
            )
            .choices[0]
            .text
        )

    with ThreadPoolExecutor(24) as pool:
        texts = list(pool.map(ask, range(len(prompts))))
    for number, text in enumerate(texts):
        if number % 4 != 3:
            assert text == text_of(sampler, prompts[number], seed=number, max_new_tokens=20)


def test_too_many_texts_are_refused_until_a_client_leaves(server: Server) -> None:
    """Its texts would take minutes."""
    endless: dict[str, Any] = {
        "model": "tiny",
        "prompt": "the",
        "n": 43,
        "max_tokens": 100000,
        "temperature": 0,
    }
    with ThreadPoolExecutor(1) as pool:
        left = pool.submit(server.client.with_options(timeout=3).completions.create, **endless)
        time.sleep(1)
        with pytest.raises(openai.RateLimitError, match="too many texts are waiting: try again later"):
            server.client.completions.create(model="tiny", prompt="a", n=40, max_tokens=1)
        with pytest.raises(openai.APITimeoutError):
            left.result()
    began = time.monotonic()
    while True:
        try:
            server.client.completions.create(model="tiny", prompt="a", n=40, max_tokens=1)
            break
        except openai.RateLimitError:
            assert time.monotonic() < began + 20
            time.sleep(0.1)


def test_when_the_engine_fails_its_requests_are_told_and_the_next_ones_answered(
    sampler: Sampler, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = Engine.step

    def fail_once(engine: Engine) -> list[Text]:
        if engine.running:
            monkeypatch.setattr(Engine, "step", step)
            raise MemoryError
        return step(engine)

    monkeypatch.setattr(Engine, "step", fail_once)
    body = {"prompt": "the", "max_tokens": 5, "temperature": 0}
    with TestClient(
        Api(sampler, ServeConfig(slots=2), "tiny").app(), raise_server_exceptions=False
    ) as client:
        answer = client.post("/v1/completions", json=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (500, "MemoryError")
        assert "MemoryError" in capsys.readouterr().err
        whole = client.post("/v1/completions", json=body).json()["choices"][0]["text"]
        assert whole == text_of(sampler, "the", max_new_tokens=5, temperature=0)
        monkeypatch.setattr(Engine, "step", fail_once)
        events = client.post("/v1/completions", json={**body, "stream": True}).text
        assert json.loads(events.split("data: ")[-1])["error"]["message"] == "MemoryError"


def test_a_key_is_asked_for_and_a_request_that_has_begun_is_answered_at_a_stop(folder: Path) -> None:
    server = Server(f"--checkpoint={folder}", WIKIGPT_API_KEY="a key")
    for key in ("", "Bearer", "Bearer wrong", "a key", "Bearer a keys"):
        answer = httpx.get(f"{server.url}/v1/models", headers={"Authorization": key})
        assert answer.status_code == 401
        assert "Authorization: Bearer" in answer.json()["error"]["message"]
    client = server.client.with_options(api_key="a key")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.completions.create, model="tiny", prompt="a", n=64, max_tokens=60, seed=1)
        time.sleep(0.3)
        assert server.stop(signal.SIGINT) == "stopped\n"
        assert len(asked.result().choices) == 64
    with pytest.raises(openai.APIConnectionError):
        client.models.list()


def test_without_a_key_others_cannot_be_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("localhost", "127.0.0.1", "::1", "[::1]", "127.1.2.3"):
        assert is_loopback(host)
        assert api_key(host) == ""
    for host in (
        "0.0.0.0",
        "::",
        "192.168.1.2",
        "example.com",
        "127.0.0.1.example.com",
        "localhost.evil.com",
        "",
    ):
        assert not is_loopback(host)
        with pytest.raises(UserError, match="others can reach it: set WIKIGPT_API_KEY"):
            api_key(host)
    monkeypatch.setenv("WIKIGPT_API_KEY", "x")
    assert api_key("0.0.0.0") == "x"


def test_a_place_that_cannot_be_listened_on_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = f"host=127.0.0.1, port={port}: Address already in use: choose another --port"
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            serve(None, "127.0.0.1", port, "", "")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="choose another --host"):
        serve(None, "no.such.host.invalid", 0, "", "")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"choose another --host$"):
        serve(None, "192.0.2.1", 0, "", "")  # type: ignore[arg-type]  # of documentation, nobody's own


@pytest.mark.parametrize(
    "change", [{"slots": 0}, {"max_tokens": 0}, {"queue": -1}, {"context": -1}, {"port": 65536}]
)
def test_settings_out_of_range_are_named(change: dict[str, Any]) -> None:
    [(key, value)] = change.items()
    with pytest.raises(ValueError, match=f"{key}={value}: must be "):
        ServeConfig(**change)


def test_answers_do_not_wait_for_a_confirmation_of_their_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    def run(server: object, sockets: list[socket.socket]) -> None:
        with socket.create_connection(sockets[0].getsockname()), sockets[0].accept()[0] as accepted:
            found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        sockets[0].close()

    monkeypatch.setattr("system.http._Server.run", run)
    serve(Starlette(), "127.0.0.1", 0, "", "a test")
    assert found == [1]
