"""The book's small networks: equal to torch's own, to model.py, or to what the papers write, in outputs and gradients."""

import math

import pytest
import torch
from book_references import copy_heads, difference
from torch import Tensor, nn
from torch.nn import functional as F

from book.attention import (
    AdditiveAttention,
    MultiHeadAttention,
    SelfAttention,
    attend,
    causal_mask,
    hard_attention,
    reinforce,
)
from book.recurrent import GRUCell, LSTMCell, RNNCell, unroll
from book.seq2seq import Seq2Seq
from model import CausalSelfAttention, GPTConfig

pytestmark = pytest.mark.usefixtures("doubles")

B, T, S, INPUT, C = 3, 7, 5, 6, 8


@pytest.mark.parametrize(
    ("cell", "theirs"),
    [
        (RNNCell(INPUT, C), nn.RNN(INPUT, C, batch_first=True)),
        (LSTMCell(INPUT, C), nn.LSTM(INPUT, C, batch_first=True)),
        (GRUCell(INPUT, C), nn.GRU(INPUT, C, batch_first=True)),
    ],
    ids=["rnn", "lstm", "gru"],
)
def test_cells_are_those_of_torch(cell: nn.Module, theirs: nn.Module) -> None:
    cell.double(), theirs.double()
    copies = {"from_input": "ih", "from_state": "hh"}
    for name, parameter in cell.named_parameters():
        part, kind = name.split(".")
        parameter.data.copy_(getattr(theirs, f"{kind}_{copies[part]}_l0"))
    x = torch.randn(B, T, INPUT)
    assert difference(lambda x: unroll(cell, x)[0], lambda x: theirs(x)[0], x) < 1e-12
    whole, state = unroll(cell, x)
    first, between = unroll(cell, x[:, :3])
    second, last = unroll(cell, x[:, 3:], between)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(last, state)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_that_of_torch(causal: bool) -> None:
    q, k, v = torch.randn(B, T, C), torch.randn(B, T, C), torch.randn(B, T, 4)
    mask = causal_mask(T) if causal else None
    theirs = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal)  # noqa: E731
    assert difference(lambda q, k, v: attend(q, k, v, mask)[0], theirs, q, k, v) < 1e-12
    weights = attend(q, k, v, mask)[1]
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, T))
    assert not causal or weights.triu(1).abs().max() == 0


def test_a_lookup_with_sharp_keys_is_one_in_a_table() -> None:
    keys, values = torch.eye(4) * 50, torch.randn(4, C)
    found, _ = attend(keys[[2, 0]], keys, values, scale=1.0)
    torch.testing.assert_close(found, values[[2, 0]])


def test_additive_attention_is_the_formula_of_the_paper() -> None:
    layer = AdditiveAttention(INPUT, C, 10).double()
    queries, keys = torch.randn(B, T, INPUT), torch.randn(B, S, C)

    def formula(queries: Tensor, keys: Tensor) -> Tensor:
        W, U, b, v = (
            layer.from_query.weight,
            layer.from_key.weight,
            layer.from_key.bias,
            layer.score.weight[0],
        )
        outputs = []
        for query in queries.flatten(0, 1).split(1):
            row = keys[len(outputs) // T]
            energies = torch.stack([v @ torch.tanh(W @ query[0] + U @ key + b) for key in row])
            outputs.append((energies.softmax(0)[:, None] * row).sum(0))
        return torch.stack(outputs).view(B, T, C)

    assert difference(lambda q, k: layer(q, k, k)[0], formula, queries, keys) < 1e-12


def test_reinforce_has_on_average_the_gradient_of_the_expected_reward() -> None:
    scores, rewards = torch.tensor([0.5, -1.0, 0.2]), torch.tensor([1.0, 3.0, -2.0])
    exact = scores.clone().requires_grad_()
    (-(exact.softmax(0) * rewards).sum()).backward()
    n = 200_000
    for baseline in (0.0, 1.0):
        drawn = scores.clone().requires_grad_()
        found, log_probabilities = hard_attention(drawn.expand(n, 3), rewards.expand(n, 3)[..., None])
        reinforce(log_probabilities, found[:, 0], baseline).backward()
        # Five standard errors: each draw's gradient has a spread of less than 3.
        torch.testing.assert_close(drawn.grad, exact.grad, atol=5 * 3 / math.sqrt(n), rtol=0)


def test_hard_attention_returns_values_as_they_are() -> None:
    values = torch.randn(B, S, C)
    found, log_probabilities = hard_attention(torch.randn(B, S), values)
    assert all((row == own).all(1).any() for row, own in zip(found, values, strict=True))
    assert (log_probabilities < 0).all()


@pytest.mark.parametrize("kind", ["self", "causal", "cross"])
def test_many_heads_are_those_of_torch(kind: str) -> None:
    ours, theirs = MultiHeadAttention(C, 2).double(), nn.MultiheadAttention(C, 2, batch_first=True).double()
    copy_heads(ours, theirs)
    x, memory = torch.randn(B, T, C), torch.randn(B, S, C)
    mask = causal_mask(T) if kind == "causal" else None
    if kind == "cross":
        assert difference(lambda x, m: ours(x, m)[0], lambda x, m: theirs(x, m, m)[0], x, memory) < 1e-12
        return
    hidden = None if mask is None else ~mask
    assert (
        difference(lambda x: ours(x, mask=mask)[0], lambda x: theirs(x, x, x, attn_mask=hidden)[0], x) < 1e-12
    )
    weights = theirs(x, x, x, attn_mask=hidden, average_attn_weights=False)[1]
    torch.testing.assert_close(ours(x, mask=mask)[1], weights)


def test_causal_heads_are_those_of_the_model() -> None:
    config = GPTConfig(vocab_size=1, block_size=T, n_head=2, n_embd=C)
    theirs = CausalSelfAttention(config, "math").double()
    ours = MultiHeadAttention(C, 2).double()
    for part, weight, bias in zip(
        (ours.to_query, ours.to_key, ours.to_value),
        theirs.c_attn.weight.data.chunk(3),
        theirs.c_attn.bias.data.chunk(3),
        strict=True,
    ):
        part.weight.data, part.bias.data = weight, bias
    ours.mix.load_state_dict(theirs.c_proj.state_dict())
    x = torch.randn(B, T, C)
    assert difference(lambda x: ours(x, mask=causal_mask(T))[0], lambda x: theirs(x, None), x) < 1e-12


def test_one_head_is_a_part_of_many() -> None:
    one, many = SelfAttention(C, C, causal=True).double(), MultiHeadAttention(C, 1).double()
    for name in ("to_query", "to_key", "to_value"):
        getattr(many, name).weight.data = getattr(one, name).weight.data
        getattr(many, name).bias.data.zero_()
    many.mix.weight.data, many.mix.bias.data = torch.eye(C), torch.zeros(C)
    x = torch.randn(B, T, C)
    assert difference(lambda x: one(x)[0], lambda x: many(x, mask=causal_mask(T))[0], x) < 1e-12


@pytest.mark.parametrize("attention", [False, True])
def test_a_decoder_that_writes_agrees_with_its_loss(attention: bool) -> None:
    """The loss of what is written, read again, is the loss of the most likely token at each step."""
    model = Seq2Seq(11, C, attention).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    source = torch.randint(11, (B, S))
    written, looked = model.write(source, T, begin=0)
    assert len(written.unique()) > 1
    assert (looked is not None) == attention
    if looked is not None:
        torch.testing.assert_close(looked.sum(-1), torch.ones(B, T))
    changed = written.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 11
    assert model(source, written, begin=0) < model(source, changed, begin=0)
    encoder = nn.GRU(C, C, batch_first=True).double()
    for name, parameter in model.encoder.named_parameters():
        part, kind = name.split(".")
        getattr(encoder, f"{kind}_{'ih' if part == 'from_input' else 'hh'}_l0").data = parameter.data
    memory, last = encoder(model.embed(source))
    torch.testing.assert_close(model.encode(source), (memory, last[0]))
    other = source.flip(1)
    assert not torch.equal(model.write(other, T, begin=0)[0], written), "what is read matters"


@pytest.mark.parametrize("attention", [False, True])
def test_the_loss_and_its_gradients_are_those_of_torchs_cells(attention: bool) -> None:
    model = Seq2Seq(11, C, attention).double()
    source, target = torch.randint(11, (B, S)), torch.randint(11, (B, T))
    p = dict(model.named_parameters())

    def step(name: str, x: Tensor, h: Tensor) -> Tensor:
        """Return the next state by torch's GRU cell with the weights of ours."""
        cell = nn.GRUCell(x.shape[1], C).double()
        copies = {"ih": "from_input", "hh": "from_state"}
        names = {
            f"{kind}_{short}": p[f"{name}.{part}.{kind}"]
            for short, part in copies.items()
            for kind in ("weight", "bias")
        }
        return torch.func.functional_call(cell, names, (x, h))

    def loss() -> Tensor:
        h, states, losses, token = torch.zeros(B, C), [], [], torch.zeros(B, dtype=torch.int64)
        for word in source.T:
            h = step("encoder", F.embedding(word, p["embed.weight"]), h)
            states.append(h)
        for right in target.T:
            x = F.embedding(token, p["embed.weight"])
            if attention:
                query = h @ p["attention.from_query.weight"].T
                keys = [
                    F.linear(state, p["attention.from_key.weight"], p["attention.from_key.bias"])
                    for state in states
                ]
                scores = [torch.tanh(query + key) @ p["attention.score.weight"][0] for key in keys]
                weights = torch.stack(scores).softmax(0)  # (S, B)
                x = torch.cat([x, (weights[..., None] * torch.stack(states)).sum(0)], 1)
            h = step("decoder", x, h)
            losses.append(F.cross_entropy(F.linear(h, p["output.weight"], p["output.bias"]), right))
            token = right
        return torch.stack(losses).mean()

    ours, theirs = model(source, target, begin=0), loss()
    parameters = list(p.values())
    pairs = zip(torch.autograd.grad(ours, parameters), torch.autograd.grad(theirs, parameters), strict=True)
    assert max((ours - theirs).abs().item(), *((a - b).abs().max().item() for a, b in pairs)) < 1e-12


@pytest.mark.thorough
def test_a_decoder_with_attention_learns_to_reverse() -> None:
    torch.set_default_dtype(torch.float32)
    model = Seq2Seq(9, 32, attention=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        source = torch.randint(1, 9, (64, 4))
        optimizer.zero_grad()
        model(source, source.flip(1), begin=0).backward()
        optimizer.step()
    source = torch.randint(1, 9, (64, 4))
    written, looked = model.write(source, 4, begin=0)
    assert (written == source.flip(1)).float().mean() > 0.9
    assert looked is not None
    assert looked.shape == (64, 4, 4)
