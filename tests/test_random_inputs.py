"""Random inputs: whatever a user types or feeds in is taken as it is, or is one line that says why not.

`pytest tests/test_random_inputs.py --hypothesis-profile=many` tries 100,000 of each, others than before.
"""

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from corpus import articles
from corpus.encodings import decoded
from corpus.sources import Source, SourceFile
from prepare_data import PrepareConfig
from sampling.config import SampleConfig
from sampling.prompts import read_prompts
from system.command_line import parse_config
from system.errors import UserError
from system.settings import flat_fields
from training.config import parse_train_config

NAMES = [key for config in (PrepareConfig(), SampleConfig()) for key, _, _ in flat_fields(config)]
NAMES += [
    "learning_rate",
    "betas",
    "n_head",
    "batch_size",
    "micro_batch_size",
    "min_lr",
    "help_",
    "model.n_layer",
]
VALUES = st.one_of(
    st.text(),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", "True", "auto", "~", "~nobody/x", "out/demo", "0.9,0.95", "(1,2,3)", "None", "\0", "\udcff"]
    ),
)
WORDS = st.one_of(
    st.builds("--{}={}".format, st.sampled_from(NAMES), VALUES), st.text(), VALUES.map("--".__add__)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ROWS = JSON | st.fixed_dictionaries({"text": JSON}, optional={"id": JSON, "title": JSON})
CONTENT = st.one_of(
    st.binary(),
    st.text().map(lambda text: text.encode(errors="surrogatepass")),
    st.lists(ROWS, max_size=4).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()),
)


@given(words=st.lists(WORDS, max_size=4))
def test_any_command_line_is_read_or_rejected(words: list[str]) -> None:
    for parse in (
        lambda: parse_train_config(words, ""),
        lambda: parse_config(PrepareConfig(), words, ""),
        lambda: parse_config(SampleConfig(), words, "", main_setting="checkpoint"),
    ):
        with contextlib.suppress(UserError):
            try:
                parse()
            except SystemExit:
                assert {"-h", "--help"} & set(words)


@given(
    rate=st.floats(1e-9, 1e3),
    seed=st.integers(0, 2**64 - 1),
    text=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_valid_settings_are_taken_as_typed(rate: float, seed: int, text: str) -> None:
    train = parse_train_config([f"--learning_rate={rate}", f"--seed={seed}"], "")
    assert (train.optimizer.learning_rate, train.seed) == (rate, seed)
    assert parse_config(SampleConfig(), [f"--prompt={text}"], "").prompt == text


def rows_of(content: bytes, ending: str) -> list[articles.Article]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"articles{ending}"
        path.write_bytes(content)
        kind = "pairs" if ending == ".pairs.jsonl" else "files"
        source = Source(kind, (SourceFile(str(path), len(content)),), {})
        return [article for batch in articles.read_batches(source) for article in batch.articles]


@given(
    content=CONTENT,
    ending=st.sampled_from([".jsonl", ".pairs.jsonl", ".json", ".txt", ".parquet", ".jsonl.gz"]),
)
def test_any_file_is_read_or_rejected(content: bytes, ending: str) -> None:
    with contextlib.suppress(UserError):
        rows_of(content, ending)


@given(rows=st.lists(st.fixed_dictionaries({"text": st.text()}, optional={"title": st.text()}), max_size=4))
def test_articles_are_read_as_they_are(rows: list[dict[str, Any]]) -> None:
    content = "\n".join(json.dumps(row) for row in rows).encode()
    has_surrogates = any(
        "\ud800" <= letter <= "\udfff" for row in rows for part in row.values() for letter in part
    )
    try:
        found = [(article.title, article.text) for article in rows_of(content, ".jsonl")]
    except UserError:
        assert has_surrogates
    else:
        assert found == [(row.get("title"), row["text"]) for row in rows]


@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    encoding=st.sampled_from(["utf-8-sig", "utf-16", "utf-32"]),
)
@example(text="0\b\b", encoding="utf-8-sig")  # without its mark it would be taken for UTF-16
def test_text_with_a_byte_order_mark_is_read_as_it_is(text: str, encoding: str) -> None:
    # UTF-16's mark and a null character are the mark of UTF-32.
    assert decoded(text.lstrip("\0").encode(encoding), "a.txt") == text.lstrip("\0")


@given(content=CONTENT)
def test_any_prompt_file_is_read_or_rejected(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(content)
        with contextlib.suppress(UserError):
            prompts = read_prompts(SampleConfig(prompt_file=file.name))
            assert all(prompt.strip() and "\n" not in prompt for prompt in prompts)
