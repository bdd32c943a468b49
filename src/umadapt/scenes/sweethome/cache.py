"""Parsed models on disk: one .npz each, in furniture/DIGEST/ of the cache folder. A cache that fails is no error."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np

from umadapt.data.atomic import cache_folder, write_bytes
from umadapt.errors import UserError
from umadapt.scenes.sweethome.model import Packed


def _path(digest: str, model_id: str) -> Path:
    short = hashlib.sha256(model_id.encode()).hexdigest()[:8]  # ids may differ only in what a file name cannot hold
    name = f"{re.sub(r'[^A-Za-z0-9]+', '-', model_id)[:80]}-{short}.npz"
    return cache_folder() / "furniture" / digest / name


def load(digest: str, model_id: str) -> Packed | None:
    """The stored model; None where there is none, or it cannot be read."""
    try:
        with _path(digest, model_id).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
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
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    with contextlib.suppress(UserError):
        write_bytes(_path(digest, model_id), buffer.getvalue())
