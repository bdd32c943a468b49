"""umadapt: synthetic labels and unlabelled photos to one multi-task network (UM-Adapt, ICCV 2019).

import umadapt
model = umadapt.load("runs/adapted")
result = model.predict("photo.jpg")  # depth in metres, normals, seg, trust maps, at the photo's own size
mine = umadapt.adapt("indoor", "photos", out="runs/mine")  # without labels
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umadapt.api import adapt, evaluate
    from umadapt.inference.hub import Model
    from umadapt.inference.loading import load
    from umadapt.inference.predictor import Predictor

from umadapt.errors import UserError

__all__ = ["Model", "Predictor", "UserError", "adapt", "evaluate", "load"]


def __getattr__(name: str) -> Any:
    """Import torch only when it is needed: the command line's help is not to wait for it."""
    modules = {"Model": "inference.hub", "Predictor": "inference.predictor", "load": "inference.loading"}
    modules |= {"adapt": "api", "evaluate": "api"}
    if name in modules:
        return getattr(importlib.import_module(f"umadapt.{modules[name]}"), name)
    raise AttributeError(f"module 'umadapt' has no attribute {name!r}")
