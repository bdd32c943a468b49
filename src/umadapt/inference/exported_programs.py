"""Programs of torch.export that `umadapt export --format torch` wrote."""

from __future__ import annotations

import functools
import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from umadapt.data.augment import fit_size
from umadapt.data.maps import make_map
from umadapt.errors import UserError
from umadapt.inference.exported import parse_about, result_of
from umadapt.inference.predictor import Predictor
from umadapt.training.run_folder import pick_device

ABOUT = "umadapt.json"
ANY = "any.pt2"  # (photo, focal, rows, columns): the network sees the photo at (32 rows, 32 columns)
OWN = "own.pt2"  # (photo, focal): at the network's own size


def load_programs(path: Path, device: str = "auto") -> Predictor:
    """A file of programs, which are moved to the device.

    Raises:
        UserError: no such file, none of ours, damaged, or no such device.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; `umadapt export RUN --format torch --out {path}` makes one")
    place = pick_device(device)
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if ABOUT not in names or ANY not in names:
                raise UserError(f"{path} was not written by umadapt export (it has no {ABOUT} and {ANY})")
            about = parse_about(path, archive.read(ABOUT))
            programs = {name: load(archive.read(name), place) for name in (ANY, OWN) if name in names}
        maps = {task: make_map(about["maps"][task], stored) for task, stored in about["tasks"].items()}
        size = (int(about["size"][0]), int(about["size"][1]))
        infer = functools.partial(infer_programs, programs, size, place)
        return Predictor(maps, about["trust"], infer, about["fov"])
    except UserError:
        raise
    except Exception as error:  # zip, JSON and torch raise many kinds
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise UserError(f"{path} is damaged, or of another torch ({reason}); export it again") from error


def load(data: bytes, device: torch.device) -> torch.nn.Module:
    """A program, ready to be called."""
    from torch.export.passes import move_to_device_pass

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own parts
        program = torch.export.load(io.BytesIO(data))
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
        # its guards hold what was true of the example (two rows or more); `export` compares other sizes as well
        return program.module(check_guards=False)


@torch.inference_mode()
def infer_programs(
    programs: Mapping[str, torch.nn.Module],
    size: tuple[int, int],
    device: torch.device,
    rgb: np.ndarray,
    focal: float | None = None,
) -> dict[str, Any]:
    """One photo, (H, W, 3) uint8, of that focal length in pixels, to what `Predictor.predict` gives."""
    photo = torch.from_numpy(np.ascontiguousarray(rgb)).unsqueeze(0).to(device)
    seen = fit_size((rgb.shape[0], rgb.shape[1]), size)
    own = seen == size and OWN in programs
    length = torch.tensor(float(focal or 0), device=device)
    found = programs[OWN](photo, length) if own else programs[ANY](photo, length, seen[0] // 32, seen[1] // 32)
    return result_of({name: map_[0].cpu().numpy() for name, map_ in found.items()})
