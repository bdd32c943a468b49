"""Do figures that need no labels tell which of several adapted runs sees best?

    python studies/label_free.py BASE FOLDER... --photos nyudv2:target --eval nyudv2:val-a [--json FILE]

FOLDERs are outputs of `studies/ablations.py adapt`, of runs that were adapted from BASE, with their errors on --eval.
Spearman's rank correlation over all runs between an error and each figure on photos without labels; 1 = ranks as the
error does. Figures: distance to what BASE makes of a photo and two looks at it; spread, the distance to a run's own
mirror image; entropy of the classes; BASE's transfer nets' energy; and the selector's score (`umadapt score`). Cost:
.2 CPU seconds a run and photo at 120x160.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from umadapt.data.atomic import write_json
from umadapt.data.folder import Folder
from umadapt.evaluation.label_free import Figures, figures, refer, sample, summary
from umadapt.evaluation.selection import badness
from umadapt.inference.photos import run_model
from umadapt.nets.ensemble import UNKNOWN, excesses, look, shares_of
from umadapt.nets.model import UMAdapt
from umadapt.training.load import load_model

ERRORS = {"depth rel": ("depth", "rel", 1), "depth rms": ("depth", "rms", 1), "normals": ("normals", "mean", 1)}
ERRORS |= {"1 - mIoU": ("seg", "miou", -1), "1 - pixel acc.": ("seg", "pacc", -1)}


def found_runs(folders: list[Path], data: str, seed: int) -> dict[Path, dict[str, Any]]:
    """Run -> its errors; those of the seed, because others have another base."""
    end = f"-{seed}-{Path(data).name.replace(':', '-')}.json"
    results = {
        p.with_name(f"{p.name.removesuffix(end)}-{seed}"): p
        for folder in folders
        for p in sorted(folder.glob(f"*{end}"))
    }
    return {run: json.loads(result.read_text()) for run, result in results.items() if run.is_dir()}


@torch.inference_mode()
def measure(
    base: UMAdapt, runs: dict[Path, UMAdapt], photos: Folder, ids: Sequence[str]
) -> dict[Path, dict[str, float]]:
    """Run -> figure -> value. What BASE makes of a photo is computed once for all."""
    seen: dict[Path, dict[str, Figures]] = {run: {} for run in runs}
    spread: dict[Path, list[dict[str, float]]] = {run: [] for run in runs}
    shares, mirror = (shares_of(None, base.tasks, members) for members in (UNKNOWN, ("mirror",)))
    for names, images in sample(base, photos, ids, batch=8, progress=True):
        reference = refer(base, images, shares)
        for run, model in runs.items():
            direct = run_model(model, images, "target")
            seen[run] |= figures(base, names, direct, reference)
            both = look(model, lambda x, model=model: model.encode(x, "target"), images, mirror, direct)
            spread[run].append({task: float(x) for task, x in excesses(model, direct, both).items()})
    rows = {}
    for run, model in runs.items():
        of = summary(base, seen[run])
        row = {"entropy of the classes": of["entropy"], "selector's score": badness(of)}
        for task in model.tasks:
            row[f"distance, {task}"] = of["distance"][task]
            row[f"spread, {task}"] = statistics.mean(batch[task] for batch in spread[run])
        rows[run] = row | {f"energy, {task}": value for task, value in of["energy"].items()}
    return rows


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Spearman's, of values that are all different."""
    first, second = (np.argsort(np.argsort(values)) for values in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


def main() -> None:
    """One table: figures down, errors across."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--photos", required=True)
    parser.add_argument("--eval", required=True, help="the labelled photos that errors were measured on")
    parser.add_argument("--count", type=int, default=60, help="photos, spread evenly over all")
    parser.add_argument("--seed", type=int, default=0, help="that of BASE")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    errors, photos = found_runs(given.folders, given.eval, given.seed), Folder(given.photos)
    base = load_model(given.base, "cpu")[0].eval()
    runs = {run: load_model(run, "cpu")[0].eval() for run in errors}
    rows = measure(base, runs, photos, photos.ids[:: -(-len(photos.ids) // given.count)])
    truth = {name: [sign * errors[run][task][key] for run in rows] for name, (task, key, sign) in ERRORS.items()}
    print(f"{len(rows)} runs\n\n| | {' | '.join(truth)} |\n|---{'|---' * len(truth)}|")
    for figure in next(iter(rows.values())):
        values = [row[figure] for row in rows.values()]
        print(f"| {figure} | {' | '.join(f'{rank_correlation(values, error):.2f}' for error in truth.values())} |")
    if given.json:
        write_json(given.json, {str(run): row | {"errors": errors[run]} for run, row in rows.items()})


if __name__ == "__main__":
    main()
