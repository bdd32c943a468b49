"""Normals of planes fitted to depth stand in for a folder's own, also in training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from toys import write_toy_world
from umadapt.cli import main
from umadapt.data.files import write_depth
from umadapt.data.fitted import FittedNormals
from umadapt.data.folder import Folder
from umadapt.data.normals import normals_from_depth
from umadapt.errors import UserError
from umadapt.training.batches import Batches
from umadapt.training.sources import labelled_source


@pytest.fixture
def world(tmp_path: Path) -> Path:
    write_toy_world(tmp_path / "world", 6, seed=3)
    return tmp_path / "world"


def change_meta(world: Path, **changes: object) -> None:
    path = world / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_they_are_of_depth_in_folder_and_batch(world: Path) -> None:
    own = Folder(world)
    depth_m = own.read_depth("000")
    assert depth_m is not None
    depth_m[:20, :30] = 0  # a hole
    write_depth(world / "depth" / "000.png", depth_m)
    assert own.camera is not None
    expected = normals_from_depth(depth_m, own.camera)
    folder = labelled_source(str(world), ("depth", "normals"), "plane-fit")
    found = folder.read_label("normals", "000")
    assert found is not None
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert not found[:20, :30].any()
    batch = Batches(folder, ["000"], (64, 96), (64, 96), tasks=("normals",), batch=1)(0)
    np.testing.assert_allclose(batch.truths["normals"][0].permute(1, 2, 0), expected, atol=2e-3)
    exact = labelled_source(str(world), ("depth", "normals"), "exact").read_normals("000")
    assert exact is not None
    assert exact[:20, :30].any()
    assert type(labelled_source(str(world), ("depth", "seg"), "plane-fit")) is Folder, "no task is made from normals"


def test_the_depth_file_stands_for_them(world: Path) -> None:
    shutil.rmtree(world / "normals")
    (world / "depth" / "002.png").unlink()
    folder = FittedNormals(Folder(world))
    assert folder.tasks == ("depth", "normals", "seg")
    assert not folder.has("normals", "002")
    assert folder.read_normals("002") is None
    assert folder.label_path("normals", "001") == world / "depth" / "001.png"


def test_what_is_lacking_is_named(world: Path) -> None:
    change_meta(world, camera=None)
    with pytest.raises(UserError, match=r"dataset\.json: normals are fitted .* add \"camera\""):
        FittedNormals(Folder(world))
    shutil.rmtree(world / "depth")
    with pytest.raises(UserError, match=r"depth: no depth to fit normals to"):
        FittedNormals(Folder(world))


def test_a_packed_source_without_normals_is_learnt_from(world: Path, tmp_path: Path) -> None:
    shutil.rmtree(world / "normals")
    assert main(["pack", str(world), str(tmp_path / "packed")]) == 0
    small = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 2".split()
    steps = "--transfer-steps 1 --base-steps 1 --contour-steps 1 --normals plane-fit".split()
    run = tmp_path / "run"
    assert main(["train", "--source", str(tmp_path / "packed"), "--out", str(run), *small, *steps]) == 0
    assert json.loads((run / "config.json").read_text())["command"]["normals"] == "plane-fit"
    adapt = ["adapt", str(run), "--target", str(world), "--out", str(tmp_path / "adv"), "--method", "adv"]
    assert main([*adapt, "--steps", "1", "--batch", "2"]) == 0, "it reads whole tuples of the run's source"
