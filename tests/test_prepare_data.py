"""Preparing data: exact text back, the split, the sample a BPE is trained on, options, progress."""

import multiprocessing
import random
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from preparing import (
    ROOT,
    InProcess,
    batches_of,
    content,
    decoded,
    document,
    prepare,
    some_articles,
    write_jsonl,
)

import prepare_data
from corpus import articles, writer
from corpus.articles import documents
from corpus.dataset import Split, TokenDataset
from corpus.tokenizer import open_tokenizer
from corpus.workers import WorkerPool
from prepare_data import training_sample
from system.errors import UserError


@pytest.fixture
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokenize in this process: what is tested does not depend on where."""
    monkeypatch.setattr(prepare_data, "WorkerPool", InProcess)


def test_articles_come_back_exactly_and_in_order(tmp_path: Path) -> None:
    rows = some_articles(300)
    rows[7]["text"] = "NUL \x00, emoji 👩‍👩‍👧, 中文, <|endoftext|>, line\r\nends\n\n"
    rows[8]["text"] = "".join(
        random.Random(1).choices("abcdefgh中", k=10_000_000)
    )  # ten million characters, no space
    rows[9]["text"], rows[10]["text"] = "", " \n "
    write_jsonl(tmp_path / "a.jsonl", rows)
    prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer="bpe:300", shard_tokens=1_000_000, workers=2)

    train, val = decoded(tmp_path / "out", "train"), decoded(tmp_path / "out", "val")
    expected = [document(row) for row in rows if row["text"].strip()]
    assert sorted(train + val) == sorted(expected)
    assert train == [text for text in expected if text in set(train)]
    assert val == [text for text in expected if text in set(val)]
    assert 30 < len(val) < 90

    manifest = TokenDataset(tmp_path / "out").manifest
    assert manifest.skipped_documents == 2
    assert [shard.tokens for shard in manifest.splits["train"].shards[:-1]] == [1_000_000] * (
        len(manifest.splits["train"].shards) - 1
    )
    lengths = TokenDataset(tmp_path / "out").tokenizer().token_byte_lengths()
    for name, texts in (("train", train), ("val", val)):
        dataset = TokenDataset(tmp_path / "out", name)
        split = manifest.splits[name]
        assert split.documents == len(texts)
        assert split.tokens == dataset.n_tokens
        assert split.text_bytes == sum(len(text.encode()) for text in texts)
        assert split.text_bytes == lengths[dataset.read(0, dataset.n_tokens)].sum()


def test_the_split_depends_on_the_article_alone(tmp_path: Path, no_processes: None) -> None:
    rows = some_articles(200)
    write_jsonl(tmp_path / "forward.jsonl", rows)
    write_jsonl(tmp_path / "backward.jsonl", rows[::-1])
    write_jsonl(tmp_path / "half.jsonl", rows[:100])
    for name in ("forward", "backward", "half"):
        prepare(tmp_path / name, tmp_path / f"{name}.jsonl")
    val = decoded(tmp_path / "forward", "val")
    assert decoded(tmp_path / "backward", "val") == val[::-1]
    assert decoded(tmp_path / "half", "val") == [text for text in val if text in map(document, rows[:100])]


def test_any_number_of_workers_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(articles, "BATCH_CHARACTERS", 1_000)
    write_jsonl(tmp_path / "a.jsonl", some_articles(300))
    for workers in (1, 3):
        prepare(tmp_path / f"out{workers}", tmp_path / "a.jsonl", shard_tokens=10_000, workers=workers)
    assert content(tmp_path / "out1") == content(tmp_path / "out3")
    assert set(content(tmp_path / "out1")) > {
        "manifest.json",
        "tokenizer.json",
        "train_00001.bin",
        "val_00000.bin",
    }


def test_large_vocabularies_are_written_as_uint32(tmp_path: Path, no_processes: None) -> None:
    wide = prepare_data.Tokenizer(
        "wide", {bytes([value]): value for value in range(256)}, r"[\s\S]", {"<|endoftext|>": 2**16}
    )
    wide.save(tmp_path / "wide.json")
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    prepare(tmp_path / "out", tmp_path / "a.jsonl", tokenizer=tmp_path / "wide.json")
    assert TokenDataset(tmp_path / "out").manifest.dtype == "uint32"
    assert set(decoded(tmp_path / "out", "train")) <= {document(row) for row in some_articles(50)}


def test_the_sample_is_of_training_articles_and_independent_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some_articles(500)
    ranks = {d.text: d.rank for batch in batches_of(rows, 500) for d in documents(batch)}
    everything = [text.decode() for text in training_sample(batches_of(rows, 50), 0.2)]
    assert everything == sorted((text for text in ranks if ranks[text] >= 0.2), key=ranks.__getitem__)

    monkeypatch.setattr(prepare_data, "BPE_TRAINING_BYTES", 20_000)
    samples = []
    for seed in range(5):
        shuffled = random.Random(seed).sample(rows, len(rows))
        samples.append([text.decode() for text in training_sample(batches_of(shuffled, 7 + seed), 0.2)])
    assert all(sample == samples[0] for sample in samples)
    assert samples[0] == everything[: len(samples[0])]
    size = sum(len(text.encode()) for text in samples[0])
    assert size <= 20_000 < size + len(everything[len(samples[0])].encode())


def test_a_worker_that_dies_is_one_line(tmp_path: Path) -> None:
    rows = [
        row | {"text": row["text"] * 2_000} for row in some_articles(20)
    ]  # answers larger than a pipe holds

    def killing(pool: WorkerPool) -> None:
        for number, _ in enumerate(pool.tokenized(batches_of(rows, 1), tmp_path / "tokenizer.json", 0.1)):
            if number == 3:
                multiprocessing.active_children()[0].kill()  # as the kernel does when memory runs out

    open_tokenizer("bytes").save(tmp_path / "tokenizer.json")
    for _ in range(3):
        with WorkerPool(1) as pool, pytest.raises(UserError, match=r"a tokenizing process died.*--workers"):
            killing(pool)


def test_nothing_to_train_or_to_validate_on_is_refused(tmp_path: Path, no_processes: None) -> None:
    write_jsonl(tmp_path / "empty.jsonl", [{"text": ""}, {"text": None}, {"text": " \n"}])
    with pytest.raises(UserError, match=r"no article of --source=.*empty\.jsonl has text \(3 are empty\)"):
        prepare(tmp_path / "out", tmp_path / "empty.jsonl")
    write_jsonl(tmp_path / "one.jsonl", [{"id": 1, "text": "one"}])
    with pytest.raises(UserError, match=r"one\.jsonl is one document, which cannot be in two splits: cut it"):
        prepare(tmp_path / "out", tmp_path / "one.jsonl", validation_fraction=0.01)
    assert not (tmp_path / "out/manifest.json").exists()
    prepare(tmp_path / "out", tmp_path / "one.jsonl", validation_fraction=0)
    assert decoded(tmp_path / "out", "train") == ["one"]
    assert decoded(tmp_path / "out", "val") == []


def test_the_fraction_suggested_for_a_small_text_works_in_the_same_folder(
    tmp_path: Path, no_processes: None
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(60))
    for fraction, split in ((0.0001, "val"), (0.9999, "train")):
        with pytest.raises(UserError, match=f"no article for the split '{split}'") as refused:
            prepare(tmp_path / split, tmp_path / "a.jsonl", validation_fraction=fraction)
        suggested = str(refused.value).partition("with --validation_fraction=")[2].partition(" ")[0]
        prepare(tmp_path / split, tmp_path / "a.jsonl", validation_fraction=suggested)
        prepare(tmp_path / "anew", tmp_path / "a.jsonl", validation_fraction=suggested)
        assert content(tmp_path / split) == content(tmp_path / "anew")
        shutil.rmtree(tmp_path / "anew")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"tokenizer": "gtp2"}, "did you mean gpt2"),
        ({"tokenizer": "bpe:many"}, "^tokenizer=bpe:many: bpe:N needs a number of tokens"),
        ({"tokenizer": "bpe:100"}, "^tokenizer=bpe:100: bpe:N needs a number of tokens, at least 257"),
        ({"tokenizer": "bpe:60000"}, r"too small for bpe:60000.*--tokenizer=bpe:\d+"),
        ({"validation_fraction": 1.5}, r"^validation_fraction=1\.5: must be at least 0 and below 1"),
        ({"validation_fraction": "nan"}, "^validation_fraction=nan: must be"),
        ({"shard_tokens": 9_999}, "^shard_tokens=9999: must be at least 10000"),
        ({"workers": -1}, "^workers=-1: must be at least 0"),
        ({"source": "nowhere/*.txt"}, "no file matches"),
    ],
)
def test_bad_options_are_named(
    tmp_path: Path, option: dict[str, Any], message: str, no_processes: None
) -> None:
    write_jsonl(tmp_path / "a.jsonl", some_articles(50))
    with pytest.raises(UserError, match=message):
        prepare(tmp_path / "out", **{"source": tmp_path / "a.jsonl", **option})
    assert not (tmp_path / "out").exists()


def test_all_workers_start_at_once() -> None:
    with WorkerPool(3):
        assert len(multiprocessing.active_children()) == 3
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_workers_that_are_starting_leave_an_interrupt_to_the_command(name: str) -> None:
    code = f"""
import multiprocessing, os, signal, time, workers
signal.signal(signal.{name}, signal.default_int_handler)
with workers.WorkerPool(2):
    try:
        os.killpg(0, signal.{name})
    except KeyboardInterrupt:
        time.sleep(0.2)
        print(len(multiprocessing.active_children()), "go on")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, start_new_session=True, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 go on\n", "")


def test_the_command_ends_with_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a \\ud800"}\n')
    command = [
        sys.executable,
        "prepare_data.py",
        f"--source={tmp_path}/a.jsonl",
        "--tokenizer=bytes",
        "--workers=1",
    ]
    done = subprocess.run([*command, f"--out_dir={tmp_path}/out"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/a.jsonl:1 has a lone surrogate")
    assert done.stderr.count("\n") == 1


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = ["torch", "datasets", "pyarrow", "tokenizers", "tyro", "huggingface_hub"]
    code = f"import sys, prepare_data; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_progress_is_a_plain_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times = iter([100.0, 101.0, 110.0, 111.0, 130.0])
    monkeypatch.setattr(prepare_data.time, "perf_counter", lambda: next(times))
    progress = prepare_data.Progress()
    for megabytes, done in ((1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)):
        split = Split(1_000 * megabytes, 250_000 * megabytes, 1_000_000 * megabytes, ())
        progress.report(writer.Journal({}, {}, "", splits={"train": split}), done)
    assert capsys.readouterr().out.splitlines() == [
        "3,000 articles, 750,000 tokens, 0.2 MB/s, 30%, 0 min 35 s left",
        "5,000 articles, 1,250,000 tokens, 0.1 MB/s, 50%, 0 min 38 s left",
    ]


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prepare_data.main(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    for field in fields(prepare_data.PrepareConfig):
        assert f"--{field.name}" in words
        explanation = words.split(f"--{field.name}")[1].partition("(default")[0]
        assert len(explanation.split()) >= 4, field.name
