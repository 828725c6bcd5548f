"""A trained model to start from, wherever it is: a checkpoint of ours, a folder in Hugging Face's layout, a hub name.

Owns telling them apart. Reading each kind is checkpoint.py's, huggingface.py's and hub.py's.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from checkpointing import checkpoint, huggingface
from corpus import tokenizer_json
from corpus.tokenizer import TOKENIZER_FILE, Tokenizer
from model import GPT, GPTConfig, choose_attention
from system import hub
from system.errors import UserError


@dataclass(frozen=True)
class Pretrained:
    """A model on disk, found to be one that our network can be; its weights are not read yet."""

    name: str  # as the user gave it
    folder: Path
    config: GPTConfig
    is_ours: bool

    def load_weights(self, model: GPT) -> None:
        """Copy the weights into a model; raise UserError where names or shapes differ.

        The model's learned positions may be fewer than there: the first ones are taken.
        """
        read = checkpoint.read_weights if self.is_ours else huggingface.read_tensors
        weights = read(self.folder)
        try:
            weights = weights if self.is_ours else huggingface.our_weights(self.config, weights)
            positions = weights.get("transformer.wpe.weight")
            if positions is not None:
                weights["transformer.wpe.weight"] = positions[: model.config.block_size]
            model.load_weights(weights)
        except ValueError as error:
            where = self.folder / checkpoint.WEIGHTS if self.is_ours else self.folder
            raise UserError(f"{where}: {error}") from None

    def tokenizer(self) -> Tokenizer:
        """Return the model's tokenizer; raise UserError for one with more tokens than the model knows."""
        if self.is_ours:
            return Tokenizer.load(self.folder / TOKENIZER_FILE)
        tokenizer = tokenizer_json.read_tokenizer(self.folder, self.name)
        if tokenizer.vocab_size > self.config.vocab_size:
            raise UserError(
                f"{self.folder}: its tokenizer has {tokenizer.vocab_size} tokens, its model knows"
                f" {self.config.vocab_size}: they do not belong together"
            )
        return tokenizer


def find(spec: str) -> Pretrained:
    """Return the model that `spec` names; raise UserError where there is none, or none that our network can be.

    A run's folder means its best checkpoint, else the last; a name that is no folder here, owner/name, is the hub's.
    """
    folder = hub.find_folder(spec)
    if not folder.exists() and folder.name == spec:
        raise UserError(
            f"no folder {spec} here; the name of a model on the hub has its owner in it, as openai-community/gpt2"
        )
    if hub.is_model_folder(folder):
        return Pretrained(spec, folder, huggingface.read_config(folder), is_ours=False)
    folder = checkpoint.find(folder)
    config = checkpoint.network_of(checkpoint.read_checked(folder), folder)
    return Pretrained(spec, folder, config, is_ours=True)


def load_model(pretrained: Pretrained, device: torch.device, dtype: torch.dtype) -> GPT:
    """Build the network with its weights, on the device and for computing in dtype."""
    model = GPT(pretrained.config, choose_attention("auto", pretrained.config, device, dtype))
    pretrained.load_weights(model)
    return model.to(device)
