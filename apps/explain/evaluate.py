"""Do the methods find what an answer was copied from? `python -m apps.explain.evaluate --checkpoint=out/stated_facts`

The pairs are those of tools.stated_facts: each text states a word that its question asks for. Prints how often that
word is among the three tokens that influenced the answer most, and how well each method agrees with leave-one-out.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from apps.explain.config import LEAVE_ONE_OUT
from corpus.articles import Pair, read_pairs
from system.command_line import parse_config
from system.errors import UserError, run_command
from system.progress import announced_on_stderr, tracked
from system.settings import PathText, checked

if TYPE_CHECKING:
    from apps.explain.explainer import Explainer, Explanation

TOP = 3  # tokens among which the word must be


@checked
@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate. Raises ValueError on invalid values."""

    checkpoint: PathText = "out/stated_facts"  # trained by configs/stated_facts.py
    pairs: PathText = "data/stated_facts/held_out.jsonl"  # by tools.stated_facts
    n_pairs: int = 50  # the first of them
    device: str = "auto"  # auto, cpu, cuda, cuda:N, mps

    def __post_init__(self) -> None:
        if self.n_pairs < 1:
            raise ValueError(f"n_pairs={self.n_pairs}: must be at least 1")


@dataclass(frozen=True)
class Case:
    """What one pair shows."""

    is_right: bool  # the model expects the word most
    found: dict[str, bool]  # by method: the word is among the TOP influences
    agreements: dict[str, np.ndarray]  # by method, (T,)


def evaluated(explainer: "Explainer", pair: Pair) -> Case:
    """Explain the first token of a pair's completion; raise UserError unless the prompt states it exactly once."""
    prompt, completion = (explainer.tokenizer.encode(part) for part in (pair.prompt, pair.completion))
    answer = len(prompt)
    explanation = explainer.explain_tokens([*prompt, completion[0]])
    stated = [place for place, token in enumerate(prompt) if token == completion[0]]
    if len(stated) != 1:
        problem = f"{pair.prompt!r} has the answer's first token {len(stated)} times"
        raise UserError(problem, "use pairs of `python -m tools.stated_facts`")
    strongest = {name: top(rows[answer, :answer]) for name, rows in explanation.influences.items()}
    found = {name: stated[0] in places for name, places in strongest.items()}
    return Case(is_right(explanation, completion[0]), found, explanation.agreements())


def top(influences: np.ndarray) -> list[int]:
    """Return the places of the TOP largest influences, by size without sign: (t,)."""
    return np.argsort(-np.abs(influences), kind="stable")[:TOP].tolist()


def is_right(explanation: "Explanation", answer: int) -> bool:
    """Return whether the model expects the last token most."""
    return bool(explanation.predictions.top[-1, 0] == answer)


def report(config: EvaluateConfig, cases: Sequence[Case]) -> None:
    """Print a table with a line for each method."""
    right = sum(case.is_right for case in cases)
    print(f"{config.checkpoint} answers {right} of {len(cases)} questions of {config.pairs}")
    print(f"\n{'method':18} {f'word in top {TOP}':>14} {'rho, answer':>12} {'rho, text':>10}")
    for name in cases[0].found:
        n_found = f"{sum(case.found[name] for case in cases)} of {len(cases)}"
        rho = ["reference", ""]
        if name != LEAVE_ONE_OUT:
            rows = [case.agreements[name] for case in cases]
            rho = [f"{np.mean([row[-1] for row in rows]):.2f}", f"{np.nanmean(np.concatenate(rows)):.2f}"]
        print(f"{name:18} {n_found:>14} {rho[0]:>12} {rho[1]:>10}")


def main() -> None:
    config = parse_config(EvaluateConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    pairs = read_pairs(config.pairs)[: config.n_pairs]
    with announced_on_stderr(f"loading {config.checkpoint}"):
        from apps.explain.explainer import Explainer

        explainer = Explainer.load(config.checkpoint, config.device)
    steps = tracked(pairs, f"explaining {len(pairs)} answers", file=sys.stderr)
    report(config, [evaluated(explainer, pair) for pair in steps])


if __name__ == "__main__":
    run_command(main, resumes=False)
