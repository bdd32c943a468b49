"""Arguments of the commands that use a trained network: measure, rank, predict, serve, export, report, reproduce."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, UseAppendAction

from umadapt.config.options import ClassMap, JsonFile, Names, Size

ProtocolName = Literal[
    "raw",
    "nyud",
    "nyud_full",
    "nyu_laina",
    "kitti_eigen",
    "kitti_eigen_50",
    "kitti_eigen_raw",
    "cityscapes_19",
    "synthia_16",
    "synthia_13",
]


@dataclass(frozen=True)
class Evaluate:
    """Measure a run, a folder of predictions, or an image-free prior against labels under a named protocol."""

    run: Annotated[Positional[Path | None], tyro.conf.arg(metavar="RUN")] = None  # run folder
    predictions: Path | None = None  # measure this folder of predictions (as `predict` writes it) instead of a run
    prior: Annotated[str | None, tyro.conf.arg(metavar="DATA")] = None  # or constant maps made of these labels
    data: str = ""  # labelled data, DATA or DATA:SPLIT
    protocol: ProtocolName = "raw"  # crop, caps, classes and pooling
    class_map: ClassMap = None  # merge classes first, of predictions and labels: {old: new, or "ignore"}, or nyu13
    align: Literal["none", "median", "scale-shift"] = "none"  # fit each image's predicted depth to its truth first
    normals_from_depth: bool = False  # make normals ground truth from depth and camera
    witnesses: Names = ()  # of a run: mirror, zoom, transfer; merge predictions with theirs, as adapt's teacher does
    batch: int = 8  # images at once
    device: str = "auto"  # auto, cpu, cuda
    json: JsonFile = None  # write the metrics here too


@dataclass(frozen=True)
class Score:
    """Rank runs of one base on photos without labels, by the source model's consensus and the cross-task energy."""

    runs: Positional[tuple[Path, ...]]  # run folders that were adapted from one base run
    photos: str  # a folder of photos, or DATA:SPLIT
    checkpoints: bool = False  # score every checkpoint that `adapt` has kept, not the runs alone
    batch: int = 8  # images at once
    device: str = "auto"  # auto, cpu, cuda
    json: JsonFile = None  # write the scores here too


@dataclass(frozen=True)
class Trust:
    """Measure how well trust maps find the errors of a run: sparsification against labels, beside other doubts."""

    run: Positional[Path]  # run folder
    data: str = ""  # labelled data, DATA or DATA:SPLIT
    protocol: ProtocolName = "raw"  # crop, caps, classes and pooling
    normals_from_depth: bool = False  # make ground-truth normals of data without them from depth and camera
    plot: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None  # write the sparsification curves here
    batch: int = 8  # images at once
    seed: int = 0  # of the pixels drawn from each photo
    device: str = "auto"  # auto, cpu, cuda
    json: JsonFile = None  # write the figures here too


@dataclass(frozen=True)
class Predict:
    """Predict every task on photos of any size; with trust maps from the cross-task disagreement."""

    run: Positional[Path]  # run folder, or a file that export wrote (needs no torch)
    photos: Positional[tuple[Path, ...]]  # photo files, folders of photos, or clips
    out: Path  # folder to write, in the folder format
    fov: float = 0.0  # degrees that the photos see along their longer side; 0 = by dataset.json or EXIF, else assumed
    witnesses: Names = ()  # mirror, zoom, transfer: merge predictions with theirs, as adapt's teacher does; slower
    class_map: ClassMap = None  # merge classes, their probabilities added: {old: new, or "ignore"}, or nyu13
    cloud: Literal["glb", "ply"] | None = None  # write what each photo shows as a shape too, into OUT/cloud
    cloud_shape: Literal["mesh", "points"] = "mesh"  # most viewers draw points a pixel wide
    cloud_colours: Literal["photo", "seg", "normals"] = "photo"  # what its vertices are painted with
    device: str = "auto"  # auto, cpu, cuda


@dataclass(frozen=True)
class Serve:
    """Open a page to try a model on photos, turn the shapes around, and adapt the model to photos of one's own."""

    run: Positional[Path] = Path("indoor")  # run folder, a file that export wrote, or a model that ships
    port: int = 7860  # of the page's address
    host: str = "127.0.0.1"  # who may ask: 127.0.0.1 = this machine alone, 0.0.0.0 = whoever reaches it
    upload_mb: int = 30  # megabytes of the largest file that is taken
    megapixels: int = 50  # of the largest photo that is taken
    most_photos: int = 300  # that are taken at once, to look at or to adapt to
    witnesses: Names = ()  # mirror, zoom, transfer: merge predictions with theirs, as `predict` does; slower
    device: str = "auto"  # auto, cpu, cuda


@dataclass(frozen=True)
class Export:
    """Write a run as one file: photo in, metres, unit normals, class ids and trust maps out."""

    run: Positional[Path]  # run folder
    format: Literal["onnx", "torch", "safetensors"] = "onnx"  # torch: programs; safetensors: a run, half precision
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None  # default: RUN/model.onnx, .pt2 or .safetensors
    int8: bool = False  # convolutions in 8 bits; what that costs is measured on --data or --photos
    photos: str | None = None  # int8: photos that set the ranges; half of them are measured on where there is no --data
    data: str | None = None  # int8: labelled data to measure the cost on; half of it sets the ranges without --photos
    protocol: ProtocolName = "raw"  # int8: crop, caps, classes and pooling of the measurement on --data
    json: JsonFile = None  # write what was checked and measured here too


@dataclass(frozen=True)
class Report:
    """Write one self-contained HTML page: the ladder of variants, curves, pictures side by side."""

    runs: Positional[tuple[Path, ...]]  # run folders, each evaluated before
    out: Path = Path("report.html")  # page to write
    pictures: int = 6  # photos shown side by side
    device: str = "auto"  # auto, cpu, cuda
    json: JsonFile = None  # write the evaluations of the runs here, keyed by variant


@dataclass(frozen=True)
class Reproduce:
    """Run the whole ladder of variants over several seeds; the paper's tables beside ours."""

    suite: Positional[Literal["indoor-small", "indoor", "outdoor"]]  # small on own renders; or the paper's sizes
    out: Path = Path("reproduce")  # folder to write (an unfinished ladder is continued)
    seeds: int = 3  # how many times every variant is trained, with seeds 0, 1, …
    budget: Literal["full", "short"] = "full"  # steps of the recipe, or fewer
    source: str | None = None  # labelled data to train on; default, indoor-small: views of rooms that it renders
    target: UseAppendAction[tuple[str, ...]] = ()  # photos to adapt to, may be given several times; default: rendered
    eval: UseAppendAction[tuple[str, ...]] = ()  # labelled photos to measure on, as --target; default: rendered
    labelled: UseAppendAction[tuple[str, ...]] = ()  # labelled photos of the target: UM-Adapt-S, oracle, prior
    imagenet: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None  # rung transfer: train/CLASS, val/CLASS
    voc: Annotated[Path | None, tyro.conf.arg(metavar="VOCDEVKIT")] = None  # rung transfer: with VOC2007 in it
    mix: Literal["union", "alternate"] = "union"  # several targets: shuffled together, or a batch of each in turn
    depth_labels: int = 0  # UM-Adapt-S: use the depth of that many labelled photos; 0 = of all
    protocol: Literal["auto", ProtocolName] = "auto"  # of evaluate; auto = by the data
    backbone: str | None = None  # any timm backbone; default: the suite's
    weights: str | None = None  # imagenet, none, or a .safetensors file; default: imagenet, on rendered photos none
    size: Size | None = None  # network input in pixels, height x width; default: the suite's
    rungs: Names = ()  # run these alone, such as source-only,adabn,noadv; default: all
    jobs: int = 2  # commands side by side; the cores are shared out among them
    pictures: int = 4  # photos in the grid of pictures
    device: str = "auto"  # auto, cpu, cuda
    json: JsonFile = None  # write OUT/ladder.json here too
