"""M_s and M_t: one shared trunk (up to stride 16, the paper's Res-4f) and one Res-5 branch per domain."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from umadapt.nets.recompute import Chain


class Encoder(nn.Module):
    """A timm backbone cut behind its stride-16 features.

    The domains share the trunk's weights, each has its own trunk BatchNorm statistics and its own branch. A fresh
    encoder knows only the domain "source"; `add_target` adds the other as a copy.

    Args:
        backbone: name of a timm model with stride-16 and stride-32 features.
        kwargs: passed on to timm, such as {"pad_type": "same"}.

    Raises:
        ValueError: the backbone has no such features, or is unknown to timm.
    """

    def __init__(self, backbone: str = "resnet50", kwargs: dict[str, Any] | None = None):
        super().__init__()
        trunk, branch, self.channels = split(create_backbone(backbone, kwargs), backbone)
        self.trunks = nn.ModuleDict({"source": trunk})
        self.branches = nn.ModuleDict({"source": branch})

    def add_target(self) -> None:
        """Initialise M_t from M_s (Section 3.1.2): the branch is copied, the trunk's weights stay shared."""
        self.branches["target"] = copy.deepcopy(self.branches["source"])
        trunk = copy.deepcopy(self.trunks["source"])
        for theirs, ours in zip(trunk.modules(), self.trunks["source"].modules(), strict=True):
            for name, parameter in ours._parameters.items():
                theirs._parameters[name] = parameter
        self.trunks["target"] = trunk

    def forward(self, x: Tensor, domain: str = "source") -> Tensor:
        """(B, 3, H, W) normalised images to Res-5c features (B, channels, H/32, W/32); ResNets round up."""
        return self.branches[domain](self.trunks[domain](x))


def create_backbone(name: str, kwargs: dict[str, Any] | None = None, *, pretrained: bool = False) -> nn.Module:
    """The whole classification network without its head.

    Raises:
        ValueError: timm knows no such model, or not these arguments.
    """
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **(kwargs or {}))
    except (RuntimeError, TypeError) as error:
        if not pretrained:
            near = ", ".join(timm.list_models(f"*{name[:6]}*")[:5]) or "resnet50, mobilenetv2_100"
            raise ValueError(f"timm cannot make the backbone {name!r} ({error}); try one of {near}") from error
        raise


def split(net: nn.Module, name: str) -> tuple[nn.Sequential, nn.Sequential, int]:
    """Cut a timm network into (trunk up to stride 16, the rest up to stride 32, channels at stride 32)."""
    info = {entry["reduction"]: entry for entry in getattr(net, "feature_info", [])}  # the last entry of each stride
    if 16 not in info or 32 not in info:
        raise ValueError(f"backbone {name!r} has features at strides {sorted(info)}; 16 and 32 are needed")
    cuts = {entry["module"] for entry in info.values()}
    parts: list[tuple[str, nn.Module]] = []
    for child, module in net.named_children():
        if any(cut.startswith(f"{child}.") for cut in cuts):  # a container of stages, such as "blocks" or "stages"
            parts += [(f"{child}.{index}", stage) for index, stage in module.named_children()]
        else:
            parts.append((child, module))
    names = [part for part, _ in parts]
    if not {info[16]["module"], info[32]["module"]} <= set(names):
        raise ValueError(f"backbone {name!r} is no plain sequence of stages ({', '.join(names)})")
    middle, end = names.index(info[16]["module"]) + 1, names.index(info[32]["module"]) + 1
    trunk = Chain(*(module for _, module in parts[:middle]))
    branch = Chain(*(module for _, module in parts[middle:end]))
    try:
        with torch.no_grad():
            shape = branch.eval()(trunk.eval()(torch.zeros(1, 3, 64, 64))).shape
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"backbone {name!r} does not take images of any size ({error})") from error
    channels = info[32]["num_chs"]
    if tuple(shape) != (1, channels, 2, 2):
        raise ValueError(f"backbone {name!r} gives {tuple(shape)} for a 64x64 image, not (1, {channels}, 2, 2)")
    return trunk, branch, channels


def read_weights_header(path: Path) -> dict[str, Any]:
    """What a safetensors file says of itself: "timm_model", "timm_kwargs", "mean", "std", each where stated."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        meta = file.metadata() or {}
    header: dict[str, Any] = {k: meta[k] for k in ("timm_model",) if k in meta}
    if "timm_kwargs" in meta:
        header["timm_kwargs"] = json.loads(meta["timm_kwargs"])
    for key in ("mean", "std"):
        if key in meta:
            header[key] = tuple(float(x) for x in meta[key].split(","))
    return header
