"""Read a safetensors file, whatever the name of its folder."""

import os
from pathlib import Path

import torch
from safetensors.torch import load, load_file


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return a file's tensors, mapped from the file: their bytes are read when first used.

    Raises OSError or SafetensorError. safetensors opens UTF-8 paths only, so a file at any other is read into memory.
    """
    try:
        os.fsencode(path).decode()
    except UnicodeDecodeError:
        return load(path.read_bytes())
    return load_file(path)
