"""M_s and M_t: one shared trunk (up to stride 16, the paper's Res-4f) and one Res-5 branch per domain."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn

from umadapt.nets.activation_checkpointing import Chain, forward, units
from umadapt.nets.convolution import specialise

Features = dict[str, Tensor]  # "res2" to "res5", after ResNet's stages -> (B, C, H / stride, W / stride), rounded up
STRIDES = {"res2": 4, "res3": 8, "res4": 16, "res5": 32}
COARSE, ALL = ("res4", "res5"), tuple(STRIDES)  # what decoders may read


class Trunk(Chain):
    """A backbone up to stride 16: images (B, 3, H, W) to its features.

    Args:
        modules: of the backbone, in order.
        ends: name of a feature map -> how many modules lead to it.
    """

    def __init__(self, modules: Sequence[nn.Module], ends: Mapping[str, int]):
        super().__init__(*modules)
        self.ends = dict(ends)

    def forward(self, input: Tensor) -> Features:  # type: ignore[override]
        features, first, children = {}, 0, list(self)
        for name, end in self.ends.items():
            input = features[name] = forward(self, units(children[first:end]), input)
            first = end
        return features


class Branch(Chain):
    """Res-5: the trunk's features to the same with "res5"."""

    def forward(self, input: Features) -> Features:  # type: ignore[override]
        return {**input, "res5": super().forward(input["res4"])}


class Encoder(nn.Module):
    """A timm backbone cut behind its stride-16 features.

    The domains share the trunk's weights, each has its own trunk BatchNorm statistics and its own branch. A fresh
    encoder knows only the domain "source"; `add_target` adds the other as a copy.

    Args:
        backbone: name of a timm model with features of these strides.
        kwargs: passed on to timm, such as {"pad_type": "same"}.
        reads: the features that are wanted, COARSE or ALL.

    Raises:
        ValueError: the backbone has no such features, or is unknown to timm.
    """

    def __init__(self, backbone: str = "resnet50", kwargs: dict[str, Any] | None = None, reads: Sequence[str] = COARSE):
        super().__init__()
        trunk, branch, self.channels = split(create_backbone(backbone, kwargs), backbone, reads)
        self.trunks = nn.ModuleDict({"source": trunk})
        self.branches = nn.ModuleDict({"source": branch})

    def add_target(self, share: bool = True) -> None:
        """Initialise M_t from M_s (Section 3.1.2): the branch is copied, the trunk's weights stay shared.

        Args:
            share: False gives M_t a trunk with weights of its own, to be adapted too.
        """
        self.branches["target"] = copy.deepcopy(self.branches["source"])
        trunk = self.trunks["source"]
        self.trunks["target"] = twin(trunk, trunk) if share else copy.deepcopy(trunk)

    def rehearsal(self) -> nn.Sequential:
        """The target's weights with the source's statistics: images of the source to the features of M_t."""
        parts = (self.trunks, self.branches)
        return nn.Sequential(*(twin(part["target"], part["source"]) for part in parts))

    def forward(self, x: Tensor, domain: str = "source") -> Features:
        """(B, 3, H, W) normalised images to their features."""
        return self.branches[domain](self.trunks[domain](x))


def twin(weights: nn.Module, statistics: nn.Module) -> nn.Module:
    """A network that shares the weights of one and has a copy of the BatchNorm statistics of another of its kind."""
    out = copy.deepcopy(statistics)
    for mine, theirs in zip(out.modules(), weights.modules(), strict=True):
        mine._parameters.update(theirs._parameters)
    return out


def shares_trunk(encoder: Encoder) -> bool:
    """Whether the trunk of the target has the weights of the source's."""
    source, target = (next(encoder.trunks[domain].parameters()) for domain in ("source", "target"))
    return source is target


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


def split(net: nn.Module, name: str, reads: Sequence[str] = COARSE) -> tuple[Trunk, Branch, dict[str, int]]:
    """Cut a timm network into (trunk up to stride 16, Res-5, channels of each of `reads`)."""
    info = {entry["reduction"]: entry for entry in getattr(net, "feature_info", [])}  # the last entry of each stride
    wanted = [STRIDES[read] for read in reads]
    if not set(wanted) <= set(info):
        needed = f"{', '.join(map(str, wanted[:-1]))} and {wanted[-1]}"
        raise ValueError(f"backbone {name!r} has features at strides {sorted(info)}; {needed} are needed")
    parts = list(_parts(net, {entry["module"] for entry in info.values()}))
    names = [part for part, _ in parts]
    if not {info[stride]["module"] for stride in wanted} <= set(names):
        raise ValueError(f"backbone {name!r} is no plain sequence of stages ({', '.join(names)})")
    ends = {read: names.index(info[STRIDES[read]]["module"]) + 1 for read in reads}
    middle, end = ends["res4"], ends.pop("res5")
    modules = [module for _, module in parts]
    specialise(net)
    trunk, branch = Trunk(modules[:middle], ends), Branch(*modules[middle:end])
    try:
        with torch.no_grad():
            found = branch.eval()(trunk.eval()(torch.zeros(1, 3, 64, 64)))
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"backbone {name!r} does not take images of any size ({error})") from error
    channels = {read: int(info[STRIDES[read]]["num_chs"]) for read in reads}
    for read, x in found.items():
        side = 64 // STRIDES[read]
        if x.shape != (1, channels[read], side, side):
            expected = (1, channels[read], side, side)
            raise ValueError(f"backbone {name!r} gives {tuple(x.shape)} for a 64x64 image, not {expected}")
    return trunk, branch, channels


def _parts(net: nn.Module, cuts: set[str]) -> Iterator[tuple[str, nn.Module]]:
    """The children of a network, and of those that hold stages, such as "blocks" or "stages", theirs."""
    for child, module in net.named_children():
        if any(cut.startswith(f"{child}.") for cut in cuts):
            yield from ((f"{child}.{index}", stage) for index, stage in module.named_children())
        else:
            yield child, module
