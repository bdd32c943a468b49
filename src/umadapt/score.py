"""Ranking runs on photos without labels: how well do a run's predictions of the tasks agree with each other?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from umadapt import config as configs
from umadapt import ranks
from umadapt.candidates import candidates, load_candidate
from umadapt.checkpoint import RunFolder, load_model, transfer_key
from umadapt.data.folder import Folder, write_json
from umadapt.errors import UserError
from umadapt.nets.model import UMAdapt
from umadapt.photos import photo_batches, run_model
from umadapt.selection import badness, choose

SAMPLE = 96  # photos that the checkpoints of a run are compared on, spread evenly over all

CAUTION = (
    "score = entropy less diversity, plus energies but that of seg in units of real tuples; the lowest is the best.\n"
    "Low energy alone is no proof of good predictions: maps that agree may agree on being wrong, and empty scenes\n"
    "(all wall) have low energy. Compare with the energy of real tuples."
)


class Figures(NamedTuple):
    """What is measured of one photo; `score` says what each is."""

    energy: dict[str, float]
    moved: dict[str, float]
    entropy: float
    mass: list[float]  # mean class probabilities; empty without seg


@torch.inference_mode()
def score(
    model: UMAdapt,
    domain: str,
    photos: Folder,
    *,
    ids: Sequence[str] | None = None,
    batch: int = 8,
    progress: bool = False,
) -> dict[str, Any]:
    """Label-free figures of a model on photos. Each of several ranks looks at a share and returns the figures of all.

    Args:
        model: in eval mode, with at least one transfer net.
        domain: "source" or "target".
        photos: any folder with images.
        ids: which of its photos; default: all.
        batch: photos at once; the figures do not depend on it.
        progress: show a bar on stderr.

    Returns:
        {"n": photos, "energy": {task: L_t(N->t(other tasks), prediction) of the stage-1 transfer nets},
        "total": sum of these, "disagreement": {task: L_t(prediction, the source model's prediction)}, 0 for a source
        model, "entropy": mean predictive entropy of seg in nats, "diversity": entropy of the mean class distribution
        in nats (0 = one class everywhere)}; the last two where the model has seg.

    Raises:
        UserError: a prediction is not finite; the photo is named.
    """
    ids = photos.ids if ids is None else ids
    found: dict[str, Figures] = {}
    for names, images, _ in photo_batches(photos, ids, model.spec.size, batch, lambda _: None, progress):
        direct = run_model(model, images, domain)
        cross = model.cross(direct)
        before = run_model(model, images, "source") if domain != "source" else {}
        moved = {t: model.tasks[t].energy_map(direct[t], map_).mean((1, 2)) for t, map_ in before.items()}
        entropy, mass = class_entropy(direct["seg"]) if "seg" in direct else (None, None)
        for i, id in enumerate(names):
            energy = {}
            for task in model.graph:
                # one photo at a time: the BerHu threshold of depth depends on all that shares its batch
                value = float(model.tasks[task].energy(cross[task][i : i + 1], direct[task][i : i + 1]))
                if value != value or value == float("inf"):
                    raise UserError(f"the energy of {task} for {id!r} is {value}: the run's predictions diverged")
                energy[task] = value
            found[id] = Figures(
                energy,
                {task: float(moved[task][i]) if moved else 0.0 for task in model.tasks},
                0.0 if entropy is None else float(entropy[i]),
                [] if mass is None else mass[i].tolist(),
            )
    everyone = [figures for part in ranks.gather(found) for figures in part.values()]
    n = len(everyone)

    def mean(values: Iterable[float]) -> float:
        return math.fsum(values) / n  # exact, so that neither the order of photos nor the number of ranks shows

    result: dict[str, Any] = {"n": n, "energy": {t: mean(x.energy[t] for x in everyone) for t in model.graph}}
    result["total"] = sum(result["energy"].values())
    result["disagreement"] = {t: mean(x.moved[t] for x in everyone) for t in model.tasks}
    if "seg" in model.tasks:
        result["entropy"] = mean(x.entropy for x in everyone)
        shares = [mean(column) for column in zip(*(x.mass for x in everyone), strict=True)]
        result["diversity"] = float(torch.special.entr(torch.tensor(shares, dtype=torch.float64)).sum())
    return result


def class_entropy(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(B, C, h, w) logits to the mean over pixels of the entropy (B,), in nats, and of the probabilities (B, C)."""
    log_p = logits.log_softmax(1)
    p = log_p.exp()
    return -(p * log_p).sum(1).mean((1, 2)), p.mean((2, 3))


def run(config: configs.Score) -> int:
    """The command `score`: prints the runs, or their checkpoints, best first, and writes --json."""
    if not config.runs:
        raise UserError("no runs given; expected for example: umadapt score RUN1 RUN2 --photos PHOTOS")
    photos = Folder(config.photos)
    if not photos.has("image", photos.ids[0]):
        raise UserError(f"{photos.root} holds labels alone; expected photos")
    rows: list[dict[str, Any]] = []
    first = ""
    for path in config.runs:
        model, stored = load_model(path, config.device)
        if not model.graph:
            raise UserError(f"{path} has no transfer nets, so there is no cross-task energy to score")
        key = transfer_key(model)
        first = first or key
        if key != first:
            raise UserError(
                f"{path} and {config.runs[0]} have different transfer nets, so their energies do not compare. "
                "Score runs that were adapted from the same base run"
            )
        for step in candidates(path) if config.checkpoints and candidates(path) else [None]:
            if step is not None:
                load_candidate(path, step, model)
            found = score(model, stored["domain"], photos, batch=config.batch, progress=True)
            real = real_energy(stored)
            row = {"run": str(path), "variant": stored["variant"], "score": badness(found, real), **found, "real": real}
            rows.append(row if step is None else row | {"step": step})
    rows.sort(key=lambda row: row["score"])
    print(f"{len(photos.ids)} photos of {config.photos}; best score first\n")
    print(table(rows))
    print("\n" + CAUTION)
    if config.json is not None and not ranks.rank():
        write_json(config.json, {"photos": config.photos, "transfers": first, "ranking": rows})
    return 0


def select(run: RunFolder, model: UMAdapt, photos: Folder) -> int:
    """Score every checkpoint of a run, put the one that `choose` prefers into the model, and note why.

    Returns:
        its step.
    """
    ids = photos.ids[:: -(-len(photos.ids) // SAMPLE)]
    rows = []
    for step in candidates(run.path):
        load_candidate(run.path, step, model)
        rows.append({"step": step, **score(model, "target", photos, ids=ids)})
    best = rows[choose(rows, real_energy(run.config))]["step"]
    load_candidate(run.path, best, model)
    run.config["selected"] = {"step": best, "scores": rows}
    return best


def real_energy(stored: Mapping[str, Any]) -> dict[str, float]:
    """Energy of real tuples as a run's transfer stage measured it, by task: held-out source where there is one."""
    report: Mapping[str, Mapping[str, Any]] = stored.get("transfer_report") or {}
    parts = {task: by_part.get("heldout") or by_part.get("source") or {} for task, by_part in report.items()}
    return {task: float(figures["energy"]) for task, figures in parts.items() if figures.get("energy") is not None}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Aligned plain text: one line a run, and the energy of real tuples below."""
    tasks = list(rows[0]["energy"])
    head = ["", "score", "total", *tasks] + [key for key in ("entropy", "diversity") if key in rows[0]]
    lines = [head]
    for row in rows:
        figures = [row["score"], row["total"], *row["energy"].values()] + [row[key] for key in head[3 + len(tasks) :]]
        step = f", step {row['step']}" if "step" in row else ""
        lines.append([f"{row['run']} ({row['variant']}{step})", *(f"{x:.4f}" for x in figures)])
    real = rows[0]["real"]
    if real:
        known = [f"{real[task]:.4f}" if task in real else "-" for task in tasks]
        total = f"{sum(real.values()):.4f}" if all(task in real for task in tasks) else "-"
        lines.append(["real tuples of the source", "", total, *known])
    wide = max(len(line[0]) for line in lines)
    return "\n".join(line[0].ljust(wide) + "".join(f"{cell:>11}" for cell in line[1:]) for line in lines)
