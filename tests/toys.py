"""Tiny networks and data that many tests use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from umadapt.config import ModelSpec
from umadapt.data.atomic import write_json
from umadapt.data.batch import Batch
from umadapt.data.files import write_depth, write_image, write_normals, write_seg
from umadapt.nets.model import UMAdapt

CLASSES = ("wall", "floor", "box", "ball")
FREQUENCIES = (0.5, 0.3, 0.15, 0.05)


def tiny_spec(**changes: Any) -> ModelSpec:
    """A network that trains in milliseconds, with the indoor graph."""
    fields: dict[str, Any] = {
        "backbone": "test_resnet",
        "size": (64, 96),
        "classes": CLASSES,
        "class_frequencies": FREQUENCIES,
        "width": 0.03,
        "transfer_width": 0.03,
    }
    return ModelSpec(**(fields | changes))


def random_batch(model: UMAdapt, size: int = 4, seed: int = 0) -> Batch:
    """Random images and labels, some of them missing."""
    g = torch.Generator().manual_seed(seed)
    h, w = model.grid(model.spec.size)
    depth = torch.rand(size, 1, h, w, generator=g) * 5 + 0.5
    normals = torch.nn.functional.normalize(torch.randn(size, 3, h, w, generator=g), dim=1)
    seg = torch.randint(0, len(model.spec.classes), (size, h, w), generator=g)
    depth[:, :, 0], normals[:, :, 0], seg[:, 0] = 0, 0, 255
    image = torch.rand(size, 3, *model.spec.size, generator=g)
    return Batch(
        [f"{i:03d}" for i in range(size)],
        image,
        plain=image.sqrt(),  # the same picture in other colours
        contours=torch.rand(size, 1, h, w, generator=g),
        truths={"depth": depth, "normals": normals, "seg": seg},
    )


def write_toy_world(root: Path, count: int, seed: int, tint: Callable[[np.ndarray], np.ndarray] = lambda x: x) -> None:
    rng = np.random.default_rng(seed)
    h, w = 64, 96
    for index in range(count):
        horizon = int(rng.integers(20, 40))
        seg = np.zeros((h, w), np.uint8)
        seg[horizon:] = 1
        top, left = rng.integers(10, 30), rng.integers(5, 60)
        seg[top : top + 25, left : left + 25] = 2
        depth = np.where(seg == 1, 4.0 - 2.5 * (np.arange(h)[:, None] - horizon) / h, 4.0)
        depth[seg == 2] = 2.0
        normals = np.zeros((h, w, 3), np.float32)
        normals[..., 2] = 1
        normals[seg == 1] = (0, 1, 0)
        colours = rng.integers(40, 220, (4, 3))
        image = tint((colours[seg] + rng.normal(0, 6, (h, w, 3))).clip(0, 255)).astype(np.uint8)
        name = f"{index:03d}.png"
        write_image(root / "image" / name, image)
        write_depth(root / "depth" / name, depth)
        write_normals(root / "normals" / name, normals)
        write_seg(root / "seg" / name, seg)
    write_json(
        root / "dataset.json",
        {
            "name": "toy",
            "license": "CC0-1.0",
            "camera": {"fx": 80.0, "fy": 80.0, "cx": 48.0, "cy": 32.0, "width": 96, "height": 64},
            "tasks": {
                "depth": {"scale_m": 0.001, "max_m": 10.0},
                "normals": {},
                "seg": {"classes": list(CLASSES), "ignore": 255},
            },
        },
    )
