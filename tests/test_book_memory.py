"""The memory task of the book: only the first token can tell the answer, and who looks at it is right."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from book.memory import N_CHOICES, Rememberer, sequences, share_remembered, train_to_remember
from book.recurrent import RNNCell


class Knows(nn.Module):
    """Names the token at a place, if it is one of the choices."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, tokens: Tensor) -> Tensor:
        return F.one_hot(tokens[:, self.place] % N_CHOICES, N_CHOICES).float()


def test_only_the_first_token_tells_the_answer() -> None:
    torch.manual_seed(1)
    tokens = sequences(500, 20)
    assert tokens.shape == (500, 21)
    assert tokens[:, 0].unique().tolist() == list(range(N_CHOICES))
    assert tokens[:, 1:].unique().tolist() == list(range(N_CHOICES, 2 * N_CHOICES))
    assert share_remembered(Knows(0), 20) == 1.0
    assert share_remembered(Knows(5), 20, B=1000) < 0.2


def test_a_cell_of_ours_and_torchs_layer_both_learn_a_short_distance() -> None:
    for cell in (RNNCell(32, 32), nn.LSTM(32, 32, batch_first=True)):
        torch.manual_seed(1)
        model = Rememberer(cell, C=32)
        assert share_remembered(model, 2) < 0.5
        train_to_remember(model, 2, n_steps=150, B=32, lr=5e-3)
        assert share_remembered(model, 2) > 0.9
