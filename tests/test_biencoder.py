"""The bi-encoder: its loss against a loop over pairs, training, and indexing with what was trained."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import prepare_data
from apps.search.biencoder import TEMPERATURE, GPTEmbedder, contrastive_loss
from apps.search.build import build
from apps.search.config import IndexConfig
from apps.search.embedders import open_embedder
from apps.search.searcher import Searcher
from model import GPT, IGNORED, GPTConfig
from train import train
from training.config import OptimizerConfig, TrainConfig

CONFIG = GPTConfig(vocab_size=50, block_size=12, n_layer=2, n_head=2, n_embd=16)
PROMPTS = [[1, 2, 3], [4, 5], [6], [7, 8, 9, 10]]
COMPLETIONS = [[11, 12], [13, 14, 15, 16], [17, 18, 19], [20]]


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Return pairs as a data folder gives them: the token after a completion is the end of text."""
    inputs, targets = torch.full((5, 11), 0), torch.full((5, 11), IGNORED)
    for row, (prompt, completion) in enumerate(zip(PROMPTS, COMPLETIONS, strict=True)):
        text = torch.tensor([*prompt, *completion, 49])
        inputs[row, : len(text) - 1] = text[:-1]
        targets[row, len(prompt) - 1 : len(text) - 1] = text[len(prompt) :]
    inputs[4] = 3  # a prompt that fills the sequence, whose completion was cut off
    return inputs, targets


def model() -> GPT:
    torch.manual_seed(3)
    return GPT(CONFIG).double()


@torch.no_grad()
def test_the_loss_is_that_of_a_loop_over_pairs() -> None:
    network = model()
    vectors = [
        [F.normalize(network(torch.tensor([ids]), hidden=True)[0].float().mean(0), dim=0) for ids in texts]
        for texts in (PROMPTS, COMPLETIONS)
    ]
    expected = 0.0
    for one, others in (vectors, vectors[::-1]):
        for own, vector in enumerate(one):
            scores = torch.stack([vector @ other for other in others]) / TEMPERATURE
            expected -= float(scores.log_softmax(0)[own])
    loss, count = contrastive_loss(network, batch())
    assert int(count) == 2 * len(PROMPTS)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_a_batch_without_whole_pairs_has_no_loss_and_no_gradient() -> None:
    network = model()
    inputs, targets = batch()
    loss, count = contrastive_loss(network, (inputs[4:], targets[4:]))
    assert (float(loss.detach()), int(count)) == (0, 0)
    loss.backward()
    assert all(
        bool(weight.grad.isfinite().all()) for weight in network.parameters() if weight.grad is not None
    )


def test_a_run_is_trained_and_indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    animals = ["fox", "owl", "bee", "cat", "dog", "elk", "ant", "hen"]
    rows = [
        {"prompt": f"{name} {place}", "completion": f"{name} lives in the {place}"}
        for name in animals
        for place in ("wood", "town", "lake", "hill", "cave", "moor")
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare_data.prepare(
        prepare_data.PrepareConfig(
            source=f"pairs:{tmp_path / 'pairs.jsonl'}", out_dir=str(tmp_path / "data"), tokenizer="bytes",
            validation_fraction=0.2, workers=1,
        )
    )  # fmt: skip
    config = TrainConfig(
        data_dir=str(tmp_path / "data"),
        out_dir=str(tmp_path / "run"),
        model=GPTConfig(block_size=48, n_layer=1, n_head=2, n_embd=32),
        optimizer=OptimizerConfig(learning_rate=1e-2, warmup_steps=5),
        max_steps=40,
        batch_size=16,
        micro_batch_size=16,
        eval_interval=20,
        eval_windows=0,
        checkpoint_interval=40,
        device="cpu",
        precision="float32",
        attention="sdpa",
        compile=False,
    )
    losses = [json.loads(line) for line in trained(config)]
    found = [row["val_loss"] for row in losses if "val_loss" in row]
    assert found[-1] < 0.8 * found[0]

    articles = [{"id": name, "title": name, "text": f"The {name} lives here. " * 5} for name in animals]
    (tmp_path / "articles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in articles))
    build(
        IndexConfig(str(tmp_path / "index"), str(tmp_path / "articles.jsonl"), embedder=str(tmp_path / "run"))
    )
    searcher = Searcher(tmp_path / "index")
    assert isinstance(searcher.embedder, GPTEmbedder)
    assert searcher.embedder.identity == open_embedder(str(tmp_path / "run")).identity
    assert searcher.ask("owl", 3).results[0].title == "owl"


def trained(config: TrainConfig) -> list[str]:
    train(config, contrastive_loss)
    return (Path(config.out_dir) / "metrics.jsonl").read_text().splitlines()


def test_vectors_do_not_depend_on_what_is_beside_them(tmp_path: Path) -> None:
    embedder = object.__new__(GPTEmbedder)
    embedder.model, embedder.dtype, embedder.size = model().float().eval(), torch.float32, CONFIG.n_embd

    class Letters:
        def encode(self, text: str) -> list[int]:
            return [ord(letter) - 96 for letter in text]

    embedder.tokenizer = Letters()  # type: ignore[assignment]
    texts = ["abc", "", "a", "cdefghijklmnop", "ba"]  # one has no token, one is longer than block_size
    together = embedder.passages(texts)
    alone = np.concatenate([embedder.passages([text]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-5)
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 0, 1, 1, 1], abs=1e-5)
    assert embedder.passages([]).shape == (0, CONFIG.n_embd)
