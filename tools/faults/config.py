"""FaultsConfig, the settings of `tools.faults`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FaultsConfig:
    """How many faults, and which."""

    seed: int = 0  # random seed for when and where faults strike; 0: pick and print one
    only: str = ""  # comma-separated words; run only faults whose name has one of them
    parallel: Literal["ddp", "fsdp"] = "ddp"  # fsdp: all runs are of two processes that share a model
    kills: int = 50  # SIGKILLs at random instants
    rank_signals: int = 10  # SIGTERMs to one of two processes
    agent_signals: int = 5  # SIGTERMs to torchrun itself
    losses: int = 2  # processes killed under torchrun --max_restarts, in one run
