"""Text from tokens as they come: whole characters, up to a stop string."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from references import enlarge

from corpus.tokenizer_json import open_tokenizer
from model import GPT, GPTConfig
from sampling.config import Sampling
from sampling.sampler import Sampler
from sampling.text import Continuation, TextStream

BYTES = open_tokenizer("bytes")


def pieces(content: bytes, stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    """Return what the stream gives after each byte and at the end, and whether a stop string came."""
    stream = TextStream(BYTES, stop)
    return [*[stream.push(byte) for byte in content], stream.finish()], stream.is_stopped


def test_characters_are_never_cut() -> None:
    assert pieces("aé数🙂".encode()) == (["a", "", "é", "", "", "数", "", "", "", "🙂", ""], False)
    assert pieces("é".encode()[:1] + b"ab") == (["", "\ufffda", "b", ""], False)
    assert pieces("数".encode()[:2]) == (["", "", "\ufffd"], False)


def test_a_stop_string_ends_the_text_and_is_not_in_it() -> None:
    assert pieces(b"one. two", (". ",)) == (["o", "n", "e", "", "", "", "", "", ""], True)
    assert pieces(b"1.5. ", (". ",)) == (["1", "", ".5", "", "", ""], True)
    assert pieces(b"1.", (". ",)) == (["1", "", "."], False)
    assert pieces(b"aab", ("ab", "b")) == (["", "a", "", ""], True)
    assert pieces(b"xaaab", ("aab",)) == (["x", "", "", "a", "", ""], True)


@given(
    st.text(alphabet="ab.é", max_size=12),
    st.lists(st.text(alphabet="ab.é", min_size=1, max_size=4), max_size=3),
)
def test_pieces_join_to_the_text_before_the_first_stop_string(text: str, stop: list[str]) -> None:
    found, is_stopped = pieces(text.encode(), tuple(stop))
    # The first to be complete counts, and of those that end together the longest.
    ends = [end for end in range(len(text) + 1) if any(text[:end].endswith(string) for string in stop)]
    wanted = text
    if ends:
        wanted = text[: min(ends[0] - len(string) for string in stop if text[: ends[0]].endswith(string))]
    assert "".join(found) == wanted
    assert is_stopped == bool(ends)


def test_samples_are_shown_in_order_and_as_they_are_written() -> None:
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=257, block_size=16, n_layer=1, n_head=2, n_embd=32)).eval()
    enlarge(model)
    prompts, sampling = ["the", "a", ""], Sampling(max_new_tokens=30, temperature=2, top_k=0)
    samples = [Continuation(BYTES, prompt, sampling) for prompt in prompts]
    n_written, found = [], ["", "", ""]
    for sample, piece in Sampler(model, BYTES).in_order(samples):
        index = samples.index(sample)
        assert not any(found[index + 1 :])
        found[index] += piece
        n_written.append(len(samples[0].text.tokens))
    assert n_written[:4] == [0, 1, 2, 3]
    assert found == [Sampler(model, BYTES).continuations(prompt, sampling)[0] for prompt in prompts]
    assert min(map(len, found)) > 3
