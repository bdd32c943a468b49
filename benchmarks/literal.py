"""The paper's algorithms written down as they are printed: the yardstick of every speed figure.

Naive, but correct: a fresh forward of the whole network for each task (all decoders run, whatever the loss reads),
FCRN's up-projection as it is drawn (unpool with zeros, two 5x5 convolutions), tensors as NCHW float32, one plain Adam a
task, `backward()` through everything, source images encoded again for each task, nothing cached. The losses are
written anew, so that equal numbers (tests/test_literal.py) say something about ours.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.data.batch import Batch
from umadapt.nets.blocks import UpProjection
from umadapt.nets.gradient_mask import keep_probability
from umadapt.nets.model import UMAdapt

Maps = dict[str, Tensor]


class LiteralUpProjection(nn.Module):
    """Laina et al. (3DV 2016), Figure 2c, as drawn, with the weights of one of ours."""

    def __init__(self, ours: UpProjection):
        super().__init__()
        cin, cout = ours.up.in_channels, ours.cout
        self.conv1 = nn.Conv2d(cin, cout, 5, padding=2, bias=False)
        self.norm1 = nn.BatchNorm2d(cout)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(cout)
        self.conv3 = nn.Conv2d(cin, cout, 5, padding=2, bias=False)
        self.norm3 = nn.BatchNorm2d(cout)
        # a transposed convolution is a convolution of the zero-filled map with the kernel turned by 180 degrees
        kernels = ours.up.weight.detach().transpose(0, 1).flip(2, 3)
        with torch.no_grad():
            self.conv1.weight.copy_(kernels[:cout])
            self.conv3.weight.copy_(kernels[cout:])
            self.conv2.weight.copy_(ours.conv.weight)
            for mine, theirs, part in (
                (self.norm1, ours.up_norm, slice(0, cout)),
                (self.norm2, ours.norm, slice(None)),
                (self.norm3, ours.up_norm, slice(cout, None)),
            ):
                for name in ("weight", "bias", "running_mean", "running_var"):
                    getattr(mine, name).copy_(getattr(theirs, name)[part])
        self.train(ours.training).to(ours.conv.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        x = unpool(x)
        main = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(main + self.norm3(self.conv3(x)))


def unpool(x: Tensor) -> Tensor:
    """(B, C, h, w) to (B, C, 2h, 2w): zeros between the values."""
    b, c, h, w = x.shape
    out = x.new_zeros(b, c, 2 * h, 2 * w)
    out[:, :, ::2, ::2] = x
    return out


class LiteralModel(nn.Module):
    """M_s, M_t, the decoders, C_contour and the N of a model of ours, with its weights.

    M_s and M_t are whole encoders: what they share has the same weights, and is frozen where it is shared.
    """

    def __init__(self, ours: UMAdapt):
        super().__init__()
        ours = copy.deepcopy(ours)
        self.mean, self.std = ours.mean, ours.std
        self.frequencies = ours.spec.class_frequencies
        self.kinds, self.graph = ours.tasks, ours.graph
        self.encoders = nn.ModuleDict(
            {
                domain: nn.Sequential(ours.encoder.trunks[domain], ours.encoder.branches[domain])
                for domain in ours.encoder.branches
            }
        )
        self.decoders = ours.decoders
        for decoder in self.decoders.values():
            ups = [up for up in decoder.modules() if isinstance(up, UpProjection)]
            decoder.ups = nn.Sequential(*(LiteralUpProjection(up) for up in ups))
        self.res5 = ours.encoder.branches  # of each domain, a part of the encoders
        self.contour = ours.contour
        self.transfers = ours.transfers
        self.to(memory_format=torch.contiguous_format)
        self.requires_grad_(True)

    def forward(self, images: Tensor, domain: str) -> tuple[Maps, Tensor]:
        """Images (B, 3, H, W) to all task maps and the contour map."""
        features = self.encoders[domain](((images - self.mean) / self.std).contiguous())
        return {n: activate(n, self.decoders[n](features)) for n in self.decoders}, self.contour(features["res5"])

    def transfer(self, task: str, maps: Maps) -> Tensor:
        return activate(task, self.transfers[task]({name: maps[name] for name in self.graph[task]}))


def activate(task: str, raw: Tensor) -> Tensor:
    return {"depth": F.softplus, "normals": lambda x: F.normalize(x, dim=1, eps=1e-6), "seg": lambda x: x}[task](raw)


def read(maps: Maps) -> Maps:
    """Predictions as a transfer net reads them: seg as probabilities."""
    return {name: map_.softmax(1) if name == "seg" else map_ for name, map_ in maps.items()}


# ---------------------------------------------------------------------------------------------------------------------
# L_t


def berhu(prediction: Tensor, truth: Tensor) -> Tensor:
    residual = (prediction - truth).abs()
    c = (0.2 * residual.detach().max()).clamp(min=1e-5)
    return torch.where(residual <= c, residual, (residual**2 + c**2) / (2 * c)).mean()


def supervised(task: str, prediction: Tensor, truth: Tensor, weights: Tensor | None) -> Tensor:
    """L_t against ground truth, over its valid pixels."""
    if task == "depth":
        return berhu(prediction[truth > 0], truth[truth > 0])
    if task == "normals":
        valid = truth.norm(dim=1) > 0.5
        return (1 - F.cosine_similarity(prediction, truth, dim=1)[valid]).mean()
    return F.cross_entropy(prediction, truth, weight=weights, ignore_index=255)


def disagreement(task: str, cross: Tensor, direct: Tensor) -> Tensor:
    """L_t between a cross-task and a direct prediction."""
    if task == "depth":
        return berhu(cross, direct)
    if task == "normals":
        return (1 - (cross * direct).sum(1)).mean()
    return -(direct.softmax(1) * cross.log_softmax(1)).sum(1).mean()


def mask_gradient(seg: Tensor, frequencies: tuple[float, ...]) -> Tensor:
    """The supplement's random mask on the gradient of seg, for half of the samples."""
    keep = keep_probability(frequencies, "class")
    if keep is None or not seg.requires_grad:
        return seg
    mask = (torch.rand(len(seg), 1, *seg.shape[2:]) < keep[seg.argmax(1)].unsqueeze(1)).float()
    mask[torch.randperm(len(seg))[: (len(seg) + 1) // 2]] = 1.0
    seg = seg * 1.0
    seg.register_hook(lambda grad: grad * mask)
    return seg


# ---------------------------------------------------------------------------------------------------------------------
# Losses of a turn


def base_loss(model: LiteralModel, batch: Batch, task: str, alpha: float) -> Tensor:
    """Algorithm 1, lines 3 and 4."""
    maps, _ = model(batch.images, "source")
    weights = getattr(model.kinds[task], "weights", None)  # of the classes
    weights = None if weights is None else weights.to(maps[task])
    truth = model.kinds[task].prepare(batch.truths[task])
    loss = supervised(task, maps[task], truth, weights)
    if task in model.graph:
        loss = loss + alpha * supervised(task, model.transfer(task, read(maps)), truth, weights)
    return loss


def generator_loss(model: LiteralModel, batch: Batch, task: str, ccr: float) -> Tensor:
    """Algorithm 2, lines 4 and 5."""
    maps, contour = model(batch.images, "target")
    encoded = read(maps)
    encoded["seg"] = mask_gradient(encoded["seg"], model.frequencies)
    energy = disagreement(task, model.transfer(task, encoded), maps[task])
    return energy + ccr * F.mse_loss(contour, batch.contours)


def critic_loss(
    model: LiteralModel, batch: Batch, task: str, margin: float, real_tuples: Literal["truth", "pred"]
) -> Tensor:
    """Algorithm 2, lines 7 and 8, with the hinge of EBGAN; `real_tuples="pred"` is the printed hat over Y_s."""
    source = batch.source
    assert source is not None
    truth = {name: kind.prepare(source.truths[name]) for name, kind in model.kinds.items()}
    if real_tuples == "pred":
        tuples = read(model(source.images, "source")[0])
    else:
        tuples = {name: model.kinds[name].encode_truth(truth[name]) for name in model.graph[task]}
    maps, _ = model(batch.images, "target")
    real = supervised(task, model.transfer(task, tuples), truth[task], None)
    fake = disagreement(task, model.transfer(task, read(maps)), maps[task])
    fake = fake - disagreement(task, maps[task], maps[task])  # the entropy, which real tuples have not
    return real + F.relu(margin - fake)


# ---------------------------------------------------------------------------------------------------------------------
# Steps


class LiteralSteps:
    """Steps of Algorithms 1 and 2, one Adam a task, plain.

    Args:
        model: its modules in the mode that the stage wants, see `prepare_base` and `prepare_adapt`.
        trained: what the tasks' optimisers update.
        lr: their learning rate.
        clip: largest gradient norm, as ours.
    """

    def __init__(self, model: LiteralModel, trained: nn.Module, lr: float = 1e-5, clip: float = 10.0):
        self.model, self.clip = model, clip
        self.trained = list(trained.parameters())
        tasks = list(model.kinds)
        self.tasks = {task: torch.optim.Adam(self.trained, lr=lr, foreach=False) for task in tasks}
        self.critics = {t: torch.optim.Adam(model.transfers[t].parameters(), lr=lr, foreach=False) for t in model.graph}

    def update(self, optimiser: torch.optim.Adam, parameters: Iterable[Tensor], loss: Tensor) -> None:
        self.model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, self.clip, foreach=False)
        optimiser.step()

    def base(self, batch: Batch) -> None:
        """Algorithm 1."""
        for task in self.model.kinds:
            self.update(self.tasks[task], self.trained, base_loss(self.model, batch, task, 10.0))

    def noadv(self, batch: Batch) -> None:
        """Algorithm 2, lines 3 to 5."""
        for task in self.model.graph:
            self.update(self.tasks[task], self.trained, generator_loss(self.model, batch, task, 10.0))

    def adv(self, batch: Batch) -> None:
        """Algorithm 2, lines 3 to 8, at m = 1."""
        self.noadv(batch)
        for task in self.model.graph:
            loss = critic_loss(self.model, batch, task, 1.0, "pred")
            self.update(self.critics[task], list(self.model.transfers[task].parameters()), loss)


def prepare_base(ours: UMAdapt) -> LiteralSteps:
    """Stage 2: encoder and decoders train, the transfer nets are frozen."""
    model = LiteralModel(ours).train()
    model.transfers.requires_grad_(False).eval()
    return LiteralSteps(model, nn.ModuleList([model.encoders, model.decoders]), lr=1e-4)


def prepare_adapt(ours: UMAdapt, careful: bool = False) -> LiteralSteps:
    """Stage 4: Res-5 of M_t trains, everything in eval mode.

    Args:
        careful: switch the gradients of all frozen weights off, as a careful reader of the paper would.
    """
    model = LiteralModel(ours).eval()
    if careful:
        model.requires_grad_(False)
        model.res5["target"].requires_grad_(True)
        model.transfers.requires_grad_(True)
    return LiteralSteps(model, model.res5["target"])
