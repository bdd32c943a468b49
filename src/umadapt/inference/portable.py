"""A network with its pre- and post-processing, in operations that torch.export and ONNX know."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from umadapt.inference.exported import GRID, TRUST
from umadapt.nets.model import UMAdapt

CLASSES = 8  # logits upsampled at once: 40 of a 12-megapixel photo would be 2 GB


class Portable(nn.Module):
    """Photos (B, H, W, 3) uint8 to {name: map} at their own size; `predict_photo` for a batch, in operators of ONNX.

    depth and shares (B, H, W) float32; normals (B, H, W, 3) float32; seg (B, H, W) uint8; "trust_TASK" (B, H, W)
    float32, the disagreement in the unit of the task's trust map. Each map that "grid_" is put before: what it is made
    of, on the network's grid, (B, C, h, w) float32 (of seg the logits).
    """

    def __init__(self, model: UMAdapt, domain: str):
        super().__init__()
        self.model = model
        self.domain = domain

    def forward(self, photo: Tensor, focal: Tensor, rows: int, columns: int) -> dict[str, Tensor]:
        """The network sees the photo at (32 rows, 32 columns)."""
        return self.at(photo, focal, (32 * rows, 32 * columns))

    def at(self, photo: Tensor, focal: Tensor, seen: tuple[int, int]) -> dict[str, Tensor]:
        """The network sees the photo at the size `seen`.

        Args:
            focal: float32 scalar, focal length in pixels of the photo; 0 = unknown (see `ModelSpec.magnification`).
        """
        size = (photo.shape[1], photo.shape[2])
        images = photo.permute(0, 3, 1, 2).div(255)  # float32, and so it is of floats, which a program of it takes too
        predictions = self.model(resize(images, seen), self.domain)
        found: dict[str, Tensor] = {}
        grids: dict[str, Tensor] = {}
        s = self.magnification(focal, size[1], seen)
        for name, task in self.model.tasks.items():
            physical = grids[GRID + name] = task.to_physical(task.shrink(predictions[name], s))
            if task.kind == "seg":
                found[name] = largest_class(physical, size)
            elif task.kind == "normals":
                found[name] = F.normalize(resize(physical, size), dim=1, eps=1e-6).permute(0, 2, 3, 1)
            else:
                found[name] = resize(physical, size).squeeze(1)
        for name, cross in self.model.cross(predictions).items():
            task = self.model.tasks[name]
            disagreement = grids[GRID + TRUST + name] = task.energy_map(cross, predictions[name]).unsqueeze(1)
            found[TRUST + name] = resize(disagreement, size).squeeze(1)
        return found | {name: grid.clone() for name, grid in grids.items()}

    def magnification(self, focal: Tensor, width: int, seen: tuple[int, int]) -> Tensor:
        """`ModelSpec.magnification` of a photo of that width which the network sees at the size `seen`; a scalar."""
        spec = self.model.spec
        if spec.focal is None:
            return torch.ones(())
        h, w, wide = (torch.scalar_tensor(side, dtype=torch.float32) for side in (*seen, width))
        known, assumed = focal * w / (wide * spec.focal), torch.maximum(h, w) / max(spec.size)
        return torch.where(focal > 0, known, assumed)


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) to (B, C, H, W): antialiased bilinear."""
    return F.interpolate(maps, size=size, mode="bilinear", antialias=True)


def largest_class(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) logits, upsampled a few classes at a time, to (B, H, W) uint8 ids of the largest."""
    best, ids = resize(logits[:, :CLASSES], size).max(1)
    for first in range(CLASSES, logits.shape[1], CLASSES):
        value, index = resize(logits[:, first : first + CLASSES], size).max(1)
        ids = torch.where(value > best, index + first, ids)
        best = torch.maximum(value, best)
    return ids.to(torch.uint8)


def slim(model: UMAdapt, domain: str) -> Portable:
    """A copy with what predicting needs and nothing else."""
    model = copy.deepcopy(model).cpu().eval()
    encoder = model.encoder
    encoder.trunks = nn.ModuleDict({domain: encoder.trunks[domain]})
    encoder.branches = nn.ModuleDict({domain: encoder.branches[domain]})
    del model.contour
    return Portable(model, domain).eval().requires_grad_(False)
