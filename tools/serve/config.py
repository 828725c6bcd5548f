"""ServeConfig, the settings of `tools.serve`."""

from dataclasses import dataclass

from sampling.config import Kernel, Quantize
from system.precision import Precision
from system.settings import PathText, checked


@checked
@dataclass(frozen=True)
class ServeConfig:
    """The settings of `tools.serve`. Raises ValueError on invalid values."""

    checkpoint: PathText = (
        "out/demo"  # run (its best checkpoint), step_... or Hugging Face folder, or hub name
    )
    host: str = "127.0.0.1"  # address to listen on; others than loopback need a key, in WIKIGPT_API_KEY
    port: int = 8000  # 0: any free one
    slots: int = 8  # texts that are written at a time
    queue: int = 256  # texts that may wait; more are refused with status 429
    max_tokens: int = 1024  # of an answer, at most
    context: int = 0  # the last tokens of a text that the model sees; 0: its block_size, at most 4096
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps
    precision: Precision = "auto"  # of matrix multiplications
    quantize: Quantize = "none"  # int8: smaller and faster on a CPU, a little less exact
    kernel: Kernel = "auto"  # of the linear layers: the fastest here, or one by name: docs/sampling.md
    compile: bool = False  # on CUDA: slower to begin, faster then

    def __post_init__(self) -> None:
        for key in ("slots", "max_tokens"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 1")
        for key in ("queue", "context"):
            if getattr(self, key) < 0:
                raise ValueError(f"{key}={getattr(self, key)}: must be at least 0")
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port={self.port}: must be in [0, 65535]")
