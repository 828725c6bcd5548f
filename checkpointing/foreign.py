"""What a folder holds that is not a model in a supported layout, and the command that turns it into one.

Pickles are never loaded here: loading one can run any code. The commands load weights only, which runs none.
"""

import contextlib
import re
import shlex
from pathlib import Path

from system import hub
from system.errors import UserError

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
PICKLE_STARTS = (b"PK", b"\x80")  # a zip file, as torch.save writes, or a bare pickle
# What trainers save beside a model.
NOT_MODELS = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state)\b.*|rng_state_\d+.*")
NANOGPT = "ckpt.pt"
# nanoGPT's layers are Linear, GPT-2's in transformers Conv1D: transposed. Those without a bias get one of zeros.
FROM_NANOGPT = (
    "import json, pathlib, sys, torch; from safetensors.torch import save_file; d = sys.argv[1];"
    " c = torch.load(d + '/ckpt.pt', 'cpu', weights_only=True); a = c['model_args'];"
    " w = {k.replace('_orig_mod.', ''): v.float() for k, v in c['model'].items()};"
    " z = {k.replace('weight', 'bias'): torch.zeros(len(v)) for k, v in w.items() if '.c_' in k or '.ln_' in k};"
    " w = {k: (v.t() if '.c_' in k else v).contiguous() for k, v in (z | w).items() if 'lm_head' not in k and '.attn.bias' not in k};"
    " save_file(w, d + '/model.safetensors');"
    " j = {'model_type': 'gpt2', 'n_positions': a['block_size'], 'eos_token_id': 50256, **a};"
    " pathlib.Path(d, 'config.json').write_text(json.dumps(j))"
)
FROM_TRANSFORMERS = (
    "import sys; from transformers import AutoModelForCausalLM as M; d = sys.argv[1];"
    " M.from_pretrained(d).save_pretrained(d)"
)
FROM_HUB = (
    "import sys; from transformers import AutoModelForCausalLM as M, AutoTokenizer as T; s, d = sys.argv[1:];"
    " [c.from_pretrained(s).save_pretrained(d) for c in (M, T)]"
)


def reject_foreign(path: Path) -> None:
    """Raise UserError if `path` is another project's checkpoint, or a folder of models; it says what to use instead."""
    files = [path, *sorted(path.glob("*"))]
    pickles = [file for file in files if _is_pickle(file)]
    if pickles and not any(path.glob("*.safetensors")):
        raise UserError(_pickle(pickles[0]))
    models = [inner for inner in path.glob("*/") if _holds_model(inner)]
    if models:
        models.sort(key=lambda inner: [int(number) for number in re.findall(r"\d+", inner.name)] or [0])
        is_trainer = all(re.fullmatch(r"checkpoint-\d+", inner.name) for inner in models)
        found = "the checkpoints of transformers' Trainer" if is_trainer else "several models"
        raise UserError(f"{path} holds {found}: use one of {', '.join(map(str, models[-5:]))}")


def reject_pickled(spec: str, folder: Path) -> None:
    """Raise UserError if a hub model came to `folder` without weights: it has pickles only, which are not downloaded."""
    if hub.is_hub_name(spec) and not any(folder.glob("*.safetensors*")):
        here = f"hf/{spec.partition('/')[2]}"
        raise UserError(
            f'{folder} has no safetensors: while online, write them with `python -c "{FROM_HUB}" {spec} {here}`, then use'
            f" {here}"
        )


def _holds_model(folder: Path) -> bool:
    """Return whether a folder is a model or a run of ours. Checkpoints do not count, as their run names those to use."""
    return hub.is_model_folder(folder) or (folder / "last").is_file()


def _is_pickle(file: Path) -> bool:
    """Return whether a file is a pickle that may hold a model."""
    if NOT_MODELS.fullmatch(file.name) or not any(file.match(pattern) for pattern in PICKLES):
        return False
    with contextlib.suppress(OSError), open(file, "rb") as content:
        return content.read(2).startswith(PICKLE_STARTS)
    return False


def _pickle(file: Path) -> str:
    """Return what is wrong with a pickle, and the command that converts it."""
    where = shlex.quote(str(file.parent))
    found = f"{file} is a pickle, and loading a pickle can run any code, so it is never opened here"
    if file.name == NANOGPT:
        download = f"hf download openai-community/gpt2 tokenizer.json --local-dir {where}"
        return (
            f"{found}: if it is nanoGPT's, with GPT-2's tokenizer, convert it with"
            f' `python -c "{FROM_NANOGPT}" {where} && {download}`'
        )
    if (file.parent / hub.CONFIG).is_file():
        return f'{found}: convert it with `python -c "{FROM_TRANSFORMERS}" {where}`'
    return f"{found}: save the model as model.safetensors, with its config.json beside it"
