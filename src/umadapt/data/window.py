"""The part of its pictures that a data set means to be seen: photos without the border that they were stored with.

`Folder.read` and `Folder.read_window` crop to it; where a map has to have the size of the whole picture again, what is
outside gets the nearest prediction: `Window.nearest`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from umadapt.data.files import hxw
from umadapt.errors import UserError


@dataclass(frozen=True)
class Window:
    """Columns [left, right) and rows [top, bottom) of an upright picture, in pixels.

    Raises UserError when it is empty or begins outside.
    """

    left: int
    top: int
    right: int
    bottom: int
    given: str = field(default="it", compare=False)  # where it was read, for messages

    def __post_init__(self) -> None:
        if not (0 <= self.left < self.right and 0 <= self.top < self.bottom):
            raise UserError(f'{self.given}: "window" is {self}; expected 0 <= left < right and 0 <= top < bottom')

    def __str__(self) -> str:
        return str([self.left, self.top, self.right, self.bottom])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.bottom - self.top, self.right - self.left

    def check(self, picture: np.ndarray, name: object) -> None:
        """Raise a UserError that names the picture, (H, W, …), when the window is not inside."""
        height, width = picture.shape[:2]
        if self.bottom > height or self.right > width:
            raise UserError(
                f"{name}: found {hxw(picture)}, expected at least {self.bottom}x{self.right}, "
                f'because {self.given} has "window": {self} (left, top, right, bottom)'
            )

    def crop(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, …) to the part inside, (h, w, …): a view."""
        return picture[self.top : self.bottom, self.left : self.right]

    def nearest(self, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Rows (H, 1) and columns (1, W) of the window that stand for each pixel of a whole picture (H, W): where the
        pixel is inside its own, else the nearest. A map of the window, indexed by both, is one of the picture."""
        rows = np.arange(size[0]).clip(self.top, self.bottom - 1) - self.top
        columns = np.arange(size[1]).clip(self.left, self.right - 1) - self.left
        return rows[:, None], columns[None]


def read_window(value: Any, path: Path) -> Window | None:
    """The window of a dataset.json; None where it has none. Raises UserError when it is malformed."""
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 4 or any(type(side) is not int for side in value):
        raise UserError(
            f'{path}: "window" is {value}; expected [left, top, right, bottom] in whole pixels, such as '
            "[8, 8, 632, 472], right and bottom just outside"
        )
    return Window(*value, given=str(path))
