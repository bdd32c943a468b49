"""Photos, ground truth where there is any, and what several runs make of them, as one small picture.

python studies/contact_sheet.py OUT.jpg DATA[:SPLIT] COUNT RUN [RUN ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import umadapt
from umadapt.data import viz
from umadapt.data.files import write_image
from umadapt.data.folder import Folder
from umadapt.data.viz import thumbnail, thumbnail_photo
from umadapt.training.load import read_record

WIDTH = 128  # of a tile, in pixels


def main(out: str, address: str, count: int, runs: list[str]) -> None:
    """One row for each photo and task; columns photo, truth, then the runs."""
    folder = Folder(address)
    models = [umadapt.load(run) for run in runs]
    colours = viz.palette(len(models[0].classes))
    rows = []
    for name in [folder.ids[round((i + 0.5) * len(folder.ids) / count)] for i in range(count)]:
        rgb = folder.read_image(name)
        found = [model.predict(rgb, folder.window_of(name)) for model in models]
        truth = {task: folder.read_label(task, name) for task in folder.tasks}
        depths = [m for m in (truth.get("depth"), *(f["depth"] for f in found)) if m is not None]
        far_m = float(np.percentile(depths[0], 98))
        for task in models[0].maps:
            paint = {
                "depth": lambda m, far=far_m: viz.depth_to_rgb(m, far),
                "normals": viz.normals_to_rgb,
                "seg": lambda m: viz.seg_to_rgb(m, colours),
            }[task]
            blank = np.full((1, 1, 3), 255, np.uint8)
            row = [thumbnail_photo(rgb, WIDTH) if task == "depth" else blank]
            for map_ in (truth.get(task), *(f[task] for f in found)):
                row.append(blank if map_ is None else paint(thumbnail(map_, WIDTH)))
            rows.append(row)
    titles = ["photo", "truth", *(read_record(Path(run)).variant for run in runs)]
    write_image(Path(out), viz.contact_sheet(rows, titles, tile=(96, 128)), quality=85)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
