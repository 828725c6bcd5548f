"""SamplingSpeedConfig, the settings of `tools.sampling_speed`. In a file of its own, so that they are read without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sampling.config import Kernel
from system.command_line import parse_config
from system.settings import PathText, checked


@checked
@dataclass(frozen=True)
class SamplingSpeedConfig:
    """Whose sampling to time, and of what. Raises ValueError on invalid values."""

    library: Literal["ours", "nanogpt", "transformers", "ctranslate2"] = "ours"  # or as the first word
    model: PathText = "hf/gpt2"  # Hugging Face folder that all libraries read; of nanoGPT only the shape
    nanogpt: PathText = "../nanoGPT"  # the clone's folder, whose model.py is run
    n_samples: int = 1  # of one prompt, written together
    prompt_tokens: int = 16  # in the prompt
    new_tokens: int = 256  # of each sample
    precision: Literal["float32", "bfloat16", "int8"] = "float32"  # int8: ours and ctranslate2 only
    kernel: Kernel = "auto"  # of our linear layers
    compile: bool = False  # our decoding steps, on CUDA
    repeats: int = 1  # the median counts

    def __post_init__(self) -> None:
        for key in ("n_samples", "prompt_tokens", "new_tokens", "repeats"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")
        if self.precision == "int8" and self.library not in ("ours", "ctranslate2"):
            raise ValueError(f"precision=int8: {self.library} has none here: use float32 or bfloat16")


def parse_speed_command(argv: Sequence[str], description: str) -> SamplingSpeedConfig:
    """Return the settings of a command line, whose first word may be the library."""
    library = [f"--library={argv[0]}"] if argv and argv[0].isalnum() else []
    return parse_config(SamplingSpeedConfig(), [*library, *argv[len(library) :]], description)
