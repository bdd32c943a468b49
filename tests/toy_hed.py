"""A package of tiny random HED weights, in the layout of the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

WIDTHS = (3, 4, 5, 6, 6)
DEPTHS = (2, 2, 3, 3, 3)


def hed_layers(seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Group of the Keras file -> kernel (H, W, in, out) and bias."""
    rng = np.random.default_rng(seed)

    def layer(side: int, cin: int, cout: int) -> tuple[np.ndarray, np.ndarray]:
        kernel = rng.normal(size=(side, side, cin, cout)) * (2 / (side * side * cin)) ** 0.5
        return kernel.astype(np.float32), rng.normal(size=cout).astype(np.float32)

    layers, cin = {}, 3
    for i, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), 1):
        for k in range(depth):
            layers[f"block{i}/layers/conv2d{f'_{k}' if k else ''}"] = layer(3, cin, width)
            cin = width
        kernel, bias = layer(1, width, 1)
        layers[f"dsn{i}"] = (kernel / 50, bias)  # of images in [0, 255]: the sigmoid stays off its ends
    return {**layers, "fuse": layer(1, 5, 1)}


def write_hed(path: Path, layers: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    h5py = pytest.importorskip("h5py")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for group, arrays in layers.items():
            for k, array in enumerate(arrays):
                file[f"{group}/vars/{k}"] = array
