"""How fast a running search page answers: some clients that ask one question after another.

python -m apps.search serve --index=out/search/index
python -m apps.search.evaluate load --out_dir=out/search --clients=16 --seconds=30
"""

import asyncio
import itertools
import time
from collections.abc import Sequence

import httpx
import numpy as np

from system.errors import UserError

WARM_UP = 20  # questions


def load(url: str, questions: Sequence[str], n_clients: int, seconds: float) -> tuple[list[float], float]:
    """Return how many seconds each answer took, and all together. Raises UserError if the server does not answer."""
    try:
        return asyncio.run(_load(url, questions, n_clients, seconds))
    except httpx.HTTPStatusError as error:
        raise UserError(
            f"url={url}: it answered {error.response.text[:200]}", "use fewer clients, or look at its log"
        ) from None
    except httpx.HTTPError as error:
        raise UserError(
            f"url={url}: {error or type(error).__name__}", "start `python -m apps.search serve` first"
        ) from None


async def _load(
    url: str, questions: Sequence[str], n_clients: int, seconds: float
) -> tuple[list[float], float]:
    waiting = itertools.cycle(questions)
    taken: list[float] = []
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def ask() -> float:
            began = time.perf_counter()
            answer = await client.post("/api/search", json={"query": next(waiting)})
            answer.raise_for_status()
            return time.perf_counter() - began

        async def ask_on(end: float) -> None:
            while time.perf_counter() < end:
                taken.append(await ask())

        for _ in range(WARM_UP):
            await ask()
        began = time.perf_counter()
        await asyncio.gather(*(ask_on(began + seconds) for _ in range(n_clients)))
    return taken, time.perf_counter() - began


def report(taken: Sequence[float], seconds: float, n_clients: int) -> str:
    """Return the figures of a load as a line."""
    p50, p95 = np.quantile(taken, [0.5, 0.95]) * 1e3
    return f"{n_clients} clients: {len(taken) / seconds:.1f} questions/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms"
