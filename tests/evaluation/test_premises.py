"""What a protocol takes for granted is looked at, and said where it does not hold."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from originals import ORIGINALS
from umadapt.cli import main
from umadapt.data.atomic import write_json
from umadapt.data.files import write_depth
from umadapt.evaluation.premises import Premises
from umadapt.evaluation.protocols import PROTOCOLS


def scene(seed: int, shape: tuple[int, int] = (48, 159)) -> np.ndarray:
    rows = np.linspace(8, 2, shape[0])[:, None]
    return np.broadcast_to(rows + np.random.default_rng(seed).uniform(0, 0.5, shape), shape)


def write_pair(root: Path, found: list[np.ndarray], truth: list[np.ndarray], max_m: float = 80.0) -> None:
    for name, maps in (("found", found), ("truth", truth)):
        for k, depth in enumerate(maps):
            write_depth(root / name / f"depth/{k}.png", depth)
        write_json(root / name / "dataset.json", {"tasks": {"depth": {"scale_m": 0.001, "max_m": max_m}}})


def evaluate(root: Path, *more: str) -> list[str]:
    command = ["evaluate", "--predictions", str(root / "found"), "--data", str(root / "truth")]
    assert main([*command, *more, "--json", str(root / "j.json")]) == 0
    return json.loads((root / "j.json").read_text()).get("premises", [])


@pytest.mark.parametrize("align", ["none", "median", "scale-shift"])
def test_inverse_depth_is_told(tmp_path: Path, align: str, capsys: pytest.CaptureFixture[str]) -> None:
    truth = [scene(k) for k in range(3)]
    write_pair(tmp_path, [10 / depth for depth in truth], truth)
    (line,) = evaluate(tmp_path, "--align", align)
    assert line.startswith("in 3 of 3 images")
    assert ("negative scale" in line) == (align == "scale-shift")
    assert f"warning: {line}" in capsys.readouterr().out


def test_one_negative_scale_is_told_of_a_fit_alone(tmp_path: Path) -> None:
    truth = [scene(k) for k in range(3)]
    write_pair(tmp_path, [truth[0], truth[1], 10 / truth[2]], truth)
    assert evaluate(tmp_path) == []
    assert "in 1 of 3 images the fit has a negative scale" in evaluate(tmp_path, "--align", "scale-shift")[0]


def test_sound_data_of_kitti_are_left_alone(tmp_path: Path) -> None:
    truth = [scene(k) for k in range(2)]
    write_pair(tmp_path, truth, truth)
    assert evaluate(tmp_path, "--protocol", "kitti_eigen") == []


def test_truth_that_is_cropped_already_is_told(tmp_path: Path) -> None:
    truth = [scene(k) for k in range(2)]
    for depth in truth:
        depth = np.array(depth)
    masked = [np.pad(depth[20:46, 8:150], ((20, 2), (8, 9))) for depth in truth]
    write_pair(tmp_path, truth, masked)
    (line,) = evaluate(tmp_path, "--protocol", "kitti_eigen")
    assert "cropped already, and protocol kitti_eigen crops whole pictures" in line
    assert evaluate(tmp_path) == []  # raw crops nothing


def test_pictures_that_are_crops_are_told(tmp_path: Path) -> None:
    truth = [scene(k, (35, 170)) for k in range(2)]
    write_pair(tmp_path, truth, truth)
    assert "crops whole pictures of KITTI" in evaluate(tmp_path, "--protocol", "kitti_eigen")[0]


def test_a_cap_below_the_protocols_is_told(tmp_path: Path) -> None:
    truth = [scene(k) for k in range(2)]
    write_pair(tmp_path, truth, truth, max_m=50.0)
    assert "max_m = 50 m of dataset.json cuts" in evaluate(tmp_path, "--protocol", "kitti_eigen")[0]
    assert evaluate(tmp_path, "--protocol", "kitti_eigen_50") == []


def test_premises_of_several_processes_are_one() -> None:
    whole, parts = Premises(), [Premises(), Premises()]
    for k in range(4):
        truth = torch.tensor(np.array(scene(k)))
        for premises in (whole, parts[k % 2]):
            premises.see((1 / truth if k == 3 else truth)[None], truth)
    parts[0].merge(parts[1])
    assert parts[0] == whole
    assert whole.against == 1
    assert list(Premises().failed(PROTOCOLS["nyud"], "none", None)) == []


@pytest.mark.parametrize("kind", ["labelTrainIds", "color", "instanceIds"])
def test_other_labels_of_cityscapes_are_named(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    ORIGINALS["cityscapes"](tmp_path / "src")
    source = tmp_path / "src"
    for path in sorted(source.glob("*.zip")):
        shutil.unpack_archive(path, source)
        path.unlink()
    for path in sorted(source.rglob("*_gtFine_labelIds.png")):
        path.rename(path.with_name(path.name.replace("labelIds", kind)))
    for path in sorted(source.rglob("*_gtFine_*")):
        if kind not in path.name:
            path.unlink()
    assert main(["convert", "cityscapes", str(source), str(tmp_path / "out")]) == 2
    assert f"found only _gtFine_{kind}.png, expected _gtFine_labelIds.png" in capsys.readouterr().err
