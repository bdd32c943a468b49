"""Which classes does a photo show? A linear layer on frozen Res-5 features of several encoders: a proxy for ImageNet.

    python studies/presence.py nyudv2:target nyudv2:val-a indoor-base indoor --json presence.json

A class is present where it covers a thousandth of the photo. Features are standardised, the penalty of the logistic
regression is chosen on a fifth of the training photos, for each encoder alone; then all are learnt from. Mean AP (the
area, as VOC has it) over the classes with five photos in training and one in the exam at least. Rows: chance, the same
network from random and from ImageNet weights, the source's encoder, and each RUN's own. Cost: minutes for 705 photos
and four encoders of EfficientNet-Lite0.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from umadapt.config import Transfer
from umadapt.data.atomic import write_json
from umadapt.data.folder import Folder
from umadapt.downstream.average_precision import area, curve_of
from umadapt.downstream.classify import FLAT
from umadapt.downstream.rows import aligned
from umadapt.downstream.starts import Backbone, Start, began, estimate_statistics, starts
from umadapt.inference.photos import fitted
from umadapt.training.load import read_record

SHARE = 1e-3  # of a photo that a present class covers at least
LEAST = 5  # training photos of a class that is learnt
PENALTIES = tuple(10.0**k for k in range(-4, 2))  # of the squared weights, beside the mean loss over photos and classes
CPU = torch.device("cpu")


def read(folder: Folder, size: tuple[int, int]) -> Tensor:
    """Whole photos at the network's size, all of one shape: (N, 3, h, w) uint8."""
    return torch.stack([(255 * fitted(folder.read_window(id), size)).round().to(torch.uint8) for id in folder.ids])


def batches(photos: Tensor) -> Iterator[Tensor]:
    """(16, 3, h, w) in [0, 1]."""
    return (batch.float() / 255 for batch in photos.split(16))


def presence(folder: Folder) -> Tensor:
    """(photos, classes) 0 or 1."""
    rows = []
    for id in folder.ids:
        seg = folder.read_label("seg", id)
        assert seg is not None
        counts = np.bincount(seg.ravel(), minlength=256)[: len(folder.classes)]
        rows.append(counts >= SHARE * seg.size)
    return torch.from_numpy(np.array(rows)).double()


@torch.inference_mode()
def features(backbone: Backbone, images: Iterable[Tensor]) -> Tensor:
    """(photos, C)."""
    return torch.cat([backbone.pooled(batch).double() for batch in images])


def learn(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """Logistic regression of every class: (C + 1, classes), by full-batch L-BFGS."""
    weights = torch.zeros(x.shape[1] + 1, y.shape[1], dtype=x.dtype, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = x @ weights[1:] + weights[0]
        value = F.binary_cross_entropy_with_logits(logits, y) + penalty * weights[1:].square().mean(1).sum()
        value.backward()
        return value

    optimiser.step(loss)  # pyright: ignore[reportArgumentType]
    return weights.detach()


def average_precisions(scores: Tensor, truth: Tensor) -> np.ndarray:
    """(classes,); NaN for a class that no photo shows."""
    out = np.full(truth.shape[1], np.nan)
    for k in range(truth.shape[1]):
        hits = truth[scores[:, k].argsort(descending=True, stable=True), k].numpy() > 0
        out[k] = area(curve_of(hits, int(hits.sum()))) if hits.any() else np.nan
    return out


def probe(x: Tensor, y: Tensor, exam_x: Tensor, exam_y: Tensor, seed: int) -> tuple[np.ndarray, float]:
    """(AP of each class in the exam, the penalty that was chosen on the training photos)."""
    mean, std = x.mean(0), x.std(0)
    std = std.clamp_min(FLAT * float(std.mean()))
    x, exam_x = (x - mean) / std, (exam_x - mean) / std
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    held, kept = order[: len(x) // 5], order[len(x) // 5 :]

    def worth(penalty: float) -> float:
        weights = learn(x[kept], y[kept], penalty)
        return float(np.nanmean(average_precisions(x[held] @ weights[1:] + weights[0], y[held])))

    best = max(PENALTIES, key=worth)
    weights = learn(x, y, best)
    return average_precisions(exam_x @ weights[1:] + weights[0], exam_y), best


def encoders(runs: list[Path], seed: int) -> Iterator[Start]:
    """Controls, then the encoder of each run; no row twice."""
    done: set[str] = set()
    for run in runs:
        for start in starts(Transfer("classify", run, seed=seed), CPU):
            if not isinstance(start, Start):
                print(f"{start[0]}: not run: {start[1]}")
            elif start.name not in done:
                done.add(start.name)
                yield start


def main(arguments: argparse.Namespace) -> None:
    train, exam = Folder(arguments.train), Folder(arguments.exam)
    size = read_record(arguments.runs[0]).model.size
    y, exam_y = presence(train), presence(exam)
    known = (y.sum(0) >= LEAST) & (exam_y.sum(0) > 0)
    y, exam_y = y[:, known], exam_y[:, known]
    names = [name for name, there in zip(train.classes, known.tolist(), strict=True) if there]
    photos, exam_photos = read(train, size), read(exam, size)
    rows: dict[str, dict[str, Any]] = {"chance": {"map": float(exam_y.mean())}}
    for start in encoders(arguments.runs, arguments.seed):
        backbone = start.backbone.eval()
        if start.estimated:
            estimate_statistics(backbone, batches(photos))
        x, exam_x = features(backbone, batches(photos)), features(backbone, batches(exam_photos))
        ap, penalty = probe(x, y, exam_x, exam_y, arguments.seed)
        about = {"began": began(start.weights), "penalty": penalty}
        rows[start.title] = {"map": float(np.mean(ap)), **about, "ap": dict(zip(names, ap.tolist(), strict=True))}
        print(f"{start.title}: mean AP {np.mean(ap):.3f} (penalty {penalty:g})", flush=True)
    told = [["", "mean AP"], *([title, f"{row['map']:.3f}"] for title, row in rows.items())]
    print(f"\n{len(names)} classes, {len(train.ids)} photos learnt from, {len(exam.ids)} measured on\n{aligned(told)}")
    if arguments.json:
        write_json(arguments.json, {"classes": names, "rows": rows})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("exam")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    main(parser.parse_args())
