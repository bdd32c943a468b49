"""Metrics under a named protocol: of a model on a labelled folder, of a folder of predictions, or of a prior."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from umadapt import config as configs
from umadapt.data.atomic import write_json
from umadapt.data.class_map import Names, read_class_map
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.evaluations import ALIGNED, read_evaluation
from umadapt.evaluation.evaluator import Evaluator, Maps
from umadapt.evaluation.image_prior import MOST, prior_maps
from umadapt.evaluation.protocols import PROTOCOLS, Protocol
from umadapt.inference.photos import (
    merge_classes,
    photo_batches,
    physical_maps,
    read_ahead,
    run_model,
    voting,
)
from umadapt.inference.predictor import Predictor
from umadapt.nets.ensemble import Shares
from umadapt.nets.model import UMAdapt
from umadapt.tasks import TASKS
from umadapt.tasks.resize import to_tensor
from umadapt.training.load import load_model


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
    """Measure what a predictor, such as an exported file, gives for photos of a labelled folder, as `evaluate` does."""
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


def run(config: configs.Evaluate) -> int:
    """The command `evaluate`: prints a table, writes --json and RUN/evaluations/PROTOCOL-NAME-SPLIT.json.

    Data of a name and split that other data has taken get their own file, see `own_file`.
    """
    if not config.data:
        raise UserError("no labelled data given; expected for example: umadapt evaluate RUN --data DATA:SPLIT")
    given = {"RUN": config.run, "--predictions DIR": config.predictions, "--prior DATA": config.prior}
    found = [name for name, value in given.items() if value is not None]
    if len(found) != 1:
        raise UserError(f"expected one of {', '.join(given)}; found {' and '.join(found) or 'none of them'}")
    if config.witnesses and config.run is None:
        raise UserError("--witnesses asks a RUN; give it to `umadapt predict`, which writes the predictions")
    class_map = read_class_map(config.class_map) if config.class_map else {}
    folder = _folder(config.data, class_map)
    address = _address(folder)
    options: dict[str, Any] = {"normals_from_depth": config.normals_from_depth, "align": config.align}
    if config.run is not None:
        model, stored = load_model(config.run, config.device)
        if not class_map and folder.classes != model.classes:
            folder.merge_classes(stored.class_map or {})
        if folder.classes != model.classes:
            merge_classes(model, class_map, config.run)
        options |= {"batch": config.batch, "shares": voting(model, stored, config.witnesses)}
        result = evaluate(model, stored.domain, folder, config.protocol, **options, progress=True)
        result |= {"variant": stored.variant, "data": address}
        result |= {"witnesses": options["shares"]} if config.witnesses else {}
        result |= {"class_map": class_map} if class_map else {}
        suffix = "-normals-from-depth" if "normals_from" in result else ""
        suffix += f"-align-{config.align}" if "align" in result else ""
        suffix += "".join(f"-{witness}" for witness in config.witnesses)
        suffix += f"-{Path(config.class_map).stem}" if config.class_map else ""
        name = re.sub(r"[^\w.-]+", "_", f"{config.protocol}-{folder.name}-{folder.split or 'all'}{suffix}")
        if not process_group.rank() and config.run.is_dir():
            write_json(own_file(config.run / "evaluations" / f"{name}.json", address), result)
        what = f"{config.run} ({stored.variant})"
    elif config.prior is not None:
        prior = _folder(config.prior, class_map, folder)
        result = evaluate_prior(prior, folder, config.protocol, **options, progress=True)
        result |= {"data": address, "prior": _address(prior)}
        what = f"the prior of {config.prior}"
    else:
        assert config.predictions is not None
        predictions = _folder(config.predictions, class_map, folder)
        result = evaluate_predictions(predictions, folder, config.protocol, **options, progress=True)
        result |= {"data": address}
        what = f"predictions in {config.predictions}"
    if config.json is not None and not process_group.rank():
        write_json(config.json, result)
    print(f"{what} on {config.data}")
    print(table(result, len(folder.classes)))
    return 0


def _folder(address: str | Path, class_map: Names, beside: Folder | None = None) -> Folder:
    """A folder, its classes merged; not where they are those of another that was."""
    folder = Folder(address)
    if beside is None or folder.classes != beside.classes:
        folder.merge_classes(class_map)
    return folder


def _address(folder: Folder) -> str:
    """Of a folder or its split, from anywhere."""
    return f"{folder.root.resolve()}:{folder.split}" if folder.split else str(folder.root.resolve())


def own_file(path: Path, address: str) -> Path:
    """Where the evaluation on the data at `address` goes: `path`, or beside it where other data of that name has it."""
    try:
        taken = read_evaluation(path).get("data", address)
    except (FileNotFoundError, UserError):  # none there, or none that could be read
        return path
    if taken == address:
        return path
    return path.with_stem(f"{path.stem}-{hashlib.sha256(address.encode(errors='surrogateescape')).hexdigest()[:8]}")


def conditions(result: Mapping[str, Any], classes: int = 0) -> dict[str, str]:
    """What decides the figures of an evaluation, for people; `classes` of the data, 0 where unknown."""
    protocol = PROTOCOLS[result["protocol"]]
    told = {"protocol": protocol.describe(), "images": str(result["n"])}
    if "seg" in result:
        measured, there = len(protocol.classes) or classes, len(result["seg"]["iou"])
        told["classes"] = f"{measured}, {there} of them there" if measured else f"{there} there"
    if "depth" in result:
        told["align"] = ALIGNED[result.get("align", "none")]
    if "normals_from" in result:
        told["normals"] = f"ground truth made from {result['normals_from']}"
    if "prior" in result:
        told["prior"] = f"one map a task for all photos, of up to {MOST} label maps of {result['prior']}"
    if "witnesses" in result:
        told["votes"] = f"of the network's own prediction and of {', '.join(result['witnesses'])}"
    return told


def table(result: Mapping[str, Any], classes: int) -> str:
    """The evaluation as aligned plain text: what was measured first, then one block a task."""
    lines = [f"{name:<8} {told}" for name, told in conditions(result, classes).items()]
    for task in TASKS:
        figures = {key: x for key, x in result.get(task, {}).items() if key != "iou"}
        if figures:
            lines += ["", f"{task:<8}" + "".join(f"{key:>11}" for key in figures)]
            lines.append(" " * 8 + "".join(f"{x:>11.3f}" for x in figures.values()))
    lines += [f"warning: {line}" for line in result.get("premises", ())]
    return "\n".join(lines)
