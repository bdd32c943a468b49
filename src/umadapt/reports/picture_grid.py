"""Photo, truth and variants side by side: a row for each task, as the paper's Figure 4, or one for all of a photo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from umadapt.data import viz
from umadapt.data.folder import Folder
from umadapt.data.viz import thumbnail, thumbnail_photo
from umadapt.evaluation.evaluator import Evaluator
from umadapt.evaluation.protocols import PROTOCOLS
from umadapt.inference.photos import predictor_of
from umadapt.reports.figures import spread
from umadapt.tasks import Task
from umadapt.tasks.resize import to_map
from umadapt.training.load import load_model

TILE = (150, 200)  # height, width of a picture


def grid(
    runs: Mapping[str, Path],
    address: str,
    protocol: str,
    normals_from_depth: bool,
    count: int,
    device: str,
    *,
    wide: bool = False,
) -> np.ndarray:
    """Photos spread over a labelled split, predicted by every run: (H, W, 3) uint8.

    Args:
        runs: title of the column -> run folder. One model is in memory at a time.
        address: labelled data.
        count: how many photos.
        wide: all tasks of a photo in one row.

    Raises:
        UserError: the data or a run's weights are not there.
    """
    folder = Folder(address)
    ids = spread(folder.ids, count)
    maps: dict[str, dict[str, dict[str, np.ndarray]]] = {id: {} for id in ids}  # id -> column -> task -> small map
    tasks: dict[str, Task] = {}
    for title, run in runs.items():
        model, stored = load_model(run, device)
        if not tasks:
            tasks = dict(model.tasks)
            evaluator = Evaluator(folder, PROTOCOLS[protocol], tuple(tasks), model.spec.classes, normals_from_depth)
            for id in ids:
                truth = {task: to_map(map_) for task, map_ in evaluator.read(id).items()}
                maps[id]["truth"] = {task: thumbnail(map_, TILE[1]) for task, map_ in truth.items()}
        predictor = predictor_of(model, stored)
        for id in ids:
            found = predictor.predict(*folder.photo(id))
            maps[id][title] = {task: thumbnail(found[task], TILE[1]) for task in tasks}
    columns = ("truth", *runs)
    blank = np.full((*TILE, 3), viz.BACKGROUND, np.uint8)
    rows: list[list[np.ndarray]] = []
    for id in ids:
        strips = []
        for name, task in tasks.items():
            # the truth decides the colours where it is, so that all maps of a row compare
            first = next(found[name] for found in maps[id].values() if name in found)
            scale, shown = task.picture_scale(first), [maps[id][column] for column in columns]
            strips.append([task.picture(found[name], scale) if name in found else blank for found in shown])
        photo = thumbnail_photo(folder.read_image(id), TILE[1])
        if wide:
            rows.append([photo, *(picture for strip in strips for picture in strip)])
        else:
            rows += [[photo if i == 0 else blank, *strip] for i, strip in enumerate(strips)]
    titles = [f"{name}: {column}" for name in tasks for column in columns] if wide else columns
    return viz.contact_sheet(rows, ["photo", *titles], TILE)
