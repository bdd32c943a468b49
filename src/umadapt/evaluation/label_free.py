"""Ranking runs on photos without labels: how near are they to the source model's consensus, and how much do their
predictions of the tasks tell of each other?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from umadapt.data.batch import Batch
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.selection import choose
from umadapt.inference.photos import photo_batches, run_model
from umadapt.methods.cross_task import target_features
from umadapt.nets.encoder import shares_trunk
from umadapt.nets.ensemble import UNKNOWN, Shares, consensus, excesses, shares_of
from umadapt.nets.model import Maps, UMAdapt
from umadapt.training.candidates import candidates, load_candidate
from umadapt.training.run_folder import RunFolder
from umadapt.training.run_record import RunRecord, Selected

SAMPLE = 96  # photos that the checkpoints of a run are compared on, spread evenly over all


class Figures(NamedTuple):
    """What is measured of one photo; `score` says what each is."""

    distance: dict[str, float]
    energy: dict[str, float]
    moved: dict[str, float]
    entropy: float
    mass: list[float]  # mean class probabilities; empty without seg


class Reference(NamedTuple):
    """What the predictions on a batch of photos are compared with; the same for every checkpoint of a run."""

    source: Maps  # predictions of the source model
    entropy: Maps  # (B, h, w), what these disagree with themselves
    agreed: Maps  # its consensus


@torch.inference_mode()
def score(
    model: UMAdapt,
    domain: str,
    photos: Folder,
    *,
    shares: Shares | None = None,
    ids: Sequence[str] | None = None,
    batch: int = 8,
    progress: bool = False,
) -> dict[str, Any]:
    """Label-free figures of a model on photos. Each of several ranks looks at a share and returns the figures of all.

    Args:
        model: in eval mode.
        domain: "source" or "target".
        photos: any folder with images.
        shares: of the members of the source model's consensus, as its training measured them; default: usual ones.
        ids: which of its photos; default: all.
        batch: photos at once; the figures do not depend on it.
        progress: show a bar on stderr.

    Returns:
        {"n": photos, "distance": {task: L_t(prediction, the source model's consensus), less what that has with itself},
        "energy": {task: L_t(N->t(other tasks), prediction) of the stage-1 transfer nets}, "total": sum of these,
        "disagreement": {task: mean over pixels of `energy_map`, the trust map's disagreement, with the source
        model's prediction, less what that has with itself}, 0 for a source model,
        "entropy": mean predictive entropy of seg in nats, "diversity": entropy of the mean class distribution in nats
        (0 = one class everywhere)}; the last two where the model has seg.

    Raises:
        UserError: a prediction is not finite; the photo is named.
    """
    found: dict[str, Figures] = {}
    for names, images in sample(model, photos, photos.ids if ids is None else ids, batch, progress):
        reference = refer(model, images, shares)
        direct = run_model(model, images, domain) if domain != "source" else reference.source
        found |= figures(model, names, direct, reference)
    return summary(model, found)


def sample(
    model: UMAdapt, photos: Folder, ids: Sequence[str], batch: int, progress: bool = False
) -> Iterator[tuple[list[str], Tensor]]:
    """(ids, images (B, 3, h, w) where the model is) of this rank's share of the photos."""
    for seen in photo_batches(photos, ids, model.spec, batch, lambda *_: None, progress):
        yield seen.ids, seen.images.to(model.mean.device, memory_format=torch.channels_last)


def refer(model: UMAdapt, images: Tensor, shares: Shares | None = None) -> Reference:
    """The source model and its consensus on a batch."""
    shares = shares_of(None, model.tasks, UNKNOWN) if shares is None else shares
    source = model(images, "source")
    entropy = {t: task.energy_map(source[t], source[t]) for t, task in model.tasks.items()}
    return Reference(source, entropy, consensus(model, lambda x: model.encode(x, "source"), images, shares, source))


def figures(model: UMAdapt, names: Sequence[str], direct: Maps, reference: Reference) -> dict[str, Figures]:
    """What predictions on a batch are worth, by photo."""
    cross = model.cross(direct)
    moved = {
        t: (task.energy_map(direct[t], reference.source[t]) - reference.entropy[t]).mean((1, 2))
        for t, task in model.tasks.items()
    }
    entropy, mass = class_entropy(direct[model.class_task]) if model.class_task in direct else (None, None)
    found = {}
    for i, id in enumerate(names):

        def one(maps: Maps) -> Maps:
            # one photo at a time: the BerHu threshold of depth depends on all that shares its batch
            return {name: map_[i : i + 1] for name, map_ in maps.items()}  # noqa: B023

        alone, there = one(direct), one(cross)
        energy = {task: float(model.tasks[task].energy(there[task], alone[task])) for task in model.graph}
        distance = {task: float(x) for task, x in excesses(model, alone, one(reference.agreed)).items()}
        for what, values in (("energy", energy), ("distance", distance)):
            for task, value in values.items():
                if not math.isfinite(value):
                    raise UserError(f"the {what} of {task} for {id!r} is {value}: the run's predictions diverged")
        found[id] = Figures(
            distance,
            energy,
            {task: float(x[i]) for task, x in moved.items()},
            0.0 if entropy is None else float(entropy[i]),
            [] if mass is None else mass[i].tolist(),
        )
    return found


def summary(model: UMAdapt, found: Mapping[str, Figures]) -> dict[str, Any]:
    """What `score` returns, of the photos of all ranks."""
    everyone = [figures for part in process_group.gather(found) for figures in part.values()]
    n = len(everyone)

    def mean(values: Iterable[float]) -> float:
        return math.fsum(values) / n  # exact, so that neither the order of photos nor the number of ranks shows

    result: dict[str, Any] = {"n": n, "distance": {t: mean(x.distance[t] for x in everyone) for t in model.tasks}}
    result["energy"] = {t: mean(x.energy[t] for x in everyone) for t in model.graph}
    result["total"] = sum(result["energy"].values())
    result["disagreement"] = {t: mean(x.moved[t] for x in everyone) for t in model.tasks}
    if model.class_task:
        result["entropy"] = mean(x.entropy for x in everyone)
        shares = [mean(column) for column in zip(*(x.mass for x in everyone), strict=True)]
        result["diversity"] = float(torch.special.entr(torch.tensor(shares, dtype=torch.float64)).sum())
    return result


def class_entropy(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, h, w) logits to the mean over pixels of the entropy (B,), in nats, and of the probabilities (B, C)."""
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    return -(p * log_p).sum(1).mean((1, 2)), p.mean((2, 3))


@torch.inference_mode()
def score_candidates(
    path: Path, model: UMAdapt, photos: Folder, shares: Shares, ids: Sequence[str], batch: int, progress: bool = False
) -> list[dict[str, Any]]:
    """What `score` says of every checkpoint of a run, and its "step"; the model is left with the last one.

    The source model is the same for all of them, and runs once a photo, as does a trunk that the domains share.
    """
    steps = candidates(path)
    found: dict[int, dict[str, Figures]] = {step: {} for step in steps}
    for names, images in sample(model, photos, ids, batch, progress):
        reference = refer(model, images, shares)
        seen = Batch(names, images)
        if shares_trunk(model.encoder):
            seen = Batch(names, images, trunk=model.trunk(images, "target"))
        for step in steps:
            load_candidate(path, step, model)
            direct = model.decode(target_features(model, seen))
            found[step] |= figures(model, names, direct, reference)
    return [{"step": step, **summary(model, found[step])} for step in steps]


def select(run: RunFolder, model: UMAdapt, photos: Folder, shares: Shares) -> int:
    """Score every checkpoint of a run, put the one that `choose` prefers into the model, and note why.

    Returns:
        its step.
    """
    ids = photos.ids[:: -(-len(photos.ids) // SAMPLE)]
    rows = score_candidates(run.path, model, photos, shares, ids, batch=8)
    best = rows[choose(rows)]["step"]
    load_candidate(run.path, best, model)
    run.record.selected = Selected(best, rows)
    return best


def real_energy(record: RunRecord) -> dict[str, float]:
    """Energy of real tuples as a run's transfer stage measured it, by task: held-out source where there is one."""
    report = record.transfer_report or {}
    parts = {task: by_part.get("heldout") or by_part.get("source") or {} for task, by_part in report.items()}
    return {task: float(figures["energy"]) for task, figures in parts.items() if figures.get("energy") is not None}
