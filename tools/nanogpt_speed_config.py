"""NanoGPTConfig, the settings of `tools.nanogpt_speed`. In a file of its own, so that they are read without torch."""

from dataclasses import dataclass

from system.settings import PathText, checked


@checked
@dataclass(frozen=True)
class NanoGPTConfig:
    """What to train, and how. Raises ValueError on invalid values."""

    nanogpt: PathText = "../nanoGPT"  # the clone's folder, whose model.py is run
    config: PathText = "configs/bench_gpt2_small.py"  # shape and batch; it must set vocab_size
    compile: bool = False  # as nanoGPT's setting
    bfloat16: bool = False  # under autocast, which nanoGPT's train.py does on GPUs only
    seconds: float = 8.0  # to measure, after three steps that do not count
