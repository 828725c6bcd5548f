"""EvaluateConfig, the settings of an evaluation."""

import os
from dataclasses import dataclass
from typing import Literal

from sampling.config import Kernel, Quantize
from system.precision import Precision
from system.settings import PathsText, PathText, checked, listed


@checked
@dataclass(frozen=True)
class EvaluateConfig:
    """What to measure. Raises ValueError on invalid values."""

    checkpoint: PathsText = "out/demo"  # run (its best checkpoint), step_... or Hugging Face folder, or hub name; or several, with commas
    data_dir: PathText = (
        ""  # whose validation split is scored; empty: the one the first checkpoint was trained on
    )
    windows: Literal["stream", "document"] = (
        "stream"  # document: each document alone, as lm-evaluation-harness does
    )
    stride: int = 0  # tokens that a window scores; the others are context. 0: block_size
    eval_windows: int = 0  # only so many windows, evenly spaced, as in training; 0: all
    tasks: PathsText = ""  # with commas: JSONL files; hellaswag or lambada, from the hub; leads or last_words, of the articles
    n_items: int = 0  # of each task, the first; 0: all
    n_shots: int = 0  # solved items before each
    contamination: bool = False  # also count the items that the training text of data_dir has
    quantize: Quantize = "none"  # int8: also with 8-bit weights, as sample.py has them
    kernel: Kernel = "torch"  # of the layers with 8-bit weights; some round activations too
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    precision: Precision = "auto"  # of matrix multiplications

    def __post_init__(self) -> None:
        for key in ("stride", "eval_windows", "n_items", "n_shots"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 0")
        for key in ("n_items", "n_shots", "contamination"):
            if getattr(self, key) and not self.all_tasks:
                raise ValueError(f"{key}={getattr(self, key)}: is about tasks, and tasks is empty")
        if self.eval_windows and (self.windows != "stream" or self.stride):
            raise ValueError("eval_windows: must be 0 with --windows=document or a stride")
        if self.kernel == "auto":
            fix = "name one, such as the one that sample.py prints"
            raise ValueError(f"kernel=auto: is chosen by timing, and an evaluation must be repeatable: {fix}")
        if self.kernel != "torch" and self.quantize == "none":
            raise ValueError(f"kernel={self.kernel}: is of 8-bit weights: add --quantize=int8")
        if len(set(self.checkpoints)) < len(self.checkpoints):
            raise ValueError(f"checkpoint={self.checkpoint}: must name each model once")
        if not all(self.checkpoints):
            raise ValueError(f"checkpoint={self.checkpoint}: must be a name, or several with commas between")

    @property
    def checkpoints(self) -> list[str]:
        """The models, of which the first is the one that the others are compared with."""
        specs = [spec.strip() for spec in self.checkpoint.split(",")]
        return [os.path.normpath(spec) if os.path.isdir(os.path.expanduser(spec)) else spec for spec in specs]

    @property
    def all_tasks(self) -> list[str]:
        """The tasks, in their order."""
        return listed(self.tasks)
