"""A run as programs of torch.export: photo in, maps at the photo's own size out, in one file, without this library.

torch.export fixes how each layer's size follows from the photo's. That is a plain multiple of one symbol where the
network's sides are multiples of 32, and a number where the network sees every photo at its own size, so that a network
of another own size is two programs.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from umadapt.data.atomic import whole_file
from umadapt.errors import UserError
from umadapt.inference.exported_programs import ABOUT, ANY, OWN
from umadapt.inference.portable import Portable, slim
from umadapt.nets.model import UMAdapt


class AtOwnSize(nn.Module):
    """Photos (B, H, W, 3) uint8, which the network sees at one size, and their focal length to {name: map}."""

    def __init__(self, portable: Portable, size: tuple[int, int]):
        super().__init__()
        self.portable = portable
        self.size = size

    def forward(self, photo: Tensor, focal: Tensor) -> dict[str, Tensor]:
        return self.portable.at(photo, focal, self.size)


def to_programs(model: UMAdapt, domain: str) -> dict[str, bytes]:
    """Stored programs: ANY takes photo, focal, rows, columns; OWN, where the network's size is no multiple of 32, photo
    and focal.

    Raises:
        UserError: the network cannot be captured.
    """
    portable, size = slim(model, domain), model.spec.size
    photo, focal = torch.zeros(2, 480, 640, 3, dtype=torch.uint8), torch.tensor(500.0)
    free = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC, 2: Dim.DYNAMIC}
    sizes = {"photo": free, "focal": {}, "rows": Dim.DYNAMIC, "columns": Dim.DYNAMIC}
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # deprecations inside torch are no concern of a user
            programs = {ANY: torch.export.export(portable, (photo, focal, 7, 10), dynamic_shapes=sizes)}
            if size[0] % 32 or size[1] % 32:
                own = AtOwnSize(portable, size)
                programs[OWN] = torch.export.export(own, (photo, focal), dynamic_shapes={"photo": free, "focal": {}})
            stored = {}
            for name, program in programs.items():
                data = io.BytesIO()
                torch.export.save(program, data)
                stored[name] = data.getvalue()
            return stored
    except Exception as error:  # torch.export raises many kinds
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(f"backbone {model.spec.backbone} cannot be captured by torch.export: {reason}") from error


def write_programs(path: Path, programs: Mapping[str, bytes], about: Mapping[str, Any]) -> Path:
    """A zip of the programs and what the file says of itself, whole or not at all."""
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(ABOUT, json.dumps(about))
        for name, data in programs.items():
            archive.writestr(name, data)
    return path
