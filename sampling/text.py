"""From tokens to text while it is written: whole characters, up to a stop string."""

import codecs
from collections.abc import Sequence

from corpus.tokenizer import Tokenizer
from sampling.config import Sampling
from sampling.engine import Text


class Continuation:
    """A text that continues a prompt, in pieces as the engine writes it."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompt: str,
        sampling: Sampling,
        number: int = 0,
        stop: str | Sequence[str] = (),
        tokens: Sequence[int] | None = None,  # to continue, if it is not just the prompt
        top_logprobs: int | None = None,
    ) -> None:
        self.prompt, self.number = prompt, number
        self.pieces: list[str] = []
        self._stream = TextStream(tokenizer, stop)
        if tokens is None:
            tokens = tokenizer.encode(prompt) or [tokenizer.end_of_text]
        self.text = Text(tokens, sampling, number, is_done=self._take, top_logprobs=top_logprobs)

    def _take(self, tokens: list[int]) -> bool:
        self.pieces.append(self._stream.push(tokens[-1]))
        return self._stream.is_stopped

    def close(self) -> str:
        """Add what was held back until the end was known, and return it."""
        self.pieces.append(self._stream.finish())
        return self.pieces[-1]


class TextStream:
    """Decodes tokens one by one: whole characters only, up to the first stop string.

    A text that may be the beginning of a stop string is held back until it is known not to be. Bytes that are not valid
    UTF-8 become U+FFFD.
    """

    def __init__(self, tokenizer: Tokenizer, stop: str | Sequence[str] = ()) -> None:
        self.is_stopped = False
        self._tokenizer = tokenizer
        self._stop = [stop] if isinstance(stop, str) else list(stop)
        if "" in self._stop:
            raise ValueError("a stop string is empty: leave it out")
        self._characters = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def push(self, token: int) -> str:
        """Return the text that a token adds."""
        return self._add(self._characters.decode(self._tokenizer.decode_bytes([token])))

    def finish(self) -> str:
        """Return what was held back, at the end of the text."""
        rest = self._add(self._characters.decode(b"", final=True)) + self._held
        self._held = ""
        return rest

    def _add(self, text: str) -> str:
        if self.is_stopped:
            return ""
        held = self._held + text
        places = [place for stop in self._stop if (place := held.find(stop)) >= 0]
        if places:
            self.is_stopped, self._held = True, ""
            return held[: min(places)]
        n_held = max((self._overlap(held, stop) for stop in self._stop), default=0)
        self._held = held[len(held) - n_held :]
        return held[: len(held) - n_held]

    @staticmethod
    def _overlap(text: str, stop: str) -> int:
        """Return how many characters at the end of the text may be the beginning of the stop string."""
        longest = min(len(text), len(stop) - 1)
        return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
