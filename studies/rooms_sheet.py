"""Views of rendered sets as one small picture, spread evenly over each; several sets stand side by side, view by view.

python studies/rooms_sheet.py OUT.jpg COUNT ROOMS [ROOMS ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

from umadapt.data.files import write_image
from umadapt.data.folder import Folder
from umadapt.data.viz import contact_sheet, thumbnail_photo

COLUMNS, WIDTH = 6, 200


def main(out: str, count: int, addresses: list[str]) -> None:
    """Write the sheet."""
    folders = [Folder(address) for address in addresses]
    tiles = [
        thumbnail_photo(folder.read_image(folder.ids[round((k + 0.5) * len(folder.ids) / count)]), WIDTH)
        for k in range(count)
        for folder in folders
    ]
    columns = COLUMNS // len(folders) * len(folders)
    rows = [tiles[k : k + columns] for k in range(0, len(tiles), columns)]
    titles = [Path(address).name for address in addresses] * (columns // len(folders)) if len(folders) > 1 else None
    height = max(tile.shape[0] for tile in tiles)
    write_image(Path(out), contact_sheet(rows, titles, tile=(height, WIDTH)), 85)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
