"""The speed of nanoGPT's network, with a small network in the place of its model.py."""

import re
from pathlib import Path

import pytest

from system.errors import UserError
from tools.nanogpt_speed import main
from tools.nanogpt_speed_config import NanoGPTConfig

MODEL = """
from dataclasses import dataclass
from pathlib import Path
import torch

@dataclass
class GPTConfig:
    block_size: int
    vocab_size: int
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float
    bias: bool

class GPT(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wte = torch.nn.Embedding(config.vocab_size, config.n_embd)

    def configure_optimizers(self, weight_decay, learning_rate, betas, device_type):
        return torch.optim.AdamW(self.parameters(), learning_rate, betas, weight_decay=weight_decay)

    def forward(self, inputs, targets):
        logits = self.wte(inputs) @ self.wte.weight.T
        with Path(__file__).with_name("seen").open("a") as seen:
            print(*inputs.shape, logits.dtype, file=seen)
        return logits, torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
"""
CONFIG = """
from training.config import GPTConfig, TrainConfig
config = TrainConfig(model=GPTConfig(vocab_size={}, block_size=16, n_head=2, n_embd=8), batch_size=4, device="cpu")
"""


@pytest.mark.parametrize("bfloat16", [False, True])
def test_steps_of_the_configs_shape_are_timed(
    bfloat16: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "config.py").write_text(CONFIG.format(300))
    main(NanoGPTConfig(str(tmp_path), str(tmp_path / "config.py"), bfloat16=bfloat16, seconds=0.01))
    assert re.fullmatch(r"\d+\.\d tokens/s\n", capsys.readouterr().out)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert len(seen) > 3
    assert set(seen) == {f"4 16 torch.{'bfloat16' if bfloat16 else 'float32'}"}


def test_a_config_without_a_vocabulary_and_a_folder_without_nanogpt_are_named(tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    for size, message in ((0, r"^config=.*: must set vocab_size"), (300, r"^nanogpt=.*: no model.py in it")):
        config.write_text(CONFIG.format(size))
        with pytest.raises(UserError, match=message):
            main(NanoGPTConfig(str(tmp_path), str(config)))
