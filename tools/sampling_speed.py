"""Time sampling by one of several libraries: `python -m tools.sampling_speed transformers --model=hf/gpt2 --n_samples=8`.

All read the same Hugging Face folder, get the same prompt and draw as many tokens from the 200 most probable ones; no
sample ends early. Compare them in turn: `python -m tools.bench sample --versus="python -m tools.sampling_speed ..."`.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from system.command_line import let_threads_wait_longer, read_command
from tools.sampling_speed_config import SamplingSpeedConfig, parse_speed_command

if __name__ == "__main__":  # before torch is loaded, so that a mistake in the command is found at once
    CONFIG = read_command(parse_speed_command, __doc__ or "")
    let_threads_wait_longer()

import torch

from checkpointing import pretrained
from model import GPT
from sampling.config import Sampling
from sampling.engine import Engine, Text
from sampling.sampler import Sampler
from system import hardware
from system.errors import UserError, run_command, say
from tools.nanogpt_speed import SHAPE, nanogpt

TEMPERATURE, TOP_K = 0.8, 200

Sample = Callable[[int], int]  # writes this many tokens of each sample, and returns how many it wrote of all


def ours(config: SamplingSpeedConfig) -> Sample:
    """Return the function that samples with our engine."""
    is_int8 = config.precision == "int8"
    sampler = Sampler.load(
        config.model,
        precision="auto" if config.precision == "int8" else config.precision,
        quantize="int8" if is_int8 else "none",
        kernel=config.kernel,
        rows=config.n_samples,
        compile=config.compile,
    )
    say(sampler.about, sys.stderr)
    context = min(config.prompt_tokens + config.new_tokens, sampler.model.config.block_size)
    engine = Engine(sampler.model, config.n_samples, context, compile=config.compile)

    def sample(n_tokens: int) -> int:
        settings = Sampling(max_new_tokens=n_tokens, temperature=TEMPERATURE, top_k=TOP_K)
        texts = [Text(prompt(config), settings, number) for number in range(config.n_samples)]
        for text in texts:
            engine.add(text)
        while engine.running or engine.waiting:
            engine.step()
        return sum(len(text.tokens) for text in texts)

    return sample


def nanogpts(config: SamplingSpeedConfig) -> Sample:
    """Return the function that samples with nanoGPT's network, untrained, as its sample.py does."""
    shape, theirs = pretrained.find(config.model).config, nanogpt(config.nanogpt)
    device = hardware.choose_device("auto")
    settings = theirs.GPTConfig(**{name: getattr(shape, name) for name in SHAPE})
    model = theirs.GPT(settings).to(device).eval()
    tokens = torch.tensor([prompt(config)] * config.n_samples, device=device)  # (B, T)

    def sample(n_tokens: int) -> int:
        with torch.no_grad(), hardware.autocast(device, dtype_of(config)):
            written = model.generate(tokens, n_tokens, temperature=TEMPERATURE, top_k=TOP_K)
            hardware.wait_for(device)
        return written.numel() - tokens.numel()

    return sample


def transformers_(config: SamplingSpeedConfig) -> Sample:
    """Return the function that samples with transformers; its weights are in the precision, as its users have them."""
    from transformers import AutoModelForCausalLM

    device = hardware.choose_device("auto")
    model: Any = AutoModelForCausalLM.from_pretrained(config.model, dtype=dtype_of(config))
    model = model.to(device).eval()
    tokens = torch.tensor([prompt(config)] * config.n_samples, device=device)  # (B, T)

    def sample(n_tokens: int) -> int:
        written = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=True,
            temperature=TEMPERATURE,
            top_k=TOP_K,
            min_new_tokens=n_tokens,
            max_new_tokens=n_tokens,
            pad_token_id=0,
        )
        return written.numel() - tokens.numel()

    return sample


def ctranslate2_(config: SamplingSpeedConfig) -> Sample:
    """Return the function that samples with CTranslate2, with as many threads as torch has."""
    import ctranslate2
    from transformers import AutoTokenizer

    names = AutoTokenizer.from_pretrained(config.model).convert_ids_to_tokens(prompt(config))
    with tempfile.TemporaryDirectory() as folder:
        ctranslate2.converters.TransformersConverter(config.model).convert(folder, force=True)
        device = hardware.choose_device("auto").type
        threads = torch.get_num_threads()
        model = ctranslate2.Generator(folder, device, compute_type=config.precision, intra_threads=threads)

    def sample(n_tokens: int) -> int:
        results = model.generate_batch(
            [names] * config.n_samples,
            max_length=n_tokens,
            min_length=n_tokens,
            sampling_temperature=TEMPERATURE,
            sampling_topk=TOP_K,
            include_prompt_in_result=False,
            end_token=[],
        )
        return sum(len(result.sequences_ids[0]) for result in results)

    return sample


def prompt(config: SamplingSpeedConfig) -> list[int]:
    """Return the prompt's tokens: all different, as what they say does not change the speed."""
    return list(range(1, config.prompt_tokens + 1))


def dtype_of(config: SamplingSpeedConfig) -> torch.dtype:
    """Return the dtype of matrix multiplications."""
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32


LIBRARIES = {"ours": ours, "nanogpt": nanogpts, "transformers": transformers_, "ctranslate2": ctranslate2_}


def reading(config: SamplingSpeedConfig, speed: float) -> str:
    """Return how fast the weights are read, which each step does once, and how fast this machine reads memory."""
    with torch.device("meta"):
        model = GPT(pretrained.find(config.model).config)
    n_weights = sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, torch.nn.Linear))
    n_bytes = n_weights * {"float32": 4, "bfloat16": 2, "int8": 1}[config.precision]
    rate = n_bytes * speed / config.n_samples
    numbers, seconds = torch.ones(2**26), []  # 256 MiB, which no cache holds
    for _ in range(9):
        began = time.perf_counter()
        numbers.sum()
        seconds.append(time.perf_counter() - began)
    memory = numbers.nbytes / min(seconds)
    return f"weights of {n_bytes / 1e6:,.0f} MB, read at {rate / 1e9:.1f} GB/s; summing numbers reads {memory / 1e9:.1f} GB/s"


def main(config: SamplingSpeedConfig) -> None:
    """Print the tokens per second of whole calls: prompt and new tokens take their time, new tokens count."""
    try:
        sample = LIBRARIES[config.library](config)
    except ImportError as error:
        raise UserError(
            f"{config.library} is not installed ({error}): pip install {config.library}"
        ) from None
    sample(8)  # warms up
    seconds = []
    for _ in range(config.repeats):
        began = time.perf_counter()
        n_written = sample(config.new_tokens)
        seconds.append(time.perf_counter() - began)
        if n_written != config.n_samples * config.new_tokens:
            raise UserError(
                f"{config.library} wrote {n_written} tokens: must be {config.new_tokens} of each sample"
            )
    speed = config.n_samples * config.new_tokens / statistics.median(seconds)
    if config.library == "ours" and hardware.choose_device("auto").type == "cpu":
        say(reading(config, speed), sys.stderr)
    print(f"{speed:.4g} tokens/s" if speed < 1e4 else f"{speed:.0f} tokens/s")


if __name__ == "__main__":
    run_command(lambda: main(CONFIG), resumes=False)
