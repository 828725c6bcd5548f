"""A model with all that it takes to write texts: `Sampler.load("out/demo").continuations("The history of")`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkpointing import pretrained
from corpus.tokenizer import Tokenizer
from model import GPT
from sampling.config import Kernel, Quantize, Sampling
from sampling.engine import Engine, needed
from sampling.kernels import for_sampling
from sampling.text import Continuation
from system.precision import Precision


@dataclass(frozen=True)
class Sampler:
    """A model in evaluation mode, its tokenizer, and the tokens that end a text."""

    model: GPT
    tokenizer: Tokenizer
    end_tokens: Sequence[int] = ()  # besides the tokenizer's end of text
    about: str = ""  # how it computes, for the log

    @staticmethod
    def load(
        spec: str | Path,
        device: str = "auto",
        precision: Precision = "auto",
        quantize: Quantize = "none",
        kernel: Kernel = "auto",
    ) -> "Sampler":
        """Return the sampler of a run, a checkpoint, a Hugging Face folder or a hub name.

        Raises UserError if the model, the device, the precision or the kernel is not available.
        """
        model, tokenizer, dtype = pretrained.load(spec, device, precision)
        model, kernel = for_sampling(model, dtype, quantize, kernel)
        kind = "int8" if quantize == "int8" else str(dtype).removeprefix("torch.")
        return Sampler(model, tokenizer, about=f"{kind}, kernel {kernel}")

    def continuations(
        self, prompt: str, sampling: Sampling | None = None, stop: Sequence[str] = ()
    ) -> list[str]:
        """Return `n_samples` texts that the model writes after `prompt`; an empty prompt starts a new article.

        A text ends before the first of the `stop` strings, if the model does not end it earlier.
        """
        sampling = sampling or Sampling()
        samples = [Continuation(self.tokenizer, prompt, sampling, n, stop) for n in range(sampling.n_samples)]
        for _ in self.in_order(samples):
            pass
        return ["".join(sample.pieces) for sample in samples]

    def in_order(
        self, samples: Sequence[Continuation], context: int = 0
    ) -> Iterator[tuple[Continuation, str]]:
        """Write all samples together; yield the first one with each piece as it comes, then the second, and so on.

        The model sees the last `context` tokens (0: block_size): see Engine.
        """
        texts = [sample.text for sample in samples]
        engine = self.engine(*needed(texts, context or self.model.config.block_size))
        for text in texts:
            engine.add(text)
        for sample in samples:
            yield sample, "".join(sample.pieces)
            while not sample.text.finish_reason:
                n_read = len(sample.pieces)
                engine.step()
                yield sample, "".join(sample.pieces[n_read:])
            yield sample, sample.close()

    def engine(self, slots: int, context: int = 0) -> Engine:
        """Return an engine for texts of this model."""
        ends = {self.tokenizer.end_of_text, *self.end_tokens}
        return Engine(self.model, slots, context, end_tokens=ends, allowed=self.tokenizer.ids)
