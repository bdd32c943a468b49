"""Classes of photos from Res-5: one layer on frozen, pooled features, or all weights finetuned.

The paper's text finetunes all; the protocol that it names (Doersch & Zisserman, ICCV 2017) keeps the trunk frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.config import Transfer
from umadapt.data.batch import ABSENT, Batch
from umadapt.distributed import global_batch, process_group
from umadapt.downstream.features import Features
from umadapt.downstream.photos import Draws, Photos, Reader, batches_of, numbers_of, random_crop
from umadapt.downstream.rows import Row
from umadapt.downstream.starts import Backbone, Start, estimate_statistics
from umadapt.training.batches import Shuffled, refuse_huge
from umadapt.training.compute import in_precision
from umadapt.training.load import read_weights
from umadapt.training.stage import SGD, Loss, Stage, Turn
from umadapt.training.trainer import fit
from umadapt.training.weights import load_weights

LINEAR = {"size": 224, "epochs": 20.0, "batch": 256, "lr": 1e-3}
FINETUNE = {"size": 224, "epochs": 30.0, "batch": 64, "lr": 0.02}
FLAT = 0.01  # share of the mean deviation that every feature is taken to have at least: dead ones are not blown up
STATISTICS = (16, 16)  # batches and images of each, of which random weights get their BatchNorm statistics
WARM_UP = 200  # steps of finetuning over which the learning rate rises, or a tenth of all


@dataclass(frozen=True, eq=False)
class Classed(Batch):
    """Photos, or their features, and their classes."""

    features: Tensor = ABSENT  # (B, C)
    labels: Tensor = ABSENT  # (B,) int64


class Layer(nn.Module):
    """One linear layer on standardised features: (B, C) to logits (B, K)."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, classes: int):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std.clamp_min(FLAT * float(std.mean()) or 1.0))
        self.fc = nn.Linear(len(mean), classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc((x - self.mean) / self.std)


class Classifier(nn.Module):
    """The whole network: images (B, 3, H, W) in [0, 1] to logits (B, K). OURS: one new layer, on pooled Res-5."""

    def __init__(self, backbone: Backbone, classes: int):
        super().__init__()
        self.backbone = backbone
        self.fc = nn.Linear(backbone.channels["res5"], classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.backbone.pooled(images))


def run_row(
    row: Row, start: Start, config: Transfer, train: Photos, val: Photos, read: Reader, device: torch.device
) -> None:
    """Train and measure one row, as far as that is not done yet; the result goes to its record."""
    backbone = start.backbone.to(device).to(memory_format=start.backbone.layout).eval()
    if start.estimated and row.record.result is None:
        few = [train.root / name for name in drawn(train, config.seed)]
        crops = batches_of(few, size_of(config), STATISTICS[1], read, device)
        estimate_statistics(backbone, (images for _, images in crops))
        process_group.broadcast(backbone.state_dict().values())
    if row.record.result is None:
        measure_row = linear if config.mode == "linear" else finetune
        row.record.result = measure_row(row, backbone, config, train, val, read, device)
        row.write_record()
    process_group.barrier()


def size_of(config: Transfer) -> int:
    assert config.size is not None
    return config.size


def drawn(photos: Photos, seed: int) -> list[str]:
    """Names of a few photos."""
    place, count = Shuffled(len(photos.names), seed, 4), min(len(photos.names), STATISTICS[0] * STATISTICS[1])
    return [photos.names[place(k)] for k in range(count)]


def steps_of(config: Transfer, images: int) -> int:
    """How many steps the passes over so many images take."""
    assert config.epochs is not None
    assert config.batch is not None
    return max(1, round(config.epochs * images / config.batch))


def cross_entropy(logits: Tensor, labels: Tensor) -> Loss:
    right = (logits.argmax(1) == labels).float().mean()
    return Loss({"class": global_batch.mean(F.cross_entropy(logits, labels))}, {"accuracy": global_batch.mean(right)})


def linear(
    row: Row, backbone: Backbone, config: Transfer, train: Photos, val: Photos, read: Reader, device: torch.device
) -> dict[str, Any]:
    """A layer on features that are computed once: top-1, top-5."""
    pooled = in_precision(backbone.pooled, config.precision, device)
    learnt, exam = (Features(row.path / "features", s, p) for s, p in (("train", train), ("val", val)))
    for features in (learnt, exam):
        features.compute(pooled, size_of(config), device, read)
    places = learnt.readable()
    torch.manual_seed(config.seed)
    layer = Layer(*learnt.moments(places), len(train.classes)).to(device)
    if not row.done("linear"):
        assert config.batch is not None
        shuffled, labels, size = Shuffled(len(places), config.seed, 1), np.array(train.labels), config.batch

        def batch(step: int) -> Classed:
            chosen = places[[shuffled(number) for number in numbers_of(step, size)]]
            names = [train.names[place] for place in chosen]
            return Classed(names, features=learnt.take(chosen), labels=torch.from_numpy(labels[chosen]))

        def loss(batch: Classed) -> Loss:
            return cross_entropy(layer(batch.features), batch.labels)

        assert config.lr is not None
        turn = Turn("classes", list(layer.parameters()), loss, config.lr)
        fit(Stage("linear", [turn], batch, steps_of(config, len(places))), layer, row, config)
    load_weights(layer, read_weights(row.path))
    counts = Counts()
    there = exam.readable()
    for start in range(0, len(there), 1024):
        chosen = there[start : start + 1024]
        with torch.inference_mode():
            logits = layer(exam.take(chosen).to(device))
        counts.add(logits.cpu(), torch.tensor([val.labels[p] for p in chosen]))
    return counts.result(len(val.names))


def finetune(
    row: Row, backbone: Backbone, config: Transfer, train: Photos, val: Photos, read: Reader, device: torch.device
) -> dict[str, Any]:
    """All weights, BatchNorm statistics too: top-1, top-5."""
    assert config.batch is not None
    assert config.lr is not None
    side = size_of(config)
    refuse_huge(-(-config.batch // process_group.size()), (side, side))
    torch.manual_seed(config.seed)
    net = Classifier(backbone, len(train.classes)).to(device)
    if not row.done("finetune"):
        draws = Draws([train.root / name for name in train.names], config.batch, config.seed, read)

        def batch(step: int) -> Classed:
            samples = [(number, *draws(number)) for number in draws.numbers(step)]
            crops = [random_crop(x, side, np.random.default_rng((config.seed, 2, n))) for n, _, x in samples]
            names = [train.names[place] for _, place, _ in samples]
            labels = torch.tensor([train.labels[place] for _, place, _ in samples])
            return Classed(names, torch.stack(crops), labels=labels)

        def loss(batch: Classed) -> Loss:
            return cross_entropy(net(batch.images.float() / 255), batch.labels)

        steps = steps_of(config, len(train.names))
        turn = Turn("classes", list(net.parameters()), loss, config.lr, sgd=SGD())
        fit(Stage("finetune", [turn], batch, steps, warm_up=min(WARM_UP, steps // 10)), net, row, config)
    load_weights(net, read_weights(row.path))
    logits_of = in_precision(net.eval(), config.precision, device)
    mine = process_group.share_of(range(len(val.names)), process_group.rank(), process_group.size())
    counts = Counts()
    for places, images in batches_of([val.root / val.names[k] for k in mine], side, 32, read, device):
        with torch.inference_mode():
            counts.add(logits_of(images).cpu(), torch.tensor([val.labels[mine[p]] for p in places]))
    return counts.over_ranks().result(len(val.names))


class Counts:
    """How often the truth was first, and among the first five."""

    def __init__(self) -> None:
        self.seen = torch.zeros(3, dtype=torch.int64)

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """(N, K) and (N,)."""
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        self.seen += torch.stack([best[:, 0].sum(), best.any(1).sum(), torch.tensor(len(labels))])

    def over_ranks(self) -> Counts:
        process_group.add(self.seen)
        return self

    def result(self, photos: int) -> dict[str, Any]:
        """Of so many photos, of which some may have been left out."""
        top1, top5, count = self.seen.tolist()
        return {"top1": top1 / max(count, 1), "top5": top5 / max(count, 1), "n": count, "left_out": photos - count}
