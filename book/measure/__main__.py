"""Measure what chapters 8 and 9 of the book say: RNN, LSTM, LSTM with attention and transformer, equal in parameters and time.

speed: tokens/s of training and of writing. cost: time and memory by the length of the text. recall: how far back a key's
value is found. recall_far: the same, with nothing nearby to learn it from. language: bits per byte, and how much text it takes.
choices: GPT-2 with each choice of Qwen3, for an equal number of steps.

All run on one thread. Training time is processor time, so that other programs do not change the result much. Each part
writes a JSON file. All of them take about two hours of one core; for a quick try add --budget=0.05.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from book.measure.config import MeasureConfig, Part
from system.command_line import parse_config, read_command

if __name__ == "__main__":  # before torch is loaded, so that a mistake in the command is found at once
    CONFIG = read_command(lambda argv, text: parse_config(MeasureConfig(), argv, text), __doc__ or "")
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler prints lines of its own

import torch

from book.measure import choices, cost, language, recall, speed
from book.measure.results import save
from system.errors import run_command, say

MEASURES: dict[Part, Callable[[MeasureConfig], dict[str, Any]]] = {
    "speed": speed.measure,
    "cost": cost.measure,
    "recall": recall.measure,
    "recall_far": recall.measure_far,
    "language": language.measure,
    "choices": choices.measure,
}


def main(config: MeasureConfig) -> None:
    torch.set_num_threads(1)
    for part in config.chosen:
        say(f"wrote {save(config.out_dir, part, MEASURES[part](config), sys.argv[1:])}")


if __name__ == "__main__":
    run_command(lambda: main(CONFIG), resumes=False)
