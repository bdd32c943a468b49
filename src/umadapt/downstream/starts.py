"""What a row of the table starts from: the encoder of a run, and beside it the same network with other weights."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from umadapt.config import ModelSpec, Transfer
from umadapt.errors import UserError
from umadapt.nets.encoder import Encoder, Features
from umadapt.nets.model import UMAdapt
from umadapt.training.layout import lay_out
from umadapt.training.load import load_model
from umadapt.training.pretrained import Weights
from umadapt.training.run_record import RunRecord

CONTROLS = {"random": "random weights", "imagenet": "ImageNet weights", "source": "source-only"}
BatchNorm = nn.modules.batchnorm._BatchNorm


class Backbone(nn.Module):
    """One domain's encoder with its normalisation: images (B, 3, H, W) in [0, 1] to "res4", "res5".

    A copy: what is trained here leaves the encoder as it was.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: Encoder, domain: str, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.trunk, self.branch = copy.deepcopy((encoder.trunks[domain], encoder.branches[domain]))
        self.requires_grad_(True)
        self.channels = encoder.channels
        self.layout = torch.channels_last
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))

    def forward(self, images: Tensor) -> Features:
        return self.branch(self.trunk(self.normalise(images)))

    def normalise(self, images: Tensor) -> Tensor:
        return ((images - self.mean) / self.std).contiguous(memory_format=self.layout)

    def pooled(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C), the mean of Res-5 over the image."""
        return self(images)["res5"].mean((2, 3))

    def digest(self) -> str:
        """Which weights these are, in short."""
        key = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            key.update(name.encode())
            key.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return key.hexdigest()[:16]


class Start(NamedTuple):
    """One row."""

    name: str  # of its folder
    title: str
    weights: Mapping[str, str] | None  # where the backbone began, as a run's record has it; None = not known
    backbone: Backbone

    @property
    def estimated(self) -> bool:
        """Whether BatchNorm has no statistics of any image yet."""
        return self.name == "random"


def began(weights: Mapping[str, str] | None) -> str:
    """Where a backbone began, by the record that `train`, `adapt` and `semi` carry on: "random", "ImageNet", or what
    is known of a file."""
    origin = (weights or {}).get("from", "")
    if origin == "none":
        return "random"
    if origin.startswith(("package ", "timm ")):  # `Weights.about`
        return "ImageNet"
    return f"weights of {origin}" if origin else "not known"


def starts(config: Transfer, device: torch.device) -> Iterator[Start | tuple[str, str]]:
    """The rows that a command asks for, controls first; of one that cannot be had (its title, the reason).

    Raises:
        UserError: no run, a domain that it has not, or a control that there is not.
    """
    unknown = [name for name in config.controls if name not in (*CONTROLS, "none")]
    if unknown:
        raise UserError(f"--controls: no control {unknown[0]!r}; there are {', '.join(CONTROLS)}, none")
    model, stored = load_model(config.run, "cpu")
    lay_out(model, device)
    adapted = "target" in model.encoder.branches
    if config.domain == "target" and not adapted:
        raise UserError(f"{config.run} has one encoder, the source's; leave out --domain")
    domain = config.domain or ("target" if adapted else "source")
    variant = "source-only" if adapted and domain == "source" else stored.variant
    if variant in ("random", "imagenet"):  # of no command of ours
        raise UserError(f"{config.run / 'config.json'} is damaged: there is no variant {variant!r}; copy the run anew")
    for name in CONTROLS:
        if name not in config.controls or (name == "source" and variant == "source-only"):
            continue
        try:
            yield control(name, model, stored, config.seed, adapted)
        except UserError as error:
            yield CONTROLS[name], str(error)
    yield Start(variant, variant, stored.backbone_weights, of_domain(model, domain))


def of_domain(model: UMAdapt, domain: str) -> Backbone:
    """The encoder of a domain, in the layout of the model."""
    backbone = Backbone(model.encoder, domain, model.spec.mean, model.spec.std)
    backbone.layout = model.layout
    return backbone


def control(name: str, model: UMAdapt, stored: RunRecord, seed: int, adapted: bool) -> Start:
    """The network of a run with other weights.

    Raises:
        UserError: there are no such weights here.
    """
    if name == "source":
        if not adapted:
            raise UserError("the run holds the adapted encoder alone; run the base with the same --out")
        return Start("source-only", CONTROLS[name], stored.backbone_weights, of_domain(model, "source"))
    spec: ModelSpec = model.spec
    weights = Weights(spec.backbone, "imagenet" if name == "imagenet" else "none")
    torch.manual_seed(seed)
    encoder = Encoder(spec.backbone, spec.backbone_kwargs, tuple(model.encoder.channels))
    weights.fill(encoder)
    mean, std = (weights.statistics.get(key, getattr(spec, key)) for key in ("mean", "std"))
    backbone = Backbone(encoder, "source", mean, std)
    backbone.layout = model.layout
    return Start(name, CONTROLS[name], weights.about(), backbone)


@torch.no_grad()
def estimate_statistics(backbone: Backbone, images: Iterable[Tensor]) -> None:
    """Give BatchNorm the mean statistics of batches of images (B, 3, H, W) in [0, 1].

    OURS: of random weights, whose statistics are those of no image. Without that a control that is frozen, or trains
    with frozen BatchNorm, would fail for a reason that is not its weights (Krähenbühl et al., ICLR 2016).
    """
    norms = [module for module in backbone.modules() if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    for batch in images if norms else ():
        backbone(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def default_out(config: Transfer) -> Path:
    """The folder of the table.

    Raises:
        UserError: none is given, and the run is a file.
    """
    if config.out is not None:
        return config.out
    if not config.run.is_dir():
        raise UserError(f"{config.run} is no folder that a table could be kept in; give --out FOLDER")
    name = f"classify-{config.mode}" if config.task == "classify" else "detect"
    return config.run / "transfer" / name
