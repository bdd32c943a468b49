"""`umadapt score`: runs, or the checkpoints of runs, ranked on photos without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from umadapt.config import Score
from umadapt.data.atomic import write_json
from umadapt.data.folder import Folder
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.evaluation.label_free import real_energy, score, score_candidates
from umadapt.evaluation.selection import badness
from umadapt.nets.ensemble import UNKNOWN, shares_of
from umadapt.nets.model import UMAdapt
from umadapt.training.candidates import candidates
from umadapt.training.load import load_model
from umadapt.training.run_record import RunRecord
from umadapt.training.weights import source_key

CAUTION = (
    "score = geometric mean over the tasks of the distance d to what the source model makes of a photo, its mirror\n"
    "image and a larger copy, and its transfer nets of that, divided by exp(2 (diversity - E seg)): what the tasks\n"
    "tell of each other. Of adapted runs and checkpoints the lowest is the best; it flatters the source model itself,\n"
    "whose consensus that is. Low energy E is no proof of good predictions: maps that agree may agree on being wrong.\n"
    "Compare with the energy of real tuples; E seg holds the entropy of the prediction, which these have not.\n"
    "s is how far a task is from what the source model itself predicts, 0 where it predicts the same."
)


def run(config: Score) -> int:
    """Print the runs, or their checkpoints, best first; write --json."""
    if not config.runs:
        raise UserError("no runs given; expected for example: umadapt score RUN1 RUN2 --photos PHOTOS")
    if len(set(config.runs)) < len(config.runs):
        raise UserError(f"{next(run for run in config.runs if config.runs.count(run) > 1)} is given twice")
    photos = Folder(config.photos)
    if not photos.has("image", photos.ids[0]):
        raise UserError(f"{photos.root} holds labels alone; expected photos")
    rows: list[dict[str, Any]] = []
    first, shares = "", None
    for path in config.runs:
        model, stored = load_model(path, config.device)
        refuse(path, model, stored)
        key = source_key(model)
        first = first or key
        if key != first:
            raise UserError(
                f"{path} and {config.runs[0]} have different source models or transfer nets, so their distances and "
                "energies do not compare. Score runs that were adapted from the same base run"
            )
        shares = shares or shares_of(stored.witnesses, model.tasks, UNKNOWN)  # one base run, one consensus
        if config.checkpoints and candidates(path):
            measured = score_candidates(path, model, photos, shares, photos.ids, config.batch, progress=True)
        else:
            measured = [score(model, stored.domain, photos, shares=shares, batch=config.batch, progress=True)]
        about = {"run": str(path), "variant": stored.variant, "real": real_energy(stored)}
        rows += [about | {"score": badness(found)} | found for found in measured]
    rows.sort(key=lambda row: row["score"])
    print(f"{len(photos.ids)} photos of {config.photos}; best score first\n")
    print(table(rows))
    print("\n" + CAUTION)
    if config.json is not None and not process_group.rank():
        write_json(config.json, {"photos": config.photos, "source": first, "ranking": rows})
    return 0


def refuse(path: Path, model: UMAdapt, stored: RunRecord) -> None:
    """Raise a UserError where a run has no energy, or no source model, to compare with."""
    if not model.graph:
        raise UserError(f"{path} has no transfer nets, so there is no cross-task energy to score")
    trained = stored.command.get("adapt") or ("all" if stored.variant == "self-training" else "res5")
    if stored.command.get("train_decoders") or trained == "all":
        raise UserError(
            f"{path} has trained its decoders, which serve both domains: its source model is not there any more. "
            "Leave it out, or measure it by `umadapt evaluate` on labelled photos"
        )


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Aligned plain text: one line a run, and the energy of real tuples below."""
    near, tasks = list(rows[0]["distance"]), list(rows[0]["energy"])
    spread = [key for key in ("entropy", "diversity") if key in rows[0]]
    lines = [["", "score", *(f"d {task}" for task in near), "total E", *(f"E {task}" for task in tasks), *spread]]
    lines[0] += [f"s {task}" for task in near]
    for row in rows:
        figures = [row["score"], *row["distance"].values(), row["total"], *row["energy"].values()]
        step = f", step {row['step']}" if "step" in row else ""
        cells = [f"{x:.4f}" for x in [*figures, *(row[key] for key in spread), *row["disagreement"].values()]]
        lines.append([f"{row['run']} ({row['variant']}{step})", *cells])
    real = rows[0]["real"]
    if real:
        known = [f"{real[task]:.4f}" if task in real else "-" for task in tasks]
        total = f"{sum(real.values()):.4f}" if all(task in real for task in tasks) else "-"
        lines.append(["real tuples of the source", *[""] * (1 + len(near)), total, *known])
    wide = max(len(line[0]) for line in lines)
    return "\n".join(line[0].ljust(wide) + "".join(f"{cell:>11}" for cell in line[1:]) for line in lines)
