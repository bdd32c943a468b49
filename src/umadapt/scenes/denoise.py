"""Removes path tracing noise: by Open Image Denoise where the package `pyoidn` is installed, else by an edge-avoiding
a-trous filter (Dammertz et al., HPG 2010), which needs several times the samples.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Literal

import numpy as np

from umadapt.errors import UserError

Denoiser = Literal["oidn", "atrous"]

LEVELS = 5  # steps of 1, 2, 4, 8, 16 pixels
OIDN_QUALITY = "fast"  # "balanced" takes twice the time for 4 % less error, "high" four times for 10 %
_TAPS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def choose(wanted: Literal["auto", "oidn", "atrous"]) -> Denoiser:
    """The denoiser to use. Raises UserError where `oidn` is asked for and not installed."""
    found = importlib.util.find_spec("pyoidn") is not None
    if wanted == "oidn" and not found:
        raise UserError("--denoiser oidn needs Open Image Denoise; type: pip install pyoidn, or give --denoiser atrous")
    return "oidn" if found and wanted != "atrous" else "atrous"


def samples(denoiser: Denoiser, width: int) -> int:
    """How many a pixel look right: with oidn 2 at 320 pixels, more in smaller images, whose pixels hold more edges."""
    return max(2, round(2 * 320 / width)) if denoiser == "oidn" else 16


def start() -> None:
    """Let Open Image Denoise use one CPU thread of this process: parallelism is over processes."""
    os.environ["OIDN_NUM_THREADS"] = "1"


def oidn(color: np.ndarray, albedo: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Filter linear radiance by a trained network that is guided by albedo and normals; (H, W, 3) float32 each."""
    images = (np.ascontiguousarray(image, dtype=np.float32) for image in (color, albedo, normals))
    return importlib.import_module("pyoidn").denoise(*images, hdr=True, clean_aux=True, quality=OIDN_QUALITY)


def _window(a: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """The part of `a` whose neighbour at (dy, dx) exists."""
    h, w = a.shape[:2]
    return a[max(0, -dy) : h - max(0, dy), max(0, -dx) : w - max(0, dx)]


def atrous(
    color: np.ndarray,
    albedo: np.ndarray,
    points: np.ndarray,
    normals: np.ndarray,
    shining: np.ndarray | None = None,
    clear: np.ndarray | None = None,
) -> np.ndarray:
    """Filter linear radiance along exact surfaces: the guides are the labels' own points and normals, free of noise.

    Texture is divided out before and multiplied back after, so that it stays sharp.

    Args:
        color: (H, W, 3) linear radiance with noise.
        albedo: (H, W, 3) diffuse albedo averaged over the same samples.
        points: (H, W, 3) what each pixel centre sees, in metres, in the same frame as `normals`.
        normals: (H, W, 3) unit.
        shining: (H, W) bool, what shines by itself; it and the pixels next to it, which mix both, stay as they are.
        clear: (H, W) bool, mirrors and glass: the guides do not tell what is seen there, so it gets a 3 x 3 median.

    Returns:
        (H, W, 3) linear radiance.
    """
    divisor = np.maximum(albedo, 0.02).astype(np.float32)
    light = color.astype(np.float32) / divisor
    points, normals = points.astype(np.float32), normals.astype(np.float32)
    light = _tame(light)
    for level in range(LEVELS):
        light = _level(light, points, normals, 2**level)
    filtered = (light * divisor).astype(np.float64)
    if clear is not None and clear.any():
        filtered = np.where(clear[..., None], _median(color), filtered)
    if shining is None:
        return filtered
    near = np.any(_neighbours(shining), axis=0) | shining
    return np.where(near[..., None], color, filtered)


def _neighbours(x: np.ndarray) -> np.ndarray:
    """(8, H, W, ...): the eight values around each pixel, those of the border repeated."""
    h, w = x.shape[:2]
    padded = np.pad(x, [(1, 1), (1, 1)] + [(0, 0)] * (x.ndim - 2), mode="edge")
    return np.stack([padded[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w] for dy, dx in _TAPS])


def _median(color: np.ndarray) -> np.ndarray:
    """3 x 3 median of each channel."""
    return np.median(np.concatenate([_neighbours(color), color[None]]), axis=0)


def _tame(light: np.ndarray) -> np.ndarray:
    """Cap single outliers at three times the median of their 3 x 3 neighbourhood's brightness."""
    brightness = light.max(-1)
    cap = 3 * np.median(_neighbours(brightness), axis=0) + 1e-6
    return light * np.minimum(1.0, cap / np.maximum(brightness, 1e-9))[..., None]


def _level(light: np.ndarray, points: np.ndarray, normals: np.ndarray, step: int) -> np.ndarray:
    """One pass with 3 x 3 taps `step` pixels apart; symmetric pairs share their weights."""
    total, weight = light.copy(), np.ones(light.shape[:2], np.float32)
    mean = light.mean(-1)
    brightness = np.log(mean + 0.05 * np.median(mean) + 1e-6)
    # Noise shrinks from level to level, so differences count for more; the first pass trusts geometry alone, because a
    # pixel whose few samples all met a shadow is black and like none of its neighbours.
    tolerance = np.inf if step == 1 else 1.6 / step**0.5
    for dy, dx in _TAPS:
        if (dy, dx) < (0, 0):
            continue  # the mirrored tap, done with its pair
        y, x = dy * step, dx * step
        if abs(y) >= light.shape[0] or abs(x) >= light.shape[1]:
            continue
        here, there = _window, lambda a, y=y, x=x: _window(a, -y, -x)
        p, n = here(points, y, x), here(normals, y, x)
        q, m = there(points), there(normals)
        offset = q - p
        plane = np.abs(np.einsum("hwk,hwk->hw", offset, n)) + np.abs(np.einsum("hwk,hwk->hw", offset, m))
        facing = np.maximum(np.einsum("hwk,hwk->hw", n, m), 0)
        change = np.abs(here(brightness, y, x) - there(brightness))
        value = np.exp(-plane / 0.02 - (change / tolerance) ** 2) * facing**8
        value *= 0.5 if dy == 0 or dx == 0 else 0.25
        here(total, y, x)[...] += value[..., None] * there(light)
        here(weight, y, x)[...] += value
        there(total)[...] += value[..., None] * here(light, y, x)
        there(weight)[...] += value
    return total / weight[..., None]
