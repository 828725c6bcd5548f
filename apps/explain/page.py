"""An explanation as JSON with packed arrays, and as one HTML file that needs no other. Nothing of a text is ever HTML."""

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from apps.explain.explainer import Explanation

PAGE = Path(__file__).parent / "page"
UNDEFINED = -128  # of a signed byte


def content(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as what JSON can hold, as script.js reads it."""
    influences = [signed_bytes(rows) for rows in explanation.influences.values()]
    agreements = explanation.agreements()
    keys, weights = explanation.attention.keys.cpu().numpy(), explanation.attention.weights.cpu().numpy()
    n_layers, n_maps, _, n_kept = keys.shape
    return {
        "model": explanation.model,
        "parameters": explanation.n_parameters,
        "pieces": explanation.pieces,
        "surprisal": rounded(explanation.predictions.surprisal.cpu().numpy()),
        "alternatives": explanation.alternatives,
        "probabilities": [rounded(row) for row in explanation.predictions.probabilities.cpu().numpy()],
        "layers": n_layers,
        "heads": n_maps - 1,
        "kept": n_kept,
        "attention": packed(*key_bytes(keys), weight_bytes(weights)),
        "methods": list(explanation.influences),
        "influences": packed(*(codes for codes, _ in influences)),
        "scales": [[float(f"{scale:.4g}") for scale in scales] for _, scales in influences],
        "agreements": {name: rounded(rho) for name, rho in agreements.items()},
        "notes": explanation.notes,
    }


def rounded(values: np.ndarray) -> list[float | None]:
    """Return numbers as JSON has them: to four decimals, None for NaN."""
    return [None if np.isnan(value) else round(float(value), 4) for value in values]


def packed(*arrays: np.ndarray) -> str:
    """Return the bytes of arrays, one after the other, compressed and in base64."""
    return base64.b64encode(gzip.compress(b"".join(array.tobytes() for array in arrays), 6, mtime=0)).decode()


def key_bytes(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ascending keys (..., k) as steps from each to the next: their low and their high bytes, uint8."""
    steps = np.diff(keys, axis=-1, prepend=0)
    return (steps & 255).astype(np.uint8), (steps >> 8).astype(np.uint8)


def weight_bytes(weights: np.ndarray) -> np.ndarray:
    """Return weights in [0, 1] as the square roots of bytes, so that small ones differ too: uint8."""
    return np.round(255 * np.sqrt(weights.clip(0, 1))).astype(np.uint8)


def signed_bytes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (T, T) values as signed square roots, int8, of their row's largest size, (T,). NaN is UNDEFINED."""
    scales = np.nan_to_num(np.abs(rows)).max(axis=1)  # (T,)
    parts = np.nan_to_num(rows) / np.where(scales > 0, scales, 1)[:, None]  # in [-1, 1]
    codes = np.round(127 * np.sign(parts) * np.sqrt(np.abs(parts))).astype(np.int8)
    return np.where(np.isnan(rows), np.int8(UNDEFINED), codes), scales


def html(explanation: Explanation) -> str:
    """Return the page with style, script and data in it. Its policy lets no other script run and nothing load."""
    style, script = ((PAGE / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    data = json.dumps(content(explanation), ensure_ascii=False).replace("<", "\\u003c")
    policy = f"default-src 'none'; style-src {source_hash(style)}; script-src {source_hash(script)}"
    page = (PAGE / "page.html").read_text(encoding="utf-8")
    for linked, inline in [
        ('<link rel="stylesheet" href="style.css">', f"<style>{style}</style>"),
        ('<meta charset="utf-8">', f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        ('<script src="script.js"></script>', f'<script id="data" type="application/json">{data}</script>\n<script>{script}</script>'),
    ]:  # fmt: skip
        assert page.count(linked) == 1, linked
        page = page.replace(linked, inline)
    return page


def source_hash(source: str) -> str:
    """Return how a Content-Security-Policy names a script or a style of the page itself."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
