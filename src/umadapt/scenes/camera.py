"""A simple camera applied to a linear render: what makes a photo differ from a rendered image.

All functions take and return linear RGB (H, W, 3), 1 = sensor saturation, unless said otherwise.
"""

from __future__ import annotations

import numpy as np

Rng = np.random.Generator
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
PHOTO_WIDTH = 640  # pixels of the photo that lens and sensor are those of
TINT = np.array([1.0, 0.93, 1.03])  # what white balance leaves
WARM = np.array([1.25, 1.0, 0.6])  # what a small camera leaves of the light of bulbs
QUALITIES = (90, 97)  # of the JPEG, from and below; a shrunk photo shows little of its own


def exposure_gain(linear: np.ndarray, key: float = 0.2) -> float:
    """Gain that brings the image's typical luminance to `key`.

    The mean of logarithms, with a floor, is what a lamp or a window in view hardly moves.
    """
    luminance = linear @ LUMINANCE
    floor = 1e-3 * float(np.median(luminance)) + 1e-8
    return key / float(np.exp(np.mean(np.log(np.maximum(luminance, floor)))))


def white_balance_gains(linear: np.ndarray, strength: float) -> np.ndarray:
    """(3,) gains that move the average colour of the unsaturated image towards grey; strength 0 = none, 1 = wholly."""
    usable = linear.max(-1) < 1.0
    mean = np.maximum(linear[usable].mean(0) if usable.any() else np.ones(3), 1e-6)
    gains = (mean[1] / mean) ** strength
    return gains / (gains @ LUMINANCE)


def vignette(linear: np.ndarray, strength: float) -> np.ndarray:
    """Darken towards the corners by `strength` (0..1) in them, growing with the fourth power of the field angle."""
    h, w = linear.shape[:2]
    y, x = np.meshgrid((np.arange(h) + 0.5) / h * 2 - 1, (np.arange(w) + 0.5) / w * 2 - 1, indexing="ij")
    radius2 = (x * x + y * y) / 2
    return linear * (1 - strength * (0.4 * radius2 + 0.6 * radius2**2))[..., None]


def blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian blur with reflected borders; sigma in pixels."""
    reach = max(1, int(np.ceil(3 * sigma_px)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma_px, 1e-6)) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        padded, n = np.pad(image, pad, mode="reflect"), image.shape[axis]
        image = np.sum([k * np.take(padded, np.arange(i, i + n), axis) for i, k in enumerate(kernel)], axis=0)
    return image


def sensor_noise(linear: np.ndarray, rng: Rng, electrons: float, read: float) -> np.ndarray:
    """Shot noise of a full well of `electrons` (variance = signal) and read noise of standard deviation `read`."""
    sigma = np.sqrt(np.maximum(linear, 0) / electrons + read**2)
    return linear + sigma * rng.standard_normal(linear.shape)


def srgb(linear: np.ndarray) -> np.ndarray:
    """The sRGB transfer curve, [0, 1] -> [0, 1] (IEC 61966-2-1)."""
    x = np.clip(linear, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 0.0031308) ** (1 / 2.4) - 0.055)


def shoulder(linear: np.ndarray, start: float = 0.6) -> np.ndarray:
    """Compress highlights above `start` smoothly into [start, 1]; monotone, identity below."""
    over = np.maximum(linear - start, 0)
    room = 1 - start
    return np.where(linear > start, start + room * (1 - np.exp(-over / room)), linear)


def tone(linear: np.ndarray, contrast: float, black: float = 0.0, white: float = 1.0) -> np.ndarray:
    """Linear -> display values in [0, 1]: shoulder, sRGB curve, cut at a black and a white level, an S-curve of that
    strength (0 = none)."""
    x = np.clip((srgb(shoulder(linear)) - black) / (white - black), 0, 1)
    return x + contrast * (x * x * (3 - 2 * x) - x)


def to_uint8(display: np.ndarray) -> np.ndarray:
    """[0, 1] -> uint8, rounded."""
    return np.round(np.clip(display, 0, 1) * 255).astype(np.uint8)


def develop_plain(linear: np.ndarray) -> np.ndarray:
    """Synthetic style: exposure and the standard curve, nothing else. Returns (H, W, 3) uint8."""
    return to_uint8(srgb(shoulder(linear * exposure_gain(linear))))


def develop_photo(linear: np.ndarray, rng: Rng) -> tuple[np.ndarray, int]:
    """Photo style: the whole camera, of a photo 640 pixels wide that was shrunk to this size.

    The ranges were chosen so that rooms look like the photos of `nyudv2:target` to EfficientNet's first layers
    (`studies/domain_gap.py`). Returns (H, W, 3) uint8 and the JPEG quality to store it with.
    """
    scale = linear.shape[1] / PHOTO_WIDTH
    x = linear * exposure_gain(linear, key=0.22 * 2 ** float(np.clip(rng.normal(0, 0.3), -0.6, 0.6)))
    x = x * white_balance_gains(x, rng.uniform(0.45, 1.0)) * TINT * np.exp(rng.normal(0, 0.03, 3))
    x = vignette(x, rng.uniform(0.05, 0.35))
    x = blur(x, rng.uniform(0.2, 0.8) * scale)
    electrons, read = rng.uniform(800, 6000), rng.uniform(0.001, 0.006)
    x = sensor_noise(np.minimum(x, 4.0), rng, electrons / scale**2, read * scale)  # shrinking averages noise
    black, white = rng.uniform(0.08, 0.18), rng.uniform(0.9, 1.05)
    return to_uint8(tone(x, rng.uniform(0.2, 0.75), black, white)), int(rng.integers(*QUALITIES))


def develop_dim(linear: np.ndarray, rng: Rng) -> tuple[np.ndarray, int]:
    """Dim style: a small robot's camera where there is too little light: dark, noisy, soft, warm, as sensors give it.

    Three stops under what `develop_photo` exposes for, some thirty electrons. Returns the same.
    """
    scale = linear.shape[1] / PHOTO_WIDTH
    x = linear * exposure_gain(linear, key=0.03 * 2 ** float(np.clip(rng.normal(0, 0.3), -0.6, 0.6)))
    x = vignette(x * white_balance_gains(x, 0.5) * WARM, rng.uniform(0.2, 0.5))
    x = blur(x, rng.uniform(1.2, 2.2) * scale)
    electrons, read = rng.uniform(25, 60), rng.uniform(0.006, 0.014)
    x = sensor_noise(np.minimum(x, 4.0), rng, electrons / scale**2, read * scale)
    return to_uint8(srgb(x)), int(rng.integers(*QUALITIES))
