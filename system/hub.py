"""The Hugging Face hub: from a model's name to a local folder, by the cache or a download.

Reading the folder is left to `checkpointing/` and `corpus/tokenizer_json.py`, datasets to `corpus/sources.py`.
"""

import os
import re
from pathlib import Path

from system.errors import UserError, first_line
from system.network import reachable

NAME = re.compile(r"[\w.-]+/[\w.-]+")
OUR_FOLDERS = ("out", "data", "hf", "configs")
CONFIG = "config.json"
# All that is downloaded; many models also have pickles, which we never open.
FILES = [CONFIG, "generation_config.json", "tokenizer*.json", "vocab.json", "merges.txt"]
FILES += ["added_tokens.json", "special_tokens_map.json", "chat_template.jinja"]
FILE_ENDINGS = (".json", ".pt", ".safetensors")  # of paths, not of names on the hub
WEIGHT_FILES = ["*.safetensors", "*.safetensors.index.json"]


def server() -> str:
    """Return the hub's URL: HF_ENDPOINT, if set."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co")


def is_offline() -> bool:
    """Return whether the user allows only the hub's cache (HF_HUB_OFFLINE=1)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def is_model_folder(folder: Path) -> bool:
    """Return whether the folder holds a model in Hugging Face's layout; the config.json of our runs does not count."""
    try:
        content = (folder / CONFIG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return '"model_type"' in content or any(folder.glob("*.safetensors"))


def is_hub_name(spec: str) -> bool:
    """Return whether `spec` names a model on the hub, owner/name, and not a path.

    It is a path if there is a folder `owner`, if it begins with a folder that our commands write to, or ends as a file.
    """
    owner = spec.partition("/")[0]
    if not NAME.fullmatch(spec) or spec.endswith(FILE_ENDINGS):
        return False
    return owner.strip(".") not in ("", *OUR_FOLDERS) and not Path(owner).exists()


def find_folder(spec: str, weights: bool = True) -> Path:
    """Return the folder that `spec` names: a local one, or a hub model's, downloaded unless it is in the cache.

    `is_hub_name` tells them apart. `weights=False` leaves the weights out of the download.
    Raises UserError if the model is not available, within 10 seconds if the hub does not answer.
    """
    if not is_hub_name(spec):
        return Path(spec)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    online = not is_offline() and reachable(server())
    files = [*FILES, *WEIGHT_FILES] if weights else FILES
    try:
        return Path(snapshot_download(spec, allow_patterns=files, local_files_only=not online))
    except LocalEntryNotFoundError:
        reason = "HF_HUB_OFFLINE is set" if is_offline() else f"{server()} does not answer"
        raise UserError(
            f"no folder {spec}, and no such model in the hub's cache ({reason}): run `hf download {spec}` while online"
        ) from None
    except GatedRepoError:
        raise UserError(
            f"{spec} is gated: accept its terms at {server()}/{spec}, then run `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise UserError(
            f"no folder {spec}, and no such model on the hub: check the name; for a private one, run `hf auth login`"
        ) from None
    except Exception as error:  # huggingface_hub and its HTTP library share no narrower base class
        raise UserError(
            f"cannot download {spec} ({first_line(error)}): try again, or free disk space"
        ) from None
