"""Borders that photos were stored with, such as NYUDv2's white one: they look to a network like a part of the world."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from umadapt.data.folder import Folder
from umadapt.data.window import Window

LEAST = 8  # photos that must show it: fewer may be alike by chance
PHOTOS = 0.95  # share of the photos,
PIXELS = 0.98  # and of a line's pixels, that have the border's colour,
LEVELS = 40  # to so many grey levels: what JPEG leaves of a border beside a photo
WIDEST = 0.25  # of a side; more is a photo of something before a plain background


def common_border(folder: Folder, ids: Sequence[str]) -> Window | None:
    """The window inside the border that nearly all of these photos have; None where they have none.

    The photos have one size. Of a window that the folder has already, it looks inside. The line in which border and
    photo mix is left out, too.
    """
    if len(ids) < LEAST:
        return None
    photos = [folder.read_window(id) for id in ids]
    height, width = photos[0].shape[:2]
    wide = {}
    for side, turns in (("top", 0), ("right", 1), ("bottom", 2), ("left", 3)):
        lines = [np.rot90(photo, turns) for photo in photos]
        wide[side] = _border_lines(lines)
    if not any(wide.values()):
        return None
    now = folder.window_of(ids[0])
    left, top = (now.left, now.top) if now else (0, 0)
    return Window(left + wide["left"], top + wide["top"], left + width - wide["right"], top + height - wide["bottom"])


def _border_lines(photos: Sequence[np.ndarray]) -> int:
    """How many rows at the top of photos (H, W, 3) are border, and one for the transition; 0 where there is none."""
    colour = np.median([np.median(photo[0], axis=0) for photo in photos], axis=0)
    most = int(WIDEST * photos[0].shape[0])
    for row in range(most):
        apart = np.abs(np.stack([photo[row] for photo in photos]) - colour).max(-1)  # (photos, W)
        if ((apart <= LEVELS).mean(-1) >= PIXELS).mean() < PHOTOS:
            return row + 1 if row else 0
    return 0
