"""Protocols, the evaluation of models and of folders, against an independent implementation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from toy_runs import make_run
from toys import CLASSES, write_toy_world
from umadapt.commands.evaluate import run
from umadapt.config import Evaluate
from umadapt.data.atomic import write_json
from umadapt.data.files import write_depth, write_image, write_normals, write_seg
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation.evaluate import evaluate, evaluate_predictions
from umadapt.evaluation.evaluator import Evaluator
from umadapt.evaluation.protocols import PROTOCOLS
from umadapt.nets.model import UMAdapt
from umadapt.tasks import Normals
from umadapt.tasks.resize import resize_labels, resize_map

KEYS = {
    "depth": {"rel", "log10", "rms", "rms_log", "sq_rel", "d1", "d2", "d3"},
    "normals": {"mean", "median", "11.25", "22.5", "30", "1-abs-cos"},
    "seg": {"miou", "macc", "pacc", "iou"},
}
NYU40 = [f"class {i}" for i in range(40)]


def write_nyu_like(root: Path, rng: np.random.Generator, count: int = 1, size: tuple[int, int] = (480, 640)) -> Folder:
    """Noise at NYUDv2's size: depths beyond the cap, unlabelled pixels, class 39."""
    for i in range(count):
        depth = rng.uniform(0, 12, size)
        depth[rng.random(size) < 0.1] = 0
        seg = rng.integers(0, 40, size).astype(np.uint8)
        seg[rng.random(size) < 0.1] = 255
        write_image(root / "image" / f"{i}.jpg", rng.integers(0, 255, (*size, 3)).astype(np.uint8))
        write_depth(root / "depth" / f"{i}.png", depth)
        write_seg(root / "seg" / f"{i}.png", seg)
    camera = {"fx": 500.0, "fy": 500.0, "cx": 320.0, "cy": 240.0, "width": 640, "height": 480}
    tasks = {"depth": {"scale_m": 0.001, "max_m": 12.0}, "seg": {"classes": NYU40, "ignore": 255}}
    write_json(root / "dataset.json", {"name": "noise", "license": "", "camera": camera, "tasks": tasks})
    return Folder(root)


def copy_labels(folder: Folder, out: Path, tasks: tuple[str, ...] = ("depth", "normals", "seg")) -> Path:
    for id in folder.ids:
        for task in tasks:
            path = folder.label_path(task, id)
            assert path is not None
            (out / task).mkdir(parents=True, exist_ok=True)
            (out / task / f"{id}.png").write_bytes(path.read_bytes())
    write_json(out / "dataset.json", folder.meta)
    return out


def bilinear(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, ...) to (H, W, ...) straight from the definition: half-pixel centres, edges repeated."""
    for axis, n in enumerate(size):
        old = x.shape[axis]
        at = ((np.arange(n) + 0.5) * old / n - 0.5).clip(0, old - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, old - 1), axis) * share
    return x


# ---------------------------------------------------------------------------------------------------------------------
# Resizing


@pytest.mark.parametrize("size", [(48, 80), (33, 97), (12, 20)])
def test_resizing_is_bilinear_with_half_pixel_centres(size):
    maps = torch.randn(5, 12, 20, generator=torch.Generator().manual_seed(0))
    wanted = bilinear(maps.permute(1, 2, 0).double().numpy(), size)
    assert resize_map(maps, size).permute(1, 2, 0).numpy() == pytest.approx(wanted, abs=1e-5)
    assert (resize_labels(maps, size).numpy() == wanted.argmax(-1)).mean() > 0.999
    unit = Normals().resize(maps[:3], size)
    assert unit.norm(dim=0).numpy() == pytest.approx(1, abs=1e-5)


def test_labels_do_not_depend_on_the_strips(monkeypatch):
    logits = torch.randn(7, 16, 24, generator=torch.Generator().manual_seed(0))
    whole = resize_labels(logits, (50, 70), never=(2,))
    monkeypatch.setattr("umadapt.tasks.resize.STRIP", 1000)
    assert torch.equal(resize_labels(logits, (50, 70), never=(2,)), whole)
    assert not (whole == 2).any()
    assert resize_labels(logits, (5, 70)).shape == (5, 70)


# ---------------------------------------------------------------------------------------------------------------------
# Protocols


def test_nyud_agrees_with_an_independent_implementation(tmp_path):
    """Crop, cap, mask, class 39 and pooling at once: one call of ours against NumPy."""
    rng = np.random.default_rng(0)
    folder = write_nyu_like(tmp_path / "data", rng, 2)
    evaluator = Evaluator(folder, PROTOCOLS["nyud"], ("depth", "seg"), NYU40)
    rel, hits, labelled = [], 0, 0
    for id in folder.ids:
        depth, logits = rng.uniform(-1, 13, (1, 128, 160)), rng.normal(size=(40, 128, 160))
        logits[39] += 1
        maps = {"depth": torch.from_numpy(depth).float(), "seg": torch.from_numpy(logits).float()}
        evaluator.update(id, maps, evaluator.read(id))
        truth, seg = folder.read_depth(id), folder.read_seg(id)
        assert truth is not None
        assert seg is not None
        truth, seg = truth[45:471, 41:601].astype(float), seg[45:471, 41:601]
        guess = bilinear(depth[0], (480, 640))[45:471, 41:601].clip(0.1, 10)
        valid = (truth >= 0.1 - 1e-6) & (truth <= 10 + 1e-6)
        rel.append((abs(guess - truth) / np.where(valid, truth, 1))[valid])
        label = bilinear(np.moveaxis(logits[:39], 0, -1), (480, 640))[45:471, 41:601].argmax(-1)
        hits, labelled = hits + (label == seg)[seg != 255].sum(), labelled + (seg != 255).sum()
    result = evaluator.result()
    assert result["protocol"] == "nyud"
    assert result["n"] == 2
    assert result["depth"]["rel"] == pytest.approx(np.concatenate(rel).mean(), 1e-5)
    assert result["seg"]["pacc"] == pytest.approx(hits / labelled, abs=1e-6)
    assert result["seg"]["iou"]["class 39"] == 0


def test_the_crop_is_the_difference_between_nyud_and_nyud_full(tmp_path):
    folder = write_nyu_like(tmp_path / "data", np.random.default_rng(0))
    (truth,) = (folder.read_depth(id) for id in folder.ids)
    assert truth is not None
    wrong = truth.copy()
    wrong[:45] = wrong[471:] = wrong[:, :41] = wrong[:, 601:] = 5
    write_depth(tmp_path / "guess" / "depth" / "0.png", wrong)
    predictions = Folder(tmp_path / "guess")
    assert evaluate_predictions(predictions, folder, "nyud")["depth"]["rel"] == 0
    assert evaluate_predictions(predictions, folder, "nyud_full")["depth"]["rel"] > 0.01


def test_nyud_refuses_other_sizes(toy_world, tiny):
    with pytest.raises(UserError, match=r"480x640.*64x96.*--protocol raw"):
        evaluate(tiny.eval(), "source", Folder(toy_world), "nyud")


# ---------------------------------------------------------------------------------------------------------------------
# Models


def test_keys_and_independence_of_the_batch(toy_world, tiny):
    folder = Folder(toy_world)
    one = evaluate(tiny.eval(), "source", folder, "raw", batch=1)
    many = evaluate(tiny, "source", folder, "raw", batch=5)
    assert one["n"] == 12
    assert set(one) - {"premises"} == {"protocol", "n", *KEYS}
    for task, keys in KEYS.items():
        assert set(one[task]) == keys
        for key in keys - {"iou"}:
            assert many[task][key] == pytest.approx(one[task][key], rel=1e-3, abs=1e-3)
    assert set(one["seg"]["iou"]) == {"wall", "floor", "box"}  # "ball" is in no picture


def test_ids_choose_photos_and_photos_of_all_shapes_go_together(tmp_path, toy_world, tiny):
    folder = Folder(toy_world)
    assert evaluate(tiny.eval(), "source", folder, "raw", ids=folder.ids[:3])["n"] == 3
    rng = np.random.default_rng(0)
    for i, size in enumerate([(60, 90), (90, 60), (64, 96), (91, 60)]):
        write_image(tmp_path / "image" / f"{i}.png", rng.integers(0, 255, (*size, 3)).astype(np.uint8))
        write_depth(tmp_path / "depth" / f"{i}.png", rng.uniform(1, 9, size))
    assert set(evaluate(tiny, "source", Folder(tmp_path), "raw", batch=2)) == {"protocol", "n", "depth"}


def test_a_model_that_diverged_is_named(toy_world, tiny: UMAdapt):
    with torch.no_grad():
        next(tiny.decoders["depth"].parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match=r"depth for '00\d' holds NaN"):
        evaluate(tiny.eval(), "source", Folder(toy_world), "raw")


def test_class_lists_must_agree(toy_world, tiny):
    other = UMAdapt(type(tiny.spec)(**{**tiny.spec.__dict__, "classes": ("wall", "floor", "ball", "box")})).eval()
    with pytest.raises(UserError, match="id 2 is 'box' in the data and 'ball' in the predictions"):
        evaluate(other, "source", Folder(toy_world), "raw")


def test_normals_from_depth(tmp_path, toy_world, tiny):
    folder = Folder(toy_world)
    result = evaluate(tiny.eval(), "source", folder, "raw", ids=folder.ids[:2], normals_from_depth=True)
    assert result["normals_from"] == "depth"
    assert set(result["normals"]) == KEYS["normals"]
    own = evaluate(tiny, "source", folder, "raw", ids=folder.ids[:2])
    assert "normals_from" not in own
    assert own["normals"]["mean"] != result["normals"]["mean"]
    write_json(copy_labels(folder, tmp_path / "blind") / "dataset.json", {**folder.meta, "camera": None})
    with pytest.raises(UserError, match=r"dataset\.json: normals are fitted .* this names none"):
        evaluate_predictions(folder, Folder(tmp_path / "blind"), "raw", normals_from_depth=True)


# ---------------------------------------------------------------------------------------------------------------------
# Folders of predictions


def test_labels_as_predictions_are_perfect(tmp_path, toy_world):
    folder = Folder(toy_world)
    result = evaluate_predictions(Folder(copy_labels(folder, tmp_path)), folder, "raw")
    assert result["depth"]["rms"] == 0
    assert result["depth"]["d1"] == result["seg"]["miou"] == result["normals"]["11.25"] == 1


def test_predictions_of_another_size_are_resized(tmp_path, toy_world):
    folder = Folder(toy_world)
    for id in folder.ids:
        depth, normals, seg = (folder.read_label(task, id) for task in ("depth", "normals", "seg"))
        assert depth is not None
        assert normals is not None
        assert seg is not None
        write_depth(tmp_path / "depth" / f"{id}.png", depth.repeat(2, 0).repeat(2, 1))
        write_normals(tmp_path / "normals" / f"{id}.png", normals.repeat(2, 0).repeat(2, 1))
        write_seg(tmp_path / "seg" / f"{id}.png", seg.repeat(2, 0).repeat(2, 1))
    result = evaluate_predictions(Folder(tmp_path), folder, "raw")
    assert result["seg"]["miou"] == 1
    assert result["depth"]["d1"] > 0.95
    assert result["normals"]["median"] < 0.01


def test_tasks_missing_on_either_side_are_left_out(tmp_path, toy_world):
    folder = Folder(toy_world)
    seg_only = Folder(copy_labels(folder, tmp_path / "seg", ("seg",)))
    assert set(evaluate_predictions(seg_only, folder, "raw")) == {"protocol", "n", "seg"}
    depth_only = Folder(copy_labels(folder, tmp_path / "depth", ("depth",)))
    with pytest.raises(UserError, match="nothing to measure"):
        evaluate_predictions(seg_only, depth_only, "raw")


def test_predictions_for_a_part_of_the_photos_are_refused(tmp_path, toy_world):
    folder = Folder(toy_world)
    part = copy_labels(folder, tmp_path)
    (part / "depth" / "004.png").unlink()
    with pytest.raises(UserError, match=r"no depth/004\.png"):
        evaluate_predictions(Folder(part), folder, "raw")


# ---------------------------------------------------------------------------------------------------------------------
# The command


def test_command_writes_what_it_measured(tmp_path, toy_world, capsys):
    make_run(tmp_path / "run", "noadv")
    (toy_world / "splits").mkdir(exist_ok=True)
    (toy_world / "splits" / "val.txt").write_text("000\n001\n")
    assert run(Evaluate(tmp_path / "run", data=f"{toy_world}:val", json=tmp_path / "out.json", device="cpu")) == 0
    stored = json.loads((tmp_path / "run" / "evaluations" / "raw-toy-val.json").read_text())
    assert stored == json.loads((tmp_path / "out.json").read_text())
    assert stored["variant"] == "noadv"
    assert Folder(stored["data"]).ids == ("000", "001")
    text = capsys.readouterr().out
    for word in ("raw", "no crop", "images   2", f"classes  {len(CLASSES)}", "miou", "11.25", "rms_log"):
        assert word in text


def test_data_of_one_name_keep_their_own_files(tmp_path):
    make_run(tmp_path / "run", "noadv")
    for number in (1, 2):
        write_toy_world(tmp_path / str(number) / "test", 3, seed=number)
    for _ in range(2):
        for number in (1, 2):
            address = str(tmp_path / str(number) / "test")
            assert run(Evaluate(tmp_path / "run", data=address, device="cpu")) == 0
    stored = [json.loads(file.read_text()) for file in (tmp_path / "run" / "evaluations").iterdir()]
    assert {Path(one["data"]).parent.name for one in stored} == {"1", "2"}
    assert len(stored) == 2


def test_labels_that_were_not_turned_with_their_photo_are_named(tmp_path):
    write_toy_world(tmp_path / "toy", 3, seed=0)
    folder = Folder(tmp_path / "toy")
    for task, write in (("depth", write_depth), ("normals", write_normals), ("seg", write_seg)):
        label = folder.read_label(task, "001")
        assert label is not None
        write(folder.root / task / "001.png", np.rot90(label).copy())
    model = make_run(tmp_path / "run", "noadv")
    with pytest.raises(UserError, match=r"001.png: found \d+x\d+ \(on its side: .*\), expected \d+x\d+ as .*001"):
        evaluate(model, "target", Folder(tmp_path / "toy"), "raw")


def test_command_measures_witnesses_beside_the_run(tmp_path, toy_world, capsys):
    make_run(tmp_path / "run", "noadv")
    for witnesses in ((), ("mirror", "zoom")):
        assert run(Evaluate(tmp_path / "run", data=str(toy_world), witnesses=witnesses, device="cpu")) == 0
    folder = tmp_path / "run" / "evaluations"
    once, merged = (json.loads((folder / f"raw-toy-all{x}.json").read_text()) for x in ("", "-mirror-zoom"))
    assert merged["witnesses"].keys() == {"mirror", "zoom"}
    assert "witnesses" not in once
    assert merged["depth"]["rel"] != once["depth"]["rel"]
    assert "votes    of the network's own prediction and of mirror, zoom" in capsys.readouterr().out


def test_command_on_predictions(tmp_path, toy_world, capsys):
    predictions = copy_labels(Folder(toy_world), tmp_path)
    assert run(Evaluate(predictions=predictions, data=str(toy_world))) == 0
    assert "1.000" in capsys.readouterr().out
    assert not (predictions / "evaluations").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Evaluate(data="x"), "RUN, --predictions DIR, --prior DATA; found none"),
        (Evaluate(Path("a"), predictions=Path("b"), data="x"), "found RUN and --predictions DIR"),
        (Evaluate(Path("a"), prior="b", data="x"), "found RUN and --prior DATA"),
        (Evaluate(predictions=Path("a"), prior="b", data="x"), "found --predictions DIR and --prior DATA"),
        (Evaluate(Path("a")), "no labelled data"),
        (Evaluate(predictions=Path("b"), data="x", witnesses=("zoom",)), "asks a RUN"),
    ],
)
def test_command_says_what_is_missing(config, message):
    with pytest.raises(UserError, match=message):
        run(config)
