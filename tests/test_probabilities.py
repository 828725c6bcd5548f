"""Temperature, top-k, top-p and min-p against brute force, draws against probabilities."""

import math

import pytest
import torch

from sampling.probabilities import candidates, drawn, penalized

V = 23


def random_logits(*shape: int) -> torch.Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def probabilities_of(logits: torch.Tensor, *settings: float) -> torch.Tensor:
    """Return the probability of each id that is drawn with these settings: (B, V) -> (B, V)."""
    probabilities, ids = candidates(logits, *settings)
    every = torch.zeros_like(logits).scatter(-1, ids, probabilities)
    return every / every.sum(-1, keepdim=True)


def brute_force(
    logits: list[float], temperature: float, top_k: int, top_p: float, min_p: float
) -> list[float]:
    """Keep the top k, then the smallest set of them that reaches top_p, one token at a time, then what reaches min_p."""
    weights = [math.exp(logit / temperature) for logit in logits]
    order = sorted(range(len(weights)), key=lambda token: (-weights[token], token))
    if top_k:
        order = order[:top_k]
    total = sum(weights[token] for token in order)
    kept: list[int] = []
    for token in order:
        kept.append(token)
        if top_p < 1 and sum(weights[other] for other in kept) / total >= top_p:
            break
    kept = [token for token in kept if weights[token] >= min_p * weights[kept[0]]]
    total = sum(weights[token] for token in kept)
    return [weights[token] / total if token in kept else 0.0 for token in range(len(weights))]


@pytest.mark.parametrize("min_p", [0.0, 0.07, 0.5, 1.0])
@pytest.mark.parametrize("top_p", [1e-9, 0.3, 0.77, 0.999, 1.0])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_probabilities_equal_brute_force(temperature: float, top_p: float, min_p: float) -> None:
    logits = random_logits(6, V)
    for top_k in (0, 1, 2, 7, 23, 1000):
        probabilities = probabilities_of(logits, temperature, top_k, top_p, min_p)
        for row, found in zip(logits, probabilities, strict=True):
            expected = brute_force(row.tolist(), temperature, top_k, top_p, min_p)
            assert [value > 0 for value in found.tolist()] == [value > 0 for value in expected], top_k
            assert found.tolist() == pytest.approx(expected, rel=1e-9, abs=0), top_k


def test_without_cuts_all_tokens_stay() -> None:
    logits = 10 * torch.randn(1, 50257, generator=torch.Generator().manual_seed(0))
    probabilities, ids = candidates(logits)
    torch.testing.assert_close(probabilities, logits.softmax(-1))
    assert ids.tolist() == [list(range(50257))]


def test_a_tiny_temperature_is_greedy_and_finite() -> None:
    logits = 100 * random_logits(5, V).float()
    for settings in ((1e-37,), (1e-37, 7), (1e-37, 0, 0.9)):
        assert torch.equal(probabilities_of(logits, *settings), torch.eye(V)[logits.argmax(-1)])


def test_draws_follow_the_probabilities() -> None:
    logits = 2 * torch.randn(1, V, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    n = 20_000
    uniforms = torch.rand(n, generator=torch.Generator().manual_seed(7))
    for top_k, degrees in (
        (15, (3.0, 36.1)),
        (0, (7.0, 48.3)),
    ):  # the outer 0.1 % of chi-square on either side
        probabilities, ids = candidates(logits, 1.3, top_k)
        tokens = drawn(probabilities.expand(n, -1), ids.expand(n, -1), uniforms)
        counts = torch.bincount(tokens, minlength=V)
        expected = n * probabilities_of(logits, 1.3, top_k)[0]
        possible = expected > 0
        assert possible.sum() == (top_k or V)
        assert counts[~possible].sum() == 0
        chi_square = ((counts - expected)[possible] ** 2 / expected[possible]).sum().item()
        assert degrees[0] < chi_square < degrees[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_has_no_probability_is_never_drawn(dtype: torch.dtype) -> None:
    """Not by the smallest nor by the largest number that torch.rand returns."""
    ids = torch.arange(6)[None]
    for scale in (1.0, 0.5, 1 / 3, 1e-30, 3.0):
        probabilities = scale * torch.tensor([[0, 0.2, 0, 0.7, 0.1, 0]], dtype=dtype)
        for uniform, token in ((0.0, 1), (1 - 2**-24, 4)):
            assert drawn(probabilities, ids, torch.tensor([uniform])).tolist() == [token]


def test_seen_tokens_become_less_probable() -> None:
    logits = torch.tensor([3.0, -1.0, 2.0, -2.0])
    assert penalized(logits, torch.tensor([0, 1]), 2.0).tolist() == [1.5, -2.0, 2.0, -2.0]
    assert penalized(logits, torch.tensor([3]), 0.5).tolist() == [3.0, -1.0, 2.0, -1.0]
    assert logits.tolist() == [3.0, -1.0, 2.0, -2.0]
