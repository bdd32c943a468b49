"""umadapt: synthetic labels and unlabelled photos to one multi-task network (UM-Adapt, ICCV 2019).

import umadapt
model = umadapt.load("runs/adapted")
result = model.predict("photo.jpg")  # depth in metres, normals, seg, trust maps, at the photo's own size
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umadapt.inference.hub import Model
    from umadapt.inference.loading import load
    from umadapt.inference.predictor import Predictor

__all__ = ["Model", "Predictor", "load"]


def __getattr__(name: str) -> Any:
    """Import torch only when it is needed: the command line's help is not to wait for it."""
    modules = {"Model": "hub", "Predictor": "predictor", "load": "loading"}
    if name in modules:
        return getattr(importlib.import_module(f"umadapt.inference.{modules[name]}"), name)
    raise AttributeError(f"module 'umadapt' has no attribute {name!r}")
