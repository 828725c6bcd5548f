"""`book.measure`: networks of equal size, a task that asks what it says, and every part with next to no time."""

import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from book.measure import choices, cost, language, recall, results, speed
from book.measure.__main__ import main
from book.measure.config import KINDS, Kind, MeasureConfig
from book.measure.models import Shape, loss_of, make, parameters_of_each
from book.measure.training import best_rate, rate, train
from book.small_gpt import loss_on
from system.errors import UserError

SHAPES = [recall.SHAPE, Shape(1024, language.N_EMBD, language.N_LAYER, language.T), speed.shape(512)]
SMALL = Shape(50, 32, 1, 24)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_have_the_same_number_of_parameters(shape: Shape) -> None:
    counts = parameters_of_each(shape)
    assert set(counts) == set(KINDS)
    assert max(counts.values()) <= 1.02 * min(counts.values())


@pytest.mark.parametrize("kind", KINDS)
def test_no_network_sees_the_future(kind: Kind) -> None:
    model = make(kind, SMALL, seed=1).eval()
    tokens = torch.randint(50, (2, 20))
    changed = tokens.clone()
    changed[:, 12:] = (changed[:, 12:] + 1) % 50
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12:], after[:, 12:])


@pytest.mark.parametrize("kind", ["lstm", "lstm_attention"])
@pytest.mark.parametrize("bias", [1.0, 5.0])
def test_forget_gates_start_open(kind: Kind, bias: float) -> None:
    network = make(kind, SMALL, seed=1, forget_bias=bias).network
    size = network.hidden_size
    both = (network.bias_ih_l0 + network.bias_hh_l0)[size : 2 * size]
    assert torch.equal(both, torch.full_like(both, bias))


@pytest.mark.parametrize("kind", KINDS)
def test_reading_in_pieces_is_reading_at_once(kind: Kind) -> None:
    model = make(kind, SMALL, seed=1).eval()
    tokens = torch.randint(50, (1, 20))
    with torch.no_grad():
        memory = model.begin(20)
        _, memory = model.read(tokens[:, :15], memory)
        for place in range(15, 20):
            last, memory = model.read(tokens[:, place : place + 1], memory)
            assert torch.allclose(last, model(tokens[:, : place + 1])[:, -1:], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_usual_cross_entropy(kind: Kind) -> None:
    model = make(kind, SMALL, seed=1)
    inputs, targets = torch.randint(50, (2, 3, 8))
    logits = (model(inputs) @ model.table.T)[..., :50]
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    assert torch.allclose(loss_of(model, inputs, targets, 50), expected, rtol=1e-5)


def test_the_answer_is_the_value_of_the_key_that_is_asked() -> None:
    tokens, wanted = recall.sequences(9, 200, torch.Generator().manual_seed(1))
    assert tokens.shape == (200, recall.N_KEYS + 9 + 1)
    for sequence, answer in zip(tokens.tolist(), wanted.tolist(), strict=True):
        pairs = dict(divmod(token, recall.N_VALUES) for token in sequence[: recall.N_KEYS])
        assert len(pairs) == recall.N_KEYS  # each key once
        assert all(recall.FILLER <= token < recall.KEY for token in sequence[recall.N_KEYS : -1])
        assert answer == recall.VALUE + pairs[sequence[-1] - recall.KEY]
    assert len(set(wanted.tolist())) == recall.N_VALUES


class Reader(torch.nn.Module):
    """Answers by a function of a sequence, which it may look at as a whole."""

    table = torch.eye(recall.VOCABULARY)

    def __init__(self, answer: Callable[[list[int]], int]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.table[torch.tensor([self.answer(one) for one in tokens.tolist()])][:, None]


@pytest.mark.parametrize("far_only", [False, True])
def test_distances_are_mixed_unless_all_are_far(far_only: bool) -> None:
    distances: list[int] = []

    def answer(sequence: list[int]) -> int:
        distances.append(len(sequence) - recall.N_KEYS - 1)
        return 0

    lessons = recall.Lessons(Reader(answer), longest=100, seed=1, far_only=far_only)
    for _ in range(200):
        lessons.loss()
    if far_only:
        assert set(distances) == {100}
    else:
        assert min(distances) == 1
        assert 80 < max(distances) <= 100
        assert 0.4 < sum(distance <= 10 for distance in distances) / len(distances) < 0.6


def test_who_cannot_know_is_right_by_chance() -> None:
    guess = random.Random(1)
    guesses = Reader(lambda sequence: recall.VALUE + guess.randrange(recall.N_VALUES))
    scores = [recall.score(guesses, 10, seed) for seed in range(8)]  # of 2,048 sequences
    assert sum(scores) / 8 == pytest.approx(1 / recall.N_VALUES, abs=0.03)


def test_who_has_one_of_the_values_is_right_a_little_more_often() -> None:
    """The key that is asked for is the first one in a quarter of the sequences; else the value is the same by chance."""
    first = Reader(lambda sequence: recall.VALUE + sequence[0] % recall.N_VALUES)
    scores = [recall.score(first, 10, seed) for seed in range(8)]
    assert sum(scores) / 8 == pytest.approx(1 / 4 + 3 / 4 / recall.N_VALUES, abs=0.03)


def test_an_lstm_begins_to_learn_what_is_near() -> None:
    model = make("lstm", recall.SHAPE, seed=1)
    lessons = recall.Lessons(model, longest=1, seed=1)
    train(model, lessons.loss, 1e-2, seconds=60.0, is_done=lambda: len(lessons.far_right) == 150)
    assert recall.score(model, 1, seed=1) > 2 / recall.N_VALUES


def test_training_stops_with_its_time() -> None:
    weight = torch.nn.Linear(1, 1)
    run = train(weight, lambda: weight(torch.ones(1)).sum(), 0.1, seconds=0.05)
    assert 0.05 <= run.seconds < 0.5
    assert run.steps > 1
    assert not run.was_stopped
    assert (rate(0.05), rate(1.0)) == (1.0, pytest.approx(0.1))
    assert best_rate((1.0, 2.0, 3.0), lambda value: (value - 2) ** 2)[0] == 2.0


def test_bits_per_byte_of_a_model_that_knows_nothing(data_dir: Path) -> None:
    """It gives all tokens the same probability, so each costs log2(V) bits: here, tokens are bytes."""
    text = language.corpus(str(data_dir))
    assert text.validation[0].shape[1] == language.T
    model = make("lstm", text.shape, seed=1)
    torch.nn.init.zeros_(model.table)
    by_place = language.bits_by_place(model, text)
    bits = math.log2(257)
    assert by_place.numpy() == pytest.approx(bits, abs=1e-4)
    targets = text.validation[1]
    assert language.bits_per_byte(by_place, text) == pytest.approx(
        bits * targets.numel() / (targets < 256).sum()
    )


def test_the_exponent_is_the_one_of_a_power() -> None:
    lengths = (128, 512, 1024, 2048)
    assert cost.exponent(lengths, [1.0, *(3 * T**1.5 for T in lengths[1:])]) == 1.5


def test_peak_memory_is_of_what_exists_at_one_time() -> None:
    def run() -> None:
        for _ in range(3):
            torch.empty(1000, 1000)  # 4 MB, freed before the next

    assert cost.peak_bytes(run) == pytest.approx(4e6, rel=0.01)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path) -> MeasureConfig:
    for module, name, value in [
        (recall, "DISTANCES", (2, 4)),
        (recall, "HELD_OUT", 32),
        (recall, "RATES", (1e-2,)),
        (language, "RATES", (1e-2,)),
        (language, "VALIDATION_ROWS", 4),
        (speed, "WIDTHS", (64,)),
        (speed, "CONTEXTS", (16,)),
        (speed, "ROUNDS", 1),
        (speed, "SECONDS", 0.001),
        (cost, "LENGTHS", (16, 32)),
        (cost, "FITTED", 16),
        (cost, "REPEATS", 1),
        (choices, "CHOICES", {"RMSNorm": {"norm": "rmsnorm"}}),
        (choices, "loss_on", lambda model, tokens: loss_on(model, tokens[:200])),
    ]:
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(results, "MEASURED", tmp_path)
    return MeasureConfig(data_dir=str(data_dir), out_dir=str(tmp_path), seeds=2, budget=1e-4)


@pytest.mark.thorough
def test_every_part_runs_and_says_where_it_ran(tiny: MeasureConfig) -> None:
    main(tiny)
    found = {part: results.load(part) for part in tiny.chosen}
    for result in found.values():
        assert {"command", "cpu", "threads", "python", "torch", "date", "seeds"} <= set(result)
    assert {path.name for path in Path(tiny.out_dir).iterdir()} == {f"{part}.json" for part in found}
    for kind in KINDS:
        near = found["recall"]["networks"][kind]["distances"]["2"]
        assert len(near["right"]["each"]) == len(near["steps"]) == 2
        assert set(near["right_at"]) == {"2", "4"}
        shares = found["language"]["networks"][kind]["shares"]
        assert 4 < shares["1"]["bits_per_byte"]["mean"] < 12
        assert len(shares["1"]["bits_by_place"]) == language.T
        assert found["speed"]["training"]["1"][kind]["64"]["mean"] > 0
        assert found["speed"]["writing"][kind]["16"]["mean"] > 0
    assert set(found["recall_far"]["networks"]) == {"lstm", "lstm_bias_5", "transformer"}
    assert set(found["language"]["networks"]["lstm"]["shares"]) == set(language.SHARES)
    assert found["cost"]["layers"]["math"]["peak_mb"]["32"] > found["cost"]["layers"]["sdpa"]["peak_mb"]["32"]
    assert json.dumps(found)  # nothing but JSON


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    for setting, message in [
        ({"parts": "recall,sped"}, "'sped' must be one of speed, cost, recall, recall_far, language"),
        ({"seeds": 0}, "seeds=0: must be at least 1"),
        ({"budget": 0.0}, "budget=0.0: must be above 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            MeasureConfig(**setting)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write it .*: choose another --out_dir"):
        results.save(str(tmp_path / "file" / "x"), "speed", {}, [])
