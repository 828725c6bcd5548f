"""From a hub name to a folder: the cache, no network, and names that mean a folder here."""

import os
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from system import hub
from system.errors import UserError


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub, and no variables of the environment that matter to it."""
    for module in ("huggingface_hub.constants", "huggingface_hub._snapshot_download.constants"):
        monkeypatch.setattr(f"{module}.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # a port without a server
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def test_without_a_network_the_error_says_what_to_run(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError) as error:
        hub.find_folder("openai-community/gpt2")
    for words in (
        "no folder openai-community/gpt2",
        "http://127.0.0.1:9 does not answer",
        "`hf download openai-community/gpt2`",
    ):
        assert words in str(error.value)
    assert "train.py" not in str(error.value)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        hub.find_folder("openai-community/gpt2")


def test_a_cached_model_is_found_offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = cache / "models--some--gpt2" / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text('{"model_type": "gpt2"}')
    (cache / "models--some--gpt2" / "refs").mkdir()
    (cache / "models--some--gpt2" / "refs" / "main").write_text("0123abcd")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.find_folder("some/gpt2") == snapshot
    assert hub.is_model_folder(snapshot)


def test_a_folder_here_is_not_looked_up(cache: Path) -> None:
    Path("mine").mkdir()
    for spec in ("mine/demo", "out/demo", "out", "gpt2", "a/b/c", os.path.abspath("x/y")):
        assert hub.find_folder(spec) == Path(spec)


def test_a_name_is_a_path_or_a_hub_name(cache: Path) -> None:
    Path("mine").mkdir()
    for spec in ("openai-community/gpt2", "Qwen/Qwen3-0.6B", "a_b/c.d", "out2/demo"):
        assert hub.is_hub_name(spec)
    for spec in (
        "out/demo",
        "data/demo",
        "hf/demo",
        "mine/x",
        "./x",
        "../x",
        "/x/y",
        "x/",
        "x",
        "a/b/c",
        "a/tokenizer.json",
        "a/ckpt.pt",
        "a/model.safetensors",
        "a b/c",
        "",
    ):
        assert not hub.is_hub_name(spec)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RepositoryNotFoundError, r"no folder some/model, and no such model on the hub: .*`hf auth login`"),
        (GatedRepoError, "some/model is gated: accept its terms at .*/some/model, then run `hf auth login`"),
        (OSError, r"cannot download some/model \(OSError: No space left\): try again, or free disk space"),
    ],
)
def test_errors_of_the_hub_say_what_to_do(
    error: type[Exception], words: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_names: str, allow_patterns: list[str], local_files_only: bool) -> None:
        assert not local_files_only
        assert not any(file.endswith((".bin", ".safetensors")) for file in allow_patterns)
        assert {"added_tokens.json", "special_tokens_map.json"} <= set(allow_patterns)
        if error is OSError:
            raise OSError("No space left\nand more")
        raise error("not for you", response=SimpleNamespace(headers={}, request=None))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing)
    monkeypatch.setattr(hub, "reachable", lambda url: True)
    with pytest.raises(UserError, match=words) as found:
        hub.find_folder("some/model", weights=False)
    assert "\n" not in str(found.value)
