"""A model with all that it takes to write texts: `Sampler.load("out/demo").continuations("The history of")`."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from checkpointing import pretrained
from corpus.tokenizer import Tokenizer
from model import GPT
from sampling.chat import ChatTemplate, Message, read_template
from sampling.config import Kernel, Quantize, Sampling
from sampling.engine import Engine, needed
from sampling.kernels import for_sampling
from sampling.text import Continuation
from system.errors import UserError, say
from system.precision import Precision


@dataclass(frozen=True)
class Sampler:
    """A model in evaluation mode, its tokenizer, and the tokens that end a text."""

    model: GPT
    tokenizer: Tokenizer
    end_tokens: Sequence[int] = ()  # besides the tokenizer's end of text
    template: ChatTemplate | None = None  # of a chat model
    about: str = ""  # how it computes, for the log
    compile: bool = False  # its decoding steps: see Engine

    @staticmethod
    def load(
        spec: str | Path,
        device: str = "auto",
        precision: Precision = "auto",
        quantize: Quantize = "none",
        kernel: Kernel = "auto",
        rows: int = 8,
        compile: bool = False,
    ) -> "Sampler":
        """Return the sampler of a run, a checkpoint, a Hugging Face folder or a hub name.

        `rows` is how many texts will be written at a time, which decides the fastest kernel. Raises UserError if the
        model, the device, the precision or the kernel is not available, or for `compile` without CUDA.
        """
        found = pretrained.find(spec)
        model, tokenizer, dtype = found.load(device, precision)
        used = model.transformer.wte.weight.device.type
        if compile and used != "cuda":  # where compiled steps took up to twice as long
            raise UserError(f"compile=True: for sampling it needs a CUDA device, not {used}", "leave it out")
        template = None if found.is_ours else read_template(found.folder, tokenizer, found.name)
        model, kernel = for_sampling(model, dtype, quantize, kernel, rows)
        kind = "int8" if quantize == "int8" else str(dtype).removeprefix("torch.")
        about = f"{kind}, kernel {kernel}{', compiled' if compile else ''}"
        return Sampler(model, tokenizer, found.end_tokens(), template, about, compile)

    def begin(
        self,
        prompt: str | Sequence[Message],
        sampling: Sampling,
        number: int = 0,
        stop: str | Sequence[str] = (),
        *,
        thinking: bool = True,
        top_logprobs: int | None = None,
    ) -> Continuation:
        """Return a continuation of a text, or the answer to messages, that an engine can write.

        `thinking` is for chat models that can think before they answer. Raises UserError for messages that the model's
        template does not take, or if it has none.
        """
        if isinstance(prompt, str):
            return Continuation(self.tokenizer, prompt, sampling, number, stop, top_logprobs=top_logprobs)
        if self.template is None:
            raise UserError("the model has no chat template", "give it a text to continue")
        tokens = self.template.tokens(prompt, enable_thinking=thinking)
        last = prompt[-1]["content"]
        return Continuation(self.tokenizer, last, sampling, number, stop, tokens, top_logprobs)

    def continuations(
        self,
        prompt: str | Sequence[Message],
        sampling: Sampling | None = None,
        stop: str | Sequence[str] = (),
    ) -> list[str]:
        """Return `n_samples` texts that the model writes after `prompt`; an empty prompt starts a new article.

        Messages, such as [{"role": "user", "content": "Hello"}], are for models with a chat template.

        A text ends before the first of the `stop` strings, if the model does not end it earlier.
        """
        sampling = sampling or Sampling()
        samples = [self.begin(prompt, sampling, n, stop) for n in range(sampling.n_samples)]
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

    def check_context(self, context: int) -> None:
        """Raise UserError if the model has fewer positions; say so if it was trained with fewer."""
        shape = self.model.config
        if context > shape.block_size:
            if shape.position == "learned":
                raise UserError(f"context={context}: the model has {shape.block_size} positions: use no more")
            trained = f"the {shape.block_size} tokens the model was trained with"
            say(f"note: context={context} is more than {trained}", sys.stderr)

    def engine(self, slots: int, context: int = 0) -> Engine:
        """Return an engine for texts of this model."""
        ends = {self.tokenizer.end_of_text, *self.end_tokens}
        allowed = self.tokenizer.ids
        return Engine(self.model, slots, context, end_tokens=ends, allowed=allowed, compile=self.compile)
