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

from umadapt.data.fit import fit_size
from umadapt.data.maps import make_map
from umadapt.errors import UserError
from umadapt.inference.enlarge import reduced
from umadapt.inference.exported import GRID, LARGE, Exported, grids_of, parse_about, result_of, size_of
from umadapt.inference.predictor import Predictor
from umadapt.training.compute import pick_device

ABOUT = "umadapt.json"
ANY = "any.pt2"  # (photo, focal, rows, columns): the network sees the photo at (32 rows, 32 columns)
OWN = "own.pt2"  # (photo, focal): at the network's own size


def load_programs(path: Path, device: str = "auto", large: int = LARGE) -> Predictor:
    """A file of programs, which are moved to the device.

    Args:
        large: pixels of a photo beyond which no copy of it goes into a program.

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
        exported = Exported(str(path), about["maps"], size_of(about), about["format"] > 2, large)
        infer = functools.partial(infer_programs, programs, exported, place)
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
    exported: Exported,
    device: torch.device,
    rgb: np.ndarray,
    focal: float | None = None,
) -> dict[str, Any]:
    """One photo, (H, W, 3) uint8, of that focal length in pixels, to what `Predictor.look` gives."""
    height, width = rgb.shape[:2]
    seen = fit_size((height, width), exported.size)
    by_grids, length = exported.by_grids(rgb), float(focal or 0)
    if by_grids:  # what the program makes of a photo that has the size at which the network sees it, is small
        photo = torch.from_numpy(reduced(rgb, seen)).permute(1, 2, 0).mul(255)  # floats, which it takes as they are
        length *= seen[1] / width
    else:
        photo = torch.from_numpy(np.ascontiguousarray(rgb))
    photo, focals = photo.unsqueeze(0).to(device), torch.tensor(length, device=device)
    own = seen == exported.size and OWN in programs
    found = programs[OWN](photo, focals) if own else programs[ANY](photo, focals, seen[0] // 32, seen[1] // 32)
    maps = {name: map_[0].cpu().numpy() for name, map_ in found.items() if name.startswith(GRID) == by_grids}
    return grids_of(maps, exported.kinds, (height, width)) if by_grids else result_of(maps)
