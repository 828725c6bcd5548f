"""SampleConfig, the settings of `sample.py`. In a file of its own, so that a command line is read without torch."""

from dataclasses import dataclass, field
from typing import Literal

from system.precision import Precision
from system.settings import PathText, checked

Quantize = Literal["none", "int8"]
Kernel = Literal["auto", "torch", "onednn", "transposed", "fbgemm", "int8pack"]

_SAMPLES = "n_samples, the continuations of each prompt"
_CHECKPOINT = "checkpoint, which is a run, a checkpoint, a Hugging Face folder or a hub name"
_LENGTH = "max_new_tokens, without those of the prompt"
# What nanoGPT and Hugging Face call the settings, each with ours and what differs, or with a hint where we have none.
OTHER_NAMES = {
    # nanoGPT
    "dtype": "precision, which is auto, float32, tf32 or bfloat16",
    "init_from": _CHECKPOINT,
    "num_samples": _SAMPLES,
    "out_dir": _CHECKPOINT,
    "start": "prompt, or prompt_file for a file with one prompt per line (nanoGPT's FILE:)",
    # Hugging Face
    "do_sample": "temperature, where 0 always takes the most probable token",
    "max_length": _LENGTH,
    "model": _CHECKPOINT,
    "model_name_or_path": _CHECKPOINT,
    "num_beams": "not available: there is no beam search",
    "num_return_sequences": _SAMPLES,
    # our other commands
    "data_dir": "not needed: a checkpoint holds its tokenizer",
    "tokenizer": "not needed: a checkpoint holds its tokenizer",
    # any
    "checkpoint_dir": _CHECKPOINT,
    "ckpt": _CHECKPOINT,
    "n": _SAMPLES,
    "temp": "temperature",
    "greedy": "temperature, where 0 always takes the most probable token",
    "length": _LENGTH,
    "max_tokens": _LENGTH,
    "num_tokens": _LENGTH,
    "stop_strings": "stop, one string",
    "prompts": "prompt_file, with one prompt per line",
}


@dataclass(frozen=True)
class Sampling:
    """How to continue a prompt. Raises ValueError on values out of range."""

    n_samples: int = 1  # continuations of each prompt
    max_new_tokens: int = 100  # tokens per continuation; fewer if the text ends first
    temperature: float = 0.8  # 0: always the most probable token
    top_k: int = 200  # sample among the k most probable tokens; 0: all
    top_p: float = 1.0  # sample among the most probable tokens that together reach this probability; 1: all
    min_p: float = 0.0  # sample among the tokens at least this many times as probable as the first; 0: all
    repetition_penalty: float = 1.0  # above 1: tokens of the text so far become less probable
    seed: int = 1  # same seed, same text

    def __post_init__(self) -> None:
        if self.n_samples < 1:
            raise ValueError(f"n_samples={self.n_samples}: must be at least 1")
        if self.max_new_tokens < 0:
            raise ValueError(f"max_new_tokens={self.max_new_tokens}: must be at least 0")
        if self.temperature != 0 and not 1e-5 <= self.temperature <= 1e5:
            raise ValueError(
                f"temperature={self.temperature}: must be 0 (always the most probable token) or in [1e-5, 1e5]"
            )
        if self.top_k < 0:
            raise ValueError(f"top_k={self.top_k}: must be at least 0 (0: all tokens)")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p={self.top_p}: must be in (0, 1] (1: all tokens)")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p={self.min_p}: must be in [0, 1] (0: all tokens)")
        if not 0.01 <= self.repetition_penalty <= 100:
            raise ValueError(
                f"repetition_penalty={self.repetition_penalty}: must be in [0.01, 100] (1: none)"
            )

    @property
    def controls(self) -> tuple[float, int, float, float]:
        """The settings that turn logits into probabilities: temperature, top_k, top_p, min_p."""
        return self.temperature, self.top_k, self.top_p, self.min_p


def _is_unicode(text: str) -> bool:
    """Return whether a text has no lone surrogates, which Python makes of invalid bytes of the command line."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@checked
@dataclass(frozen=True)
class SampleConfig:
    """The settings of `sample.py`. Raises ValueError on invalid values."""

    checkpoint: PathText = (
        "out/demo"  # run (its best checkpoint), step_... or Hugging Face folder, or hub name
    )
    prompt: str = "The history of"  # text to continue; -: standard input
    prompt_file: PathText = ""  # instead of prompt: file with one per line (-: standard input), or .jsonl
    out: PathText = ""  # .jsonl file that gets the samples, and is continued where it stopped
    sampling: Sampling = field(default_factory=Sampling)  # how to continue a prompt
    stop: str = ""  # text that ends a sample and is left out; \n in it is a line break
    raw: bool = False  # continue the prompt as text, though the model has a chat template
    thinking: bool = True  # let a chat model that can think before it answers
    context: int = 0  # the last tokens of a text that the model sees; 0: as many as it was trained with
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    precision: Precision = "auto"  # of matrix multiplications
    quantize: Quantize = "none"  # int8: smaller and faster on a CPU, a little less exact
    kernel: Kernel = "auto"  # of the linear layers: the fastest here, or one by name: docs/sampling.md
    compile: bool = False  # on CUDA: slower to begin, faster then

    other_names = OTHER_NAMES

    def __post_init__(self) -> None:
        if self.context < 0:
            raise ValueError(f"context={self.context}: must be at least 0 (0: the model's block_size)")
        if not _is_unicode(self.stop):
            raise ValueError(f"stop={self.stop!r}: not UTF-8: write it in UTF-8")
        if self.prompt_file and self.prompt != SampleConfig.prompt:
            raise ValueError(
                f"prompt={self.prompt!r}, prompt_file={self.prompt_file}: set only one of the two"
            )
