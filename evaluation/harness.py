"""The model "wikigpt" of EleutherAI's lm-evaluation-harness: any model that this project loads, computed by its own network.

It needs the package lm_eval; importing this module registers the model there.
"""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model

from checkpointing import pretrained
from evaluation.likelihood import Request, score
from evaluation.tasks import request
from evaluation.windows import rolling
from sampling.config import Sampling
from sampling.engine import generate
from system.errors import UserError
from system.precision import Precision
from system.progress import tracked

AT_ONCE = 256  # requests between two steps of the progress bar
MAX_GEN_TOKS = 256  # tokens to write, if a task does not say


@register_model("wikigpt")
class WikiGPT(TemplateLM):
    """A model under test: `checkpoint` is a run, a checkpoint, a Hugging Face folder or a hub name.

    The harness also passes its `batch_size`, which is not used: a batch has as many tokens as TOKENS_AT_ONCE says.
    """

    def __init__(
        self,
        checkpoint: str = "",
        precision: Precision = "auto",
        device: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
        **others: Any,
    ) -> None:
        super().__init__()
        if others:
            problem = f"model_args: {', '.join(others)} is unknown"
            raise UserError(problem, "it may have checkpoint=... and precision=...")
        if not checkpoint:
            raise UserError("model_args: no checkpoint", "set --model_args=checkpoint=out/demo")
        if precision not in get_args(Precision):
            problem = f"model_args: precision={precision}"
            raise UserError(problem, f"it must be one of {', '.join(get_args(Precision))}")
        self.model, self.tokens, self.dtype = pretrained.load(checkpoint, device or "auto", precision)
        self.block_size = self.model.config.block_size

    @property
    def eot_token_id(self) -> int:
        """The end-of-text token, which stands before a text that has no context."""
        return self.tokens.end_of_text

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Return a text's tokens, without any at its beginning."""
        return self.tokens.encode(string)

    def _scores(self, requests: Sequence[Request], doing: str, quiet: bool) -> list[np.ndarray]:
        parts = [requests[first : first + AT_ONCE] for first in range(0, len(requests), AT_ONCE)]
        shown = tracked(parts, doing, not quiet)
        return [result for part in shown for result in score(self.model, part, self.dtype)]

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[tuple[str, str], list[int], list[int]]],
        disable_tqdm: bool = False,
        **_: Any,
    ) -> list[tuple[float, bool]]:
        asked = [
            request(before, after, self.block_size, f"{text!r:.40}") for (_, text), before, after in requests
        ]
        found = self._scores(asked, f"scoring {len(asked)} continuations", disable_tqdm)
        answers = [(float(likelihood), bool(greedy)) for [[likelihood, greedy]] in found]
        for asked_for, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial("loglikelihood", asked_for[0], answer)
        return answers

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return the log-likelihood of each text, after an end-of-text token."""
        asked, counts = list[Request](), []
        for (text,) in (instance.args for instance in requests):
            tokens = np.array(self.tokens.encode(text))
            windows = list(rolling(tokens, self.eot_token_id, self.block_size, self.block_size))
            asked += windows
            counts.append(len(windows))
        found = self._scores(asked, f"scoring {len(requests)} texts", disable_tqdm)
        sums = np.split(np.array([result[0, 0] for result in found]), np.cumsum(counts)[:-1])
        return [float(each.sum()) for each in sums]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return what the model writes after each context, up to the first of the task's stop strings."""
        return [
            self._written(*instance.args)
            for instance in tracked(requests, f"writing {len(requests)} texts", not disable_tqdm)
        ]

    def _written(self, context: str, settings: dict[str, Any]) -> str:
        until = settings.get("until") or []
        stops = [until] if isinstance(until, str) else list(until)
        most = int(settings.get("max_gen_toks", MAX_GEN_TOKS))
        if most >= self.block_size:
            problem = f"max_gen_toks={most}: leaves no place for a prompt in block_size={self.block_size}"
            raise UserError(
                problem, f"set it lower, such as --gen_kwargs=max_gen_toks={self.block_size // 2}"
            )
        prompt = self.tokens.encode(context)[most - self.block_size :] or [self.eot_token_id]

        def is_done(_: int, tokens: list[int]) -> bool:
            return any(stop in self.tokens.decode(tokens) for stop in stops)

        [[tokens]] = generate(
            self.model,
            [prompt],
            sampling_of(settings, most),
            end_tokens=[self.eot_token_id],
            allowed=self.tokens.ids,
            is_done=is_done,
        )
        text = self.tokens.decode(tokens)
        return text[: min([text.find(stop) for stop in stops if stop in text], default=len(text))]


def sampling_of(settings: dict[str, Any], n_tokens: int) -> Sampling:
    """Return a task's generation settings as ours; without a temperature, the likeliest token each time."""
    samples = settings.get("do_sample")
    usual = {"temperature": float(samples or 0), "top_k": 0, "top_p": 1.0, "min_p": 0.0}
    found = {name: type(default)(settings.get(name, default)) for name, default in usual.items()}
    if samples is False:
        found["temperature"] = 0.0
    try:
        return Sampling(max_new_tokens=n_tokens, **found)  # type: ignore[arg-type]  # each as its default
    except ValueError as error:
        raise UserError(f"generation settings: {error}") from None
