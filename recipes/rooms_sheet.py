"""Views of a rendered set as one small picture, six in a row, one view a room, spread evenly over the set.

python recipes/rooms_sheet.py docs/rooms.jpg ROOMS [COUNT]
"""

from __future__ import annotations

import sys

import numpy as np

from umadapt.data.folder import Folder, write_image
from umadapt.viz import thumbnail_photo

COLUMNS, WIDTH = 6, 200


def main(out: str, address: str, count: int = 30) -> None:
    """Write the sheet."""
    folder = Folder(address)
    chosen = [folder.ids[round((k + 0.5) * len(folder.ids) / count)] for k in range(count)]
    tiles = [thumbnail_photo(folder.read_image(name), WIDTH) for name in chosen]
    height = min(tile.shape[0] for tile in tiles)
    rows = [np.hstack([tile[:height] for tile in tiles[k : k + COLUMNS]]) for k in range(0, count, COLUMNS)]
    write_image(out, np.vstack([row for row in rows if row.shape == rows[0].shape]), 85)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], *(int(n) for n in sys.argv[3:]))
