"""Any model that our network can load: a run's checkpoint, a folder in Hugging Face's layout, or a hub name.

model, tokenizer, dtype = pretrained.load("out/demo")
"""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from checkpointing import checkpoint, foreign, huggingface_config, huggingface_weights
from checkpointing.sharded import own_weights
from corpus import tokenizer_json
from corpus.tokenizer import TOKENIZER_FILE, Tokenizer
from corpus.tokenizer_json import GENERATION_CONFIG
from model import GPT, GPTConfig, choose_attention
from system import hardware, hub
from system.errors import UserError
from system.files import read_json
from system.hub import CONFIG
from system.precision import Precision


def load(
    spec: str | Path, device: str = "auto", precision: Precision = "auto"
) -> tuple[GPT, Tokenizer, torch.dtype]:
    """Return the model that `spec` names, ready to sample, its tokenizer, and the dtype of matrix multiplications.

    The weights are float32 whatever the precision. Raises UserError if the model, the device or the precision is
    not available.
    """
    return find(spec).load(device, precision)


@dataclass(frozen=True)
class Pretrained:
    """A supported model on disk, whose weights are not read yet."""

    name: str  # as the user wrote it
    folder: Path
    config: GPTConfig
    is_ours: bool  # a checkpoint of this project, not a folder in Hugging Face's layout

    def load(self, device: str = "auto", precision: Precision = "auto") -> tuple[GPT, Tokenizer, torch.dtype]:
        """Return the model, its tokenizer and the dtype of matrix multiplications, as the function `load` does."""
        torch_device = hardware.choose_device(device)
        dtype, _ = hardware.set_precision(precision, torch_device)
        tokenizer = self.tokenizer()
        return load_model(self, torch_device, dtype).eval(), tokenizer, dtype

    def load_weights(self, model: GPT) -> None:
        """Copy the weights into a model, or into this process's shard of it; raise UserError if names or shapes differ.

        If the model has fewer learned positions than the weights, it gets the first ones.
        """
        if self.is_ours:
            checkpoint.load_weights(self.folder, model)
            return
        own, tensors = own_weights(model), huggingface_weights.read_tensors(self.folder)
        try:
            for name, weight in huggingface_weights.from_huggingface(self.config, tensors):
                rows = own[name]
                rows.values.copy_(weight[rows.first : rows.first + len(rows.values)])
        except ValueError as error:
            raise UserError(f"{self.folder}: {error}") from None

    def tokenizer(self) -> Tokenizer:
        """Return the model's tokenizer; raise UserError if it has more tokens than the model."""
        if self.is_ours:
            return Tokenizer.load(self.folder / TOKENIZER_FILE)
        tokenizer = tokenizer_json.read_tokenizer(self.folder, self.name)
        if tokenizer.vocab_size > self.config.vocab_size:
            raise UserError(
                f"{self.folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model only"
                f" {self.config.vocab_size}: use the tokenizer files that came with the model"
            )
        return tokenizer

    def end_tokens(self) -> list[int]:
        """Return the tokens that end a text, besides the tokenizer's: a chat model lists that of an answer."""
        ends: set[int] = set()
        for file in () if self.is_ours else (GENERATION_CONFIG, CONFIG):
            listed = read_json(self.folder / file, missing={}).get("eos_token_id")
            ends |= {
                end for end in (listed if isinstance(listed, list) else [listed]) if isinstance(end, int)
            }
        return sorted(end for end in ends if 0 <= end < self.config.vocab_size)


def find(spec: str | Path, check: bool = True) -> Pretrained:
    """Return the model that `spec` names; raise UserError if there is none, or our network cannot load it.

    `check` compares a checkpoint's files, except the optimizer's state, with their hashes.

    A run's folder means its best checkpoint, or its last if none is best. owner/name means a model on the hub, unless
    there is a folder `owner`.
    """
    spec = os.path.expanduser(spec)
    folder = hub.find_folder(spec)
    if not folder.exists() and folder.name == spec:
        name = spec if spec.startswith("gpt2") else "gpt2"
        raise UserError(
            f"no folder {spec}: use a run's folder, or a hub name with its owner, such as openai-community/{name}"
        )
    if hub.is_model_folder(folder):
        config = huggingface_config.read_config(folder)
        foreign.reject_pickled(spec, folder)
        return Pretrained(spec, folder, config, is_ours=False)
    try:
        folder = checkpoint.find(folder)
    except UserError:
        foreign.reject_foreign(folder)
        raise
    info = checkpoint.read_checked(folder, optimizer=False) if check else checkpoint.read_info(folder)
    config = checkpoint.network_of(info, folder)
    return Pretrained(spec, folder, config, is_ours=True)


def load_model(pretrained: Pretrained, device: torch.device, dtype: torch.dtype) -> GPT:
    """Build the network with its weights on `device`, for matrix multiplications in `dtype`."""
    model = GPT(pretrained.config, choose_attention("auto", pretrained.config, device, dtype))
    pretrained.load_weights(model)
    return model.to(device)
