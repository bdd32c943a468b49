"""Shapes of photos, opened again by trimesh."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from toy_runs import make_run
from toys import write_toy_world
from umadapt.cli import main
from umadapt.inference.cloud import faces_of, shape_of, write_shape

FOCAL, HEIGHT_M = 200.0, 1.5


def room() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Depth of a floor 1.5 m below the camera, a wall 5 m away, and a box 2 m away; where these are; colours."""
    rows = np.arange(240)[:, None] + 0.5 - 120
    floor = np.divide(HEIGHT_M * FOCAL, rows, out=np.full_like(rows, np.inf), where=rows > 0)
    depth = np.broadcast_to(np.minimum(floor, 5.0), (240, 320)).copy()
    box = np.zeros((240, 320), bool)
    box[100:160, 120:180] = True
    depth[box] = 2.0
    colours = np.array([[90, 120, 150], [200, 30, 30]], np.uint8)[box.astype(int)]
    return depth, box, colours


@pytest.mark.parametrize("ending", ["glb", "ply"])
@pytest.mark.parametrize("kind", ["mesh", "points"])
def test_a_floor_is_flat_where_it_is(ending: str, kind: str, tmp_path: Path) -> None:
    depth, _, colours = room()
    write_shape(tmp_path / f"room.{ending}", shape_of(depth, FOCAL, colours, kind, most=20_000))  # type: ignore[arg-type]
    found: Any = trimesh.load(tmp_path / f"room.{ending}", force="mesh" if kind == "mesh" else None)
    geometry = found if hasattr(found, "vertices") else next(iter(found.geometry.values()))
    points = np.asarray(geometry.vertices)
    assert 10_000 < len(points) <= 20_000
    assert points[:, 2].max() < 0, "in front of the camera, which looks along -z"
    floor = points[(points[:, 1] < -0.5 * HEIGHT_M) & (points[:, 2] > -4.9) & (points[:, 2] != -2)]
    assert len(floor) > 1000
    np.testing.assert_allclose(floor[:, 1], -HEIGHT_M, rtol=1e-4)
    assert floor[:, 2].min() < -4.5


def test_a_mesh_is_cut_where_depth_steps() -> None:
    depth, _, colours = room()
    mesh: Any = shape_of(depth, FOCAL, colours)
    edges = mesh.vertices[mesh.edges_unique]
    lengths = np.linalg.norm(edges[:, 0] - edges[:, 1], axis=1)
    assert lengths.max() < 0.3, "no face from the box to the wall behind it"
    parts = mesh.split(only_watertight=False)
    assert len(parts) >= 2


def test_faces_look_at_the_camera() -> None:
    depth, _, colours = room()
    mesh: Any = shape_of(depth, FOCAL, colours)
    towards = -mesh.triangles_center
    assert (np.einsum("ij,ij->i", mesh.face_normals, towards) > 0).mean() > 0.999


def test_unknown_depth_has_no_face() -> None:
    z = np.ones((3, 3))
    z[0, 0] = 0
    assert len(faces_of(z, 0.1)) == 6
    assert 0 not in faces_of(z, 0.1)


def test_colours_are_those_of_the_photo(tmp_path: Path) -> None:
    depth, box, colours = room()
    mesh: Any = shape_of(depth, FOCAL, colours)
    assert box.any()
    assert {(90, 120, 150, 255), (200, 30, 30, 255)} <= {tuple(c) for c in mesh.visual.vertex_colors.tolist()}
    write_shape(tmp_path / "a.ply", mesh)
    again: Any = trimesh.load(tmp_path / "a.ply")
    assert (90, 120, 150, 255) in {tuple(c) for c in again.visual.vertex_colors.tolist()}


@pytest.mark.parametrize("options", [["glb"], ["ply", "--cloud-shape", "points", "--cloud-colours", "seg"]])
def test_predict_writes_a_shape_of_every_photo(options: list[str], tmp_path: Path) -> None:
    write_toy_world(tmp_path / "photos", 2, seed=0)
    make_run(tmp_path / "run")
    command = ["predict", str(tmp_path / "run"), str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    assert main([*command, "--fov", "62", "--cloud", *options]) == 0
    files = sorted((tmp_path / "out" / "cloud").iterdir())
    assert [file.name for file in files] == [f"000.{options[0]}", f"001.{options[0]}"]
    found: Any = trimesh.load(files[0])
    geometry = found if hasattr(found, "vertices") else next(iter(found.geometry.values()))
    assert len(geometry.vertices) > 1000
    depth = np.load(tmp_path / "out" / "npy" / "depth" / "000.npy")
    assert -geometry.vertices[:, 2].max() == pytest.approx(depth.min(), rel=0.01)


def test_a_network_without_depth_makes_no_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_toy_world(tmp_path / "photos", 1, seed=0)
    make_run(tmp_path / "run", tasks=("seg",), graph={})
    command = ["predict", str(tmp_path / "run"), str(tmp_path / "photos"), "--out", str(tmp_path / "out")]
    assert main([*command, "--cloud", "glb"]) == 2
    assert "--cloud needs depth, and this network predicts seg" in capsys.readouterr().err


def test_what_writes_shapes_is_missed_before_the_network_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trimesh", None)
    assert main(["predict", "no-run", str(tmp_path), "--out", str(tmp_path / "out"), "--cloud", "glb"]) == 2
    assert capsys.readouterr().err.strip() == (
        'umadapt predict: --cloud needs trimesh, which is not installed; type: pip install "umadapt[cloud]"'
    )


def test_colours_of_gltf_are_shown_as_they_are(tmp_path: Path) -> None:
    depth, _, colours = room()
    write_shape(tmp_path / "room.glb", shape_of(depth, FOCAL, colours, most=2_000))
    content = (tmp_path / "room.glb").read_bytes()
    tree = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    (primitive,) = tree["meshes"][0]["primitives"]
    assert "KHR_materials_unlit" in tree["materials"][primitive["material"]]["extensions"]
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
