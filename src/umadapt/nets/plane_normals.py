"""The transfer that needs no learning: normals are what planes through depth face.

OURS; the paper's indoor graph has no edge to normals (Section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

REACH = 2  # cells to either side: planes are fitted to 5 x 5
EDGE = 0.05  # OURS: a neighbour whose inverse depth differs by this share counts 1 / e
NEAR = 1e-3  # network units; what is nearer counts as this


class PlaneNormals(nn.Module):
    """Normals (x right, y up, z towards the viewer) from depth along the optical axis.

    On a plane inverse depth is affine in the picture: 1 / Z = a + b x + c y, where x points right, y down and both are
    in units of the focal length, and its normal is that of (-b, c, a). b and c are weighted least-squares slopes over
    the surroundings of each cell, a follows from the cell itself; neighbours beyond an edge in depth hardly count.
    Differentiable in depth, but for those weights. The camera looks through the middle of the picture.

    Args:
        task: the one that is read: one channel of depth, in any unit.
        focal: focal lengths in cells of the maps, vertical and horizontal.
    """

    def __init__(self, task: str, focal: tuple[float, float]):
        super().__init__()
        self.task, self.focal = task, focal

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Depth (B, 1, h, w) to normals (B, 3, h, w), of any length."""
        inverse = 1 / maps[self.task].float().clamp(min=NEAR)
        here = torch.ones_like(inverse)
        change = torch.cat(neighbours(inverse), 1) - inverse  # (B, 25, h, w)
        there = torch.cat(neighbours(here), 1)  # 0 beyond the border
        steps = torch.arange(-REACH, REACH + 1, device=inverse.device, dtype=inverse.dtype)
        y, x = (
            s.reshape(1, -1, 1, 1) for s in torch.meshgrid(steps / self.focal[0], steps / self.focal[1], indexing="ij")
        )
        with torch.no_grad():
            weight = there * torch.exp(-((change / (EDGE * inverse)).square()))
            weight = weight / weight.sum(1, keepdim=True)  # that of the cell itself is never 0

        def mean(values: Tensor) -> Tensor:
            return (weight * values).sum(1, keepdim=True)

        mx, my, mz = mean(x), mean(y), mean(change)
        xx, yy, xy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
        xz, yz = mean(x * change) - mx * mz, mean(y * change) - my * mz
        xx, yy = xx + 1e-3 / self.focal[1] ** 2, yy + 1e-3 / self.focal[0] ** 2  # where all neighbours are beyond edges
        determinant = xx * yy - xy * xy
        b, c = (yy * xz - xy * yz) / determinant, (xx * yz - xy * xz) / determinant
        column, row = here.cumsum(-1), here.cumsum(-2)
        column = (column - column.mean(-1, keepdim=True)) / self.focal[1]
        row = (row - row.mean(-2, keepdim=True)) / self.focal[0]
        return torch.cat([-b, c, inverse - b * column - c * row], 1)


def neighbours(map_: Tensor) -> list[Tensor]:
    """Of a map (B, 1, h, w) the maps of what lies at each of 25 places around every cell, row by row; 0 beyond the
    border."""
    last, padded = 2 * REACH, F.pad(map_, (REACH,) * 4)
    return [
        padded[..., row : (row - last) or None, column : (column - last) or None]
        for row in range(last + 1)
        for column in range(last + 1)
    ]
