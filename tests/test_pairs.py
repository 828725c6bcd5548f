"""Prompts and completions: prepared, read as one sequence each, trained on without the prompts' loss."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ALONE, CPU, elsewhere, final_files, losses, records
from preparing import prepare, write_jsonl
from torch.nn import functional as F

import evaluation.losses
import model
import prepare_data
from checkpointing.pretrained import find, load_model
from corpus.dataset import IGNORED, NO_LOSS, TokenDataset, batch, verify
from model import GPT
from system import hardware
from system.errors import UserError
from system.world import World
from train import train
from training import batches
from training.batches import own_sequences
from training.config import TrainConfig
from training.learner import build_learner
from training.run import open_data, open_run

ROWS = [{"id": str(i), "prompt": f"{i} and {i} is", "completion": f" {2 * i}. é"} for i in range(60)]


def prepared(folder: Path, rows: list[dict], **options: object) -> Path:
    write_jsonl(folder / "pairs.jsonl", rows)
    prepare(folder / "prepared", f"pairs:{folder}/pairs.jsonl", **options)
    return folder / "prepared"


def without_validation(folder: Path, rows: list[dict]) -> Path:
    """Prepare pairs that are all for training, which earlier versions did for a fraction of 0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_data, "check_splits", lambda journal, out_dir: None)
        return prepared(folder, rows, validation_fraction=1e-9)


@pytest.fixture(scope="module")
def pair_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("pairs"), ROWS)


def seen(inputs: np.ndarray, targets: np.ndarray) -> tuple[str, str]:
    """Return the text of one sequence up to the pair's end, and the text that is scored."""
    scored = np.flatnonzero(targets != IGNORED)
    return bytes(inputs[: scored[-1] + 1].tolist()).decode(), bytes(targets[scored[:-1]].tolist()).decode()


def test_each_pair_is_a_sequence_once_an_epoch(pair_dir: Path) -> None:
    verify(pair_dir)
    found = []
    for split in ("train", "val"):
        dataset = TokenDataset(pair_dir, split)
        n = dataset.n_sequences(64)
        for epoch in range(2):
            inputs, targets = batch(dataset, dataset.training_starts(64, 3, epoch * n, n), 64)
            read = [seen(*sequence) for sequence in zip(inputs, targets, strict=True)]
            found += read if epoch else []
            assert len(set(read)) == n
        other_order = (
            dataset.training_starts(64, 3, 0, n).tolist() != dataset.training_starts(64, 3, n, n).tolist()
        )
        assert other_order or split == "val"
    assert sorted(found) == sorted((row["prompt"] + row["completion"], row["completion"]) for row in ROWS)


def test_prompts_and_what_follows_a_pair_are_no_targets(pair_dir: Path) -> None:
    dataset = TokenDataset(pair_dir)
    last = dataset.pair_starts[-1:]  # after it the stream ends
    for starts in (dataset.pair_starts[:1], last):
        inputs, targets = batch(dataset, starts, 64)
        end = int(np.flatnonzero(targets[0] == 256)[0])
        prompt = bytes(inputs[0].tolist()[: end + 1]).decode().split(" is")[0] + " is"
        n_prompt = len(prompt.encode())
        assert (targets[0, : n_prompt - 1] == IGNORED).all()
        assert (targets[0, n_prompt - 1 : end + 1] != IGNORED).all()
        assert (targets[0, end + 1 :] == IGNORED).all()
    assert inputs.min() >= 0
    assert inputs.max() <= 256
    assert dataset.read(0, 5).max() > NO_LOSS
    assert IGNORED == model.IGNORED


def test_a_pair_longer_than_the_block_is_cut(pair_dir: Path) -> None:
    dataset = TokenDataset(pair_dir)
    inputs, targets = batch(dataset, dataset.pair_starts[:1], 12)
    assert inputs.shape == targets.shape == (1, 12)
    assert bytes(inputs[0].tolist()) == (ROWS[0]["prompt"] + ROWS[0]["completion"]).encode()[:12]


def test_cut_pairs_are_counted_and_rejected_if_nothing_is_scored(tmp_path: Path) -> None:
    rows = [{"prompt": "a" * 10, "completion": "b" * 5}, {"prompt": "a" * 20, "completion": "b"}]
    rows.append({"prompt": "a", "completion": "b"})
    dataset = TokenDataset(without_validation(tmp_path, rows))
    assert dataset.cut_pairs(21) == ""
    assert dataset.cut_pairs(15) == "pairs cut at block_size: 1 (1 before the completion)"
    assert dataset.cut_pairs(12) == "pairs cut at block_size: 2 (1 before the completion)"
    (tmp_path / "long").mkdir()
    with pytest.raises(UserError, match="block_size=9: must be larger, no completion of the train pairs"):
        TokenDataset(without_validation(tmp_path / "long", rows[:2])).cut_pairs(9)


def nats_and_tokens(model: GPT, rows: list[dict]) -> tuple[float, int]:
    """Return the loss of the rows' completions, each after its prompt, in nats and the tokens scored."""
    nats, n_scored = 0.0, 0
    with torch.no_grad():
        for row in rows:
            prompt, completion = row["prompt"].encode(), row["completion"].encode()
            tokens = torch.tensor([[*prompt, *completion, 256]])
            logits = model(tokens[:, :-1])[0, len(prompt) - 1 :]
            nats += F.cross_entropy(logits, tokens[0, len(prompt) :], reduction="sum").item()
            n_scored += len(completion) + 1
    return nats, n_scored


def rows_of(dataset: TokenDataset, starts: np.ndarray) -> list[dict]:
    texts = [bytes(row[row < 256].tolist()).decode(errors="ignore") for row in batch(dataset, starts, 32)[0]]
    return [next(row for row in ROWS if text.startswith(row["prompt"] + row["completion"])) for text in texts]


def test_the_losses_are_of_the_completions_alone(pair_dir: Path, config: TrainConfig) -> None:
    """Those of one step, too small to change the weights, are compared with ours: scored prompts would differ."""
    config = replace(
        config,
        data_dir=str(pair_dir),
        model=replace(config.model, block_size=32),
        optimizer=replace(config.optimizer, learning_rate=1e-12),
        batch_size=4,
        max_steps=1,
        eval_windows=0,
    )
    train(config)
    last = records(config)[-1]
    model = load_model(find(config.out_dir), CPU, torch.float32)
    training, validation = (TokenDataset(pair_dir, split) for split in ("train", "val"))
    nats, n_scored = nats_and_tokens(
        model, rows_of(training, training.training_starts(32, config.seed, 0, 4))
    )
    assert losses(config) == [pytest.approx(nats / n_scored, rel=1e-5)]
    held_out = rows_of(validation, validation.pair_starts)
    assert len(held_out) == validation.manifest.splits["val"].documents
    nats, n_scored = nats_and_tokens(model, held_out)
    assert last["val_loss"] == pytest.approx(nats / n_scored, rel=1e-5)
    assert len(validation.validation_starts(32, 5)) == 5
    assert sorted(validation.validation_starts(32, None)) == validation.pair_starts.tolist()


def test_training_on_pairs_learns_completions_and_no_prompts(pair_dir: Path, config: TrainConfig) -> None:
    config = replace(
        config,
        data_dir=str(pair_dir),
        model=replace(config.model, block_size=32),
        max_steps=120,
        eval_interval=120,
        checkpoint_interval=120,
        eval_windows=0,
    )
    train(config)
    assert records(config)[-1]["val_loss"] < 1.5, "the completions' form is learned"
    model = load_model(find(config.out_dir), CPU, torch.float32)
    prompt = torch.tensor([list(ROWS[0]["prompt"].encode())])
    with torch.no_grad():
        nats = model(prompt[:, :-1], prompt[:, 1:]).item() / (prompt.shape[1] - 1)
    assert nats > math.log(257) - 1, "nothing is learned about prompts"


def test_cut_pairs_train_as_padded_ones_do(
    pair_dir: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns that are not scored, after all that are, add nothing to losses and gradients."""
    block = replace(config.model, block_size=64)
    cut = replace(config, data_dir=str(pair_dir), model=block, micro_batch_size=2, eval_windows=0)
    shapes: list[tuple[int, ...]] = []
    forward = GPT.forward

    def noting(model: GPT, inputs: torch.Tensor, *others: object) -> torch.Tensor:
        shapes.append(tuple(inputs.shape))
        return forward(model, inputs, *others)

    monkeypatch.setattr(GPT, "forward", noting)
    train(cut)
    assert {columns for _, columns in shapes} == {16, 24}, "the longest pair has 20 targets"
    again = elsewhere(cut, "again")
    shutil.copytree(cut.out_dir, again.out_dir)
    (Path(again.out_dir) / "last").write_text("step_00000005\n")
    train(again)
    assert final_files(again) == final_files(cut)
    for module in (batches, evaluation.losses):
        monkeypatch.setattr(module, "batch", lambda *arguments, cut: batch(*arguments))
    padded = elsewhere(cut, "padded", micro_batch_size=8)
    train(padded)
    assert shapes[-1] == (8, 64)
    for ours, theirs in zip(records(cut), records(padded), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_pairs_are_compiled_only_on_request(
    pair_dir: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled code pads each of them to block_size."""
    monkeypatch.setattr(hardware, "choose_compile", lambda *_arguments, **_options: (True, ""))
    monkeypatch.setattr(GPT, "compile", lambda _model: None)
    data = open_data(str(pair_dir))
    for request_, words in (("auto", ", eager (auto: pairs have many lengths), "), (True, ", compiled, ")):
        run = open_run(replace(config, data_dir=str(pair_dir), compile=request_), data)
        assert words in build_learner(run, ALONE).description


@pytest.mark.parametrize("n_processes", [1, 2])
def test_pairs_of_like_length_share_a_micro_batch(
    pair_dir: Path, config: TrainConfig, n_processes: int
) -> None:
    """Each process computes short ones while the others do, and together they compute the step's pairs once."""
    config = replace(config, data_dir=str(pair_dir), micro_batch_size=2)
    run = open_run(config, open_data(config.data_dir))
    learner = build_learner(run, ALONE)
    members = [World(rank, n_processes, CPU) for rank in range(n_processes)]
    numbers, starts = zip(*(own_sequences(run, learner, 16, member) for member in members), strict=True)
    assert sorted(np.ravel(numbers)) == list(range(16, 24))
    data = run.data.train
    assert (
        data.training_starts(16, config.seed, 16, 8)[np.ravel(numbers) - 16].tolist()
        == np.ravel(starts).tolist()
    )
    lengths = dict(zip(data.pair_starts.tolist(), data.pair_ends - data.pair_starts, strict=True))
    in_time = np.vectorize(lengths.get)(np.swapaxes(starts, 0, 1)).ravel()
    assert in_time.tolist() == sorted(in_time)
    assert in_time[0] < in_time[-1]


def test_tokens_of_pairs_are_counted_without_padding(pair_dir: Path) -> None:
    dataset = TokenDataset(pair_dir)
    scored, prompts = 0, 0
    for inputs, targets in zip(*batch(dataset, dataset.pair_starts, 64), strict=True):
        last = int(np.flatnonzero(targets != IGNORED)[-1])
        scored, prompts = (
            scored + int((targets != IGNORED).sum()),
            prompts + int((targets[:last] == IGNORED).sum()),
        )
        assert len(inputs) == 64
    assert dataset.tokens_per_sequence(64) == (scored + prompts) / len(dataset.pair_starts)
    assert dataset.tokens_per_sequence(5) == 5


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "a"}, "has no key 'completion', only prompt"),
        ({"completion": "a"}, "has no key 'prompt', only completion"),
        ({"prompt": 3, "completion": "a"}, "'prompt' must be text, but is int 3"),
        ([], "it is a list"),
    ],
)
def test_bad_rows_are_named(row: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        prepared(tmp_path, [ROWS[0], row])  # type: ignore[list-item]


def test_pairs_must_be_jsonl(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(UserError, match=r"a\.txt: --source=pairs: must name files that end in \.jsonl"):
        prepare(tmp_path / "out", f"pairs:{tmp_path}/a.txt")


def test_without_validation_pairs_training_says_what_to_do(tmp_path: Path, config: TrainConfig) -> None:
    out_dir = without_validation(tmp_path, ROWS)
    with pytest.raises(UserError, match=r"no val pairs: prepare .* larger --validation_fraction"):
        train(replace(config, data_dir=str(out_dir)))


def test_empty_completions_are_skipped_and_prompts_may_be_empty(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "completion": " "},
        {"prompt": "a", "completion": None},
        {"prompt": "", "completion": "b"},
    ]
    out_dir = without_validation(tmp_path, rows)
    dataset = TokenDataset(out_dir)
    assert dataset.manifest.skipped_documents == 2
    assert dataset.read(0, 2).tolist() == [ord("b"), 256]
