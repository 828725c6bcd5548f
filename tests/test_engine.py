"""Sampling against brute force, and decoding that does not depend on what is decoded beside it."""

import dataclasses
import math

import pytest
import torch

from model import GPT, GPTConfig
from sampling.engine import draw, generate, sample_generator
from sampling.probabilities import next_token_probabilities

V, END = 23, 22
CONFIG = GPTConfig(vocab_size=V, block_size=16, n_layer=2, n_head=2, n_embd=32)
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11, 12], [1, 2]]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=["learned", "rotary"])
def model(request) -> GPT:
    """A model in float64, with weights so large that its text is not one token repeated."""
    torch.manual_seed(2)
    model = GPT(dataclasses.replace(CONFIG, position=request.param, tie_embeddings=False)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=2 / math.sqrt(parameter.shape[1]))
    return model


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


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


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [0, 1, 2, 7, 23, 1000])
@pytest.mark.parametrize("top_p", [1e-9, 0.3, 0.77, 0.999, 1.0])
def test_probabilities_equal_brute_force(temperature, top_k, top_p):
    logits = random_logits(6, V)
    probabilities = next_token_probabilities(logits, temperature, top_k, top_p)
    for row, found in zip(logits, probabilities, strict=True):
        expected = brute_force(row.tolist(), temperature, top_k, top_p)
        assert [value > 0 for value in found.tolist()] == [value > 0 for value in expected]
        assert found.tolist() == pytest.approx(expected, rel=1e-9, abs=0)


def test_equal_logits_go_to_the_lower_ids():
    logits = torch.tensor([0.0, 1.0, 1.0, 1.0])
    assert next_token_probabilities(logits, top_k=2).tolist() == [0, 0.5, 0.5, 0]
    assert next_token_probabilities(torch.zeros(4), top_p=0.5).tolist() == [0.5, 0.5, 0, 0]
    many = next_token_probabilities(torch.zeros(5000), top_k=3)
    assert many.nonzero().flatten().tolist() == [0, 1, 2]
    assert next_token_probabilities(logits, temperature=0).tolist() == [0, 1, 0, 0]


def test_all_tokens_stay_without_top_k_and_top_p():
    logits = 10 * torch.randn(50257, generator=torch.Generator().manual_seed(0))
    probabilities = next_token_probabilities(logits)
    torch.testing.assert_close(probabilities, logits.softmax(-1))
    assert probabilities.count_nonzero() == logits.softmax(-1).count_nonzero()


def test_a_tiny_temperature_is_greedy_and_finite():
    logits = 100 * random_logits(5, V).float()
    for temperature in (0, 1e-37):
        assert torch.equal(next_token_probabilities(logits, temperature), torch.eye(V)[logits.argmax(-1)])


def test_draws_follow_the_probabilities():
    probabilities = next_token_probabilities(random_logits(1, V, seed=3), 1.3, top_k=15)
    n, generator = 20_000, sample_generator(7, [1], 0)
    counts = torch.bincount(
        torch.tensor([draw(probabilities, [generator])[0] for _ in range(n)]), minlength=V
    )
    expected = n * probabilities[0]
    assert counts[expected == 0].sum() == 0
    possible = expected > 0
    chi_square = ((counts - expected)[possible] ** 2 / expected[possible]).sum().item()
    assert possible.sum() == 15
    assert 3.0 < chi_square < 36.1  # 14 degrees of freedom: the outer 0.1 % on either side


def test_samples_prompts_and_seeds_have_unrelated_randomness():
    def uniform(*place) -> float:
        return torch.rand(1, generator=sample_generator(*place)).item()

    firsts = {uniform(seed, [p], s) for seed in range(-5, 20) for p in range(3) for s in range(20)}
    assert len(firsts) == 1500
    assert uniform(3, [1, 2], 4) == uniform(3, (1, 2), 4)


@torch.no_grad()
def test_greedy_is_argmax_over_the_last_block(model):
    prompt, expected = PROMPTS[0], list(PROMPTS[0])
    for _ in range(40):
        expected.append(int(model(torch.tensor([expected[-CONFIG.block_size :]]))[0, -1].argmax()))
    assert len(set(expected)) > 5
    assert generate(model, [prompt], max_new_tokens=40, temperature=0) == [[expected[len(prompt) :]]]
    long = (expected * 2)[:35]
    assert generate(model, [long], max_new_tokens=3, temperature=0) == generate(
        model, [long[-CONFIG.block_size :]], max_new_tokens=3, temperature=0
    )


def test_the_seed_decides(model):
    first, again, other = (
        generate(model, PROMPTS, n_samples=3, max_new_tokens=20, seed=seed) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other
    assert [len(samples) for samples in first] == [3, 3, 3, 3]
    assert {len(sample) for samples in first for sample in samples} == {20}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    generate(model, PROMPTS, max_new_tokens=2)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sample_is_the_same_in_any_company(model):
    settings = {"max_new_tokens": 30, "seed": 3, "end_of_text": END, "top_p": 0.95}
    together = generate(model, PROMPTS, n_samples=4, **settings)
    lengths = {len(sample) for samples in together for sample in samples}
    assert len(lengths) > 3  # they end at different times
    for prompt, samples in zip(PROMPTS, together, strict=True):
        assert len({tuple(sample) for sample in samples}) == 4
        assert max(len(set(sample)) for sample in samples) > 5
        assert generate(model, [prompt], n_samples=4, **settings) == [samples]
        assert generate(model, [prompt], n_samples=1, **settings) == [samples[:1]]


def test_a_sample_stops_at_the_end_of_text(model):
    free = generate(model, PROMPTS, n_samples=4, max_new_tokens=30, seed=3)
    stopped = generate(model, PROMPTS, n_samples=4, max_new_tokens=30, seed=3, end_of_text=END)
    assert any(END in sample for samples in free for sample in samples)
    for free_samples, samples in zip(free, stopped, strict=True):
        for whole, sample in zip(free_samples, samples, strict=True):
            assert sample == (whole[: whole.index(END)] if END in whole else whole)


def test_generating_leaves_the_model_as_it_was():
    torch.manual_seed(0)
    model = GPT(dataclasses.replace(CONFIG, dropout=0.5))
    for training in (True, False):
        model.train(training)
        first = generate(model, [[1]], max_new_tokens=16)
        assert generate(model, [[1]], max_new_tokens=16) == first  # no dropout
        assert model.training == model.transformer.h[0].attn.training == training
    model(torch.tensor([[1, 2]]), torch.tensor([[2, 3]])).backward()
    assert generate(model, [[1], [2]], n_samples=2, max_new_tokens=0) == [[[], []], [[], []]]
    assert generate(model, []) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -0.1}, "temperature=-0.1"),
        ({"temperature": math.nan}, "temperature=nan"),
        ({"temperature": math.inf}, "temperature=inf"),
        ({"top_k": -1}, "top_k=-1"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"top_p": 1.1}, "top_p=1.1"),
        ({"n_samples": 0}, "n_samples=0"),
        ({"max_new_tokens": -1}, "max_new_tokens=-1"),
        ({"prompts": [[1], []]}, r"prompts\[1\] is empty"),
        ({"prompts": [[1, 2, V]]}, r"prompts\[0\] has token 23, outside the vocabulary of 23"),
        ({"prompts": [[1, -1, 2]]}, r"prompts\[0\] has token -1"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_by_name_and_value(settings, message):
    with pytest.raises(ValueError, match=message):
        generate(GPT(CONFIG), **({"prompts": [[1]], "max_new_tokens": 1} | settings))
