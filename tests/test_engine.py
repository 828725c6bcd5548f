"""The decoding loop: a sample depends on its prompt, settings and seed, not on what is decoded beside it."""

import copy
import dataclasses
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from corpus.tokenizer import Tokenizer
from corpus.tokenizer_json import open_tokenizer
from model import GPT, Cache, GPTConfig
from sampling import engine, graphs
from sampling.engine import Engine, Sampling, Text, generate, sample_generator
from sampling.graphs import DecodingGraphs, DeviceCache, Recorded, next_logits
from sampling.kernels import for_sampling
from sampling.probabilities import candidates, drawn, penalized
from sampling.sampler import Sampler
from system.errors import UserError

V, END = 23, 22
CONFIG = GPTConfig(vocab_size=V, block_size=16, n_layer=2, n_head=2, n_embd=32)
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11, 12], [1, 2]]
GREEDY = Sampling(max_new_tokens=40, temperature=0)


@pytest.fixture(scope="module", params=["learned", "rotary"])
def model(request: pytest.FixtureRequest) -> GPT:
    """A model in float64, with weights so large that its text is not one token repeated."""
    torch.manual_seed(2)
    model = GPT(dataclasses.replace(CONFIG, position=request.param, tie_embeddings=False)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=2 / math.sqrt(parameter.shape[1]))
    return model


def sampled(model: GPT, prompts: list[list[int]], end_tokens: Sequence[int] = (), **settings: Any) -> list:
    """Generate from the unchanged distribution, unless `settings` say otherwise."""
    return generate(
        model, prompts, Sampling(**{"temperature": 1, "top_k": 0, **settings}), end_tokens=end_tokens
    )


@pytest.mark.parametrize("temperature", [0, 1])
def test_logits_that_are_not_finite_are_an_error(temperature: float) -> None:
    broken = GPT(CONFIG).eval()
    with torch.no_grad():
        broken.transformer.ln_f.weight[3] = math.nan
    with pytest.raises(UserError, match="the model's logits are not finite: use weights that are"):
        sampled(broken, [[1, 2]], temperature=temperature)


def test_samples_prompts_and_seeds_have_independent_randomness() -> None:
    def uniform(seed: int, prompt: Any, sample: int) -> float:
        return torch.rand(1, generator=sample_generator(seed, prompt, sample)).item()

    firsts = {uniform(seed, [p], s) for seed in range(-5, 20) for p in range(3) for s in range(20)}
    assert len(firsts) == 1500
    assert uniform(3, [1, 2], 4) == uniform(3, (1, 2), 4)


def test_a_seed_means_the_same_text_in_every_version() -> None:
    """Pinned: users repeat a sample by its seed."""
    assert sample_generator(1, [1, 2, 3], 0).initial_seed() == 2851859402141843489
    assert sample_generator(-2, (7,), 5).initial_seed() == 15239361734166499370


@torch.no_grad()
def plain_loop(model: GPT, prompt: list[int], sampling: Sampling, context: int, end: int = -1) -> list[int]:
    """Continue a prompt without cache or batch: the whole window is computed for each token."""
    text, start = list(prompt), max(0, len(prompt) - context)
    generator = sample_generator(sampling.seed, prompt, 0)
    for _ in range(sampling.max_new_tokens):
        if len(text) - start > context:
            start = len(text) - max(1, context // 2)
        logits = model(torch.tensor([text[start:]]), last_only=True)[0]
        if sampling.repetition_penalty != 1:
            logits = penalized(logits[0], torch.tensor(sorted(set(text))), sampling.repetition_penalty)[None]
        if sampling.temperature == 0:
            token = int(logits.argmax())
        else:
            token = int(drawn(*candidates(logits, *sampling.controls), torch.rand(1, generator=generator)))
        if token == end:
            break
        text.append(token)
    return text[len(prompt) :]


def test_greedy_is_argmax_over_the_window(model: GPT) -> None:
    found = generate(model, [PROMPTS[0]], GREEDY)
    assert found == [[plain_loop(model, PROMPTS[0], GREEDY, CONFIG.block_size)]]
    assert len(set(found[0][0])) >= 5
    long, short = [token % V for token in range(35)], dataclasses.replace(GREEDY, max_new_tokens=1)
    assert generate(model, [long], short) == generate(model, [long[-CONFIG.block_size :]], short)


def test_the_seed_decides(model: GPT) -> None:
    first, again, other = (
        sampled(model, PROMPTS, n_samples=3, max_new_tokens=20, seed=seed) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other
    assert [len(samples) for samples in first] == [3, 3, 3, 3]
    assert {len(sample) for samples in first for sample in samples} == {20}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    sampled(model, PROMPTS, max_new_tokens=2)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sample_does_not_depend_on_its_batch(model: GPT) -> None:
    settings = {"max_new_tokens": 30, "seed": 3, "end_tokens": [END], "top_p": 0.95}
    together = sampled(model, PROMPTS, n_samples=4, **settings)
    lengths = {len(sample) for samples in together for sample in samples}
    assert len(lengths) > 3  # they end at different times
    for prompt, samples in zip(PROMPTS, together, strict=True):
        assert len({tuple(sample) for sample in samples}) == 4
        assert max(len(set(sample)) for sample in samples) > 5
        assert sampled(model, [prompt], n_samples=4, **settings) == [samples]
        assert sampled(model, [prompt], n_samples=1, **settings) == [samples[:1]]


class Repeated:
    """What stands in for a CUDA graph where there is no GPU: it computes the step again, from and to the same memory."""

    def __init__(self, graphs: DecodingGraphs, cache: Cache, *memory: Tensor) -> None:
        self.graphs, self.cache = graphs, cache
        self.tokens, self.lengths, self.logits = memory

    def replay(self) -> None:
        self.logits.copy_(self.graphs.next_logits(self.graphs.model, self.tokens, self.cache))


def record(graphs: DecodingGraphs, tokens: Tensor, lengths: Tensor, size: int) -> Any:
    cache = DeviceCache(graphs.cache, len(tokens), size, lengths)
    logits = torch.full_like(next_logits(graphs.model, tokens, cache), math.nan)
    memory = (tokens, lengths, logits)
    return Recorded(Repeated(graphs, cache, *memory), *memory)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["in step", "ahead", "graphs"])
def test_texts_join_and_leave_without_a_trace(model: GPT, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over random texts, rows and arrivals: each has the tokens that the plain loop gives it alone."""
    monkeypatch.setattr(DecodingGraphs, "record", record)
    monkeypatch.setattr(graphs, "LEAST_LENGTH", 4)
    rng = random.Random(0)
    n_checked = 0
    for _ in range(60 if mode == "in step" else 25):
        context = rng.choice([1, 2, 7, 16])
        slots = rng.randint(1, 4)
        engine = Engine(model, slots, context, end_tokens=[END], ahead=mode != "in step")
        if mode == "graphs":
            engine.graphs = DecodingGraphs(model, engine.cache)
        waiting = [random_text(rng) for _ in range(rng.randint(1, 8))]
        texts = list(waiting)
        while waiting or engine.waiting or engine.running:
            for _ in range(min(len(waiting), rng.choice([0, 0, 1, 3]))):
                engine.add(waiting.pop())
            assert len(engine.running) <= engine.slots
            engine.step()
        for text in texts:
            expected = plain_loop(model, list(text.prompt), text.sampling, context, END)
            wanted = next(
                (n for n in range(1, len(expected) + 1) if text.is_done(expected[:n])), len(expected)
            )
            assert text.tokens == expected[:wanted]
            is_whole = len(text.tokens) == text.sampling.max_new_tokens and not text.is_done(text.tokens)
            assert text.finish_reason == ("length" if is_whole else "stop")
            n_checked += 1
    assert n_checked > (200 if mode == "in step" else 80)


def random_text(rng: random.Random) -> Text:
    """Return a text of any kind: short or long, greedy or drawn, ending early or late. Prompts repeat."""
    prompt = [rng.randrange(3) if rng.random() < 0.5 else rng.randrange(V) for _ in range(rng.randint(1, 20))]
    sampling = Sampling(
        max_new_tokens=rng.choice([0, 1, 5, 30]),
        temperature=rng.choice([0.0, 0.7, 1.5]),
        top_k=rng.choice([0, 0, 5]),
        top_p=rng.choice([1.0, 0.8]),
        min_p=rng.choice([0.0, 0.0, 0.1]),
        repetition_penalty=rng.choice([1.0, 1.0, 1.3]),
        seed=rng.randrange(3),
    )
    longest = rng.choice([3, 40])
    return Text(
        prompt,
        sampling,
        is_done=lambda tokens: bool(tokens) and (sum(tokens[-3:]) < 9 or len(tokens) >= longest),
    )


def test_texts_with_one_prompt_share_its_computation(model: GPT) -> None:
    shapes: list[tuple[int, int]] = []
    hook = model.transformer.register_forward_pre_hook(
        lambda _, inputs: shapes.append(tuple(inputs[0].shape))
    )
    prompts = [[1, 2, 3], [4, 5], [1, 2, 3]]
    found = sampled(model, prompts, n_samples=3, max_new_tokens=4)
    hook.remove()
    assert shapes == [(2, 3), *[(9, 1)] * 3]
    assert found[0] == found[2]
    assert len({tuple(sample) for samples in found for sample in samples}) == 6


def test_the_cache_is_not_larger_than_needed(model: GPT, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(
        engine, "Engine", lambda *args, **kwargs: made.append(Engine(*args, **kwargs)) or made[-1]
    )
    sampled(model, [[1, 2]] * 50, max_new_tokens=3)
    assert (made[-1].slots, made[-1].cache.size) == (50, 5)
    monkeypatch.setattr(engine, "CACHE_TOKENS", 40)
    sampled(model, [[1, 2]] * 50, max_new_tokens=30)
    assert (made[-1].slots, made[-1].cache.size) == (2, 16)
    monkeypatch.setattr(engine, "CACHE_TOKENS", 1)
    sampled(model, [[1, 2]] * 2, max_new_tokens=1)
    assert (made[-1].slots, made[-1].cache.size) == (1, 3)


def test_each_sample_goes_on_until_it_is_done(model: GPT) -> None:
    free = sampled(model, PROMPTS, max_new_tokens=12, n_samples=2)
    sampling = Sampling(temperature=1, top_k=0, max_new_tokens=12, n_samples=2)
    some = generate(model, PROMPTS, sampling, is_done=lambda prompt, tokens: len(tokens) > 2 * prompt)
    assert some == [[sample[: 2 * p + 1] for sample in samples] for p, samples in enumerate(free)]


def test_a_sample_stops_at_the_end_of_text(model: GPT) -> None:
    free = sampled(model, PROMPTS, n_samples=4, max_new_tokens=30, seed=3)
    stopped = sampled(model, PROMPTS, n_samples=4, max_new_tokens=30, seed=3, end_tokens=[END])
    assert any(END in sample for samples in free for sample in samples)
    for free_samples, samples in zip(free, stopped, strict=True):
        for whole, sample in zip(free_samples, samples, strict=True):
            assert sample == (whole[: whole.index(END)] if END in whole else whole)


def test_every_setting_reaches_the_loop(model: GPT) -> None:
    base = {"n_samples": 2, "max_new_tokens": 20, "temperature": 0.9, "top_k": 9, "top_p": 0.9, "seed": 3}
    changes = [
        {"temperature": 2.0},
        {"top_k": 2},
        {"top_p": 0.2},
        {"min_p": 0.5},
        {"repetition_penalty": 2.0},
    ]
    found = sampled(model, PROMPTS, **base)
    for change in (*changes, {"seed": 4}):
        assert sampled(model, PROMPTS, **base | change) != found, change
    assert sampled(model, PROMPTS, **base | {"n_samples": 1}) == [samples[:1] for samples in found]
    shorter = [[sample[:7] for sample in samples] for samples in found]
    assert sampled(model, PROMPTS, **base | {"max_new_tokens": 7}) == shorter


def test_a_model_in_training_mode_is_not_sampled() -> None:
    with pytest.raises(ValueError, match=r"in training mode: call model\.eval\(\)"):
        sampled(GPT(CONFIG), [[1]])


def test_generating_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    model = GPT(CONFIG).eval()
    first = sampled(model, [[1]], max_new_tokens=16)
    assert sampled(model, [[1]], max_new_tokens=16) == first
    model(torch.tensor([[1, 2]]), torch.tensor([[2, 3]])).backward()
    assert sampled(model, [[1], [2]], n_samples=2, max_new_tokens=0) == [[[], []], [[], []]]
    assert sampled(model, []) == []


@torch.no_grad()
def test_log_probabilities_are_those_of_the_model(model: GPT) -> None:
    """Whatever the controls and the batch; the ids that are not allowed have none."""
    sampling = Sampling(max_new_tokens=9, temperature=0.7, top_k=3, repetition_penalty=1.2)
    texts = [
        Text([1, 2, 3], sampling, top_logprobs=4),
        Text([4], sampling),
        Text([4], sampling, top_logprobs=0),
    ]
    allowed = range(V - 1)
    continuing = Engine(model, 3, allowed=allowed)
    for text in texts:
        continuing.add(text)
    while continuing.running or continuing.waiting:
        continuing.step()
    assert texts[1].logprobs == []
    assert [chosen.top for chosen in texts[2].logprobs] == [{}] * 9
    for text in (texts[0], texts[2]):
        assert [chosen.token for chosen in text.logprobs] == text.tokens
        logits = model(torch.tensor([[*text.prompt, *text.tokens]]))[0, len(text.prompt) - 1 : -1, : V - 1]
        expected = logits.log_softmax(-1)
        for chosen, row in zip(text.logprobs, expected, strict=True):
            assert chosen.logprob == pytest.approx(float(row[chosen.token]), abs=1e-9)
            values, ids = row.topk(len(chosen.top))
            assert list(chosen.top) == ids.tolist()
            assert list(chosen.top.values()) == pytest.approx(values.tolist(), abs=1e-9)


def test_a_text_that_nobody_waits_for_leaves_without_a_trace(model: GPT) -> None:
    """Running, waiting or ended."""
    sampling = Sampling(max_new_tokens=12, temperature=1)
    texts = [Text(prompt, sampling, n) for n in range(2) for prompt in PROMPTS]
    continuing = Engine(model, 3)
    for text in texts:
        continuing.add(text)
    continuing.step()
    continuing.remove(texts[0])
    continuing.remove(texts[5])
    while continuing.running or continuing.waiting:
        continuing.step()
    continuing.remove(texts[1])
    alone = generate(model, PROMPTS, dataclasses.replace(sampling, n_samples=2))
    for number, text in enumerate(texts):
        whole = alone[number % 4][number // 4]
        assert text.tokens == (whole if number not in (0, 5) else whole[: len(text.tokens)])
    assert [len(texts[number].tokens) for number in (0, 5)] == [1, 0]


def test_continuations_are_decoded_and_an_empty_prompt_starts_an_article() -> None:
    tokenizer, settings = open_tokenizer("bytes"), Sampling(n_samples=2, max_new_tokens=9)
    torch.manual_seed(0)
    model = GPT(dataclasses.replace(CONFIG, vocab_size=tokenizer.vocab_size)).eval()
    for prompt, tokens in (("ab", [97, 98]), ("", [tokenizer.end_of_text])):
        [samples] = generate(model, [tokens], settings, end_tokens=[tokenizer.end_of_text])
        texts = Sampler(model, tokenizer).continuations(prompt, settings)
        assert texts == [tokenizer.decode(sample) for sample in samples]
        assert len(set(texts)) == 2


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"n_samples": 3}, {"top_k": 1}, {"top_p": 1e-9}])
def test_rows_without_a_token_are_never_drawn(settings: dict) -> None:
    """Neither past the tokenizer's last id (GPT-2 padded to 50,304) nor in a gap between ids (cl100k_base)."""
    whole = open_tokenizer("bytes")
    ranks = {text: index if index < 128 else index + 9 for text, index in whole.ranks.items()}
    tokenizer = Tokenizer("gap", ranks, whole.pattern, {"<|endoftext|>": 270})
    rows = [*range(128, 137), *range(265, 270), *range(271, 300)]
    model = GPT(dataclasses.replace(CONFIG, vocab_size=300, tie_embeddings=False)).eval()
    with torch.no_grad():
        model.transformer.ln_f.bias.fill_(1.0)
        model.lm_head.weight[rows] = 1.0
    for text in Sampler(model, tokenizer).continuations("a", Sampling(**{"max_new_tokens": 30, **settings})):
        assert len(text) > 0
    [[found]] = generate(model, [[97]], Sampling(max_new_tokens=30), allowed=tokenizer.ids)
    assert not set(found) & set(rows)
    [[free]] = generate(model, [[97]], Sampling(max_new_tokens=30))
    assert set(free) <= set(rows), "without the tokenizer's ids these rows are drawn"


def test_continuations_stop_at_the_end_of_text() -> None:
    tokenizer = open_tokenizer("bytes")
    model = GPT(dataclasses.replace(CONFIG, vocab_size=tokenizer.vocab_size, tie_embeddings=False)).eval()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.fill_(1.0)
        model.lm_head.weight[tokenizer.end_of_text].fill_(1.0)
    assert Sampler(model, tokenizer).continuations("a", Sampling(n_samples=2, temperature=0)) == ["", ""]


def test_settings_out_of_range_are_named() -> None:
    bad = [("temperature", -0.1), ("temperature", math.nan), ("temperature", math.inf), ("top_k", -1)]
    bad += [("top_p", 0.0), ("top_p", 1.1), ("n_samples", 0), ("max_new_tokens", -1), ("min_p", 1.1)]
    bad += [("min_p", -0.1), ("repetition_penalty", 0.0), ("repetition_penalty", math.nan)]
    for name, value in bad:
        with pytest.raises(ValueError, match=f"{name}={value}: must be "):
            Sampling(**{name: value})


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([[1], []], r"prompts\[1\] is empty"),
        ([[1, 2, V]], r"prompts\[0\] has token 23: must be in \[0, 23\)"),
        ([[1, -1, 2]], r"prompts\[0\] has token -1"),
    ],
)
def test_bad_prompts_are_named(prompts: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(GPT(CONFIG), prompts, GREEDY)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("position", ["learned", "rotary"])
@torch.no_grad()
def test_on_a_gpu_texts_join_and_leave_without_a_trace(position: Any) -> None:
    """In float64 as on the CPU; in bfloat16 each token is one that the whole window finds nearly the best."""
    torch.manual_seed(2)
    config = dataclasses.replace(CONFIG, position=position, tie_embeddings=False, n_kv_head=1)
    model = GPT(config).eval().cuda()
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.normal_(std=2 / math.sqrt(parameter.shape[1]))
    prompts = [PROMPTS[n % len(PROMPTS)] for n in range(9)]
    half, kernel = for_sampling(model, torch.bfloat16)
    assert kernel == "torch"
    for [tokens], prompt in zip(generate(half, prompts, GREEDY), prompts, strict=True):
        start = 0
        for n, token in enumerate(tokens, len(prompt)):
            if n - start > CONFIG.block_size:
                start = n - CONFIG.block_size // 2
            logits = half(torch.tensor([[*prompt, *tokens][start:n]]).cuda(), last_only=True)[0, 0]
            assert logits.max() - logits[token] < 0.05 * logits.abs().max()
    exact = model.double()
    alone = [generate(exact, [prompt], GREEDY)[0] for prompt in prompts]
    assert generate(exact, prompts, GREEDY) == alone
    compiled = Engine(exact, 4, compile=True)
    texts = [Text(prompt, GREEDY) for prompt in prompts]
    for text in texts:
        compiled.add(text)
    while compiled.running or compiled.waiting:
        compiled.step()
    assert [[text.tokens] for text in texts] == alone
    assert alone == generate(exact.cpu(), prompts, GREEDY)


@torch.no_grad()
def test_a_step_of_a_graph_depends_on_no_number_of_the_device(model: GPT) -> None:
    """It can be traced as a whole, and shapes follow from those of its inputs."""
    cache = Cache(model.config, 2, dtype=torch.float64)
    tokens, lengths = torch.tensor([1, 2]), torch.tensor([0, 0])
    traced = torch.compile(next_logits, fullgraph=True, backend="eager")
    expected = next_logits(model, tokens, cache.rows(0, 2))
    assert torch.equal(traced(model, tokens, DeviceCache(cache, 2, 8, lengths)), expected)
    meta = copy.deepcopy(model).to("meta")
    unknown = Cache(model.config, 2, device="meta", dtype=torch.float64)
    own = DeviceCache(unknown, 2, 8, lengths.to("meta"))
    assert next_logits(meta, tokens.to("meta"), own).shape == (2, V)
