"""How fast a model of the config's network samples."""

import time
from pathlib import Path

import torch

from model import GPT, choose_attention
from sampling.config import Sampling
from sampling.engine import generate
from sampling.kernels import for_sampling
from system import hardware
from tools.bench.config import BenchCommand
from tools.bench.trainer import open_measured_run
from tools.bench.versus import compare_sampling
from tools.report import Report, spread

N_NEW_TOKENS = 64  # of each sample, after a prompt of one token
BATCHES = (1, 8)  # samples at a time


def measure_sampling(command: BenchCommand, report: Report, folder: Path) -> None:
    """Measure tokens/s of sampling with untrained weights, one sample and several at a time; or compare with a peer's."""
    if command.bench.versus and command.bench.part == "sample":
        compare_sampling(command, report)
        return
    torch.use_deterministic_algorithms(False)  # as in sample.py; training may have set it
    run = open_measured_run(command.training, folder)
    device = hardware.choose_device(run.config.device)
    dtype, reason = hardware.set_precision(run.config.precision, device)
    attention = choose_attention("auto", run.config.model, device, dtype)
    model, kernel = for_sampling(GPT(run.config.model, attention).to(device), dtype)
    report.table("Sampling", "samples at a time", f"tokens/s over {N_NEW_TOKENS} tokens each")
    for n_samples in BATCHES:
        sampling = Sampling(n_samples=n_samples, max_new_tokens=N_NEW_TOKENS)
        rates = []
        generate(model, [[0]], Sampling(n_samples=n_samples, max_new_tokens=2))  # warm-up
        for _ in range(command.bench.repeats):
            n_tokens, began = 0, time.perf_counter()
            while time.perf_counter() < began + command.bench.seconds:
                [samples] = generate(model, [[0]], sampling)
                n_tokens += sum(map(len, samples))
            rates.append(n_tokens / (time.perf_counter() - began))
        precision = str(dtype).removeprefix("torch.")
        report.row(str(n_samples), f"{spread(rates)} tokens/s, {precision} ({reason}), kernel {kernel}")
