"""Parsed models on disk: one .npz each, in ~/.cache/umadapt/furniture/DIGEST/. A cache that fails is no error."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from umadapt.scenes.furniture_model import Packed


def _path(digest: str, model_id: str) -> Path | None:
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        base = Path(root) if root and Path(root).is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    short = hashlib.sha256(model_id.encode()).hexdigest()[:8]  # ids may differ only in what a file name cannot hold
    return base / "umadapt" / "furniture" / digest / f"{re.sub(r'[^A-Za-z0-9]+', '-', model_id)[:80]}-{short}.npz"


def load(digest: str, model_id: str) -> Packed | None:
    """The stored model; None where there is none, or it cannot be read."""
    path = _path(digest, model_id)
    if path is None:
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        textures = [found[f"texture{i}"] for i in range(sum(name.startswith("texture") for name in found))]
        parts, tops = json.loads(bytes(found["description"]))
        return Packed(
            found["vertices"], found["uv"], found["faces"], found["coarse"], found["counts"], textures, parts, tops
        )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, TypeError):
        return None  # it is made anew


def store(digest: str, model_id: str, packed: Packed) -> None:
    """Write a model for later; whole or not at all, whoever else writes it at the same time."""
    path = _path(digest, model_id)
    if path is None:
        return
    description = json.dumps([packed.parts, packed.tops]).encode()
    arrays = {
        "vertices": packed.vertices,
        "uv": packed.uv,
        "faces": packed.faces,
        "coarse": packed.coarse,
        "counts": packed.counts,
        "description": np.frombuffer(description, dtype=np.uint8),
        **{f"texture{i}": texture for i, texture in enumerate(packed.textures)},
    }
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
