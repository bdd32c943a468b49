"""The paper's outdoor setting from the owners' own formats to its tables, at thumbnail size."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

from originals import ORIGINALS
from umadapt.cli import main
from umadapt.commands import reproduce
from umadapt.config import Reproduce
from umadapt.data.atomic import write_bytes
from umadapt.data.folder import Folder
from umadapt.reports import ladder
from umadapt.reports.ladder import Recipe
from umadapt.reports.scheduler import Runner, Running, Step

SMALL = "--preset outdoor --backbone test_resnet --weights none --size 64x128 --width 0.03 --transfer-width 0.03"
STEPS = "--batch 2 --transfer-steps 4 --base-steps 4 --contour-steps 2 --augment 0"


def no_camera(file: Path) -> None:
    """The toy pictures are of another aspect than the sets' cameras."""
    meta = json.loads(file.read_text())
    file.write_text(json.dumps({**meta, "camera": None, "cameras": {}}))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vkitti2 with depth and classes; kitti with sparse depth alone; cityscapes with classes alone."""
    root = tmp_path_factory.mktemp("outdoor")
    for name in ("vkitti2", "kitti", "cityscapes"):
        ORIGINALS[name](root / "originals" / name)
        assert main(["convert", name, str(root / "originals" / name), str(root / name)]) == 0
        no_camera(root / name / "dataset.json")
        assert main(["check", str(root / name)]) == 0
    return root


@pytest.fixture(scope="module")
def adapted(data: Path) -> Path:
    target = ["--target", str(data / "kitti"), "--target", f"{data / 'cityscapes'}:train", "--mix", "alternate"]
    train = ["train", "--source", str(data / "vkitti2"), "--out", str(data / "base"), *SMALL.split(), *STEPS.split()]
    assert main(train) == 0
    adapt = ["adapt", str(data / "base"), *target, "--out", str(data / "adv"), "--method", "adv"]
    assert main([*adapt, "--source", str(data / "vkitti2"), "--steps", "4", "--batch", "2"]) == 0
    return data / "adv"


def evaluation(run: Path, data: str, protocol: str, file: Path) -> dict[str, Any]:
    assert main(["evaluate", str(run), "--data", data, "--protocol", protocol, "--json", str(file)]) == 0
    return json.loads(file.read_text())


def test_what_the_sets_have_labels_of(data: Path) -> None:
    assert Folder(data / "vkitti2").tasks == ("depth", "seg")
    assert Folder(data / "kitti").tasks == ("depth",)
    assert Folder(data / "cityscapes").tasks == ("seg",)
    depth = Folder(data / "kitti").read_depth(Folder(data / "kitti").ids[1])
    assert depth is not None
    assert 0.01 < np.mean(depth > 0) < 0.3  # sparse
    assert depth[depth > 0] == pytest.approx(10, abs=0.01)


def test_adapted_to_a_mixture_and_measured_on_each(data: Path, adapted: Path, tmp_path: Path) -> None:
    config = json.loads((adapted / "config.json").read_text())
    assert config["model"]["depth_scale_m"] == 80
    kitti = evaluation(adapted, str(data / "kitti"), "kitti_eigen", tmp_path / "k.json")
    assert kitti["n"] == 3
    assert set(kitti) >= {"depth"}
    assert "seg" not in kitti
    city = evaluation(adapted, f"{data / 'cityscapes'}:val", "cityscapes_19", tmp_path / "c.json")
    assert 0 <= city["seg"]["miou"] <= 1
    assert "depth" not in city


def test_depth_labels_from_one_and_classes_from_the_other(
    data: Path, adapted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both decoders that are trained change, by labels that no single folder has."""
    target = ["--target", str(data / "kitti"), "--target", f"{data / 'cityscapes'}:train"]
    labelled = ["--labelled", str(data / "kitti"), "--labelled", f"{data / 'cityscapes'}:labelled"]
    command = ["semi", str(adapted), *target, *labelled, "--depth-labels", "2", "--train-decoders"]
    out = tmp_path / "semi"
    assert main([*command, "--out", str(out), "--steps", "4", "--batch", "2", "--lr", "1e-3"]) == 0
    before, after = (safetensors.torch.load_file(run / "model.safetensors") for run in (adapted, out))
    moved = {
        name.split(".")[1] for name in before if name.startswith("decoders") and before[name].ne(after[name]).any()
    }
    assert moved == {"depth", "seg"}
    capsys.readouterr()
    assert evaluation(out, str(data / "kitti"), "kitti_eigen", tmp_path / "k.json")["n"] == 3
    assert "crop [0.408108:0.991892" in capsys.readouterr().out


class InProcess(Runner):
    """Runs the same command lines without a process for each, whose imports would take most of the time."""

    def run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            began = Running(step, None, time.monotonic(), time.time_ns())  # type: ignore[arg-type]
            assert main(list(step.arguments)) == 0, step.command
            self.note(began, True)


def test_reproduce_writes_the_three_tables(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = Recipe(f"{SMALL} {STEPS}", "--steps 2 --batch 2", "--steps 2 --batch 2")
    monkeypatch.setattr(ladder, "recipe", lambda _: tiny)
    monkeypatch.setattr(reproduce, "Runner", InProcess)
    kitti, city = str(data / "kitti"), str(data / "cityscapes")
    ids = Folder(kitti).ids
    for name, part in (("few", ids[:2]), ("test", ids[2:])):
        write_bytes(data / "kitti" / "splits" / f"{name}.txt", "\n".join(part).encode())
    config = Reproduce(
        "outdoor",
        tmp_path / "out",
        seeds=1,
        source=str(data / "vkitti2"),
        target=(kitti, f"{city}:train"),
        eval=(f"{kitti}:test", f"{city}:val"),
        labelled=(f"{kitti}:few", f"{city}:labelled"),
        depth_labels=2,
        rungs=("prior", "source-only", "adv", "semi"),
        pictures=2,
        device="cpu",
    )
    assert reproduce.run(config) == 0
    told = capsys.readouterr().out
    page = (tmp_path / "out" / "ladder.md").read_text()
    for words in ("Table 4", "Table 5", "Table 7", "kitti_eigen", "cityscapes_19", "2 depth, 4 seg"):
        assert words in page, words
    assert "Table 7" in told
    found = json.loads((tmp_path / "out" / "ladder.json").read_text())
    for rung in ("prior", "source-only", "adv", "semi"):
        figures = found["rungs"][rung]["figures"]
        assert figures["depth"]["rel"]["mean"] > 0
        assert 0 <= figures["seg"]["miou"]["mean"] <= 1
