"""How well do trust maps find the errors? Sparsification curves of uncertainties against labels.

The most uncertain pixels are removed first, and the mean error of those that remain is followed. A good uncertainty
removes the worst pixels first; none can do better than the oracle, which is the error itself (Ilg et al., ECCV 2018,
"Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow", Section 5).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.evaluator import Evaluator
from umadapt.evaluation.protocols import PROTOCOLS, Protocol
from umadapt.inference.photos import photo_batches, physical_maps, run_model
from umadapt.nets.encoder import Features
from umadapt.nets.ensemble import look, shares_of
from umadapt.nets.model import Maps, UMAdapt
from umadapt.tasks.base import excess_map
from umadapt.tasks.resize import fill, resize_map

FRACTIONS = np.arange(100) / 100  # of the pixels removed: 0 to 0.99
PIXELS = 12_000  # OURS: of a photo, drawn at random, because neighbours say the same and 654 photos must fit in memory
BOTH = "disagreement+entropy"
PLACE = "place"
CELLS = (48, 64)  # OURS: of the picture, rows and columns, for the uncertainty that does not look

Pixels = dict[str, np.ndarray]  # "error", "cell" and one entry an uncertainty, each (pixels,) float32


def sparsification(error: np.ndarray, uncertainty: np.ndarray) -> np.ndarray:
    """Mean error of the pixels that remain when the most uncertain are removed, over that of all: (len(FRACTIONS),).

    Args:
        error: (pixels,) at least 0, not all 0.
        uncertainty: (pixels,); only its order counts. OURS: equally uncertain pixels share the mean of their errors,
            which is what removing them in random order gives on average; a constant gives 1 everywhere.
    """
    _, group, counts = np.unique(uncertainty, return_inverse=True, return_counts=True)
    totals = np.bincount(group, weights=error.astype(np.float64))
    kept = np.concatenate([[0], counts.cumsum()])  # pixels, the most certain first
    sums = np.concatenate([[0.0], totals.cumsum()])  # their errors; linear within a group of equals
    remaining = (1 - FRACTIONS) * kept[-1]
    return np.interp(remaining, kept, sums) / remaining / (sums[-1] / kept[-1])


def area(curve: np.ndarray) -> float:
    """Area under a curve over FRACTIONS, by trapezoids."""
    return float(np.trapezoid(curve, FRACTIONS))


def ranked(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, those of equals averaged: (pixels,) float64."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[group]


def association(error: np.ndarray, uncertainty: np.ndarray) -> dict[str, float]:
    """{"auroc"} of finding the wrong pixels where the error is 0 or 1, else {"spearman"}, the rank correlation."""
    order = ranked(uncertainty)
    wrong = error > 0
    if np.isin(error, (0, 1)).all():
        if wrong.all() or not wrong.any():
            return {}
        return {"auroc": float(0.5 + (order[wrong].mean() - order[~wrong].mean()) / len(order))}
    truth = ranked(error)
    if (order == order[0]).all() or (truth == truth[0]).all():
        return {"spearman": 0.0}
    return {"spearman": float(np.corrcoef(order, truth)[0, 1])}


def measure(pixels: Pixels) -> dict[str, dict[str, Any]]:
    """Uncertainty -> {"ause", "aurg", "auroc" or "spearman", "curve"}; empty where there is no error to find.

    "ause" is the area between the uncertainty's curve and the oracle's (0 is perfect), "aurg" the one between
    random removal, whose curve is 1, and the uncertainty's (below 0 is worse than random). BOTH is the mean of the
    ranks of its two.
    """
    error = pixels["error"]
    if not (error > 0).any():
        return {}
    kinds = {name: values for name, values in pixels.items() if name not in ("error", "cell")}
    if set(both := BOTH.split("+")) <= set(kinds):
        kinds[BOTH] = np.mean([ranked(kinds[name]) for name in both], 0)
    kinds |= {"random": np.zeros_like(error), "oracle": error}
    best = area(sparsification(error, error))
    found: dict[str, dict[str, Any]] = {}
    for name, uncertainty in kinds.items():
        curve = sparsification(error, uncertainty)
        figures = {"ause": area(curve) - best, "aurg": area(np.ones_like(curve)) - area(curve)}
        found[name] = figures | association(error, uncertainty) | {"curve": curve.round(5).tolist()}
    return found


@torch.inference_mode()
def trust(
    model: UMAdapt,
    domain: str,
    folder: Folder,
    protocol: Protocol | str,
    *,
    from_depth: bool = False,
    ids: Sequence[str] | None = None,
    batch: int = 8,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Measure the uncertainties of a model on a labelled folder. Each of several ranks looks at a share of the photos.

    Errors are those that `evaluate` counts, at the ground truth's own size. OURS: and so are uncertainties, resized
    as `predict` does, because that is where a user sees them; on the output grid the truth would have to be invented.
    Four uncertainties: "disagreement" of a task and what its transfer net makes of the others, which trust maps show;
    "spread", of the photo and what it and its mirror image agree on; "entropy" of seg's class probabilities in nats,
    for every task; and "place", which does not look: the mean over all photos of the first of these that the task has,
    in each of CELLS of the picture. What finds errors no better than "place" says nothing of this photo.

    Args:
        model: in eval mode.
        domain: "source" or "target".
        folder: labelled data.
        protocol: one of PROTOCOLS, or its name.
        from_depth: truth of normals is made from depth.
        ids: photos to measure; default: all of the folder.
        batch: photos at once; the figures do not depend on it.
        seed: of the pixels drawn.
        progress: show a bar on stderr.

    Returns:
        {"protocol", "n", "errors": {task: {"kind", "mean", "pixels"}}, task: {uncertainty: what `measure` gives over
        the pixels of all photos, and "ause_photo", the mean over photos of each photo's own}}.

    Raises:
        UserError: no labels of its tasks (see `Evaluator`), no error to find, or predictions not finite.
    """
    protocol = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    evaluator = Evaluator(folder, protocol, tuple(model.tasks), model.spec.classes, from_depth)
    shares = shares_of(None, model.tasks, ("mirror",))

    def see(images: Tensor) -> Features:
        return model.encode(images, domain)

    ids = folder.ids if ids is None else ids
    drawn: dict[str, dict[str, Pixels]] = {task: {} for task in evaluator.tasks}  # by photo
    for seen in photo_batches(folder, ids, model.spec, batch, evaluator.read, progress):
        direct = run_model(model, seen.images, domain)
        metric = physical_maps(model, direct, seen.magnifications)
        doubts = uncertainties(model, direct, look(model, see, seen.images, shares, direct))
        for task in evaluator.tasks:
            maps, physical = doubts[task], metric[task]
            for i, (id, truth) in enumerate(zip(seen.ids, seen.extras, strict=True)):
                if task not in truth:
                    continue
                if not all(bool(torch.isfinite(x[i]).all()) for x in (physical, *maps.values())):
                    raise UserError(f"the prediction of {task} for {id!r} holds NaN or infinity: the training diverged")
                one = {name: map_[i] for name, map_ in maps.items()}
                drawn[task][id] = _draw(evaluator, task, id, physical[i], one, truth[task], seed)
    result: dict[str, Any] = {"protocol": protocol.name, "n": len(ids), "errors": {}}
    parts = process_group.gather(drawn)
    for task in evaluator.tasks:
        merged = {id: pixels for part in parts for id, pixels in part[task].items()}
        found, error = _pooled([merged[id] for id in ids if id in merged])
        if found:
            result["errors"][task] = {"kind": evaluator.kinds[task].error, **error}
            result[task] = found
    if not result["errors"]:
        raise UserError(f"no valid pixel with an error in {folder.root} under {protocol.name}: nothing to find")
    return result


def uncertainties(model: UMAdapt, direct: Maps, merged: Maps) -> dict[str, Maps]:
    """task -> {"disagreement", of a task with a transfer net, "spread", "entropy", of a model with classes: (B, h, w)}.

    Args:
        direct: predictions of photos.
        merged: with those of their mirror images.
    """
    cross, out = model.cross(direct), dict[str, Maps]()
    entropy = torch.special.entr(direct[model.class_task].softmax(1)).sum(1) if model.class_task else None
    for name, task in model.tasks.items():
        out[name] = {"disagreement": task.energy_map(cross[name], direct[name])} if name in cross else {}
        out[name]["spread"] = excess_map(task, direct[name], merged[name])
        out[name] |= {} if entropy is None else {"entropy": entropy}
    return out


def _pooled(photos: Sequence[Pixels]) -> tuple[dict[str, dict[str, Any]], dict[str, float]]:
    """(what `measure` gives over all photos, with "ause_photo"; {"mean", "pixels"} of the error)."""
    if not photos:
        return {}, {}
    photos = _with_place(photos)
    pooled = {name: np.concatenate([photo[name] for photo in photos]) for name in photos[0]}
    found = measure(pooled)
    if not found:
        return {}, {}
    alone = [each for each in map(measure, photos) if each]
    for name, figures in found.items():
        figures["ause_photo"] = float(np.mean([each[name]["ause"] for each in alone]))
    error = pooled["error"]
    return found, {"mean": float(error.mean()), "pixels": len(error)}


def _with_place(photos: Sequence[Pixels]) -> list[Pixels]:
    """The pixels of photos with PLACE beside their uncertainties."""
    shown = next(name for name in photos[0] if name not in ("error", "cell"))
    cells = [photo["cell"].astype(np.int64) for photo in photos]
    at, values = np.concatenate(cells), np.concatenate([photo[shown] for photo in photos])
    mean = np.bincount(at, values) / np.bincount(at).clip(min=1)
    return [photo | {PLACE: mean[cell]} for photo, cell in zip(photos, cells, strict=True)]


def _draw(
    evaluator: Evaluator, task: str, id: str, physical: Tensor, maps: Mapping[str, Tensor], truth: Tensor, seed: int
) -> Pixels:
    """Errors and uncertainties of a random share of one photo's valid pixels.

    The share is PIXELS over the pixels of the photo, so that photos with more valid pixels weigh more, as in
    `evaluate`; it depends on the photo's id and the seed alone.

    Args:
        physical: (C, h, w), in physical units.
        maps: uncertainty -> (h, w).
        truth: what `Evaluator.read` gives.
    """
    size = (truth.shape[-2], truth.shape[-1])
    window = evaluator.folder.window_of(id)
    found, truth = evaluator.compare(task, physical.cpu(), truth, window)
    error, valid = evaluator.kinds[task].pixel_error(found, truth)
    at = torch.nonzero(valid.flatten()).squeeze(1).numpy()
    count = round(len(at) * min(1, PIXELS / (size[0] * size[1])))
    at = np.random.default_rng([seed, zlib.crc32(id.encode())]).choice(at, count, replace=False)
    top, bottom, left, right = evaluator.protocol.window(size)
    seen = size if window is None else window.size
    wide = {name: fill(resize_map(map_.unsqueeze(0), seen), window, size) for name, map_ in maps.items()}
    planes = {"error": error} | {name: map_[..., top:bottom, left:right] for name, map_ in wide.items()}
    rows, columns = (torch.arange(n) * cells // n for n, cells in zip(error.shape, CELLS, strict=True))
    planes["cell"] = rows[:, None] * CELLS[1] + columns
    return {name: plane.cpu().flatten().numpy()[at].astype(np.float32) for name, plane in planes.items()}
