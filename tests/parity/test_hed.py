"""HED against the same network written in NumPy on the file's own arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from toy_hed import DEPTHS, hed_layers, write_hed
from umadapt.nets.hed import HED
from umadapt.training.pretrained_hed import load_hed


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """(H, W, in) with (k, k, in, out), zeros around."""
    r = kernel.shape[0] // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((r, r), (r, r), (0, 0))), kernel.shape[:2], (0, 1))
    return np.einsum("hwcij,ijco->hwo", windows, kernel) + bias


def pool(x: np.ndarray) -> np.ndarray:
    h, w, c = x.shape
    whole = np.pad(x, ((0, h % 2), (0, w % 2), (0, 0)), constant_values=-np.inf)
    return whole.reshape(-(-h // 2), 2, -(-w // 2), 2, c).max((1, 3))


def stretch(old: int, new: int) -> np.ndarray:
    """(new, old) of linear interpolation between pixel centres."""
    at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)))


def reference(image: np.ndarray, layers: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W): Xie & Tu, Section 3."""
    x = image[..., ::-1] - np.array([104.00699, 116.66877, 122.67892])
    sides = []
    for i, depth in enumerate(DEPTHS, 1):
        x = pool(x) if i > 1 else x
        for k in range(depth):
            x = np.maximum(0, convolve(x, *layers[f"block{i}/layers/conv2d{f'_{k}' if k else ''}"]))
        side = convolve(x, *layers[f"dsn{i}"])[..., 0]
        sides.append(stretch(side.shape[0], image.shape[0]) @ side @ stretch(side.shape[1], image.shape[1]).T)
    return 1 / (1 + np.exp(-convolve(np.stack(sides, -1), *layers["fuse"])[..., 0]))


@pytest.mark.parametrize("size", [(32, 48), (37, 51)])
def test_hed_is_the_network_of_the_paper(tmp_path: Path, size: tuple[int, int]) -> None:
    layers = hed_layers()
    write_hed(tmp_path / "w.h5", layers)
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    with torch.no_grad():
        found = load_hed(tmp_path / "w.h5")(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    wanted = reference(image, layers)
    assert wanted.std() > 0.05
    torch.testing.assert_close(found[0, 0], torch.from_numpy(wanted).float(), atol=1e-4, rtol=1e-4)


def test_hed_is_as_large_as_vgg_16_with_its_sides() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in HED().parameters()) == 14_714_688 + (64 + 128 + 256 + 512 + 512) + 5 + 6
