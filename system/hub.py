"""The Hugging Face hub: whether it is to be asked, and the local folder of a model that it has.

Owns how a model's name becomes a folder: the hub's cache, offline mode, a download. What is in the folder is
huggingface.py's and hf_tokenizer.py's; datasets are sources.py's.
"""

import os
import re
from pathlib import Path

from system.errors import UserError
from system.network import reachable

NAME = re.compile(r"[\w.-]+/[\w.-]+")
CONFIG = "config.json"
# Everything a model is here; never the pickles, which lie beside the weights of many.
FILES = [CONFIG, "generation_config.json", "tokenizer*.json"]
WEIGHT_FILES = ["*.safetensors", "*.safetensors.index.json"]


def server() -> str:
    """Return the hub's address, which HF_ENDPOINT may set."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co")


def is_offline() -> bool:
    """Return whether the user wants the hub's cache alone (HF_HUB_OFFLINE=1)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def is_model_folder(folder: Path) -> bool:
    """Return whether the folder holds a model in Hugging Face's layout (a run's own config.json is another file)."""
    try:
        content = (folder / CONFIG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return '"model_type"' in content or any(folder.glob("*.safetensors"))


def find_folder(spec: str, weights: bool = True) -> Path:
    """Return the folder that `spec` names: a local one, or the hub's model of that name, downloaded where need be.

    A name (owner/name) is the hub's where there is no folder `owner` here. Without `weights` they are not downloaded.
    Raises UserError where the model cannot be had, within 10 seconds where the hub does not answer.
    """
    if not NAME.fullmatch(spec) or Path(spec).parent.exists():
        return Path(spec)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    online = not is_offline() and reachable(server())
    files = [*FILES, *WEIGHT_FILES] if weights else FILES
    try:
        return Path(snapshot_download(spec, allow_patterns=files, local_files_only=not online))
    except LocalEntryNotFoundError:
        asked = "HF_HUB_OFFLINE is set" if is_offline() else f"{server()} does not answer"
        raise UserError(
            f"no folder {spec} here, and no model of that name in the hub's cache ({asked}): with a network, `hf download"
            f" {spec}` gets it there; for a model of your own, `python train.py --out_dir={spec}` comes first"
        ) from None
    except GatedRepoError:
        raise UserError(
            f"{spec} is gated: accept its terms at {server()}/{spec}, then `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(f"no folder {spec} here, and the hub has no model of that name") from None
    except Exception as error:  # the hub's library and its HTTP library share no other ancestor
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise UserError(f"cannot get {spec} from the hub ({reason}): try again, or make room") from None
