"""Images that lack labels: counted out where whole tuples are needed, and only there."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from toys import write_toy_world
from umadapt.cli import main
from umadapt.commands.adapt import make_stage, open_source
from umadapt.config import Adapt, MethodName, NormalsKind
from umadapt.data.fitted import FittedNormals
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.training.batches import Batches
from umadapt.training.load import load_model, read_record
from umadapt.training.mixture import Union
from umadapt.training.sources import (
    evenly,
    labelled_ids,
    labelled_photos,
    learnable_tuples,
    split_heldout,
    whole_tuples,
)

SMALL = "--backbone test_resnet --weights none --size 64x96 --width 0.03 --transfer-width 0.03 --batch 4".split()
STEPS = "--transfer-steps 2 --base-steps 2 --contour-steps 2".split()


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Ten images: 000 has no classes, 008 and 009 no labels at all."""
    write_toy_world(tmp_path / "world", 10, seed=0)
    (tmp_path / "world" / "seg" / "000.png").unlink()
    for task in ("depth", "normals", "seg"):
        for id in ("008", "009"):
            (tmp_path / "world" / task / f"{id}.png").unlink()
    return tmp_path / "world"


@given(st.integers(1, 700), st.floats(0.001, 1))
def test_a_share_is_evenly_spaced(count: int, share: float) -> None:
    ids = tuple(map(str, range(count)))
    few = [int(id) for id in evenly(ids, share)]
    assert len(few) == max(1, round(share * count))
    assert evenly((), share) == ()
    gaps = {b - a for a, b in pairwise([*few, count])}
    assert few[0] == 0
    assert min(gaps) >= 1
    assert max(gaps) - min(gaps) <= 1


def test_normals_of_labelled_photos(tmp_path: Path) -> None:
    """Their own where such were learnt and they have some; else planes through depth, where that can be."""
    root = tmp_path / "world"
    write_toy_world(root, 2, seed=0)
    tasks = ("depth", "normals", "seg")

    def fitted(tasks: tuple[str, ...] = tasks, normals: NormalsKind = "exact") -> bool:
        return isinstance(labelled_photos(Folder(root), tasks, normals), FittedNormals)

    assert not fitted()
    assert fitted(normals="plane-fit")
    assert not fitted(("depth", "seg"), "plane-fit")
    shutil.rmtree(root / "normals")
    assert fitted()
    assert labelled_photos(Folder(root), tasks).tasks == tasks
    meta = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({k: v for k, v in meta.items() if not k.startswith("camera")}))
    assert not fitted()
    (root / "dataset.json").write_text(json.dumps(meta))
    shutil.rmtree(root / "depth")
    assert not fitted(normals="plane-fit"), "classes alone are labels too"


def test_ids(world: Path) -> None:
    folder = Folder(world)
    ids = labelled_ids(folder, ("depth", "seg"))
    assert ids == tuple(f"{i:03d}" for i in range(8))
    assert whole_tuples(folder, ids, ("depth", "seg")) == ids[1:]
    assert whole_tuples(folder, ids, ("depth", "edges")) == ids, "edges are made from depth"
    assert whole_tuples(folder, ("000",), ("depth", "seg")) == ()
    with pytest.raises(UserError, match="labels of depth, seg together"):
        learnable_tuples(folder, ("000",), ("depth", "seg"))


def test_held_out_images_without_whole_tuples_leave_that_figure_out(world: Path, tmp_path: Path) -> None:
    for id in ("006", "007"):
        (world / "seg" / f"{id}.png").unlink()
    assert (
        main(["train", "--source", str(world), "--out", str(tmp_path / "base"), *SMALL, *STEPS, "--holdout", "0.25"])
        == 0
    )
    report = read_record(tmp_path / "base").transfer_report
    assert report is not None
    assert {part for figures in report.values() for part in figures} == {"source"}


@pytest.mark.parametrize("method", ["adv", "b-ccr", "output-adv"])
def test_adaptation_reads_the_source_that_training_learnt_from(world: Path, tmp_path: Path, method: MethodName) -> None:
    base = tmp_path / "base"
    assert main(["train", "--source", str(world), "--out", str(base), *SMALL, *STEPS, "--holdout", "0.25"]) == 0
    report = json.loads((base / "config.json").read_text())["transfer_report"]
    assert report["seg"]["heldout"]["energy"] > 0
    model, _ = load_model(base, "cpu")
    model.encoder.add_target()
    config = Adapt(run=base, target=(str(world),), out=tmp_path / "out", method=method, batch=2, lr=1e-5)
    folder = Folder(world)
    stage = make_stage(model, config, folder, Union([], "union", 0), folder)
    (source,) = (data for data in stage.data if isinstance(data, Batches))
    trained, held = split_heldout(labelled_ids(folder, model.tasks), 0.25)
    assert not {*held, "008", "009"} & {*source.ids}
    assert source.ids == (trained if method == "output-adv" else trained[1:])
    assert read_record(base).argument("holdout") == 0.25


@pytest.mark.parametrize("method", ["self-training", "b-ccr", "adv"])
def test_adaptation_learns_the_normals_that_training_learnt(tmp_path: Path, method: MethodName) -> None:
    """Of planes fitted to depth where the run was trained on these, whatever normals the source has of its own."""
    write_toy_world(tmp_path / "world", 4, seed=0)
    base, graph = tmp_path / "base", ["--transfer", "seg<-depth,normals", "--transfer", "depth<-normals"]
    command = ["train", "--source", str(tmp_path / "world"), "--out", str(base), *SMALL, *STEPS, *graph]
    assert main([*command, "--normals", "plane-fit"]) == 0
    model, before = load_model(base, "cpu")
    config = Adapt(run=base, target=("t",), out=tmp_path / "out", method=method)
    assert isinstance(open_source(config, before, model), FittedNormals)
