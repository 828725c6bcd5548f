"""What influenced a prediction: each method against a reference that is computed another way; the command; the page."""

import base64
import gzip
import json
import math
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import run_here
from conftest import one_line_error, served
from starlette.testclient import TestClient
from torch import Tensor

from apps.explain import influence, page
from apps.explain.agreement import agreement, ranks, spearman
from apps.explain.api import Api
from apps.explain.explainer import GRADIENT, LEAVE_ONE_OUT, Explainer, Explanation
from apps.explain.influence import Attention, Predictions
from corpus.tokenizer import byte_tokenizer
from model import GPT, GPTConfig, attention_weights, math_attention, rotary_angles
from system.errors import UserError
from train import train
from training.config import TrainConfig

GPT2 = GPTConfig(vocab_size=257, block_size=48, n_layer=2, n_head=4, n_embd=32)
QWEN3 = replace(
    GPT2, n_layer=3, n_kv_head=2, position="rotary", norm="rmsnorm", mlp="swiglu", qk_norm=True, bias=False
)
TEXT = "a text of a few bytes, twice"


def made(config: GPTConfig) -> GPT:
    """Return a model whose weights are large enough that its attention and its predictions are far from even."""
    torch.manual_seed(1)
    model = GPT(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter *= 6
    return model


@pytest.fixture(params=[GPT2, QWEN3], ids=["gpt2", "qwen3"])
def model(request: pytest.FixtureRequest) -> GPT:
    return made(request.param)


TOKENS = torch.tensor(list(TEXT.encode()))
T = len(TOKENS)


def log2_probabilities(model: GPT, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return model(tokens[None])[0].log_softmax(dim=-1) / math.log(2)  # (T, V)


def test_weights_are_those_that_each_layer_computes_with(model: GPT) -> None:
    layers: list[Tensor] = []
    seen: list[tuple[Any, Tensor]] = []  # what each layer got and returned
    for block in model.transformer.h:
        block.attn.register_forward_hook(lambda _, given, output: seen.append((given, output)))
    with torch.no_grad(), influence.attention_passed_to(model, layers.append):
        model(TOKENS[None])
    assert len(layers) == model.config.n_layer
    for block, weights, ((x, rotary, *_), output) in zip(model.transformer.h, layers, seen, strict=True):  # fmt: skip
        assert torch.allclose(weights.sum(dim=-1), torch.ones(4, T), atol=1e-6)
        q, k, v = block.attn.project(x, rotary)
        own = (weights @ v[0].repeat_interleave(4 // v.shape[1], dim=0)).transpose(0, 1).reshape(1, T, -1)
        with torch.no_grad():
            assert torch.allclose(block.attn.c_proj(own), output, atol=1e-5)
        identity = torch.eye(T).expand(1, k.shape[1], T, T)
        assert torch.equal(math_attention(q, k, identity, 0.0)[0], attention_weights(q, k)[0])
        assert torch.equal(attention_weights(q, k)[0], weights)


def test_kept_weights_and_rollout(model: GPT) -> None:
    layers: list[Tensor] = []
    with torch.no_grad(), influence.attention_passed_to(model, layers.append):
        model(TOKENS[None])
    found = influence.attention(model, TOKENS, n_kept=5)
    for number, layer in enumerate(layers):
        for place, weights in enumerate([layer.mean(dim=0), *layer]):
            for position in range(T - 1):
                row = weights[position]
                keys, kept = found.keys[number, place, position + 1], found.weights[number, place, position + 1]  # fmt: skip
                assert torch.equal(row[keys], kept)
                assert torch.equal(kept.sort().values, row.sort().values[-5:])
                rest = row[[key for key in range(T) if key not in keys.tolist()]].sum()
                assert (kept.sum() + rest).item() == pytest.approx(1, abs=1e-5)
    expected = torch.eye(T)
    for layer in layers:
        expected = torch.stack([0.5 * row + 0.5 * one for row, one in zip(layer.mean(dim=0), torch.eye(T), strict=True)]) @ expected  # fmt: skip
    assert torch.allclose(found.rollout[1:], expected[:-1], atol=1e-6)
    assert torch.allclose(found.rollout[1:].sum(dim=-1), torch.ones(T - 1), atol=1e-5)
    assert torch.allclose(found.mean[1:], torch.stack(layers).mean(dim=(0, 1))[:-1], atol=1e-6)
    assert not found.rollout[0].any()
    assert not found.mean[0].any()


def test_gradient_x_input_is_autograd_on_a_plain_forward_pass(
    model: GPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influence, "CHUNK_TOKENS", 5)
    found = influence.gradient_x_input(model, TOKENS)
    for token in (1, 5, 6, T - 1):
        embedded = model.transformer.wte(TOKENS).detach()
        scale = torch.ones(T, 1, requires_grad=True)  # of each embedding: its derivative is gradient x input
        handle = model.transformer.wte.register_forward_hook(lambda *_, e=embedded, s=scale: (e * s)[None])
        logits = model(TOKENS[None])[0, token - 1]
        handle.remove()
        (logits.log_softmax(dim=-1)[TOKENS[token]] / math.log(2)).backward()
        assert torch.allclose(found[token, :token], scale.grad[:token, 0], atol=1e-4)
        assert not found[token, token:].any()


def without(model: GPT, tokens: list[int], left_out: int) -> Tensor:
    """Return the hidden states of a text from which a token is really deleted; the others keep their positions."""
    kept = [position for position in range(len(tokens)) if position != left_out]
    positions = torch.tensor(kept)
    transformer = model.transformer
    with torch.no_grad():
        x = transformer.wte(torch.tensor(tokens)[kept])[None]
        rotary = None
        if transformer.wpe is None:
            rotary = rotary_angles(model.config, positions)
        else:
            x = x + transformer.wpe(positions)
        for block in transformer.h:
            x = block(x, rotary, None)
        return transformer.ln_f(x)[0]


@pytest.mark.parametrize("tokens_of_a_pass", [1, 3 * T, 1024])
def test_leaving_one_out_is_deleting_it(
    model: GPT, tokens_of_a_pass: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influence, "TOKENS_OF_A_PASS", tokens_of_a_pass)
    found = influence.leave_one_out(model, TOKENS)
    base = log2_probabilities(model, TOKENS)
    biggest = 0.0
    for token in range(2, T):
        for left_out in range(token):
            hidden = without(model, TOKENS[:token].tolist(), left_out)[-1]
            logits = model.logits(hidden).log_softmax(dim=-1) / math.log(2)
            expected = (base[token - 1, TOKENS[token]] - logits[TOKENS[token]]).item()
            assert found[token, left_out].item() == pytest.approx(expected, abs=2e-4)
            biggest = max(biggest, abs(expected))
    assert biggest > 1  # the model is no dull one
    assert math.isnan(found[1, 0])
    assert not found.triu().any()


def test_fewer_keys_are_kept_in_a_large_model() -> None:
    with torch.device("meta"):
        small, large = GPT(GPT2), GPT(replace(GPT2, n_layer=28, n_head=16, block_size=1024))
    assert [influence.kept_keys(small, length) for length in (2, 32, 48)] == [2, 32, 32]
    assert influence.kept_keys(large, 1024) == 10


def test_texts_of_two_and_three_tokens(model: GPT) -> None:
    for size in (2, 3):
        tokens = TOKENS[:size]
        assert influence.predictions(model, tokens, 5).surprisal.isnan().tolist() == [True] + [False] * (size - 1)  # fmt: skip
        assert influence.leave_one_out(model, tokens).isnan().sum() == 1
        assert influence.gradient_x_input(model, tokens).count_nonzero() == size * (size - 1) // 2
        assert influence.attention(model, tokens, size).mean.sum() == pytest.approx(size - 1, abs=1e-5)


def test_predictions_are_the_models(model: GPT) -> None:
    found = influence.predictions(model, TOKENS, 3)
    expected = log2_probabilities(model, TOKENS)
    for token in range(1, T):
        assert found.surprisal[token].item() == pytest.approx(-expected[token - 1, TOKENS[token]].item(), abs=1e-4)  # fmt: skip
        best = expected[token - 1].sort(descending=True)
        assert found.top[token].tolist() == best.indices[:3].tolist()
        assert torch.allclose(found.probabilities[token], 2 ** best.values[:3], atol=1e-5)


def test_spearman_on_worked_examples() -> None:
    assert ranks(np.array([30.0, 10.0, 20.0, 10.0])).tolist() == [3, 0.5, 2, 0.5]
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 900.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    # 1 - 6 sum d^2 / (n (n^2 - 1)) with d = 1, 1, 0, 0
    assert spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 1.0, 3.0, 4.0])) == pytest.approx(0.8)
    assert math.isnan(spearman(np.array([1.0, 1.0]), np.array([1.0, 2.0])))
    rows = np.array([[0.0] * 4, [1, 0, 0, 0], [1, 2, 0, 0], [-3, 2, 1, 0]])
    rho = agreement(rows, np.abs(rows))
    assert np.isnan(rho[:3]).all()
    assert rho[3] == pytest.approx(1)


@pytest.mark.thorough
def test_the_largest_page_is_small_enough() -> None:
    """1,024 tokens, 12 layers and heads: also where keys and weights are so random that they hardly compress."""
    chooser = np.random.default_rng(1)
    T, n_kept = 1024, influence.KEPT_KEYS
    before = np.arange(T)[:, None].clip(1)  # each token's
    keys = np.sort(chooser.integers(0, before, (12, 13, T, n_kept)), axis=-1)
    weights = chooser.random(keys.shape, np.float32) ** 2
    scores = torch.zeros(T, 5)
    explanation = Explanation(
        "large",
        124_000_000,
        [" token"] * T,
        Predictions(torch.zeros(T), scores.long(), scores),
        [[" token"] * 5] * T,
        Attention(torch.from_numpy(keys), torch.from_numpy(weights), torch.empty(0), torch.empty(0)),
        {
            name: np.tril(chooser.standard_normal((T, T)), -1)
            for name in ("attention", "rollout", GRADIENT, LEAVE_ONE_OUT)
        },
        [],
    )
    assert 8e6 < len(page.html(explanation)) < 15e6


def test_packed_numbers_are_read_as_they_were() -> None:
    keys = np.array([[0, 3, 700, 701], [5, 6, 300, 1023]])
    low, high = page.key_bytes(keys)
    assert (np.cumsum(low + 256 * high.astype(int), axis=-1) == keys).all()
    weights = np.linspace(0, 1, 1001)
    assert np.abs((page.weight_bytes(weights) / 255.0) ** 2 - weights).max() < 0.004
    rows = np.array([[0.0, 0.0], [-8.0, 0.5], [np.nan, 2.0]])
    codes, scales = page.signed_bytes(rows)
    assert codes.tolist() == [[0, 0], [-127, 32], [-128, 127]]
    assert scales.tolist() == [0, 8, 2]
    packed = gzip.decompress(base64.b64decode(page.packed(low, codes)))
    assert packed == low.tobytes() + codes.tobytes()


BREAKS_OUT = "</script><script>document.title='broken'</script> <!-- é 🎉 שלום\n"


@pytest.fixture
def explainer() -> Explainer:
    return Explainer("tiny", made(replace(GPT2, block_size=128)), byte_tokenizer())


def test_an_explanation_has_every_token(explainer: Explainer) -> None:
    found = explainer.explain("é </script>")
    assert "".join(found.pieces) == "\\xc3\\xa9 </script>"
    assert list(found.influences) == ["attention", "rollout", GRADIENT, LEAVE_ONE_OUT]
    assert set(found.agreements()) == {"attention", "rollout", GRADIENT}
    assert len(found.alternatives) == len(found.pieces) == 12
    assert found.notes == []


def test_slow_methods_are_left_out_and_noted(explainer: Explainer) -> None:
    found = explainer.explain(TEXT, [GRADIENT])
    assert LEAVE_ONE_OUT not in found.influences
    assert found.agreements() == {}
    assert found.notes == ["Without leave-one-out, as the command said."]
    found = explainer.explain(TEXT, most_seconds=0)
    assert list(found.influences) == ["attention", "rollout"]
    assert re.match("Without gradient x input, which would take about 0s for this text", found.notes[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text has no token, so nothing is predicted: write a longer text"),
        ("a", "the text has only one token, so nothing is predicted: write a longer text"),
        ("a" * 129, "the text has 129 tokens, and the model's block_size is 128: shorten it"),
        ("ab\udcff", "the text is not valid Unicode at position 2: write it in UTF-8"),
    ],
)
def test_texts_that_cannot_be_explained(explainer: Explainer, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        explainer.explain(text)
    assert str(error.value) == message
    answer = TestClient(Api(explainer).app()).post("/api/explain", content=json.dumps({"text": text}))
    assert answer.status_code == 400
    if text.isascii():  # pydantic already rejects a lone surrogate
        assert answer.json()["error"]["message"] == message


def test_a_page_is_one_file_whose_data_cannot_end_its_script(explainer: Explainer) -> None:
    html = page.html(explainer.explain(BREAKS_OUT))
    assert html.count("</script>") == html.count("<script") == 2
    data = re.search('<script id="data" type="application/json">(.*?)</script>', html, re.DOTALL)
    assert data
    assert "".join(json.loads(data[1])["pieces"]).startswith("</script><script>document.title=")
    assert not re.search(r"(?:src|href|url)\s*[=(]", html)
    assert "unsafe" not in html
    assert " on" not in "".join(re.findall("<[^>]*>", html.partition("<script")[0]))


Explain = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def explain(config: TrainConfig, tmp_path: Path) -> Explain:
    """Run the command on a model of 16 tokens, trained for some steps."""
    train(config)

    def command(*argv: str) -> subprocess.CompletedProcess[str]:
        return run_here("apps/explain/__main__.py", f"--checkpoint={config.out_dir}", "--device=cpu", *argv)

    return command


def test_the_command_writes_a_page_or_an_error_of_one_line(explain: Explain, tmp_path: Path) -> None:
    out = tmp_path / "x.html"
    done = explain("--text=the river runs", f"--out={out}")
    assert (done.returncode, done.stderr) == (0, "")
    means = r"attention -?\d\.\d\d, rollout -?\d\.\d\d, gradient x input -?\d\.\d\d"
    assert re.fullmatch(
        rf"rank correlation with leave-one-out: {means}\n{out}: \d+ kB: open it in a browser\n", done.stdout
    )
    first = out.read_text()
    (tmp_path / "x.txt").write_text("the river runs\n")
    assert explain(f"--text_file={tmp_path / 'x.txt'}", f"--out={out}").returncode == 0
    assert out.read_text() == first
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o500)
    for words, message in [
        (["--text=the river runs north"], "the text has 20 tokens, and the model's block_size is 16: shorten it"),
        (["--text="], "the text has no token, so nothing is predicted: write a longer text"),
        (["--text=x", f"--text_file={out}"], f"text='x', text_file={out}: set only one of the two"),
        ([f"--text_file={tmp_path / 'none.txt'}"], f"text_file={tmp_path / 'none.txt'}: No such file or directory: use a text file"),
        ([f"--text_file={tmp_path / 'latin.txt'}"], f"text_file={tmp_path / 'latin.txt'}: not UTF-8 at byte 3: convert it to UTF-8"),
        ([f"--out={tmp_path}"], f"out={tmp_path}: is a folder: add the name of a file, such as explain.html"),
        ([f"--out={tmp_path / 'no' / 'x.html'}"], f"out={tmp_path / 'no' / 'x.html'}: no folder {tmp_path / 'no'}: make it, or choose another --out"),
        *([] if os.geteuid() == 0 else [([f"--out={shut / 'x.html'}"], f"out={shut / 'x.html'}: the folder may not be written to: choose another --out")]),
    ]:  # fmt: skip
        assert one_line_error(explain(*words)) == message
    assert (
        one_line_error(run_here("apps/explain/__main__.py", "srve"))
        == "unknown command 'srve': did you mean serve?"
    )
    short = explain("--text=the", f"--out={out}").stdout
    assert short.startswith(
        "rank correlation with leave-one-out: none, no token has enough others before it\n"
    )
    message = one_line_error(explain("--checkpoint=out/nowhere", f"--out={out}"))
    assert message == "no checkpoint folder out/nowhere: run `python train.py --out_dir=out/nowhere` first"


def test_a_browser_shows_what_influenced_a_token(explainer: Explainer, browser: Any, tmp_path: Path) -> None:
    """By mouse and by keyboard; every method's numbers are those that were computed; nothing else is requested."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    def one(selector: str) -> Any:
        return browser.find_element(By.CSS_SELECTOR, selector)

    marked: list[list[int]] = []

    def listed() -> list[tuple[int, str]]:
        rows = [row.text.split("\n") for row in browser.find_elements(By.CSS_SELECTOR, "#strongest li")]
        numbers = [re.search(r"(\d+)(\*)?$", name) for name, _ in rows]
        marked.append([int(number[1]) - 1 for number in numbers if number and number[2]])
        return [
            (int(number[1]) - 1, value) for number, (_, value) in zip(numbers, rows, strict=True) if number
        ]

    def choose(method: str) -> None:
        one(f"#methods input[value='{method}']").click()

    found = explainer.explain(BREAKS_OUT)
    (tmp_path / "x.html").write_text(page.html(found))
    browser.get((tmp_path / "x.html").as_uri())
    WebDriverWait(browser, 20).until(lambda _: browser.find_elements(By.CSS_SELECTOR, ".token"))
    tokens = browser.find_elements(By.CSS_SELECTOR, ".token")
    assert len(tokens) == len(found.pieces)
    assert browser.title == "What influenced each token?"
    tokens[20].click()
    influences = {name: rows[20, :20] for name, rows in found.influences.items()}
    order = np.argsort(-np.abs(influences[LEAVE_ONE_OUT]))
    assert [place for place, _ in listed()][:3] == order[:3].tolist()
    assert one("#chosen-title").text == f"{found.pieces[20]} (token 21)"
    bits = float(listed()[0][1].removesuffix(" bits").replace("\N{MINUS SIGN}", "-"))
    assert bits == pytest.approx(influences[LEAVE_ONE_OUT][order[0]], abs=0.006 + 0.001 * abs(bits))
    rho = found.agreements()["rollout"][20]
    assert f"rollout {rho:.2f}".replace("-", "\N{MINUS SIGN}") in one("#agreement-rows").text
    assert marked[-1] == ([19] if 19 in order[:10] else [])
    choose("attention")
    mean = influences["attention"]
    assert listed()[0][0] == np.argmax(mean)
    assert float(listed()[0][1].rstrip("\u00a0 %")) == pytest.approx(100 * mean.max(), abs=1)
    for setting, number in (("layer", "2"), ("head", "3")):
        one(f"#{setting} option[value='{number}']").click()
    keys, weights = found.attention.keys[1, 3, 20], found.attention.weights[1, 3, 20]
    assert listed()[0][0] == keys[weights.argmax()]
    assert float(listed()[0][1].rstrip("\u00a0 %")) == pytest.approx(100 * weights.max().item(), abs=1)
    tokens[20].send_keys(Keys.ARROW_RIGHT)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert one("#chosen-title").text.endswith("(token 22)")
    assert found.alternatives[21][0] in one("#tip").text + one("#alternatives").text
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not one("#chosen").is_displayed()
    browser.switch_to.active_element.send_keys(Keys.HOME)
    assert "not predicted" in one("#tip").text
    requested = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert requested == []
    assert browser.get_log("browser") == []


def test_a_typed_text_is_explained(explainer: Explainer, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.wait import WebDriverWait

    def wait(selector: str, text: str) -> None:
        WebDriverWait(browser, 20).until(
            lambda _: text in browser.find_element(By.CSS_SELECTOR, selector).text
        )

    with served(Api(explainer).app()) as address:
        browser.get(address)
        browser.find_element(By.CSS_SELECTOR, "#input").send_keys("<b>a text</b>", Keys.CONTROL, Keys.ENTER)
        wait("#about", "13 tokens")
        assert browser.find_element(By.CSS_SELECTOR, "#text").text == "<b>a text</b>"
        box = browser.find_element(By.CSS_SELECTOR, "#input")
        box.send_keys("a" * 128)
        browser.find_element(By.CSS_SELECTOR, "#form button").click()
        wait("#status", "the text has 141 tokens, and the model's block_size is 128: shorten it")
        assert not browser.find_element(By.CSS_SELECTOR, "#result").is_displayed()
        requested = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")  # fmt: skip
        assert all(name.startswith(f"{address}/") for name in requested)
    browser.find_element(By.CSS_SELECTOR, "#form button").click()
    wait("#status", "No answer: the server is not reached. Is it still running?")
