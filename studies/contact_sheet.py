"""Photos, ground truth where there is any, and what several runs make of them, as one small picture.

python studies/contact_sheet.py OUT.jpg DATA[:SPLIT] COUNT [NAME=]RUN [[NAME=]RUN ...]

Without a name a run is called by its variant. Normals of data that have none are made from depth.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import umadapt
from umadapt.data import viz
from umadapt.data.files import write_image
from umadapt.data.fitted import FittedNormals, fits_normals
from umadapt.data.folder import Folder
from umadapt.data.viz import thumbnail, thumbnail_photo
from umadapt.training.load import read_record

WIDTH = 120  # of a tile, in pixels


def main(out: str, address: str, count: int, runs: list[str]) -> None:
    """A row for each photo: the photo, then of each task the truth where there is any, and what each run says."""
    folder = Folder(address)
    folder = FittedNormals(folder) if "normals" not in folder.tasks and fits_normals(folder) else folder
    pairs = [run.rpartition("=")[::2] for run in runs]
    models = {name or read_record(Path(run)).variant: umadapt.load(run) for name, run in pairs}
    if len(models) < len(runs):
        sys.exit(f"two runs have one name: {', '.join(models)}; give NAME=RUN")
    first = next(iter(models.values()))
    colours = viz.palette(len(first.classes))
    titles = ["photo"]
    for task in first.maps:
        titles += [f"{task}: {name}" for name in (["truth"] if task in folder.tasks else []) + list(models)]
    rows = []
    for name in [folder.ids[round((i + 0.5) * len(folder.ids) / count)] for i in range(count)]:
        rgb = folder.read_image(name)
        found = [model.predict(rgb, folder.window_of(name)) for model in models.values()]
        row = [thumbnail_photo(rgb, WIDTH)]
        for task in first.maps:
            truth = [label for label in [folder.read_label(task, name)] if label is not None]
            maps = [*truth, *(one[task] for one in found)]
            far_m = float(np.percentile(maps[0], 98)) if task == "depth" else 0.0
            paint = {
                "depth": lambda m, far=far_m: viz.depth_to_rgb(m, far),
                "normals": viz.normals_to_rgb,
                "seg": lambda m: viz.seg_to_rgb(m, colours),
            }[task]
            row += [paint(thumbnail(map_, WIDTH)) for map_ in maps]
        rows.append(row)
    write_image(Path(out), viz.contact_sheet(rows, titles, tile=(WIDTH * 3 // 4, WIDTH)), quality=85)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
