"""Arguments of `umadapt transfer`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from umadapt.config.options import JsonFile, Names
from umadapt.config.training import Training


@dataclass(frozen=True)
class Transfer:
    """Learn a task that a run never saw from its encoder: classes of photos, or boxes (the paper's Table 8)."""

    task: Positional[Literal["classify", "detect"]]  # classes as ImageNet has them; or boxes as PASCAL VOC has them
    run: Positional[Path]  # run folder, file of a run, or a model that ships
    out: Path | None = None  # folder of the table; rows of other runs may join it; default: RUN/transfer/TASK
    data: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None  # classify: train/CLASS/*.jpg, val/CLASS/*.jpg
    voc: Annotated[Path | None, tyro.conf.arg(metavar="VOCDEVKIT")] = None  # detect: as its owners distribute it
    year: int = 2007  # detect: of VOC, which is trained on trainval and measured on test
    classes: Names = ()  # detect: names of objects in the XML files; default: the 20 of VOC
    mode: Literal["linear", "finetune"] = "linear"  # classify: one layer on frozen, pooled Res-5; or all weights
    domain: Literal["source", "target"] | None = None  # whose encoder of RUN; default: the target's of an adapted run
    controls: Names = ("random", "imagenet", "source")  # other weights to start from, each a row; none = no such rows
    size: int | None = None  # pixels: classify: side of the crop (224); detect: shorter side, the longer 5/3 (600)
    epochs: float | None = None  # passes over the training images; default: linear 20, finetune 30, detect 16
    batch: int | None = None  # images a step; default: linear 256, finetune 64, detect 2
    lr: float | None = None  # default: linear 1e-3 (AdamW), finetune 0.02, detect 0.002 (SGD)
    decay: float = 0.5  # share of the steps, at the end, over which the learning rate falls to zero
    precision: Literal["fp32", "bf16"] = "fp32"  # of the networks' forward passes; weights and losses stay fp32
    clip: float = 10.0  # largest gradient norm of a step
    save_every: int = 500  # steps between checkpoints
    seed: int = 0  # of new layers, order and augmentation
    device: str = "auto"  # auto, cpu, cuda
    json: JsonFile = None  # write the table here too

    @property
    def compile(self) -> bool:
        """Whether networks are compiled: no, because every photo brings another number of boxes."""
        return False


Looped = Training | Transfer  # whatever the training loop takes steps for
