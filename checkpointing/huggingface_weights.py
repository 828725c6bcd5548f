"""Read weights in Hugging Face's layout, and translate between its tensors and our network's."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from checkpointing.foreign import reject_foreign
from checkpointing.huggingface_config import family
from checkpointing.tensors import load_tensors
from model import GPT, GPTConfig
from system.errors import UserError
from system.files import cannot_read

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
Shapes = dict[str, tuple[int, ...]]

# transformers keeps these of GPT-2 as (in, out), for its Conv1D; our Linear keeps (out, in).
TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
LLAMA_NAMES = {  # and Qwen3's, which alone has q_norm and k_norm
    "transformer.wte.weight": ["model.embed_tokens.weight"],
    "transformer.ln_f.weight": ["model.norm.weight"],
    "lm_head.weight": ["lm_head.weight"],
    "ln_1.weight": ["input_layernorm.weight"],
    "attn.c_attn.weight": [f"self_attn.{part}_proj.weight" for part in "qkv"],
    "attn.q_norm.weight": ["self_attn.q_norm.weight"],
    "attn.k_norm.weight": ["self_attn.k_norm.weight"],
    "attn.c_proj.weight": ["self_attn.o_proj.weight"],
    "ln_2.weight": ["post_attention_layernorm.weight"],
    "mlp.c_fc.weight": ["mlp.gate_proj.weight", "mlp.up_proj.weight"],
    "mlp.c_proj.weight": ["mlp.down_proj.weight"],
}
# Constants that old files hold beside the weights.
CONSTANTS = re.compile(r".*\.attn\.(bias|masked_bias)|.*\.rotary_emb\.inv_freq")

# What torch.compile, DDP, DeepSpeed, FSDP and activation checkpointing add to the names of what they wrap.
WRAPPERS = re.compile(
    r"\b(_orig_mod|module|_forward_module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
SHARDS = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")


def layout(config: GPTConfig) -> dict[str, Shapes]:
    """Return, for each of our weights, the Hugging Face tensors it joins along its rows, with their shapes."""
    with torch.device("meta"):
        ours = {name: tuple(weight.shape) for name, weight in GPT(config).weights().items()}
    if family(config) == "gpt2":
        return {
            name: {name: shape[::-1] if name.endswith(TRANSPOSED) else shape} for name, shape in ours.items()
        }
    pieces: dict[str, Shapes] = {}
    for name, shape in ours.items():
        layer = re.fullmatch(r"transformer\.h\.(\d+)\.(.*)", name)
        theirs = LLAMA_NAMES[layer[2] if layer else name]
        theirs = [f"model.layers.{layer[1]}.{part}" for part in theirs] if layer else theirs
        rows = [shape[0] // len(theirs)] * len(theirs)
        if len(theirs) == 3:  # queries, keys, values
            rows = [heads * config.head_size for heads in (config.n_head, config.kv_heads, config.kv_heads)]
        pieces[name] = {part: (n, *shape[1:]) for part, n in zip(theirs, rows, strict=True)}
    return pieces


def from_huggingface(config: GPTConfig, tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield our network's weights from a Hugging Face model's tensors; only one at a time is a copy in memory.

    Raises ValueError if a name is missing or unexpected, or a shape is wrong.
    """
    gpt2 = family(config) == "gpt2"
    pieces = layout(config)
    expected = {part: shape for shapes in pieces.values() for part, shape in shapes.items()}
    tensors = _renamed(tensors, set(expected), gpt2)
    unexpected = {name for name in tensors.keys() - expected.keys() if not CONSTANTS.fullmatch(name)}
    if config.tie_embeddings and "lm_head.weight" in unexpected:
        [embedding] = pieces["transformer.wte.weight"]
        # A second copy of the tied matrix, or the only one.
        if torch.equal(tensors["lm_head.weight"], tensors.setdefault(embedding, tensors["lm_head.weight"])):
            unexpected.remove("lm_head.weight")
    missing = expected.keys() - tensors.keys()
    if missing or unexpected:
        differences = f"missing {_few(missing)}, unexpected {_few(unexpected)}"
        raise ValueError(f"the weights do not match config.json: {differences}")
    for name, shape in expected.items():
        if tuple(tensors[name].shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}: config.json needs {shape}")
    for name, shapes in pieces.items():
        weight = _joined([tensors[part] for part in shapes])
        yield name, _transposed(name, weight) if gpt2 else weight


def _renamed(tensors: dict[str, Tensor], expected: set[str], gpt2: bool) -> dict[str, Tensor]:
    """Return the tensors by their usual names, without what wrappers and other trainers put before them."""
    names = {name: WRAPPERS.sub("", name) for name in tensors}
    # Lightning's `model.`, for example; Llama's own names may all begin with it too.
    while expected.isdisjoint(names.values()) and (prefix := _common_prefix(names.values())):
        names = {name: new.removeprefix(prefix) for name, new in names.items()}
    if gpt2:  # some files, the hub's GPT-2 among them, leave out the prefix
        names = {
            name: new if new.startswith(("transformer.", "lm_head.")) else f"transformer.{new}"
            for name, new in names.items()
        }
    if len(set(names.values())) < len(names):
        raise ValueError(
            "some weights are there twice, with and without a wrapper's prefix: leave one of them"
        )
    return {names[name]: tensor for name, tensor in tensors.items()}


def _common_prefix(names: Iterable[str]) -> str:
    """Return the names' first part with its dot, "" if they begin with different ones."""
    prefixes = {"".join(name.partition(".")[:2]) for name in names}
    return prefixes.pop() if len(prefixes) == 1 and all("." in prefix for prefix in prefixes) else ""


def to_huggingface(config: GPTConfig, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return our network's weights under Hugging Face's names and in its shapes."""
    gpt2 = family(config) == "gpt2"
    tensors: dict[str, Tensor] = {}
    for name, shapes in layout(config).items():
        weight = _transposed(name, weights[name]) if gpt2 else weights[name]
        pieces = weight.split([shape[0] for shape in shapes.values()])
        tensors |= {part: piece.contiguous() for part, piece in zip(shapes, pieces, strict=True)}
    return tensors


def _transposed(name: str, weight: Tensor) -> Tensor:
    return weight.T if name.endswith(TRANSPOSED) else weight


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat(tensors) if len(tensors) > 1 else tensors[0]


def _few(names: set[str]) -> str:
    first = ", ".join(sorted(names)[:2])
    return f"{first} ... ({len(names)})" if len(names) > 2 else first or "nothing"


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder: of model.safetensors, else of the files that the index lists, else of all shards.

    They are views of the files, which are read where a tensor is used.
    """
    if (folder / WEIGHTS).is_file():
        return _read_file(folder, WEIGHTS)
    if not (folder / INDEX).is_file():
        files = _shards(folder) or _only_file(folder) or [WEIGHTS]
        return {name: tensor for file in files for name, tensor in _read_file(folder, file).items()}
    try:
        file_of = dict(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"])
        files = sorted(set(file_of.values()))
        elsewhere = [file for file in files if Path(file).name != file]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise cannot_read(folder / INDEX, error) from None
    if elsewhere:
        raise UserError(f"{folder / INDEX} lists {elsewhere[0]!r}: must be a file in the same folder")
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors |= _read_file(folder, file)
    missing = sorted(file_of.keys() - tensors.keys())
    if missing:
        path = folder / file_of[missing[0]]
        raise UserError(f"{path} lacks {missing[0]}, which {INDEX} lists: download both again")
    return tensors


def _shards(folder: Path) -> list[str]:
    """Return the names of all files model-00001-of-0000N.safetensors, for a folder whose index is missing."""
    found = [match for file in folder.glob("model-*.safetensors") if (match := SHARDS.fullmatch(file.name))]
    totals = sorted({match[2] for match in found})
    if len(totals) > 1:
        raise UserError(f"{folder} has weights of {' and of '.join(totals)} files: leave those of one model")
    return [
        f"model-{number:05}-of-{total}.safetensors" for total in totals for number in range(1, int(total) + 1)
    ]


def _only_file(folder: Path) -> list[str]:
    """Return the name of the folder's safetensors file, if it has a single one."""
    names = [file.name for file in folder.glob("*.safetensors")]
    return names if len(names) == 1 else []


def _read_file(folder: Path, name: str) -> dict[str, Tensor]:
    path = folder / name
    if not path.is_file():
        reject_foreign(folder)
    try:
        return load_tensors(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: download it again") from None
    except (OSError, SafetensorError) as error:
        raise cannot_read(path, error) from None
