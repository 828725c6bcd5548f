"""tools.evaluate: losses against a forward pass for each token, tasks against their definition, and what a stop leaves."""

import copy
import json
import math
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ALONE
from references import enlarge

from corpus.articles import documents, read_batches
from corpus.bpe import train_bpe
from corpus.dataset import TokenDataset
from corpus.sources import find_source
from corpus.tokenizer import byte_tokenizer
from evaluation import article_tasks, bootstrap, contamination, likelihood, scoring, tasks, windows
from evaluation.article_tasks import lead_of
from evaluation.items import Item, Task
from evaluation.journal import Journal
from evaluation.likelihood import Request, score
from evaluation.measures import Answers
from evaluation.task_sources import find_tasks, read_task
from evaluation.tasks import Outcome, outcome, requests_of
from model import GPT, GPTConfig
from system.errors import UserError
from tools.evaluate.measuring import Subject


@pytest.fixture(scope="module")
def model() -> GPT:
    torch.manual_seed(3)
    model = GPT(GPTConfig(vocab_size=257, block_size=24, n_layer=2, n_head=2, n_embd=32)).eval()
    enlarge(model)
    return model


def each_log_probability(model: GPT, tokens: np.ndarray) -> np.ndarray:
    """Return the log-probability of each token but the first, by a pass over all tokens before it."""
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens[None, :-1]))[0]
    return logits.log_softmax(1).gather(1, torch.from_numpy(tokens[1:, None]))[:, 0].numpy()


def test_parts_of_requests_of_any_length(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "TOKENS_AT_ONCE", 50)
    chooser = np.random.default_rng(0)
    requests = [
        Request(chooser.integers(0, 257, n), parts)
        for n, parts in [(2, (1,)), (25, (24,)), (9, (3, 1, 2)), (25, (1, 20)), (3, (2,)), (20, (5,))]
    ]
    for request, found in zip(requests, score(model, requests, torch.float32), strict=True):
        right = each_log_probability(model, request.tokens)[-request.n_scored :]
        sums = [part.sum() for part in np.split(right, np.cumsum(request.parts)[:-1])]
        assert found[:, 0] == pytest.approx(sums, abs=1e-4)


def test_what_the_model_would_write_is_greedy(model: GPT) -> None:
    tokens = np.array([5, 6])
    for _ in range(4):
        with torch.no_grad():
            tokens = np.append(tokens, model(torch.from_numpy(tokens[None]))[0, -1].argmax().item())
    changed = tokens.copy()
    changed[3] = (changed[3] + 1) % 257
    found = score(model, [Request(tokens, (4,)), Request(changed, (1, 1, 2)[:2])], torch.float32)
    assert found[0][0, 1] == 1
    [whole] = score(model, [Request(changed, (4,))], torch.float32)
    assert whole[0, 1] == 0


def test_windows_are_those_of_the_harness() -> None:
    """The example of lm_eval's documentation: ten tokens, windows of four."""
    assert list(windows.spans(10, 4, 4)) == [(0, 4, 4), (4, 8, 4), (6, 10, 2)]
    assert list(windows.spans(10, 4, 1))[:3] == [(0, 4, 4), (1, 5, 1), (2, 6, 1)]
    assert list(windows.spans(3, 4, 4)) == [(0, 3, 3)]


@pytest.mark.parametrize("stride", [24, 7])
@pytest.mark.parametrize("kind", ["stream", "document"])
def test_each_token_is_scored_once_with_its_context(
    model: GPT, data_dir: Path, kind: windows.Windows, stride: int
) -> None:
    data, tokenizer = TokenDataset(data_dir, "val"), byte_tokenizer()
    split = windows.read_split(data, tokenizer)
    split = replace(split, tokens=split.tokens[: split.ends[1]], ends=split.ends[:2])
    found = windows.windows(split, 24, kind, stride, tokenizer.token_byte_lengths())
    requests, parts = [request for request, _ in found], [part for _, own in found for part in own]
    scored = windows.by_document(parts, np.concatenate(score(model, requests, torch.float32))[:, 0], 2)
    first, whole = int(split.ends[0]), split.tokens
    texts = [[], []] if kind == "stream" else [whole[: first - 1], whole[first:-1]]
    nats, counts = [0.0, 0.0], [0, 0]
    for document in range(2):
        tokens = whole if kind == "stream" else np.concatenate([[256], texts[document]])
        for begin, end, n_scored in windows.spans(len(tokens) - 1, 24, stride):
            for position in range(end - n_scored, end):
                if kind == "stream" and (position + 1 >= first) != document:
                    continue
                context = tokens[begin : position + 2]
                nats[document] -= each_log_probability(model, context)[-1]
                counts[document] += 1
    assert scored.nats == pytest.approx(nats, rel=1e-5)
    assert scored.n_tokens.tolist() == counts
    assert counts == (
        [first - 1, len(whole) - first] if kind == "stream" else [first - 1, len(whole) - 1 - first]
    )
    n_bytes = [first - 1, len(whole) - 1 - first]  # bytes are tokens here, and end-of-text has none
    assert scored.n_bytes.tolist() == [n_bytes[0] - (kind == "stream"), n_bytes[1]]


def test_a_split_is_read_in_another_tokenizers_tokens(data_dir: Path) -> None:
    data = TokenDataset(data_dir, "val")
    plain = windows.read_split(data, byte_tokenizer())
    text = byte_tokenizer().decode(plain.tokens[: plain.ends[0] - 1].tolist())
    other = train_bpe([text * 5], 300)
    split = windows.read_split(data, other)
    assert len(split.ends) == len(plain.ends)
    assert len(split.tokens) < len(plain.tokens)
    assert other.decode(split.tokens[: split.ends[0] - 1].tolist()) == text
    assert split.tokens[split.ends[0] - 1] == other.end_of_text
    whole = windows.windows(split, 24, "document", 24, other.token_byte_lengths())
    assert sum(part.n_bytes for _, parts in whole for part in parts) == data.manifest.splits["val"].text_bytes


def test_a_journal_saves_what_is_done(model: GPT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "JOURNAL_SECONDS", 0.0)
    monkeypatch.setattr(likelihood, "TOKENS_AT_ONCE", 50)
    chooser = np.random.default_rng(0)
    requests = [Request(chooser.integers(0, 257, 5 + n % 19), (2, 1)) for n in range(30)]
    journal, calls = tmp_path / "x.partial.jsonl", 0

    def whole(name: str = "x") -> np.ndarray:
        return scoring.score(model, requests, torch.float32, ALONE, "scoring", Journal(journal), name)

    right = whole()
    assert right == pytest.approx(np.concatenate(score(model, requests, torch.float32)))
    journal.unlink()

    def counted(*args: Any) -> list[np.ndarray]:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return score(*args)

    monkeypatch.setattr(likelihood, "score", counted)
    with pytest.raises(KeyboardInterrupt):
        whole()
    with open(journal, "a") as file:
        file.write('{"key": "x", "rows": {"5": [[1, ')  # cut off by a kill
    n_before, calls = calls, 10
    assert (whole() == right).all()
    n_all = len(list(likelihood.batches([len(request.tokens) for request in requests], 50)))
    assert calls - 10 == n_all - (n_before - 1)
    calls = 10
    assert (whole("another model") == right).all()  # whose results are not those of the journal
    assert calls - 10 == n_all


def test_only_the_same_evaluation_is_not_repeated(model: GPT) -> None:
    """What is known under a key is not computed again, so everything that changes a score must change the key."""
    requests = [Request(np.array([1, 2, 3]), (1, 1))]
    keys = [
        scoring.key_of("x", requests),
        scoring.key_of("y", requests),
        scoring.key_of("x", [Request(np.array([1, 2, 4]), (1, 1))]),
        scoring.key_of("x", [Request(np.array([1, 2, 3]), (2,))]),
        scoring.key_of("x", requests * 2),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == scoring.key_of("x", list(requests))
    changed = copy.deepcopy(model)
    assert scoring.fingerprint(changed) == scoring.fingerprint(model)
    with torch.no_grad():
        changed.transformer.h[1].mlp.c_proj.weight.mul_(1.001)
    assert scoring.fingerprint(changed) != scoring.fingerprint(model)
    subject = Subject(
        "x", model, byte_tokenizer(), torch.float32, Path(), 1, "float32", scoring.fingerprint(model)
    )
    others = [{"name": "y"}, {"precision": "tf32"}, {"fingerprint": scoring.fingerprint(changed)}]
    assert len({subject.label, *(replace(subject, **other).label for other in others)}) == 4  # type: ignore[arg-type]


def test_a_damaged_journal_keeps_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.partial.jsonl"
    Journal(path).add("a", {3: np.array([[1.0, 0.0]])})
    with path.open("ab") as file:
        file.write(b'{"key": ["a"], "rows": {}}\n{"key": "a", "rows": {"4": [[\xff')
    journal = Journal(path)
    journal.add("b", {5: np.array([[2.0, 1.0]])})
    found = Journal(path)
    assert {key: list(rows) for key, rows in found.scores.items()} == {"a": [3], "b": [5]}
    assert found.known("b")[5].tolist() == [[2.0, 1.0]]
    found.forget()  # what this evaluation used, not what another left
    assert list(Journal(path).scores) == ["a"]
    found = Journal(path)
    found.known("a")
    found.forget()
    assert not path.exists()


def test_a_journal_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path / "gone" / "x.partial.jsonl")
    for number in range(2):
        journal.add("x", {number: np.zeros((1, 2))})
    [line] = capsys.readouterr().out.splitlines()
    assert line == (
        f"cannot write {journal.path} (No such file or directory): what is scored from here on is lost in a stop"
    )


def test_tokens_that_the_tokenizer_does_not_have(data_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(data_dir, folder)
    [path] = folder.glob("val*.bin")
    path.write_bytes(b"\x01\x03" + path.read_bytes()[2:])
    with pytest.raises(UserError, match=r"val.* is corrupt \(the tokenizer has no such token\)"):
        windows.read_split(TokenDataset(folder, "val"), byte_tokenizer())


FORMATS: list[tuple[dict[str, Any], Item]] = [
    (
        {"activity_label": "Ice", "ctx_a": "A man.", "ctx_b": "he [x] runs", "endings": ["to [title] a", " b "], "label": "1", "ind": 3},
        Item("Ice: A man. He runs", (" to. a", " b"), 1, (5, 1)),
    ),
    ({"text": "The end is near"}, Item("The end is", (" near",))),
    ({"prompt": "2 + 2 =", "choices": ["4", "22"], "answer": 0}, Item("2 + 2 =", (" 4", " 22"), 0, (1, 2))),
    ({"prompt": "Paris is in", "completion": " France", "kind": "x"}, Item("Paris is in", (" France",))),
]  # fmt: skip


@pytest.mark.parametrize(("row", "item"), FORMATS)
def test_rows_become_items(row: dict[str, Any], item: Item, tmp_path: Path) -> None:
    path = tmp_path / "my_task.jsonl"
    path.write_text(json.dumps(row) + "\n\n")
    task = read_task(str(path))
    assert (task.name, task.items) == ("my_task", [item])
    assert task.kind == ("choice" if len(item.choices) > 1 else "completion")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "{path} is empty: it must have an item in each line"),
        ('{"q": 1}', "{path}:1 is not an item of a task: it has q, but needs activity_label, "),
        ("[1]", "{path}:1 is not an item of a task: it is [1], but needs activity_label, "),
        ('{"title": "Rome", "text": "Rome is"}', "{path}:1 is an article, not an item of a task: prepare a folder from the articles, and use"),
        ('{"text": "a b"}\n{"prompt": "x"}', "{path}:2 is not an item of a task: it has prompt, but needs text, as the first line has"),
        ('{"text": "a b"}\n3', "{path}:2 is not an item of a task: it is 3, but needs text, as the first line has"),
        ('{"prompt": "x", "choices": ["a", "b"], "answer": 2}', "{path}:1: the right choice is 2, of 2: count from 0"),
        ('{"prompt": "x", "choices": "ab", "answer": 1}', "{path}:1: choices is 'ab': it must be a list of texts"),
        ('{"prompt": "x", "choices": ["a"], "answer": "b"}', "{path}:1: answer is 'b': it must be a whole number from 0"),
        ('{"prompt": "x", "choices": ["a", "b"], "answer": true}', "{path}:1: answer is True: it must be a whole number from 0"),
        ('{"prompt": "x", "choices": ["a", "b"], "answer": -1}', "{path}:1: answer is -1: it must be a whole number from 0"),
        ('{"prompt": 3, "completion": "a"}', "{path}:1: prompt is 3: it must be a text"),
        ('{"prompt": "x", "completion": " "}', "{path}:1: a choice is empty: write one, or delete the item"),
        ('{"text": "Paris"}', "{path}:1: 'Paris' has no word before its last: write a longer text"),
        ('{"prompt": "x", "choices": ["a"], "answer": 0}', "{path}:1: it has 1 choices: write at least two"),
        ('{"text": 7}', "{path}:1: text is 7: it must be a text"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_item_is_shown(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(line)
    with pytest.raises(UserError) as caught:
        read_task(str(path))
    assert str(caught.value).startswith(message.format(path=path))


def test_two_tasks_of_one_name(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "x.jsonl", tmp_path / "b" / "x.jsonl"]
    for path in paths:
        path.parent.mkdir()
        path.write_text('{"text": "a b"}')
    with pytest.raises(UserError, match=r"a/x.jsonl and .*b/x.jsonl: both are named x: rename a file"):
        find_tasks([str(path) for path in paths], None)
    with pytest.raises(UserError, match="task leads: no articles: name a folder of prepared articles"):
        find_tasks(["leads"], None)


def test_a_task_that_is_not_there() -> None:
    message = "no task nowhere: use a JSONL file, or one of hellaswag, lambada, leads, last_words"
    with pytest.raises(UserError, match=message):
        read_task("nowhere")


def test_a_task_of_the_hub_is_read_from_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    folder = tmp_path / "snapshot"
    (folder / "data").mkdir(parents=True)
    rows = [FORMATS[0][0], FORMATS[0][0] | {"ctx_a": "A dog."}]
    (folder / "data/validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: validation\n    path: data/validation.jsonl\n---\n"
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    task = read_task("hellaswag")
    assert [item.context for item in task.items] == ["Ice: A man. He runs", "Ice: A dog. He runs"]

    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(huggingface_hub, "snapshot_download", missing)
    message = "the hub's cache has no dataset EleutherAI/lambada_openai, and HF_HUB_OFFLINE is set: run `hf download "
    with pytest.raises(UserError, match=message):
        read_task("lambada")


def test_a_context_ends_before_its_spaces_and_is_cut_on_the_left() -> None:
    tokenizer = byte_tokenizer()
    task = Task(
        "x", "choice", [Item("ab ", ("c", "de"), 1, (1, 2)), Item("", ("c",)), Item("x" * 30, (" y",))]
    )
    found, n_cut = requests_of(task, tokenizer, 10)
    assert n_cut == 1
    texts = [
        (tokenizer.decode([token for token in one.tokens.tolist() if token < 256]), one.parts)
        for one in found
    ]
    assert texts == [("ab c", (2,)), ("ab de", (3,)), ("c", (1,)), ("x" * 9 + " y", (2,))]
    assert found[2].tokens.tolist() == [256, ord("c")]
    with pytest.raises(
        UserError, match="x, item 1: ' y' has 2 tokens, the model's block_size is 1: shorten or delete it"
    ):
        requests_of(replace(task, items=task.items[2:] * 3), tokenizer, 1)


def test_examples_are_other_items_solved() -> None:
    items = [Item(f"Q{n}", (f" a{n}", f" b{n}"), n % 2, (2, 2)) for n in range(6)]
    shown = tasks.with_examples(Task("x", "choice", items), 3).items
    for number, item in enumerate(shown):
        *solved, question = item.context.split("\n\n")
        assert question == f"Q{number}"
        assert len(set(solved)) == 3
        assert set(solved) < {f"Q{n} {'ab'[n % 2]}{n}" for n in range(6) if n != number}
    with pytest.raises(UserError, match="n_shots=6: x has 6 items: use fewer"):
        tasks.with_examples(Task("x", "choice", items), 6)


def test_items_that_the_training_text_has(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contamination, "TOKENS_AT_ONCE", 37)  # items lie across the parts too
    data = TokenDataset(data_dir)
    ends = data.pair_ends[:6].tolist()
    texts = [byte_tokenizer().decode(data.read(end - 60, 59).tolist()) for end in ends]
    known = [Item(text[:30], (text[30:45],)) for text in texts]
    middle = [Item(text[:5], (text[5:11],)) for text in texts]  # shorter than a run
    middle += [Item(texts[0][:5], ("#" * 6,))]
    short = [Item(" ri", ("ver ",)), Item("zqx", ("v",))]
    new = [Item("#".join(text[place : place + 3] for place in range(0, 27, 3)), ("#",)) for text in texts]
    found = contamination.contaminated(
        [Task("y", "completion", short), Task("x", "completion", known + middle + short + new)], data, ALONE
    )[1]
    assert found.seen.tolist() == [True] * 12 + [False] * 9
    assert found.too_short.tolist() == [False] * 13 + [True] * 2 + [False] * 6


def test_the_accuracy_of_items_that_the_training_text_does_not_have() -> None:
    right = np.array([True, False, True, True, False])
    check = contamination.Seen(np.array([True, False, False, False, False]), np.arange(5) == 2)
    found = Answers(Outcome(right, None, np.zeros(5)), check)
    assert found.to_dict()["accuracy_of_unseen"] == pytest.approx(1 / 3)
    assert (
        ", 1 items seen in training, 1 too short to tell, 33.3 ± 33.3 % right of those not seen, "
        in found.line()
    )
    none = Answers(Outcome(right, None, np.zeros(5)), contamination.Seen(right, ~right))
    assert none.to_dict()["accuracy_of_unseen"] is None
    assert "not seen" not in none.line()


def test_answers_by_likelihood_and_per_character() -> None:
    items = [Item("q", (" a", " bbbb"), answer, (1, 4)) for answer in (0, 1, 1)]
    scores = np.array([[-2.0, 0], [-4.0, 0], [-2.0, 0], [-4.0, 0], [-5.0, 0], [-4.0, 0]])
    found = outcome(Task("x", "choice", items), scores)
    assert found.right.tolist() == [True, False, True]
    assert found.right_normalised.tolist() == [False, True, True]  # type: ignore[union-attr]
    assert found.accuracy == pytest.approx(2 / 3)
    assert tasks.standard_error(found.right) == pytest.approx(math.sqrt(2 / 3 / 3 / 2))
    written = outcome(Task("x", "completion", [Item("q", (" a",))] * 2), np.array([[-1.0, 1], [-3.0, 0]]))
    assert written.right.tolist() == [True, False]
    assert written.perplexity == pytest.approx(math.exp(2))


def test_articles_give_leads_and_last_words() -> None:
    names = ["Seine", "Lake Ob", "Mount E.", "Dr. No", "Ada"]
    articles = [f"{name}\n\n{name} is known as number {n}. More text." for n, name in enumerate(names)]
    articles += ["no title", "Empty\n\n", "Odd\n\nIt has no name in it. So.", "Open\n\nOpen has no stop\n"]
    assert lead_of(articles[0]) == ("Seine", "Seine is known as number 0.")
    assert lead_of(articles[5]) is lead_of(articles[8]) is None
    leads = article_tasks.leads(articles)
    assert [item.context for item in leads] == [
        "Seine\n\n",
        "Lake Ob\n\n",
        "Mount E.\n\n",
        "Ada\n\n",
    ]  # not Dr.
    for item in leads:
        title = item.context.removesuffix("\n\n")
        assert len(set(item.choices)) == 4
        assert all(title in text for text in item.choices)
    assert leads[0].choices[leads[0].answer] == "Seine is known as number 0."
    assert not article_tasks.leads(articles[:3])
    words = article_tasks.last_words(articles)
    assert words[0] == Item("Seine\n\nSeine is known as number", (" 0",))


def test_intervals() -> None:
    nats, n_bytes = np.arange(3.0, 39.0, 3), np.arange(1.0, 13.0)
    low, high = bootstrap.bits_per_byte_interval(nats, n_bytes)
    assert low == pytest.approx(high) == pytest.approx(3 / math.log(2))  # the same ratio in each document
    chooser = np.random.default_rng(0)
    nats = chooser.exponential(size=400)
    n_bytes = np.full(400, 2.0)
    low, high = bootstrap.bits_per_byte_interval(nats, n_bytes)
    error = nats.std() / 20 / 2 / math.log(2)
    mean = nats.mean() / 2 / math.log(2)
    assert (low, high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.2 * error)
    assert bootstrap.bits_per_byte_interval(nats[:9], n_bytes[:9]) is None


@pytest.mark.thorough
def test_intervals_hold() -> None:
    """Of 1,000 samples of the built-in corpus's validation documents, compressed, 930 to 970 have the true bits per byte in theirs."""
    source = find_source("builtin", "", "", 0)
    texts = [
        one.text.encode()
        for batch in read_batches(source)
        for one in documents(batch, 0.05)
        if one.split == "val"
    ]
    n_bytes = np.array([len(text) for text in texts])
    nats = np.array([8 * math.log(2) * len(zlib.compress(text)) for text in texts])
    true = nats.sum() / n_bytes.sum() / math.log(2)
    chooser = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        drawn = chooser.integers(0, len(texts), len(texts))
        low, high = bootstrap.bits_per_byte_interval(nats[drawn], n_bytes[drawn])
        held += low <= true <= high
    assert 930 <= held <= 970
