"""The whole network: encoder, one decoder a task, contour decoder, transfer nets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from umadapt.config import ModelSpec
from umadapt.nets.contour_decoder import ContourDecoder
from umadapt.nets.convolution import specialise
from umadapt.nets.decoder import DECODERS
from umadapt.nets.encoder import Encoder, Features
from umadapt.nets.plane_normals import PlaneNormals
from umadapt.nets.transfer_net import TransferNet
from umadapt.tasks import MergedSeg, Seg, make_tasks

Maps = dict[str, Tensor]  # task -> (B, C, h, w)


class UMAdapt(nn.Module):
    """UM-Adapt (ICCV 2019, Figure 2).

    Images are (B, 3, H, W) floats in [0, 1]; normalisation is inside. Predictions are in network units on a grid of
    half the image's size or a little more (`grid`); `task.to_physical` makes metres of depth.

    Raises:
        ValueError: the spec names an unknown backbone or task, or its graph reads a task that it has not.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: ModelSpec):
        super().__init__()
        self.spec = spec
        self.tasks = make_tasks(spec)
        self.class_task = next((name for name, task in self.tasks.items() if task.categorical), None)
        self.graph = spec.graph
        self.layout = (
            torch.channels_last
        )  # of images, and of the weights where they are trained (`umadapt.training.layout`)
        check_graph(spec)
        self.register_buffer("mean", torch.tensor(spec.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(3, 1, 1), persistent=False)
        decoder = DECODERS[spec.decoder]
        self.encoder = Encoder(spec.backbone, spec.backbone_kwargs, decoder.reads)
        c = self.encoder.channels
        self.decoders = nn.ModuleDict(
            {n: decoder(c, t.channels, spec.width, spec.dropout) for n, t in self.tasks.items()}
        )
        specialise(self.decoders)
        self.contour = ContourDecoder(c["res5"], spec.width)
        self.transfers = nn.ModuleDict({task: self._transfer(task, inputs) for task, inputs in spec.graph.items()})

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the ids that it predicts: the spec's, or those that they are merged into."""
        seg = self.tasks[self.class_task] if self.class_task else None
        return seg.classes if isinstance(seg, Seg) else ()

    def merge_classes(self, classes: Sequence[str], ids: Sequence[int | None]) -> None:
        """Predict these classes in the place of the spec's, see `MergedSeg`."""
        assert self.class_task is not None
        seg = self.tasks[self.class_task]
        assert isinstance(seg, Seg)
        self.tasks[self.class_task] = MergedSeg(seg, classes, ids)

    def normalise(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to the backbone's statistics, in the layout."""
        return ((images - self.mean) / self.std).contiguous(memory_format=self.layout)

    @property
    def learnt_transfers(self) -> tuple[str, ...]:
        """The tasks whose transfer is a net; that of the others is geometry."""
        return tuple(task for task in self.graph if task not in self.spec.geometry)

    def _transfer(self, task: str, inputs: tuple[str, ...]) -> TransferNet | PlaneNormals:
        """N->task."""
        spec = self.spec
        if task not in spec.geometry:
            channels = {name: self.tasks[name].channels for name in inputs}
            return TransferNet(channels, self.tasks[task].channels, spec.transfer_width)
        assert spec.focal is not None
        rows, columns = (
            spec.focal * cells / pixels for cells, pixels in zip(self.grid(spec.size), spec.size, strict=True)
        )
        return PlaneNormals(inputs[0], (rows, columns))

    @torch.no_grad()
    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """The output grid (h, w) for images of `size`."""
        mode, device = self.training, self.mean.device
        features = self.eval().encoder(torch.zeros(1, 3, *size, device=device))
        self.train(mode)
        return DECODERS[self.spec.decoder].grid(features)

    def trunk(self, images: Tensor, domain: str = "source") -> Features:
        """What a frozen trunk makes of images, once for all that read it: "res4", and finer ones that decoders read."""
        return self.encoder.trunks[domain](self.normalise(images))

    def target(self, adapt: str = "res5") -> nn.ModuleList:
        """What an adaptation trains: the target's Res-5 ("res5", the paper's), its whole encoder ("encoder"), or the
        decoders too ("all"), which the domains share."""
        branch, trunk = self.encoder.branches["target"], self.encoder.trunks["target"]
        parts = {"res5": [branch], "encoder": [trunk, branch], "all": [trunk, branch, self.decoders]}
        return nn.ModuleList(parts[adapt])

    def adaptable(self, bn: str = "frozen", adapt: str = "res5") -> list[nn.Parameter]:
        """Freeze everything but what an adaptation trains (`target`); returns its parameters.

        Args:
            bn: "train" lets its BatchNorm statistics move too.
        """
        self.freeze(self)
        parts = self.target(adapt)
        parts.requires_grad_(True)
        if bn == "train":
            self.unfreeze(*parts)
        return list(parts.parameters())

    def encode(self, images: Tensor, domain: str = "source") -> Features:
        """The trunk's features and "res5"."""
        return self.encoder(self.normalise(images), domain)

    def decode(self, features: Features, tasks: tuple[str, ...] | None = None) -> Maps:
        """Predictions of `tasks` (default: all)."""
        return {name: self.tasks[name].activate(self.decoders[name](features)) for name in tasks or self.tasks}

    def forward(self, images: Tensor, domain: str = "source") -> Maps:
        return self.decode(self.encode(images, domain))

    def transfer(self, task: str, inputs: Mapping[str, Tensor], nets: nn.ModuleDict | None = None) -> Tensor:
        """N->task(inputs): a prediction of `task` from encoded maps of the others.

        Args:
            inputs: task -> (B, C, h, w), as `Task.encode` or `Task.encode_truth` gives them.
            nets: other transfer nets than the model's own (the adversary's copy).
        """
        net = (self.transfers if nets is None else nets)[task]
        return self.tasks[task].activate(net({name: inputs[name] for name in self.graph[task]}))

    def cross(self, predictions: Mapping[str, Tensor]) -> Maps:
        """For each task with a transfer net: its prediction from the other tasks' predictions."""
        encoded = {name: self.tasks[name].encode(map_) for name, map_ in predictions.items()}
        return {task: self.transfer(task, encoded) for task in self.graph}

    def freeze(self, *modules: nn.Module) -> None:
        """Stop gradients into `modules` and keep them in eval mode, also through `.train()`."""
        self._mark(modules, frozen=True)

    def unfreeze(self, *modules: nn.Module) -> None:
        """Undo `freeze`."""
        self._mark(modules, frozen=False)

    def _mark(self, modules: Iterable[nn.Module], frozen: bool) -> None:
        for module in modules:
            module.requires_grad_(not frozen)
            for m in module.modules():
                m.frozen = frozen  # type: ignore[assignment]
        self.train(self.training)

    def train(self, mode: bool = True) -> UMAdapt:
        super().train(mode)
        for m in self.modules():
            if getattr(m, "frozen", False):
                m.training = False
        return self


def check_graph(spec: ModelSpec) -> None:
    """Raise a ValueError unless every transfer reads and writes tasks of the model, and none reads itself."""
    for task, inputs in spec.graph.items():
        unknown = {task, *inputs} - set(spec.tasks)
        if unknown:
            names = ", ".join(sorted(unknown))
            raise ValueError(
                f"transfer {task}<-{','.join(inputs)} needs {names}, but tasks are {', '.join(spec.tasks)}"
            )
        if task in inputs or len(set(inputs)) != len(inputs):
            raise ValueError(f"transfer {task}<-{','.join(inputs)} reads {task} itself or the same task twice")
    for task in spec.geometry:
        edge = f"transfer {task}<-{','.join(spec.graph.get(task, ()))}:geometry"
        if (task, spec.graph.get(task)) != ("normals", ("depth",)):
            raise ValueError(f"{edge} is nothing that geometry knows; there is normals<-depth:geometry")
        if spec.focal is None:
            raise ValueError(f"{edge} needs the camera of the labelled images, in their dataset.json")
