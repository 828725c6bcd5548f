"""The settings of `apps.explain` and its methods' names. In a file of its own, so that a command line is read without torch."""

from dataclasses import dataclass

from system.settings import PathText, checked

GRADIENT, LEAVE_ONE_OUT = "gradient x input", "leave-one-out"
SLOW_METHODS = (GRADIENT, LEAVE_ONE_OUT)  # which compute the network again for each token


@checked
@dataclass(frozen=True)
class ExplainConfig:
    """What to explain. Raises ValueError on invalid values."""

    checkpoint: PathText = "out/demo"  # run, step_... or Hugging Face folder, or hub name
    text: str = "The capital of Japan is Tokyo."  # whose predictions are explained
    text_file: PathText = ""  # instead of text: a file in UTF-8
    out: PathText = "explain.html"  # the page
    gradient_x_input: bool = True  # a pass of the network for each token
    leave_one_out: bool = True  # the same, and the reference for the others
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps

    def __post_init__(self) -> None:
        if self.text_file and self.text != ExplainConfig.text:
            raise ValueError(f"text={self.text!r}, text_file={self.text_file}: set only one of the two")

    @property
    def methods(self) -> list[str]:
        """The slow methods that are wanted."""
        wanted = {GRADIENT: self.gradient_x_input, LEAVE_ONE_OUT: self.leave_one_out}
        return [name for name in SLOW_METHODS if wanted[name]]


@checked
@dataclass(frozen=True)
class ServeConfig:
    """How to serve the page on this machine. Raises ValueError on invalid values."""

    checkpoint: PathText = "out/demo"  # run, step_... or Hugging Face folder, or hub name
    port: int = 8000  # 0: any free one
    open: bool = False  # the page, in a browser
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps

    def __post_init__(self) -> None:
        if not 0 <= self.port < 2**16:
            raise ValueError(f"port={self.port}: must be in [0, 65535]")
