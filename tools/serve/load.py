"""Load a server of our own with many clients: `python -m tools.serve.load --checkpoint=out/demo`.

Most clients ask and wait, or read a stream; some leave before the end, some send wrong requests. Every answer is compared
with the one that sampling.Sampler gives alone. Prints how many came, how many differ and by how much, tokens/s beside those
of one client, and the server's memory. Exit status 1 if a request was lost, or an answer differs by more than rounding.
"""

import asyncio
import random
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampling.config import Sampling
from system.command_line import let_threads_wait_longer, parse_config
from system.errors import UserError, run_command, say
from system.settings import PathText, checked

if TYPE_CHECKING:
    import httpx

    from sampling.sampler import Sampler

PROMPTS = [
    "The capital of Japan is",
    "",
    "The history of",
    "In 1900",
    "The river",
    "A list of",
    "Water is",
    "The",
]
LONGEST = 64  # tokens of an answer
ROUNDING = 1e-3  # of a cumulative probability, between two kernels' sums in other orders
LEAVES, SENDS_WRONG, STREAMS = 0.1, 0.1, 0.4  # shares of the requests


@checked
@dataclass(frozen=True)
class LoadConfig:
    """The settings of `tools.serve.load`. Raises ValueError on invalid values."""

    checkpoint: PathText = "out/demo"  # as for tools.serve
    clients: int = 64  # at a time
    seconds: float = 120.0  # that they ask for
    slots: int = 8  # of the server

    def __post_init__(self) -> None:
        for key in ("clients", "seconds", "slots"):
            if getattr(self, key) <= 0:
                raise ValueError(f"{key}={getattr(self, key)}: must be above 0")


@dataclass
class Tally:
    """What the clients saw."""

    counts: Counter = field(default_factory=Counter)
    n_tokens: int = 0
    differing: list[tuple[int, str]] = field(default_factory=list)  # jobs and the texts that came


def jobs() -> list[dict[str, Any]]:
    """Return requests of many kinds."""
    rng = random.Random(0)
    made = []
    for number, prompt in enumerate(PROMPTS * 4):
        temperature = rng.choice([0.0, 0.7, 1.0])
        length = rng.randint(1, LONGEST)
        made.append({"prompt": prompt, "temperature": temperature, "max_tokens": length, "seed": number})
    return made


def expected(sampler: "Sampler", job: dict[str, Any]) -> tuple[str, list[int], list[int]]:
    """Return the text that a job gets alone, its prompt's tokens and its own."""
    sampling = Sampling(
        max_new_tokens=job["max_tokens"], temperature=job["temperature"], top_k=0, seed=job["seed"]
    )
    sample = sampler.begin(job["prompt"], sampling)
    for _ in sampler.in_order([sample]):
        pass
    return "".join(sample.pieces), list(sample.text.prompt), sample.text.tokens


def gap(sampler: "Sampler", job: dict[str, Any], prompt: list[int], tokens: list[int], text: str) -> float:
    """Return by how much a draw must be off to give this text: a share of the probability, at its first other token."""
    import torch

    from sampling.engine import sample_generator
    from sampling.probabilities import candidates

    decode, generator = sampler.tokenizer.decode, sample_generator(job["seed"], prompt, 0)
    n = next((n for n in range(len(tokens)) if not text.startswith(decode(tokens[: n + 1]))), len(tokens))
    uniform = [float(torch.rand(1, generator=generator)) for _ in range(n + 1)][-1]
    with torch.inference_mode():
        logits = sampler.model(torch.tensor([[*prompt, *tokens[:n]]]), last_only=True)[0]  # (1, V)
        probabilities = candidates(logits, job["temperature"] or 1.0)[0][0].double()  # (V,)
    rest = text[len(decode(tokens[:n])) :]
    others = [int(token) for token in sampler.tokenizer.ids if rest.startswith(decode([int(token)]))]
    others = others if rest else list(sampler.tokenizer.special_tokens.values())
    if job["temperature"] == 0:
        return float(probabilities.max() - probabilities[others].max())
    stops = probabilities.cumsum(0) / probabilities.sum()
    starts = stops - probabilities / probabilities.sum()
    off = torch.maximum(starts[others] - uniform, uniform - stops[others]).clamp(min=0)
    return float(off.min())


async def ask(
    client: "httpx.AsyncClient", number: int, job: dict[str, Any], text: str, tally: Tally, rng: random.Random
) -> None:
    """Send one request of some kind and note what comes."""
    import httpx

    kind = rng.random()
    if kind < LEAVES:
        try:
            await client.post("/v1/completions", json={**job, "n": 4}, timeout=rng.uniform(0.01, 0.3))
            tally.counts["answered before they hung up"] += 1
        except httpx.TimeoutException:
            tally.counts["hung up"] += 1
        return
    if kind < LEAVES + SENDS_WRONG:
        wrong: dict[str, Any] = rng.choice(
            [{"temperature": -1}, {"max_tokens": 10**9}, {"prompt": 5}, {"model": "other"}]
        )
        answer = await client.post("/v1/completions", json={**job, **wrong})
        tally.counts["wrong, and refused" if answer.status_code in (400, 404) else "lost"] += 1
        return
    if kind < LEAVES + SENDS_WRONG + STREAMS:
        found, n_tokens = await streamed(client, job)
    else:
        answer = await client.post("/v1/completions", json=job)
        if answer.status_code != 200:
            tally.counts["refused" if answer.status_code == 429 else "lost"] += 1
            return
        content = answer.json()
        found, n_tokens = content["choices"][0]["text"], content["usage"]["completion_tokens"]
    tally.n_tokens += n_tokens
    tally.counts["answered"] += 1
    if found != text:
        tally.differing.append((number, found))


async def streamed(client: "httpx.AsyncClient", job: dict[str, Any]) -> tuple[str, int]:
    """Return the text of a streamed answer, and its tokens."""
    import json

    text, n_tokens = "", 0
    body = {**job, "stream": True, "stream_options": {"include_usage": True}}
    async with client.stream("POST", "/v1/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                part = json.loads(line.removeprefix("data: "))
                text += "".join(choice["text"] for choice in part["choices"])
                n_tokens += (part.get("usage") or {}).get("completion_tokens", 0)
    return text, n_tokens


async def load(
    url: str, n_clients: int, seconds: float, texts: list[str], server: int
) -> tuple[Tally, list[float]]:
    """Let clients ask for some seconds; return what they saw, and the server's memory in MiB every few seconds."""
    import httpx

    tally, memory, end = Tally(), [], time.monotonic() + seconds
    made = jobs()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:

        async def ask_again(number: int) -> None:
            rng = random.Random(number)
            while time.monotonic() < end:
                job = rng.randrange(len(made))
                try:
                    await ask(client, job, made[job], texts[job], tally, rng)
                except httpx.HTTPError as error:
                    tally.counts[f"lost ({type(error).__name__})"] += 1

        async def watch() -> None:
            while time.monotonic() < end:
                memory.append(resident(server))
                await asyncio.sleep(min(5, seconds / 4))

        await asyncio.gather(watch(), *(ask_again(number) for number in range(n_clients)))
    return tally, memory


def resident(process: int) -> float:
    """Return the memory that a process has, in MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    config = parse_config(LoadConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    let_threads_wait_longer()
    from sampling.sampler import Sampler

    sampler = Sampler.load(config.checkpoint, "cpu", "float32")
    kernel = sampler.about.rpartition(" ")[2]
    alone = [expected(sampler, job) for job in jobs()]
    command = [sys.executable, "-m", "tools.serve", f"--checkpoint={config.checkpoint}", "--port=0"]
    command += [f"--slots={config.slots}", f"--queue={8 * config.clients}", f"--kernel={kernel}"]
    command += ["--device=cpu", "--precision=float32"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        ready = server.stdout.readline()
        found = re.search(r"http://\S+", ready)
        if not found:
            raise UserError("the server did not start: its error is above")
        say(ready.strip())
        texts = [text for text, _, _ in alone]
        one, _ = asyncio.run(load(found[0], 1, config.seconds / 8, texts, server.pid))
        began = time.monotonic()
        many, memory = asyncio.run(load(found[0], config.clients, config.seconds, texts, server.pid))
        seconds = time.monotonic() - began
    finally:
        server.terminate()
        status = server.wait(30)
    for what, n in sorted(many.counts.items()):
        say(f"{what:32}{n:,}")
    gaps = [gap(sampler, jobs()[number], *alone[number][1:], text) for number, text in many.differing]
    differ = f"{len(gaps)}" + (f", each within {max(gaps):.1e} of a draw" if gaps else "")
    say(f"{'unlike the text alone':32}{differ}")
    ours, single = many.n_tokens / seconds, one.n_tokens / (config.seconds / 8)
    say(
        f"{config.clients} clients  {ours:,.0f} tokens/s; one client {single:,.0f}: {ours / single:.1f} times"
    )
    third = len(memory) // 3
    say(f"memory  {memory[third]:,.0f} MiB after a third of the time, {memory[-1]:,.0f} MiB at the end")
    n_lost = sum(n for what, n in many.counts.items() if what.startswith("lost"))
    n_wrong = sum(gap > ROUNDING for gap in gaps)
    if n_lost or n_wrong or status:
        raise UserError(
            f"{n_lost} requests were lost, {n_wrong} answers are wrong, the server ended with status {status}"
        )


if __name__ == "__main__":
    run_command(main, resumes=False)
