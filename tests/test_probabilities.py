"""Temperature, top-k and top-p against brute force."""

import math

import pytest
import torch

from sampling.probabilities import next_token_probabilities

V = 23


def random_logits(*shape: int) -> torch.Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def brute_force(logits: list[float], temperature: float, top_k: int, top_p: float) -> list[float]:
    """Keep the top k, then the smallest set of them that reaches top_p, one token at a time."""
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
    total = sum(weights[token] for token in kept)
    return [weights[token] / total if token in kept else 0.0 for token in range(len(weights))]


@pytest.mark.parametrize("top_p", [1e-9, 0.3, 0.77, 0.999, 1.0])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_probabilities_equal_brute_force(temperature: float, top_p: float) -> None:
    logits = random_logits(6, V)
    for top_k in (0, 1, 2, 7, 23, 1000):
        probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
        for row, found in zip(logits, probabilities, strict=True):
            expected = brute_force(row.tolist(), temperature, top_k, top_p)
            assert [value > 0 for value in found.tolist()] == [value > 0 for value in expected], top_k
            assert found.tolist() == pytest.approx(expected, rel=1e-9, abs=0), top_k


def test_ties_go_to_the_lower_ids() -> None:
    logits = torch.tensor([0.0, 1.0, 1.0, 1.0])
    assert next_token_probabilities(logits, top_k=2).tolist() == [0, 0.5, 0.5, 0]
    assert next_token_probabilities(torch.zeros(4), top_p=0.5).tolist() == [0.5, 0.5, 0, 0]
    many = next_token_probabilities(torch.zeros(5000), top_k=3)
    assert many.nonzero().flatten().tolist() == [0, 1, 2]
    assert next_token_probabilities(logits, temperature=0).tolist() == [0, 1, 0, 0]


def test_without_top_k_and_top_p_all_tokens_stay() -> None:
    logits = 10 * torch.randn(50257, generator=torch.Generator().manual_seed(0))
    probabilities = next_token_probabilities(logits)
    torch.testing.assert_close(probabilities, logits.softmax(-1))
    assert probabilities.count_nonzero() == logits.softmax(-1).count_nonzero()


def test_a_tiny_temperature_is_greedy_and_finite() -> None:
    logits = 100 * random_logits(5, V).float()
    for temperature in (0, 1e-37):
        assert torch.equal(next_token_probabilities(logits, temperature), torch.eye(V)[logits.argmax(-1)])
