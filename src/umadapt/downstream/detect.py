"""Boxes around things: a detector trained on VOC's trainval, and its average precision on test."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.models.detection import FasterRCNN
from torchvision.transforms.v2 import functional as F
from tqdm import tqdm

from umadapt.config import Transfer
from umadapt.data.batch import Batch
from umadapt.distributed import global_batch, process_group
from umadapt.downstream.average_precision import Found, Truth, mean_of, measure
from umadapt.downstream.classify import STATISTICS, size_of, steps_of
from umadapt.downstream.detector import make_detector
from umadapt.downstream.photos import Draws, Reader, batches_of
from umadapt.downstream.rows import Row
from umadapt.downstream.starts import Start, estimate_statistics
from umadapt.downstream.voc import Objects, Split
from umadapt.errors import UserError
from umadapt.training.batches import Shuffled
from umadapt.training.load import read_weights
from umadapt.training.stage import SGD, Loss, Stage, Turn
from umadapt.training.trainer import fit, step_seed
from umadapt.training.weights import load_weights

DETECT = {"size": 600, "epochs": 16.0, "batch": 2, "lr": 0.002}
WARM_UP = 200  # steps over which the learning rate rises, or a tenth of all
TERMS = {  # torchvision's name -> ours
    "loss_objectness": "objectness",
    "loss_rpn_box_reg": "proposals",
    "loss_classifier": "classes",
    "loss_box_reg": "boxes",
}


@dataclass(frozen=True, eq=False)
class Boxed(Batch):
    """Photos of any sizes, each with its number and what a detector is to find in it."""

    photos: list[Tensor] = field(default_factory=list)  # (3, H, W) uint8
    targets: list[dict[str, Tensor]] = field(default_factory=list)  # "boxes" (N, 4) and "labels" (N,)
    numbers: list[int] = field(default_factory=list)


def run_row(
    row: Row, start: Start, config: Transfer, train: Split, test: Split, read: Reader, device: torch.device
) -> None:
    """Train and measure one row, as far as that is not done yet; the result goes to its record."""
    if row.record.result is not None:
        return
    backbone = start.backbone.to(device).to(memory_format=start.backbone.layout)
    learnt = [k for k, objects in enumerate(train.objects) if not objects.difficult.all()]
    if not learnt:
        raise UserError(f"{train.folder}: every object of trainval is difficult; there is nothing to learn from")
    if start.estimated:
        place, count = Shuffled(len(learnt), config.seed, 4), min(len(learnt), STATISTICS[0] * STATISTICS[1])
        few = [train.path(train.ids[learnt[place(k)]]) for k in range(count)]
        crops = batches_of(few, min(size_of(config), 224), STATISTICS[1], read, device)
        estimate_statistics(backbone, (images for _, images in crops))
        process_group.broadcast(backbone.state_dict().values())
    torch.manual_seed(config.seed)
    net = make_detector(backbone, len(train.classes), size_of(config)).to(device)
    if not row.done("detect"):
        fit(stage_of(net, config, train, learnt, read, device), net, row, config)
    load_weights(net, read_weights(row.path))
    row.record.result = test_on(net.eval(), test, read, device)
    row.write_record()
    process_group.barrier()


def stage_of(
    net: FasterRCNN, config: Transfer, train: Split, learnt: list[int], read: Reader, device: torch.device
) -> Stage[Boxed]:
    """Training, an image at a time through the network.

    OURS: so that nothing is padded, and the regions that an image is learnt by are drawn by its own number: several
    processes take the steps of one. BatchNorm stands still, so images do not see each other.
    """
    assert config.batch is not None
    assert config.lr is not None
    draws = Draws([train.path(train.ids[k]) for k in learnt], config.batch, config.seed, read)

    def batch(step: int) -> Boxed:
        out = Boxed([])
        for number in draws.numbers(step):
            place, photo = draws(number)
            objects = train.objects[learnt[place]]
            flip = np.random.default_rng((config.seed, 2, number)).random() < 0.5
            photo, target = sample(photo, objects, flip)
            out.ids.append(train.ids[learnt[place]])
            out.photos.append(photo)
            out.targets.append(target)
            out.numbers.append(number)
        return out

    def loss(batch: Boxed) -> Loss:
        found: list[dict[str, Tensor]] = []
        for photo, target, number in zip(batch.photos, batch.targets, batch.numbers, strict=True):
            torch.manual_seed(step_seed(config.seed, "regions", number))
            there = {name: value.to(device) for name, value in target.items()}
            found.append(net([photo.to(device).float() / 255], [there]))
        terms = {ours: torch.stack([one[name] for one in found]).mean() for name, ours in TERMS.items()}
        return Loss({name: global_batch.mean(term) for name, term in terms.items()})

    steps = steps_of(config, len(learnt))
    parameters = [p for p in net.parameters() if p.requires_grad]
    turn = Turn("detector", parameters, loss, config.lr, sgd=SGD(weight_decay=5e-4))
    return Stage("detect", [turn], batch, steps, warm_up=min(WARM_UP, steps // 10))


def sample(image: Tensor, objects: Objects, flip: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """An image (3, H, W) and what a detector is to find in it, but for difficult objects; perhaps mirrored."""
    size = (image.shape[-2], image.shape[-1])
    kept = ~objects.difficult
    boxes: Tensor = tv_tensors.BoundingBoxes(objects.boxes[kept], format="XYXY", canvas_size=size)  # pyright: ignore
    if flip:
        image, boxes = F.horizontal_flip(image), F.horizontal_flip(boxes)
    labels = torch.from_numpy(objects.labels[kept]) + 1  # 0 is the background
    return image, {"boxes": boxes.as_subclass(Tensor), "labels": labels}


@torch.inference_mode()
def test_on(net: FasterRCNN, test: Split, read: Reader, device: torch.device) -> dict[str, Any]:
    """Detect in every image, shared out among the processes, and measure."""
    mine = process_group.share_of(range(len(test.ids)), process_group.rank(), process_group.size())
    found: list[tuple[int, np.ndarray]] = []  # image; (M, 6) label from 0, score, box
    for k in tqdm(mine, desc="test", unit="image", file=sys.stderr, disable=process_group.rank() > 0):
        image = read(test.path(test.ids[k]))
        if image is not None:
            [seen] = net([image.to(device).float() / 255])
            columns = [seen["labels"][:, None] - 1, seen["scores"][:, None], seen["boxes"]]
            found.append((k, torch.cat([column.float() for column in columns], 1).cpu().numpy()))
    every = sorted((one for part in process_group.gather(found) for one in part), key=lambda one: one[0])
    ap = measure(*by_class(every, test), test.classes)
    means = {"map11": mean_of(ap, "ap11"), "map": mean_of(ap, "ap")}
    return {**means, "ap": ap, "n": len(every), "left_out": len(test.ids) - len(every)}


def by_class(found: list[tuple[int, np.ndarray]], test: Split) -> tuple[dict[str, Found], dict[str, dict[str, Truth]]]:
    """Detections and objects of each class, of the images that could be read."""
    detections, truths = {}, {}
    images = np.array([k for k, rows in found for _ in rows], int)
    rows = np.concatenate([rows for _, rows in found] or [np.zeros((0, 6))])
    for label, name in enumerate(test.classes):
        chosen = rows[:, 0] == label
        ids = [test.ids[k] for k in images[chosen]]
        detections[name] = Found(ids, rows[chosen, 1], rows[chosen, 2:])
        there = [(test.ids[k], test.objects[k], test.objects[k].labels == label) for k, _ in found]
        truths[name] = {id: Truth(one.boxes[own], one.difficult[own]) for id, one, own in there if own.any()}
    return detections, truths
