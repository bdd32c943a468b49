"""Whole configurations of `umadapt train`, by name; options given beside `--preset` win. Light: the help shows them."""

from __future__ import annotations

from collections.abc import Callable

import tyro

from umadapt.config import Train


def indoor() -> Train:
    """The paper's indoor setting (Section 4.1): depth, normals, seg; seg<-depth,normals and depth<-seg."""
    return Train(
        source=tyro.MISSING,
        out=tyro.MISSING,
        preset="indoor",
        backbone="resnet50",
        dropout=0.5,
        size=(228, 304),
        tasks=("depth", "normals", "seg"),
        transfer=(),  # the paper's graph among the tasks
        depth_scale_m=10.0,
        alpha=10.0,
    )


def outdoor() -> Train:
    """The paper's outdoor setting (Section 4.1): depth and seg, each from the other; streets up to 80 m."""
    return Train(
        source=tyro.MISSING,
        out=tyro.MISSING,
        preset="outdoor",
        backbone="resnet50",
        dropout=0.5,
        size=(256, 512),
        tasks=("depth", "seg"),
        transfer=(),  # the paper's graph among the tasks: seg<-depth, depth<-seg
        depth_scale_m=80.0,
        alpha=10.0,
    )


def small() -> Train:
    """Indoors on a CPU: a pretrained mobile backbone, decoders with skips, one optimiser, a few thousand steps.

    OURS (docs/results.md, "The small scale").
    """
    return Train(
        source=tyro.MISSING,
        out=tyro.MISSING,
        preset="small",
        backbone="tf_efficientnet_lite0",
        decoder="skip",
        size=(120, 160),
        transfer_width=0.25,
        alpha=0.1,
        optimiser="joint",
        transfer_steps=2_000,
        base_steps=2_500,
        contour_steps=200,
        batch=12,
        lr=1e-3,
        encoder_rate=0.2,
        warm_up=50,
        schedule="cosine",
        weight_decay=1e-4,
    )


PRESETS: dict[str, Callable[[], Train]] = {"indoor": indoor, "outdoor": outdoor, "small": small}


def chosen(arguments: list[str]) -> Train | None:
    """The preset that a command line of `train` names, last one first; None where it names none that there is."""
    for i in reversed(range(len(arguments))):
        name, equals, value = arguments[i].partition("=")
        if name == "--preset":
            value = value if equals else "".join(arguments[i + 1 : i + 2])
            return PRESETS[value]() if value in PRESETS else None
    return None
