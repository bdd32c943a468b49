"""All that is needed to rebuild a network."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from umadapt.config.options import Graph


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to rebuild a network; stored as "model" in a run's config.json."""

    backbone: str = "resnet50"
    backbone_kwargs: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (228, 304)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    tasks: tuple[str, ...] = ("depth", "normals", "seg")
    graph: Graph = field(default_factory=lambda: {"seg": ("depth", "normals"), "depth": ("seg",)})
    geometry: tuple[str, ...] = ()  # tasks of the graph whose transfer is computed and not learnt
    classes: tuple[str, ...] = ()
    class_frequencies: tuple[float, ...] = ()  # shares of the labelled source pixels, one a class
    class_weights: Literal["none", "sqrt", "median"] = "sqrt"
    ignore: int = 255
    depth_scale_m: float = 10.0  # network units of depth: metres / depth_scale_m
    depth_head: Literal["softplus", "relu"] = "softplus"
    depth_loss: Literal["berhu", "log"] = "berhu"
    focal: float | None = None  # focal length in pixels at `size` of the canonical camera; None = there is none
    decoder: Literal["fcrn", "skip"] = "fcrn"
    width: float = 1.0
    dropout: float = 0.0  # share of the features before a decoder's last convolution, in training
    transfer_width: float = 1.0
    contours: Literal["gradient", "hed"] = "gradient"  # what the contour decoder predicts
    pseudo_softmax: float = 0.5  # share of real tuples whose label maps look like softmax outputs

    @property
    def fov(self) -> float | None:
        """The canonical camera's field of view in degrees along the longer side; None = there is no such camera."""
        return None if self.focal is None else math.degrees(2 * math.atan(max(self.size) / 2 / self.focal))

    def magnification(self, focal: float | None, size: tuple[int, int]) -> float:
        """How much larger things look in a photo than to the canonical camera (Metric3D, Yin et al., ICCV 2023): depth
        in it is the network's times this.

        Args:
            focal: of the photo, in pixels at the size at which the network sees it; None = unknown, then it is assumed
                to have the canonical camera's field of view along its longer side.
            size: that size (h, w).
        """
        if self.focal is None:
            return 1.0
        return (self.focal * max(size) / max(self.size) if focal is None else focal) / self.focal

    @staticmethod
    def from_json(data: dict[str, Any]) -> ModelSpec:
        """Rebuild from what `dataclasses.asdict` and JSON made of it (lists become tuples again)."""
        known = {f.name for f in dataclasses.fields(ModelSpec)}
        fixed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known}
        if "graph" in fixed:
            fixed["graph"] = {k: tuple(v) for k, v in fixed["graph"].items()}
        return ModelSpec(**fixed)
