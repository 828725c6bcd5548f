"""ReportConfig, the settings of `tools.gpu_report`."""

from dataclasses import dataclass

from system.settings import PathText, checked


@checked
@dataclass(frozen=True)
class ReportConfig:
    """What to measure, and where to write it."""

    config: PathText = "configs/gpt2_124m.py"  # the training that is measured
    batch_tokens: int = 131_072  # tokens per step
    data_dir: PathText = "data/gpu_report"  # if missing: the built-in encyclopedia, in GPT-2's tokens
    out_dir: PathText = "out/gpu_report"  # a new folder for the runs and logs
    nanogpt: PathText = ""  # folder of nanoGPT, to run its bench.py too
    out: PathText = "docs/gpu.md"  # the report
