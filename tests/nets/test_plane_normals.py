"""Normals of depth by geometry: exact on planes, sharp at edges, and a loss on them shapes depth."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from toys import tiny_spec
from umadapt.data.camera import Camera
from umadapt.data.normals import normals_from_depth
from umadapt.nets.model import UMAdapt
from umadapt.nets.plane_normals import PlaneNormals

FOCAL = (28.0, 30.0)  # of maps of 24 x 32


def rays(h: int = 24, w: int = 32) -> Tensor:
    """(3, h, w): where each cell of the maps looks, x right, y up, z towards the viewer, at depth 1."""
    row, column = torch.meshgrid(torch.arange(h) - (h - 1) / 2, torch.arange(w) - (w - 1) / 2, indexing="ij")
    return torch.stack([column / FOCAL[1], -row / FOCAL[0], -torch.ones(h, w)])


def plane(normal: Tensor, distance: float) -> Tensor:
    """Depth (h, w) of the plane that far from the camera."""
    return distance / -(normal.view(3, 1, 1) * rays()).sum(0)


def unit(x: float, y: float, z: float) -> Tensor:
    return F.normalize(torch.tensor([x, y, z]), dim=0)


def seen(depth: Tensor) -> Tensor:
    """(3, h, w) unit normals."""
    return F.normalize(PlaneNormals("depth", FOCAL)({"depth": depth[None, None]}), dim=1)[0]


def degrees(a: Tensor, b: Tensor) -> Tensor:
    return torch.rad2deg(torch.atan2(torch.linalg.cross(a, b, dim=0).norm(dim=0), (a * b).sum(0)))


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6), st.floats(0.05, 20.0))
def test_of_planes_they_are_exact_whatever_the_unit(x: float, y: float, distance: float) -> None:
    normal = unit(x, y, 1.0)
    assert degrees(seen(plane(normal, distance)), normal.view(3, 1, 1).expand(3, 24, 32)).max() < 0.2


def test_an_edge_in_depth_does_not_bend_what_lies_beside_it() -> None:
    near, far = unit(0.3, 0.1, 1.0), unit(-0.2, 0.4, 1.0)
    left = (torch.arange(32) < 15).expand(24, 32)
    depth = torch.where(left, plane(near, 2.0), plane(far, 4.0))
    truth = torch.where(left, near.view(3, 1, 1), far.view(3, 1, 1))
    assert degrees(seen(depth), truth).max() < 2


def test_missing_depth_is_no_surface() -> None:
    depth = plane(unit(0.2, 0.5, 1.0), 3.0)
    holes = depth.clone()
    holes[10:13, 8:20] = 0
    valid = holes > 0
    torch.testing.assert_close(seen(holes)[:, valid], seen(depth)[:, valid], rtol=0, atol=2e-3)


def test_on_curved_surfaces_they_are_those_of_the_robust_fit() -> None:
    """`data.normals`, which makes the truth of photos, is written apart from this and fits other windows."""
    sphere = rays()
    along, square = sphere[2] * -3.0, (sphere**2).sum(0)  # centre 3 m ahead, radius 2.2
    depth = (along - (along**2 - square * (9 - 2.2**2)).clamp(min=0).sqrt()) / square
    camera = Camera(fx=FOCAL[1], fy=FOCAL[0], cx=15.5, cy=11.5, width=32, height=24)
    reference = torch.from_numpy(normals_from_depth(depth.numpy(), camera, 5)).permute(2, 0, 1)
    inner = (reference != 0).any(0)
    assert inner.float().mean() > 0.5
    assert degrees(seen(depth), reference)[inner].mean() < 2


def test_a_loss_on_them_shapes_depth() -> None:
    wanted = unit(0.4, -0.2, 1.0).view(3, 1, 1)
    tilt = torch.zeros(24, 32, requires_grad=True)
    optimiser = torch.optim.Adam([tilt], lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        (1 - (seen(3 * tilt.exp()) * wanted).sum(0)).mean().backward()
        optimiser.step()
    assert degrees(seen(3 * tilt.detach().exp()), wanted.expand(3, 24, 32)).mean() < 3


def test_a_model_has_them_in_the_cells_of_its_maps() -> None:
    model = UMAdapt(tiny_spec(graph={"normals": ("depth",)}, geometry=("normals",), focal=70.0))
    assert not list(model.transfers.parameters())
    h, w = model.grid(model.spec.size)
    net = model.transfers["normals"]
    assert net.focal == pytest.approx((70 * h / 64, 70 * w / 96))
    flat = torch.full((2, 1, h, w), 0.3)
    frontal = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1).expand(2, 3, h, w)
    torch.testing.assert_close(model.cross({"depth": flat})["normals"], frontal)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"graph": {"seg": ("depth",)}, "geometry": ("seg",), "focal": 70.0}, "seg<-depth:geometry is nothing"),
        ({"graph": {"normals": ("depth", "seg")}, "geometry": ("normals",), "focal": 70.0}, "is nothing that geometry"),
        ({"graph": {"normals": ("depth",)}, "geometry": ("normals",)}, "needs the camera"),
    ],
)
def test_what_geometry_cannot_do_is_refused(changes: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        UMAdapt(tiny_spec(**changes))
