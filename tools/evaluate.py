"""Score a model on prepared text: `python -m tools.evaluate --checkpoint=out/demo --data_dir=data/demo`.

Prints bits per byte of the validation split, which compare across tokenizers. With `--quantize=int8` it scores the model in
both and prints what int8 costs.
"""

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sampling.config import Kernel, Quantize
from system.command_line import parse_config
from system.errors import UserError, run_command
from system.precision import Precision
from system.progress import announced_on_stderr
from system.settings import PathText, checked

if TYPE_CHECKING:
    from torch import Tensor, nn


MICRO_BATCH_TOKENS = 4096


@checked
@dataclass(frozen=True)
class EvaluateConfig:
    """The settings of `tools.evaluate`. Raises ValueError on invalid values."""

    checkpoint: PathText = (
        "out/demo"  # run (its best checkpoint), step_... or Hugging Face folder, or hub name
    )
    data_dir: PathText = "data/demo"  # prepared with the model's tokenizer
    eval_windows: int = 200  # of block_size tokens, evenly spaced, as in training; 0: all
    quantize: Quantize = "none"  # int8: also with 8-bit weights, as sample.py has them
    kernel: Kernel = "auto"  # of the linear layers then
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    precision: Precision = "auto"  # of matrix multiplications

    def __post_init__(self) -> None:
        if self.eval_windows < 0:
            raise ValueError(f"eval_windows={self.eval_windows}: must be at least 0 (0: all)")


def loss_by_logits(model: "nn.Module", batch: "tuple[Tensor, Tensor]") -> "tuple[Tensor, Tensor]":
    """Return the summed loss and the number of scored targets, of a model whose output layer may be of any kind."""
    import torch
    from torch.nn import functional as F

    from model import CHUNK_ROWS, GPT, IGNORED

    assert isinstance(model, GPT)
    inputs, targets = batch
    x = model.transformer(inputs).flatten(0, 1)  # (B * T, C)
    losses = [
        F.cross_entropy(model.logits(rows), wanted, ignore_index=IGNORED, reduction="sum")
        for rows, wanted in zip(x.split(CHUNK_ROWS), targets.flatten().split(CHUNK_ROWS), strict=True)
    ]
    return torch.stack(losses).sum(), (targets != IGNORED).sum()


def score(config: EvaluateConfig) -> None:
    """Print the model's bits per byte, and what int8 costs if it is asked for."""
    from checkpointing import pretrained
    from corpus.dataset import TokenDataset
    from evaluation.losses import evaluate
    from sampling.kernels import for_sampling
    from system.world import World

    data = TokenDataset(config.data_dir, "val")
    with announced_on_stderr(f"loading {config.checkpoint}"):
        model, tokenizer, dtype = pretrained.load(config.checkpoint, config.device, config.precision)
    if tokenizer.hash != data.tokenizer().hash:
        raise UserError(
            f"data_dir={config.data_dir} was prepared with another tokenizer than the model's: prepare it with --tokenizer={shlex.quote(config.checkpoint)}"
        )
    block_size = model.config.block_size
    starts = data.validation_starts(block_size, config.eval_windows or None)
    world = World(0, 1, model.transformer.wte.weight.device)
    how = (starts, max(1, MICRO_BATCH_TOKENS // block_size), tokenizer.token_byte_lengths(), world)
    whole = evaluate(model, data, *how, dtype)
    print(f"{str(dtype).removeprefix('torch.')}: {whole.bits_per_byte:.4f} bits per byte")
    if config.quantize == "int8":
        fast, kernel = for_sampling(model, dtype, "int8", config.kernel)
        small = evaluate(fast, data, *how, dtype, loss_by_logits)
        cost = small.bits_per_byte / whole.bits_per_byte - 1
        print(f"int8, kernel {kernel}: {small.bits_per_byte:.4f} bits per byte, {cost:+.2%}")
    print(
        f"over {whole.n_tokens:,} tokens, {whole.n_bytes:,} bytes, of the validation split of {config.data_dir}"
    )


def main() -> None:
    score(parse_config(EvaluateConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint"))


if __name__ == "__main__":
    run_command(main, resumes=False)
