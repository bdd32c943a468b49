"""What do exact normals score against planes fitted to their own depth, as NYUDv2's ground truth is?

    python studies/normals_floor.py DATA [--images 200]

DATA is in the folder format with depth, normals and a camera: a set of rendered rooms. Prints a Markdown table of
angles in degrees and shares of pixels: the least error that a network can have which learnt exact normals, once for the
depth as it is stored and once in steps of 39 mm, as the depth of NYUDv2's labelled photos. Cost for 200 images of
240x320: half a CPU minute.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import torch

from umadapt.data.folder import Folder
from umadapt.data.normals import normals_from_depth
from umadapt.errors import UserError
from umadapt.tasks.metrics import NormalsMeter
from umadapt.tasks.resize import to_tensor

STEPS_M = {"as stored": 0.0, "39 mm steps": 0.039}


def in_steps(depth_m: np.ndarray, step_m: float) -> np.ndarray:
    """Depth rounded to whole steps, and stored in millimetres; 0 stays missing."""
    return np.round(np.round(depth_m / step_m) * step_m, 3) if step_m else depth_m


def floor(folder: Folder, ids: Sequence[str], step_m: float) -> dict[str, float]:
    """Figures of the exact normals where there are both, and `valid`, the share of pixels with a fit.

    Raises:
        UserError: no image has depth, normals and a camera.
    """
    meter, shares = NormalsMeter(), []
    for id in ids:
        depth_m, exact, camera = folder.read_depth(id), folder.read_normals(id), folder.camera_of(id)
        if depth_m is None or exact is None or camera is None:
            continue
        fitted = normals_from_depth(in_steps(depth_m, step_m), camera) * exact.any(axis=-1, keepdims=True)
        meter.update(to_tensor(exact), to_tensor(fitted))
        shares.append(float(fitted.any(axis=-1).mean()))
    if not shares:
        raise UserError(f"{folder.root}: no image has depth, normals and a camera")
    return meter.compute() | {"valid": float(np.mean(shares))}


def main(arguments: Sequence[str] | None = None) -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder = Folder(options.data)
    ids = folder.ids[:: max(1, len(folder.ids) // options.images)][: options.images]
    print(f"{len(ids)} images of {options.data}\n")
    print("| depth | mean ↓ | median ↓ | < 11.25° ↑ | < 22.5° ↑ | < 30° ↑ | pixels |\n|---|---|---|---|---|---|---|")
    for name, step_m in STEPS_M.items():
        found = floor(folder, ids, step_m)
        degrees = " | ".join(f"{found[key]:.1f}" for key in ("mean", "median"))
        shares = " | ".join(f"{found[key]:.3f}" for key in ("11.25", "22.5", "30", "valid"))
        print(f"| {name} | {degrees} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
