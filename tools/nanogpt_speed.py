"""Train nanoGPT's network on made-up tokens, and print its tokens/s: `python -m tools.nanogpt_speed --nanogpt=../nanoGPT`.

For `python -m tools.bench speed --versus=...`. It runs the model.py of a clone of nanoGPT, with the shape and batch of a
config of ours; each step does what nanoGPT's train.py does: loss, gradients, clipping, update.
"""

import importlib.util
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

from system.command_line import parse_config, read_command
from tools.nanogpt_speed_config import NanoGPTConfig

if __name__ == "__main__":  # before torch is loaded, so that a mistake in the command is found at once
    CONFIG = read_command(partial(parse_config, NanoGPTConfig()), __doc__ or "")

import torch

from system import hardware
from system.errors import UserError, run_command
from training.config import TrainConfig, load_config_file

WARM_UP_STEPS = 3
SHAPE = ("block_size", "vocab_size", "n_layer", "n_head", "n_embd", "dropout", "bias")


def nanogpt(folder: str) -> ModuleType:
    """Run the model.py of nanoGPT, and return it as a module. Raises UserError if there is none."""
    path = Path(folder) / "model.py"
    spec = importlib.util.spec_from_file_location("nanogpt", path)
    if not spec or not spec.loader or not path.is_file():
        raise UserError(f"nanogpt={folder}: no model.py in it: clone https://github.com/karpathy/nanoGPT")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_step(config: NanoGPTConfig, ours: TrainConfig) -> Callable[[], None]:
    """Return the function that does one step, on tokens of its own. Raises UserError if the network cannot be built."""
    shape, device = ours.model, hardware.choose_device(ours.device)
    if not shape.vocab_size:
        raise UserError(f"config={config.config}: must set vocab_size, as its data are not read")
    theirs = nanogpt(config.nanogpt)
    torch.manual_seed(ours.seed)
    network = theirs.GPT(theirs.GPTConfig(**{name: getattr(shape, name) for name in SHAPE})).to(device)
    optimizer = network.configure_optimizers(0.1, 1e-3, (0.9, 0.95), device.type)
    model = torch.compile(network) if config.compile else network
    dtype = torch.bfloat16 if config.bfloat16 else torch.float32
    sizes = (2, ours.sequences_per_step, shape.block_size)

    def step() -> None:
        inputs, targets = torch.randint(shape.vocab_size, sizes).to(device)  # (B, T) each
        with hardware.autocast(device, dtype):
            _, loss = model(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        hardware.wait_for(device)

    return step


def tokens_per_second(config: NanoGPTConfig, ours: TrainConfig) -> float:
    """Measure the speed of training in whole steps, at least one."""
    step, n_steps = make_step(config, ours), 0
    for _ in range(WARM_UP_STEPS):
        step()
    began = time.perf_counter()
    while not n_steps or time.perf_counter() - began < config.seconds:
        step()
        n_steps += 1
    n_tokens = n_steps * ours.sequences_per_step * ours.model.block_size
    return n_tokens / (time.perf_counter() - began)


def main(config: NanoGPTConfig) -> None:
    print(f"{tokens_per_second(config, load_config_file(config.config)):.1f} tokens/s")


if __name__ == "__main__":
    run_command(lambda: main(CONFIG), resumes=False)
