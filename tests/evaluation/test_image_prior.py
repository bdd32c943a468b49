"""The image-free prior: against plain NumPy, on labels alone, and through the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from toys import CLASSES, write_toy_world
from umadapt.commands.evaluate import run
from umadapt.config import Evaluate
from umadapt.data.atomic import write_json
from umadapt.data.files import write_depth, write_normals, write_seg
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation.evaluate import evaluate_prior
from umadapt.evaluation.image_prior import prior_maps
from umadapt.evaluation.protocols import PROTOCOLS, Protocol

META = {"camera": None, "tasks": {"depth": {"scale_m": 0.001, "max_m": 20.0}, "seg": {"classes": CLASSES}}}
NEAR = Protocol("near", depth_range_m=(0.1, 5.0))


def write_noise(root: Path, count: int, size: tuple[int, int] = (9, 12)) -> Folder:
    """Labels alone, a fifth of the pixels missing in each; the first pixel in all."""
    rng = np.random.default_rng(0)
    for i in range(count):
        missing = rng.random(size) < 0.2
        missing[0, 0] = True
        normals = rng.normal(size=(*size, 3)).astype(np.float32) + 1
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        write_depth(root / "depth" / f"{i}.png", np.where(missing, 0, rng.uniform(1, 8, size)))
        write_normals(root / "normals" / f"{i}.png", np.where(missing[..., None], 0, normals).astype(np.float32))
        seg = rng.choice(len(CLASSES), size, p=[0.6, 0.2, 0.1, 0.1][: len(CLASSES)])
        write_seg(root / "seg" / f"{i}.png", np.where(missing, 255, seg).astype(np.uint8))
    write_json(root / "dataset.json", META)
    return Folder(root)


def test_maps_agree_with_numpy(tmp_path: Path) -> None:
    folder = write_noise(tmp_path, 7)
    found = {task: map_.numpy() for task, map_ in prior_maps(folder, NEAR).items()}
    depth, normals, seg = (
        np.stack([label for id in folder.ids if (label := folder.read_label(task, id)) is not None]).astype(np.float64)
        for task in ("depth", "normals", "seg")
    )
    depth[depth > 5] = 0  # beyond the protocol's range
    log = np.log(depth, where=depth > 0, out=np.full_like(depth, np.nan))
    mean_log = np.full(log.shape[1:], np.nanmean(log))
    seen = ~np.isnan(log).all(0)
    mean_log[seen] = np.nanmean(log[:, seen], axis=0)
    assert found["depth"][0] == pytest.approx(np.exp(mean_log), rel=1e-5)
    sums = normals.sum(0)
    sums[0, 0] = normals.sum((0, 1, 2))
    assert found["normals"] == pytest.approx(np.moveaxis(sums / np.linalg.norm(sums, axis=-1, keepdims=True), -1, 0))
    counts = np.stack([(seg == i).sum(0) for i in range(len(CLASSES))])
    assert (counts == counts.max(0)).astype(int)[found["seg"].argmax(0), *np.indices(seg.shape[1:])].all()
    assert found["seg"][:, 0, 0].argmax() == np.bincount(seg[seg < 255].astype(int)).argmax()


def test_constant_labels_are_foretold_without_a_photo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_toy_world(tmp_path / "toy", 4, seed=0)
    folder = Folder(tmp_path / "toy")
    for task in folder.tasks:
        for id in folder.ids[1:]:
            shutil.copy(tmp_path / "toy" / task / f"{folder.ids[0]}.png", tmp_path / "toy" / task / f"{id}.png")
    shutil.rmtree(tmp_path / "toy" / "image")
    for name, ids in (("a", folder.ids[:1]), ("b", folder.ids[1:])):
        (tmp_path / "toy" / "splits").mkdir(exist_ok=True)
        (tmp_path / "toy" / "splits" / f"{name}.txt").write_text("\n".join(ids))
    config = Evaluate(prior=f"{tmp_path}/toy:a", data=f"{tmp_path}/toy:b", json=tmp_path / "out.json")
    assert run(config) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["n"] == 3
    assert found["prior"].endswith("toy:a")
    assert found["depth"]["rms"] < 1e-5
    assert found["normals"]["mean"] < 0.05
    assert found["seg"]["miou"] == found["depth"]["d1"] == 1
    assert found["edges"]["f"] == 1
    assert "label maps of " in capsys.readouterr().out


def test_sizes_may_differ(tmp_path: Path) -> None:
    """The maps have the first one's size, and are resized to what they are measured on."""
    folder = write_noise(tmp_path, 2)
    write_depth(tmp_path / "depth" / "1.png", np.full((18, 24), 3.0))
    write_depth(tmp_path / "depth" / "0.png", np.full((9, 12), 3.0))
    maps = prior_maps(folder, PROTOCOLS["raw"])
    assert maps["depth"].shape == (1, 9, 12)
    (tmp_path / "test").mkdir()
    write_depth(tmp_path / "test" / "depth" / "x.png", np.full((30, 20), 3.0))
    assert evaluate_prior(folder, Folder(tmp_path / "test"), "raw")["depth"]["rel"] == pytest.approx(0, abs=1e-5)


def test_normals_are_fitted_to_depth_where_asked(tmp_path: Path) -> None:
    folder = write_noise(tmp_path, 2, (24, 32))
    for id in folder.ids:
        write_depth(tmp_path / "depth" / f"{id}.png", np.full((24, 32), 3.0))
    assert "normals" not in prior_maps(Folder(tmp_path), PROTOCOLS["raw"], normals_from_depth=True)  # no camera
    camera = {"fx": 30.0, "fy": 30.0, "cx": 16.0, "cy": 12.0, "width": 32, "height": 24}
    write_json(tmp_path / "dataset.json", META | {"camera": camera})
    found = prior_maps(Folder(tmp_path), PROTOCOLS["raw"], normals_from_depth=True)["normals"]
    assert torch.allclose(found[2], torch.ones(24, 32), atol=1e-3)


def test_labels_that_say_nothing_are_named(tmp_path: Path, toy_world: Path) -> None:
    shutil.copytree(toy_world / "image", tmp_path / "image")
    with pytest.raises(UserError, match="no labels to make a prior of"):
        prior_maps(Folder(tmp_path), PROTOCOLS["raw"])
    shutil.copytree(toy_world / "seg", tmp_path / "seg")
    with pytest.raises(UserError, match="names no classes"):
        prior_maps(Folder(tmp_path), PROTOCOLS["raw"])
