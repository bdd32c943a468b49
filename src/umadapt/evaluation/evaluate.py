"""Metrics under a named protocol: of a model on a labelled folder, of a folder of predictions, or of a prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.evaluator import Evaluator, Maps
from umadapt.evaluation.image_prior import prior_maps
from umadapt.evaluation.protocols import PROTOCOLS, Protocol
from umadapt.inference.photos import photo_batches, physical_maps, read_ahead, run_model
from umadapt.inference.predictor import Predictor
from umadapt.nets.ensemble import Shares
from umadapt.nets.model import UMAdapt
from umadapt.tasks import TASKS
from umadapt.tasks.resize import to_tensor


@torch.inference_mode()
def evaluate(
    model: UMAdapt,
    domain: str,
    folder: Folder,
    protocol: Protocol | str,
    *,
    ids: Sequence[str] | None = None,
    batch: int = 8,
    normals_from_depth: bool = False,
    align: str = "none",
    shares: Shares | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Measure a model on a labelled folder. Each of several ranks measures a share and returns the figures of all.

    Args:
        model: in eval mode, on the device to use.
        domain: "source" or "target": whose Res-5 branch and statistics.
        folder: labelled data.
        protocol: one of PROTOCOLS, or its name.
        ids: photos to measure; default: all of the folder.
        batch: photos at once; those of one fitted size go together, and the figures do not depend on it.
        normals_from_depth: make normals ground truth from depth and camera.
        align: fit the predicted depth of each image to its truth first: "none", "median" or "scale-shift".
        shares: of ensemble members to merge the predictions with, as in `run_model`.
        progress: show a bar on stderr.

    Returns:
        the evaluation JSON, see `Evaluator.result`.

    Raises:
        UserError: see `Evaluator`.
    """
    protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    evaluator = Evaluator(folder, protocol, tuple(model.tasks), model.classes, normals_from_depth, align)
    ids = folder.ids if ids is None else ids
    for seen in photo_batches(folder, ids, model.spec, batch, evaluator.read, progress):
        predictions = run_model(model, seen.images, domain, shares)
        wanted = {task: predictions[task] for task in evaluator.tasks}
        physical = physical_maps(model, wanted, seen.magnifications)
        for i, (name, truth) in enumerate(zip(seen.ids, seen.extras, strict=True)):
            evaluator.update(name, {task: maps[i] for task, maps in physical.items()}, truth, folder.window_of(name))
    return evaluator.result()


def evaluate_predictions(
    predictions: Folder,
    folder: Folder,
    protocol: Protocol | str,
    *,
    normals_from_depth: bool = False,
    align: str = "none",
    progress: bool = False,
) -> dict[str, Any]:
    """Measure a folder of predictions in the folder format (what `predict` writes) like `evaluate` does a model.

    Maps of another size than the ground truth are resized (labels: nearest). Raises UserError when a task is
    predicted for some photos of the data only: measuring a part would say nothing about the whole.
    """
    protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    tasks = [task for task in TASKS if any(predictions.has(task, id) for id in folder.ids)]
    if not tasks:
        raise UserError(
            f"{predictions.root} holds no predictions for the {len(folder.ids)} photos of {folder.root}. "
            f"Expected files such as depth/{folder.ids[0]}.png; umadapt predict writes them"
        )
    evaluator = Evaluator(folder, protocol, tasks, predictions.classes or None, normals_from_depth, align)

    def read(id: str) -> tuple[Maps, Maps]:
        truth = evaluator.read(id)
        lacking = [task for task in truth if not predictions.has(task, id)]
        if lacking:
            raise UserError(f"{predictions.root} has no {lacking[0]}/{id}.png. Predict all photos of the data first")
        found = {task: predictions.read_label(task, id, truth=False) for task in truth}
        return {task: _as_prediction(to_tensor(map_)) for task, map_ in found.items() if map_ is not None}, truth

    mine = process_group.share_of(folder.ids, process_group.rank(), process_group.size())
    for id, (prediction, truth) in read_ahead(read, mine, progress):
        evaluator.update(id, prediction, truth)
    return evaluator.result()


@torch.inference_mode()
def evaluate_prior(
    prior: Folder,
    folder: Folder,
    protocol: Protocol | str,
    *,
    normals_from_depth: bool = False,
    align: str = "none",
    progress: bool = False,
) -> dict[str, Any]:
    """Measure the constant maps of the labels of `prior` (see `prior_maps`) as `evaluate` does a model."""
    protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    maps = prior_maps(prior, protocol, normals_from_depth)
    evaluator = Evaluator(folder, protocol, tuple(maps), prior.classes or None, normals_from_depth, align)
    shown: Maps = {}
    for task in evaluator.tasks:  # classes are chosen once, not for every photo
        size = (maps[task].shape[-2], maps[task].shape[-1])
        shown[task] = _as_prediction(evaluator.kinds[task].resize(maps[task], size, evaluator.never))
    mine = process_group.share_of(folder.ids, process_group.rank(), process_group.size())
    for id, truth in read_ahead(evaluator.read, mine, progress):
        evaluator.update(id, shown, truth)
    return evaluator.result()


@torch.inference_mode()
def evaluate_predictor(
    predictor: Predictor, folder: Folder, protocol: Protocol | str, ids: Sequence[str]
) -> dict[str, Any]:
    """Measure what a predictor, such as an exported file, gives for photos of a labelled folder.

    As `evaluate --predictions` does: classes are chosen already, and one that the protocol never predicts is wrong."""
    protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    evaluator = Evaluator(folder, protocol, tuple(predictor.maps), predictor.classes or None)
    for id in ids:
        found = predictor.predict(*folder.photo(id))
        evaluator.update(
            id, {task: _as_prediction(to_tensor(found[task])) for task in evaluator.tasks}, evaluator.read(id)
        )
    return evaluator.result()


def _as_prediction(map_: Tensor) -> Tensor:
    """With a channel axis, but ids without: depth (1, h, w), normals (3, h, w), seg (h, w)."""
    return map_.unsqueeze(0) if map_.ndim == 2 and map_.is_floating_point() else map_
