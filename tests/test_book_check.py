"""The check of the book's exercises: it passes what is right, and tells who made a typical mistake what it is."""

import doctest
import inspect
import re
import runpy
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import book_solutions
import pytest
import torch
from conftest import ROOT

from book import check
from book.attention import attend
from book.check import PASSED, UNWRITTEN, WRONG, Outcome
from book.checks import exercise
from book.checks.chapter_09 import part_of
from book.checks.exercise import Wrong
from book.checks.exercise import check as check_one
from book.seq2seq import Seq2Seq
from book.transformer import Block
from model import MLP, GPTConfig

CHAPTERS = range(1, check.N_CHAPTERS + 1)
IMPORTS = "import math\nfrom collections.abc import Callable\n\nimport torch\nfrom torch import Tensor\n\n"
EXERCISES = {name: one for chapter in CHAPTERS for name, one in check.exercises_of(chapter).items()}
MISTAKES = [(name, function, hint) for name, one in EXERCISES.items() for function, hint in one.mistakes]


def functions_in(path: Path) -> dict[str, Callable[..., Any]]:
    """Return the functions that are defined in a file, by name."""
    found = runpy.run_path(str(path)).items()
    return {
        name: value
        for name, value in found
        if inspect.isfunction(value) and value.__code__.co_filename == str(path)
    }


def solved(chapter: int, changes: dict[str, str] | None = None) -> str:
    """Return a chapter's file with all exercises solved, apart from those whose source is given."""
    sources = {name: inspect.getsource(getattr(book_solutions, name)) for name in check.exercises_of(chapter)}
    sources |= {name: textwrap.dedent(source) for name, source in (changes or {}).items()}
    return IMPORTS + "\n\n".join(sources.values())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a copy of the exercises, which the check looks into."""
    folder = tmp_path / "book" / "exercises"
    shutil.copytree(check.EXERCISES, folder)
    monkeypatch.setattr(check, "EXERCISES", folder)
    return folder


def found(desk: Path, chapter: int, name: str, source: str) -> Outcome:
    """Return what the check says about an exercise, written like this."""
    (desk / f"chapter_{chapter:02}.py").write_text(solved(chapter, {name: source}))
    outcomes = {one.name: one for one in check.outcomes(chapter)}
    assert all(one.status == PASSED for one in outcomes.values() if one.name != name)
    return outcomes[name]


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Return the exit status of the command, and what it prints."""
    monkeypatch.setattr(sys, "argv", ["book.check", *words])
    with pytest.raises(SystemExit) as end:
        check.run_command(check.main, resumes=False)
    printed = capsys.readouterr()
    return int(end.value.code or 0), printed.out + printed.err


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_function_has_a_check_and_each_check_a_function(chapter: int) -> None:
    functions = functions_in(ROOT / f"book/exercises/chapter_{chapter:02}.py")
    assert list(functions) == list(check.exercises_of(chapter))
    assert 2 <= len(functions) <= 4
    for name, function in functions.items():
        solution = inspect.signature(getattr(book_solutions, name))
        assert list(inspect.signature(function).parameters) == list(solution.parameters), name


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("[01]*.md")), ids=lambda path: path.stem)
def test_a_chapter_names_its_exercises(path: Path) -> None:
    chapter = int(path.name[:2])
    section = path.read_text().partition("## Exercises\n")[2].partition("\n1. ")[0]
    assert re.findall(r"`(\w+)`", section) == list(check.exercises_of(chapter))
    assert f"](exercises/chapter_{chapter:02}.py)" in section
    assert f"`python -m book.check {chapter}`" in section


def test_there_are_no_other_chapters() -> None:
    names = [f"chapter_{chapter:02}.py" for chapter in CHAPTERS]
    assert sorted(path.name for path in (ROOT / "book/exercises").glob("chapter_*")) == names
    assert sorted(path.name for path in (ROOT / "book/checks").glob("chapter_*")) == names


@pytest.mark.parametrize("name", EXERCISES)
def test_the_examples_of_the_exercises_are_right(name: str) -> None:
    function = {name: f for chapter in CHAPTERS for name, f in functions_in(check.path_of(chapter)).items()}[
        name
    ]
    names = {name: getattr(book_solutions, name), "torch": torch, "F": torch.nn.functional}
    example = doctest.DocTestParser().get_doctest(function.__doc__ or "", names, name, None, None)
    assert example.examples
    printed: list[str] = []
    doctest.DocTestRunner().run(example, out=printed.append)
    assert not printed, "".join(printed)


def test_solutions_pass(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for chapter in CHAPTERS:
        (desk / f"chapter_{chapter:02}.py").write_text(solved(chapter))
    status, printed = run(monkeypatch, capsys)
    n = len(EXERCISES)
    assert printed.splitlines()[0] == "chapter  1  3 of 3 passed"
    assert printed.splitlines()[-1] == f"{n} of {n} passed"
    assert status == 0
    status, printed = run(monkeypatch, capsys, "2")
    assert printed.splitlines() == [
        "chapter 2, book/exercises/chapter_02.py", "  rnn_step  passed", "  clipped   passed", "2 of 2 passed"
    ]  # fmt: skip
    assert status == 0


@pytest.mark.parametrize(
    ("name", "mistaken", "hint"), MISTAKES, ids=[f"{one[0]}: {one[2]}" for one in MISTAKES]
)
def test_a_typical_mistake_gets_its_hint(name: str, mistaken: Callable[..., Any], hint: str) -> None:
    with pytest.raises(Wrong) as error:
        check_one(EXERCISES[name], mistaken, "exercise.py")
    assert str(error.value) == hint


@pytest.mark.parametrize(
    ("chapter", "name", "source", "reason"),
    [
        (1, "softmax", """
            def softmax(logits):
                return logits.exp() / logits.exp().sum()
            """, "all rows together add up to one: take the sum along the last dimension, with `keepdim=True`"),
        (6, "attention", """
            def attention(queries, keys, values):
                weights = (queries @ keys.transpose(-2, -1)).softmax(-1)
                return weights @ values, weights
            """, "the scores are not divided by the root of D, the size of a query"),
        (6, "attention", """
            def attention(queries, keys, values):
                scores = queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5
                weights = scores.softmax(-2)
                return weights @ values, weights
            """, "the columns of the weights add up to one, not the rows: take the softmax along the last dimension"),
        (6, "attention", """
            def attention(queries, keys, values):
                weights = 1.5 * (queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5).softmax(-1)
                return weights @ values, weights
            """, "the weights of row 0 add up to 1.50: each row must add up to 1"),
        (6, "causal_weights", """
            def causal_weights(scores):
                return scores.softmax(-1) * torch.ones_like(scores).tril()
            """, "the later tokens are hidden after the softmax, so the rows do not add up to one: mask the scores, before it"),
        (6, "sliding_mask", """
            def sliding_mask(T, n_back):
                ones = torch.ones(T, T)
                return ones.tril() - ones.tril(-n_back - 1)
            """, "the mask holds floating-point numbers: return booleans"),
        (7, "layer_norm", """
            def layer_norm(x, weight, bias, eps):
                return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt() * weight + bias
            """, "the variance is the unbiased one, divided by C - 1: divide by C, with `correction=0`"),
        (11, "top_p", """
            def top_p(p, reach):
                values, ids = p.sort(-1, descending=True)
                return torch.zeros_like(p).scatter(-1, ids, values * (values.cumsum(-1) < reach))
            """, "the token that reaches the probability is dropped: keep it, so look at the sum *before* each token"),
    ],
)  # fmt: skip
def test_mistakes_as_readers_write_them(
    desk: Path, chapter: int, name: str, source: str, reason: str
) -> None:
    assert found(desk, chapter, name, source) == Outcome(name, WRONG, reason)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("pass", "it returns nothing: end it with `return`"),
        ("return x, h", "it returns 2 values instead of 1"),
        ("return 'tanh'", "the state is of the type str: return a tensor"),
        ("return 0.5", "the state is a single number: return a tensor of the shape (2, 4)"),
        ("return (x @ W.T + h @ U.T + b).tanh().T", "the state has the shape (4, 2): here it must be (2, 4)"),
        ("return (x @ W.T + h @ U.T + b) > 0", "the state holds booleans: return floating-point numbers"),
        ("return torch.tanh(x @ W.T + h @ U.T + b) / 0", "the state[0, 0] is "),
        ("return torch.tanh(x @ W.T + h @ U.T + b) * 0 / 0", "the state has nan in it: look for a division by zero, or for infinite numbers"),
        ("h += x @ W.T + h @ U.T + b\n    return h.tanh()", "it changes `h`, which the caller may still need: compute new tensors instead, without `+=`, `x[...] =` or functions that end in `_`"),
        ("y = x @ W.T\n    return (y + h @ U + bias).tanh()", "line 9, `return (y + h @ U + bias).tanh()`: NameError: name 'bias' is not defined"),
        ("return x @ torch.ones(7, 7)", "line 8, `return x @ torch.ones(7, 7)`: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
        ("exit()", "line 8, `exit()`: SystemExit"),
        ("return helper(x)\n\n\ndef helper(x):\n    raise NotImplementedError", "line 12, `raise NotImplementedError`: NotImplementedError"),
    ],
)  # fmt: skip
def test_what_else_can_be_wrong_is_said_in_a_line(desk: Path, result: str, reason: str) -> None:
    one = found(desk, 2, "rnn_step", f"def rnn_step(x, h, W, U, b):\n    {result}\n")
    assert one.status == WRONG
    assert one.reason.startswith(reason)
    assert "\n" not in one.reason


def test_a_number_may_be_a_tensor_but_not_a_row_of_them(desk: Path) -> None:
    source = "def bits_per_byte(nats_per_token, n_tokens, n_bytes):\n    return {}"
    right = "torch.tensor(nats_per_token * n_tokens / n_bytes / math.log(2))"
    assert found(desk, 1, "bits_per_byte", source.format(right)).status == PASSED
    one = found(desk, 1, "bits_per_byte", source.format(f"{right}[None]"))
    assert one.reason == "the result has the shape (1,): return a single number"


def test_results_in_float32_are_right(desk: Path) -> None:
    source = "def rnn_step(x, h, W, U, b):\n    return torch.tanh(x @ W.T + h @ U.T + b).float()"
    assert found(desk, 2, "rnn_step", source).status == PASSED


def test_other_arguments_are_said(desk: Path) -> None:
    one = found(desk, 2, "rnn_step", "def rnn_step(x, h):\n    return x + h")
    assert one.reason == "TypeError: rnn_step() takes 2 positional arguments but 5 were given"


def test_a_loss_without_a_gradient_is_said(desk: Path) -> None:
    source = "def reinforce_loss(log_p, rewards, baseline):\n    return -((rewards - baseline) * log_p).mean().item()"
    reason = "the loss must be a tensor with one number, computed from log_p so that it has a gradient"
    assert found(desk, 5, "reinforce_loss", source).reason == reason


def test_parts_that_do_not_fit_into_memory_together_are_not_accepted(desk: Path) -> None:
    source = """
        def accumulated(loss_of, weight, parts):
            inputs, targets = (torch.cat(part) for part in zip(*parts))
            (loss_of(weight, inputs, targets) / len(inputs)).backward()
            return weight.grad
        """
    one = found(desk, 10, "accumulated", source)
    assert one.reason.startswith("it gives `loss_of` more than one part at a time")


@pytest.mark.parametrize("before", ["", "while True: pass\n"])
def test_a_loop_that_never_ends_is_shown(desk: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    monkeypatch.setattr(exercise, "MOST_SECONDS", 1.0)
    (desk / "chapter_02.py").write_text(f"{before}def rnn_step(x, h, W, U, b):\n    while True: pass\n")
    reason = f"line {1 if before else 2}, `while True: pass`: TooSlow: not finished after 1 seconds: does a loop never end?"
    assert check.outcomes(2)[0].reason == reason


def test_the_limit_is_no_error_that_a_reader_catches(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercise, "MOST_SECONDS", 1.0)
    source = """
        def rnn_step(x, h, W, U, b):
            while True:
                try:
                    x = sum(range(1000))
                except Exception:
                    pass
        """
    assert "TooSlow: not finished after 1 seconds" in found(desk, 2, "rnn_step", source).reason


def test_a_float_is_no_int(desk: Path) -> None:
    right = inspect.getsource(book_solutions.attention_flops)
    assert found(desk, 9, "attention_flops", right).status == PASSED
    one = found(desk, 9, "attention_flops", right.replace("return ", "return 1.0 * "))
    assert re.fullmatch(r"\d+\.0 is a float: return an int \(`//` divides without a remainder\)", one.reason)


def test_what_is_not_written_is_said(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, printed = run(monkeypatch, capsys)
    assert printed.splitlines()[1] == "chapter  2  0 of 2 passed  2 not written yet"
    assert printed.splitlines()[-1] == f"0 of {len(EXERCISES)} passed"
    assert status == 1
    right = inspect.getsource(book_solutions.rnn_step)
    path = desk / "chapter_02.py"
    path.write_text(path.read_text() + "\n\n" + right)  # the later definition counts
    status, printed = run(monkeypatch, capsys, "2")
    assert [one.status for one in check.outcomes(2)] == [PASSED, UNWRITTEN]
    assert printed.splitlines()[1:] == ["  rnn_step  passed", "  clipped   not written yet", "1 of 2 passed"]
    assert status == 1


def test_one_wrong_exercise_decides_the_status_and_is_pointed_at(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = found(desk, 2, "rnn_step", "def rnn_step(x, h, W, U, b):\n    return x @ W.T + h @ U.T + b")
    assert one.reason == "the tanh is missing"
    status, printed = run(monkeypatch, capsys, "2")
    assert (status, printed.splitlines()[1]) == (1, "  rnn_step  not right: the tanh is missing")
    status, printed = run(monkeypatch, capsys)
    assert printed.splitlines()[1] == "chapter  2  1 of 2 passed  rnn_step not right"
    assert printed.splitlines()[-1] == "`python -m book.check 2` says what is not right in chapter 2"
    assert status == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def rnn_step(x:\n    return x\n", "line 1, `def rnn_step(x:`: SyntaxError: '(' was never closed"),
        ("def rnn_step(x):\nreturn x\n", "line 2, `return x`: IndentationError: expected an indented block"),
        ("import torch\nprint(touch)\n", "line 2, `print(touch)`: NameError: name 'touch' is not defined"),
        ("import nowhere\n", "line 1, `import nowhere`: ModuleNotFoundError: No module named 'nowhere'"),
        ("x = '\0'\n", "SyntaxError: source code "),
        ("quit()\n", "line 1, `quit()`: SystemExit"),
    ],
)
def test_a_file_that_does_not_run_is_shown_with_the_line(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    (desk / "chapter_02.py").write_text(text)
    status, printed = run(monkeypatch, capsys, "2")
    assert status == 1
    assert len(printed.splitlines()) == 3
    assert printed.splitlines()[1].startswith(f"  the file does not run: {reason}")
    printed = run(monkeypatch, capsys)[1]
    assert printed.splitlines()[1] == "chapter  2  0 of 2 passed  the file does not run"
    assert printed.splitlines()[-1] == "`python -m book.check 2` says what is not right in chapter 2"


def test_what_is_missing_is_said(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (desk / "chapter_02.py").write_text("clipped = 3\n")
    reason = "there is no function `rnn_step` in the file: name it so"
    assert check.outcomes(2)[0] == Outcome("rnn_step", WRONG, reason)
    assert check.outcomes(2)[1].status == WRONG
    (desk / "chapter_02.py").unlink()
    expected = "error: no book/exercises/chapter_02.py: restore it with `git checkout book/exercises/chapter_02.py`\n"
    assert run(monkeypatch, capsys, "2") == (2, expected)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("13",), "chapter=13: must be 1 to 12, or 0 for all"),
        (("--chapter=-1",), "chapter=-1: must be 1 to 12, or 0 for all"),
        (("six",), "chapter=six: must be a whole number"),
        (("6", "7"), "cannot read '7': did you mean --chapter=7?"),
    ],
)
def test_a_wrong_chapter_is_a_line(
    words: tuple[str, ...], error: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, capsys, *words) == (2, f"error: {error}\n")


def test_solutions_are_what_the_book_and_the_model_compute() -> None:
    torch.manual_seed(1)
    x, block = torch.randn(2, 5, 8), Block(8, 2)
    y = book_solutions.block(x, block.norm_1, lambda x: block.attention(x)[0], block.norm_2, block.mlp)
    torch.testing.assert_close(y, block(x))
    mlp = MLP(GPTConfig(n_embd=8, n_head=2, mlp="swiglu", bias=False))
    y = book_solutions.swiglu(x, *mlp.c_fc.weight.chunk(2), mlp.c_proj.weight)
    torch.testing.assert_close(y, mlp(x))
    model, source = Seq2Seq(11, 8, attention=False), torch.randint(11, (3, 4))
    memory, h = model.encode(source)
    written = book_solutions.write(lambda tokens, h: model.step(tokens, h, memory)[:2], h, 0, 6)
    assert torch.equal(written, model.write(source, 6, begin=0)[0])


def test_merged_parts_are_attention_over_all_keys() -> None:
    torch.manual_seed(1)
    queries, keys, values = torch.randn(4, 8), torch.randn(9, 8), torch.randn(9, 3)
    scores = queries @ keys.T / 8**0.5
    both = book_solutions.merged(part_of(scores[:, :5], values[:5]), part_of(scores[:, 5:], values[5:]))
    torch.testing.assert_close(both, part_of(scores, values))
    torch.testing.assert_close(both[2], attend(queries, keys, values)[0])
