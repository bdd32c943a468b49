"""Every protocol against an independent reference: NumPy for depth, the official scripts for Cityscapes."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from umadapt.cli import main
from umadapt.config import ProtocolName
from umadapt.data.atomic import write_json
from umadapt.data.files import write_depth, write_image, write_normals, write_seg
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation.evaluator import Evaluator
from umadapt.evaluation.protocols import CITYSCAPES, PROTOCOLS, SYNTHIA_13, SYNTHIA_16, median_scale, scale_and_shift

CLASSES = list(CITYSCAPES)


def write_world(root: Path, size: tuple[int, int], count: int = 2, far: float = 9, holes: float = 0.0) -> Folder:
    """Noise with Cityscapes' classes."""
    rng = np.random.default_rng(1)
    for i in range(count):
        normals = rng.normal(size=(*size, 3))
        depth = rng.uniform(0.2, far, size)
        depth[rng.random(size) < holes] = 0
        seg = rng.integers(0, 19, size).astype(np.uint8)
        seg[rng.random(size) < 0.1] = 255
        write_image(root / "image" / f"{i}.jpg", rng.integers(0, 255, (*size, 3)).astype(np.uint8))
        write_depth(root / "depth" / f"{i}.png", depth, 0.002)
        write_normals(root / "normals" / f"{i}.png", normals / np.linalg.norm(normals, axis=-1, keepdims=True))
        write_seg(root / "seg" / f"{i}.png", seg)
    tasks = {"depth": {"scale_m": 0.002, "max_m": 131.0}, "normals": {}, "seg": {"classes": CLASSES, "ignore": 255}}
    write_json(root / "dataset.json", {"name": "noise", "license": "", "camera": None, "tasks": tasks})
    return Folder(root)


def scaled(folder: Folder, out: Path, factor: float) -> Path:
    for id in folder.ids:
        depth = folder.read_depth(id)
        assert depth is not None
        write_depth(out / "depth" / f"{id}.png", depth * factor, 0.0002)
    write_json(out / "dataset.json", {"name": "scaled", "tasks": {"depth": {"scale_m": 0.0002, "max_m": 13.0}}})
    return out


# ---------------------------------------------------------------------------------------------------------------------
# Through the command line


def test_the_truth_has_no_error_under_any_protocol(tmp_path: Path) -> None:
    write_world(tmp_path / "data", (480, 640))
    assert set(get_args(ProtocolName)) == set(PROTOCOLS)
    for name in PROTOCOLS:
        command = ["evaluate", "--predictions", str(tmp_path / "data"), "--data", str(tmp_path / "data")]
        assert main([*command, "--protocol", name, "--json", str(tmp_path / "j.json")]) == 0
        found = json.loads((tmp_path / "j.json").read_text())
        errors = {k: x for k, x in found["depth"].items() if k[0] != "d"}
        assert errors == pytest.approx(dict.fromkeys(errors, 0), abs=1e-7), name
        assert [found["depth"][k] for k in ("d1", "d2", "d3")] == [1, 1, 1]
        assert found["normals"]["mean"] < 0.01
        assert [found["seg"][k] for k in ("miou", "macc", "pacc")] == [1, 1, 1]


def test_a_factor_is_found_and_aligned_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_world(tmp_path / "data", (48, 64))
    scaled(folder, tmp_path / "guess", 1.1)
    rel: dict[str, float] = {}
    for align in ("none", "median", "scale-shift"):
        command = ["evaluate", "--predictions", str(tmp_path / "guess"), "--data", str(tmp_path / "data")]
        assert main([*command, "--align", align, "--json", str(tmp_path / "j.json")]) == 0
        found = json.loads((tmp_path / "j.json").read_text())
        rel[align] = found["depth"]["rel"]
        assert found.get("align", "none") == align
        assert f"align    {align}" in capsys.readouterr().out
    assert rel == pytest.approx({"none": 0.1, "median": 0, "scale-shift": 0}, abs=1e-4)


def test_every_line_names_what_decides_the_figures() -> None:
    told = {name: protocol.describe() for name, protocol in PROTOCOLS.items()}
    assert len(set(told.values())) == len(told)
    assert "averaged over images" in told["kitti_eigen"]
    assert "crop [0.408108:0.991892, 0.0359477:0.964052] of height and width" in told["kitti_eigen"]
    assert "0.001 to 50 m" in told["kitti_eigen_50"]
    assert "16 classes, other truth masked" in told["synthia_16"]
    assert "means over 13" in told["synthia_13"]


# ---------------------------------------------------------------------------------------------------------------------
# Depth


def reference(
    pairs: list[tuple[np.ndarray, np.ndarray]], borders: tuple[float, ...], high: float, align: str = "none"
) -> dict[str, float]:
    """The field's evaluation of KITTI, straight from its description."""
    figures = []
    for found, truth in pairs:
        h, w = truth.shape
        inside = np.zeros((h, w), bool)
        inside[int(borders[0] * h) : int(borders[1] * h), int(borders[2] * w) : int(borders[3] * w)] = True
        mask = inside & (truth > 1e-3) & (truth < high)
        d, t = found[mask].astype(float), truth[mask].astype(float)
        if align == "median":
            d = d * np.median(t) / np.median(d)
        if align == "scale-shift":
            s, shift = np.linalg.lstsq(np.stack([d, np.ones_like(d)], 1), t, rcond=None)[0]
            d = s * d + shift
        d = d.clip(1e-3, high)
        ratio = np.maximum(d / t, t / d)
        figures.append(
            [
                (abs(d - t) / t).mean(),
                abs(np.log10(d) - np.log10(t)).mean(),
                np.sqrt(((d - t) ** 2).mean()),
                np.sqrt(((np.log(d) - np.log(t)) ** 2).mean()),
                ((d - t) ** 2 / t).mean(),
                *((ratio < 1.25**k).mean() for k in (1, 2, 3)),
            ]
        )
    keys = ("rel", "log10", "rms", "rms_log", "sq_rel", "d1", "d2", "d3")
    return dict(zip(keys, np.mean(figures, 0).tolist(), strict=True))


GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
EIGEN = (0.3324324, 0.91351351, 0.0359477, 0.96405229)


@pytest.mark.parametrize("align", ["none", "median", "scale-shift"])
@pytest.mark.parametrize(
    ("name", "borders", "high"),
    [("kitti_eigen", GARG, 80.0), ("kitti_eigen_50", GARG, 50.0), ("kitti_eigen_raw", EIGEN, 80.0)],
)
def test_kitti_agrees_with_numpy(
    tmp_path: Path, name: str, borders: tuple[float, ...], high: float, align: str
) -> None:
    """Sparse truth up to 100 m, some of it exactly at the cap; images of different sizes and densities."""
    rng = np.random.default_rng(0)
    folder = write_world(tmp_path / "data", (75, 248), count=3, far=100, holes=0.7)
    first = folder.read_depth("0")
    assert first is not None
    first[40:50, 100:120] = high
    first[::2] = 0
    write_depth(tmp_path / "data" / "depth" / "0.png", first, 0.002)
    evaluator = Evaluator(folder, PROTOCOLS[name], ("depth",), None, align=align)
    pairs = []
    for id in folder.ids:
        truth = folder.read_depth(id)
        assert truth is not None
        guess = (truth * rng.uniform(0.5, 2, truth.shape) + rng.uniform(0, 3, truth.shape)).astype(np.float32)
        evaluator.update(id, {"depth": torch.from_numpy(guess)[None]}, evaluator.read(id))
        pairs.append((guess, truth))
    assert evaluator.result()["depth"] == pytest.approx(reference(pairs, borders, high, align), rel=1e-5)


def test_the_crop_of_kitti_is_where_the_field_has_it() -> None:
    assert PROTOCOLS["kitti_eigen"].window((375, 1242)) == (153, 371, 44, 1197)
    assert PROTOCOLS["kitti_eigen_raw"].window((375, 1242)) == (124, 342, 44, 1197)


def test_laina_measures_whole_images_unclipped_and_pooled(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "data", (480, 640), count=2, far=14)
    evaluator = Evaluator(folder, PROTOCOLS["nyu_laina"], ("depth",), None)
    rng = np.random.default_rng(0)
    all_found, all_truth = [], []
    for id in folder.ids:
        truth = folder.read_depth(id)
        assert truth is not None
        guess = rng.uniform(0.01, 20, truth.shape).astype(np.float32)
        evaluator.update(id, {"depth": torch.from_numpy(guess)[None]}, evaluator.read(id))
        all_found.append(guess.astype(float))
        all_truth.append(truth.astype(float))
    d, t = np.stack(all_found), np.stack(all_truth)
    found = evaluator.result()["depth"]
    assert found["rel"] == pytest.approx((abs(t - d) / t).mean(), 1e-6)
    assert found["rms"] == pytest.approx(np.sqrt(((t - d) ** 2).mean()), 1e-6)
    assert found["log10"] == pytest.approx(abs(np.log10(t) - np.log10(d)).mean(), 1e-6)


@given(st.floats(0.1, 10), st.floats(-1, 1), st.integers(0, 1000))
def test_alignment_undoes_what_it_can(scale: float, shift: float, seed: int) -> None:
    truth = torch.rand(101, generator=torch.Generator().manual_seed(seed)) * 8 + 1
    torch.testing.assert_close(median_scale(truth * scale, truth), truth)
    torch.testing.assert_close(scale_and_shift(truth * scale + shift, truth), truth, rtol=1e-4, atol=1e-4)
    constant = torch.full_like(truth, 3.0)
    torch.testing.assert_close(scale_and_shift(constant, truth), torch.full_like(truth, float(truth.mean())))


# ---------------------------------------------------------------------------------------------------------------------
# Classes


def official(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, dict[str, float]]:
    """The score of cityscapesscripts, from a confusion matrix of its label ids; a class without a score is left out."""
    import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as script
    from cityscapesscripts.helpers.labels import trainId2label

    back = np.zeros(256, np.int64)
    for i in range(19):
        back[i] = trainId2label[i].id
    args = Namespace(evalLabels=[label.id for label in script.labels if label.id >= 0])
    size = max(args.evalLabels) + 1
    confusion = np.zeros((size, size), np.longlong)
    for found, truth in pairs:
        np.add.at(confusion, (back[truth].ravel(), back[found].ravel()), 1)
    scores = {
        trainId2label[i].name: script.getIouScoreForLabel(trainId2label[i].id, confusion, args) for i in range(19)
    }
    return float(np.nanmean(list(scores.values()))), {k: x for k, x in scores.items() if not np.isnan(x)}


def measure(name: str, folder: Folder, guesses: dict[str, np.ndarray]) -> dict[str, Any]:
    evaluator = Evaluator(folder, PROTOCOLS[name], ("seg",), CLASSES)
    for id, guess in guesses.items():
        evaluator.update(id, {"seg": torch.from_numpy(guess)}, evaluator.read(id))
    return evaluator.result()["seg"]


def test_cityscapes_agrees_with_the_official_script(tmp_path: Path) -> None:
    """Some classes absent everywhere, some predicted but absent, some predicted on unlabelled pixels alone."""
    rng = np.random.default_rng(0)
    folder = write_world(tmp_path / "data", (40, 60), count=3)
    pairs, guesses = [], {}
    for id in folder.ids:
        truth = folder.read_seg(id)
        assert truth is not None
        truth[np.isin(truth, [3, 9, 14, 16])] = 0
        write_seg(tmp_path / "data" / "seg" / f"{id}.png", truth)
        guess = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 15, truth.shape)).astype(np.uint8)
        guess[guess == 9] = 2  # absent from both
        guess = np.where(truth == 255, np.uint8(16), guess)  # on unlabelled pixels alone
        pairs.append((guess, truth))
        guesses[id] = guess
    miou, classes = official(pairs)
    assert {"wall", "truck"} <= {name for name, iou in classes.items() if iou == 0}
    assert "train" not in classes
    found = measure("cityscapes_19", folder, guesses)
    assert found["miou"] == pytest.approx(miou, abs=1e-9)
    assert found["iou"] == pytest.approx(classes, abs=1e-9)
    assert measure("raw", folder, guesses)["miou"] > found["miou"]  # does not punish what is predicted but absent


def test_synthia_masks_the_classes_it_lacks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = write_world(tmp_path / "data", (40, 60), count=1)
    truth = folder.read_seg("0")
    assert truth is not None
    logits = rng.normal(size=(19, 40, 60)).astype(np.float32)
    found = {name: measure(name, folder, {"0": logits}) for name in ("synthia_16", "synthia_13")}
    kept = [CITYSCAPES.index(name) for name in SYNTHIA_16]
    guess = np.array(kept)[logits[kept].argmax(0)]
    valid = np.isin(truth, kept)
    iou = {i: ((guess == i) & (truth == i)).sum() / (((guess == i) | (truth == i)) & valid).sum() for i in kept}
    assert found["synthia_16"]["miou"] == pytest.approx(np.mean(list(iou.values())))
    few = [iou[CITYSCAPES.index(name)] for name in SYNTHIA_13]
    assert found["synthia_13"]["miou"] == pytest.approx(np.mean(few))
    assert found["synthia_16"]["pacc"] == pytest.approx((guess == truth)[valid].mean())
    assert set(found["synthia_16"]["iou"]) == set(SYNTHIA_16)
    stray = np.where(valid, truth, truth[valid][0])
    stray[np.argwhere(valid)[0][0], np.argwhere(valid)[0][1]] = CITYSCAPES.index("terrain")
    assert measure("synthia_16", folder, {"0": stray})["miou"] > 0.97, (
        "a stray pixel of another class is one wrong pixel"
    )


@pytest.mark.parametrize("classes", [("wall", "floor"), tuple(f"thing {i}" for i in range(41))])
def test_nyud_forbids_otherprop_by_its_name(classes: tuple[str, ...]) -> None:
    assert PROTOCOLS["nyud"].unseen(classes) == ()
    assert PROTOCOLS["nyud"].unseen(("otherprop", *classes)) == (0,)
    assert PROTOCOLS["nyud"].unseen([f"class {i}" for i in range(40)]) == (39,), "forty are NYU's"
    assert PROTOCOLS["raw"].unseen([f"class {i}" for i in range(40)]) == ()


def test_other_classes_are_refused_by_name(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "data", (40, 60), count=1)
    folder.classes = ("wall", "floor")
    with pytest.raises(UserError, match=r"cityscapes_19 measures 19 classes.*'road'"):
        Evaluator(folder, PROTOCOLS["cityscapes_19"], ("seg",), ("wall", "floor"))
