"""Maps as pictures for people: (H, W, 3) uint8 RGB throughout. numpy and PIL only."""

from __future__ import annotations

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Anchors of colour maps, evenly spaced, of even steps in lightness. None is black: black is "missing".
NEAR_TO_FAR = ((253, 246, 196), (250, 198, 112), (233, 131, 88), (189, 73, 108), (122, 44, 126), (52, 26, 104))
GOOD_TO_BAD = ((22, 92, 110), (96, 158, 160), (236, 232, 206), (232, 150, 96), (178, 40, 44))
ZERO_TO_ONE = ((255, 255, 255), (169, 160, 182), (52, 26, 104))
GAP, TITLE_HEIGHT, BACKGROUND, INK = 4, 16, 255, 40  # of a contact sheet: pixels and grey levels


def _map(t: np.ndarray, anchors: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """(H, W) -> (H, W, 3): the colour map at t, clipped to [0, 1]; black where t is not finite."""
    table = np.array(anchors, np.float64)
    at = np.linspace(0, 1, 256)
    smooth = np.stack([np.interp(at, np.linspace(0, 1, len(table)), table[:, c]) for c in range(3)], axis=-1)
    known = np.isfinite(t)
    index = np.round(np.clip(np.where(known, t, 0), 0, 1) * 255).astype(np.uint8)
    return smooth.round().astype(np.uint8)[index] * known[..., None].astype(np.uint8)


def depth_to_rgb(depth_m: np.ndarray, max_m: float | None = None) -> np.ndarray:
    """(H, W) metres -> near = light, far = dark violet, missing (0, NaN) = black; `max_m` by default the farthest."""
    depth_m = np.asarray(depth_m, np.float64)
    known = np.isfinite(depth_m) & (depth_m > 0)
    farthest = max_m or (depth_m[known].max() if known.any() else 1.0)
    return _map(np.where(known, depth_m / farthest, np.nan), NEAR_TO_FAR)


def normals_to_rgb(normals: np.ndarray) -> np.ndarray:
    """(H, W, 3) unit vectors -> the usual colours (x, y, z in [-1, 1] as red, green, blue); 0 = black."""
    known = np.isfinite(normals).all(axis=-1) & (normals != 0).any(axis=-1)
    shown = (np.clip(np.where(known[..., None], normals, -1.0), -1, 1) + 1) * 127.5
    return shown.round().astype(np.uint8)


def share_to_rgb(share: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1], such as probabilities -> 0 white, 1 dark violet; missing (< 0, NaN) = black."""
    share = np.asarray(share, np.float64)
    return _map(np.where(share >= 0, share, np.nan), ZERO_TO_ONE)


def palette(n: int) -> np.ndarray:
    """(n, 3) uint8: n colours, always the same; each far from the ones before and after it."""
    colours = []
    for i in range(n):
        hue = (0.58 + i * 0.6180339887) % 1  # the golden ratio spreads any number of hues
        saturation, value = ((0.45, 0.92), (0.75, 0.72), (0.60, 0.98), (0.85, 0.50))[i % 4]
        colours.append([round(255 * c) for c in colorsys.hsv_to_rgb(hue, saturation, value)])
    return np.array(colours, np.uint8).reshape(n, 3)


def seg_to_rgb(seg: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """(H, W) class ids, (n, 3) colours -> picture; ids without a colour (255, unlabelled) are black."""
    seg = np.asarray(seg)
    table = np.concatenate([palette, np.zeros((1, 3), np.uint8)])
    return table[np.where((seg >= 0) & (seg < len(palette)), seg, len(palette)).astype(np.int64)]


def trust_to_rgb(trust: np.ndarray) -> np.ndarray:
    """(H, W) disagreement in [0, 1], low = good -> teal (good) over cream to red (bad); NaN = black."""
    return _map(np.asarray(trust, np.float64), GOOD_TO_BAD)


def thumbnail(map_: np.ndarray, width: int) -> np.ndarray:
    """(H, W, ...) labels, depth or normals to about `width` columns; picks pixels, so that no label is invented."""
    rows, columns = picked((map_.shape[0], map_.shape[1]), width)
    return np.ascontiguousarray(map_[rows][:, columns])


def picked(size: tuple[int, int], width: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows and the columns of a map (H, W) that its `thumbnail` holds."""
    height, full = size
    width = min(width, full)
    rows = ((np.arange(max(1, round(height * width / full))) + 0.5) * full / width).astype(int).clip(max=height - 1)
    return rows, ((np.arange(width) + 0.5) * full / width).astype(int)


def thumbnail_photo(rgb: np.ndarray, width: int) -> np.ndarray:
    """(H, W, 3) uint8 to about `width` columns, antialiased."""
    height, full = rgb.shape[:2]
    width = min(width, full)
    size = (width, max(1, round(height * width / full)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))


def _fit(picture: np.ndarray, tile: tuple[int, int]) -> Image.Image:
    """The picture as large as it fits into tile = (h, w)."""
    factor = min(tile[0] / picture.shape[0], tile[1] / picture.shape[1])
    h, w = (max(1, round(side * factor)) for side in picture.shape[:2])
    return Image.fromarray(np.ascontiguousarray(picture)).resize((w, h), Image.Resampling.BILINEAR)


def contact_sheet(
    rows: list[list[np.ndarray]], titles: list[str] | None = None, tile: tuple[int, int] = (180, 240)
) -> np.ndarray:
    """Rows of (H, W, 3) uint8 pictures of any sizes -> one picture; `titles` stand above the columns.

    Each picture keeps its aspect ratio, in the middle of its `tile` = (height, width) in pixels.
    """
    (h, w), columns, top = tile, max((len(row) for row in rows), default=0), TITLE_HEIGHT if titles else 0
    size = (GAP + columns * (w + GAP), top + GAP + len(rows) * (h + GAP))
    sheet = Image.new("RGB", size, (BACKGROUND,) * 3)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for j, title in enumerate(titles or []):
        while title and draw.textlength(title, font=font) > w:
            title = title[:-1]  # a title stays over its own column
        draw.text((GAP + j * (w + GAP), 2), title, fill=(INK,) * 3, font=font)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            fitted = _fit(picture, tile)
            x, y = GAP + j * (w + GAP) + (w - fitted.width) // 2, top + GAP + i * (h + GAP) + (h - fitted.height) // 2
            sheet.paste(fitted, (x, y))
    return np.array(sheet)
