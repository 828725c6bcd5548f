"""The book's transformer: its blocks are torch's, its waves the paper's formula, and it learns the tasks of the book."""

import math

import pytest
import torch
from book_references import copy_heads, difference
from torch import nn

from book.attention import causal_mask
from book.tasks import BEGIN, VOCAB_SIZE, dates, learn, reversals, right, text_of
from book.transformer import Block, Transformer, sinusoids

pytestmark = pytest.mark.usefixtures("doubles")

B, T, S, C, H = 3, 7, 5, 8, 2


def random_biases(module: nn.Module) -> None:
    """Draw norms and biases, which would otherwise be ones and zeros."""
    for parameter in module.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter)


@pytest.mark.parametrize("cross", [False, True])
def test_a_block_is_that_of_torch(cross: bool) -> None:
    block = Block(C, H, cross)
    random_biases(block)
    kind = nn.TransformerDecoderLayer if cross else nn.TransformerEncoderLayer
    theirs = kind(C, H, 4 * C, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
    copy_heads(block.attention, theirs.self_attn)
    theirs.norm1.load_state_dict(block.norm_1.state_dict())
    if cross:
        copy_heads(block.cross, theirs.multihead_attn)
        theirs.norm2.load_state_dict(block.norm_cross.state_dict())
    getattr(theirs, "norm3" if cross else "norm2").load_state_dict(block.norm_2.state_dict())
    theirs.linear1.load_state_dict(block.mlp[0].state_dict())
    theirs.linear2.load_state_dict(block.mlp[2].state_dict())
    x, memory, mask = torch.randn(B, T, C), torch.randn(B, S, C), causal_mask(T)
    if cross:
        y = difference(lambda x, m: block(x, mask, m), lambda x, m: theirs(x, m, tgt_mask=~mask), x, memory)
    else:
        y = difference(lambda x: block(x, mask), lambda x: theirs(x, src_mask=~mask), x)
    assert y < 1e-12


def test_sinusoids_are_the_formula_of_the_paper() -> None:
    waves = sinusoids(50, 6)
    for t in (0, 1, 17, 49):
        for i in range(3):
            angle = t / 10_000 ** (2 * i / 6)
            torch.testing.assert_close(
                waves[t, 2 * i : 2 * i + 2], torch.tensor([math.sin(angle), math.cos(angle)])
            )


def test_the_decoder_sees_the_source_and_its_own_past_only() -> None:
    model = Transformer(11, C, H)
    source, seen = torch.randint(11, (1, S)), torch.randint(11, (1, T))
    logits = model.decode(seen, model.encode(source))
    other = seen.clone()
    other[0, 4] = (other[0, 4] + 1) % 11
    same = torch.isclose(model.decode(other, model.encode(source)), logits).all(-1)[0]
    assert same.tolist() == [True] * 4 + [False] * 3
    source[0, -1] = (source[0, -1] + 1) % 11
    assert not torch.isclose(model.decode(seen, model.encode(source)), logits).all(-1).any()


def test_what_it_writes_is_most_likely_by_its_loss() -> None:
    model = Transformer(11, C, H)
    nn.init.normal_(model.embed.weight, std=3.0)
    source = torch.randint(11, (B, S))
    written, _ = model.write(source, T, begin=0)
    for token in range(11):
        changed = written.clone()
        changed[:, -1] = token
        assert model(source, written, begin=0) <= model(source, changed, begin=0)


@pytest.mark.thorough
def test_it_learns_to_reverse() -> None:
    torch.set_default_dtype(torch.float32)
    model = Transformer(VOCAB_SIZE, 32)
    learn(model, lambda B: reversals(B, 4), n_steps=80, B=32)
    assert right(model, *reversals(64, 4)).float().mean() > 0.7


def test_dates_are_the_same_day_in_words_and_in_numbers() -> None:
    source, target = dates(200)
    months = "jan feb mar apr may jun jul aug sep oct nov dec".split()
    for words, iso in zip(map(text_of, source), map(text_of, target), strict=True):
        year, month, day = iso.split("-")
        assert words.endswith(year)
        assert months[int(month) - 1] in words
        assert str(int(day)) in words[: -len(year)]
    assert target.shape == (200, 10)
    assert len({text_of(row) for row in target}) > 190
    torch.manual_seed(5)
    first = dates(3)
    torch.manual_seed(5)
    torch.testing.assert_close(dates(3), first)
    assert BEGIN not in source
