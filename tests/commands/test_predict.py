"""Predictions on photos of any kind, and that the folder they go to is a data folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toy_runs import make_run
from toys import CLASSES
from umadapt.commands.predict import run
from umadapt.config import Predict
from umadapt.data.files import read_photo, write_image
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation.evaluate import evaluate, evaluate_predictions
from umadapt.inference.loading import load
from umadapt.inference.photo_files import find_photos


@pytest.fixture(scope="module")
def run_path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "noadv"
    make_run(path, "noadv")
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def test_output_is_a_data_folder_of_the_photos_size(tmp_path, run_path, capsys):
    photo = tmp_path / "in" / "room.jpg"
    write_image(photo, noise(60, 90, 3))
    out = tmp_path / "out"
    assert run(Predict(run_path, (photo,), out, device="cpu")) == 0
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert written == {
        "dataset.json",
        "image/room.jpg",
        *(f"{task}/room.png" for task in ("depth", "normals", "seg")),
        *(f"npy/{task}/room.npy" for task in ("depth", "normals", "seg")),
        "trust/depth/room.png",
        "trust/means.json",
        "trust/seg/room.png",
        "view/room.png",
    }
    assert (out / "image" / "room.jpg").read_bytes() == photo.read_bytes()
    folder = Folder(out)
    sample = folder.read("room", ("depth", "normals", "seg"))  # raises where sizes differ
    depth, normals, seg = (np.load(out / "npy" / task / "room.npy") for task in ("depth", "normals", "seg"))
    assert folder.classes == CLASSES
    assert sample["depth"] == pytest.approx(depth, abs=0.00051)
    assert sample["normals"] == pytest.approx(normals.astype(np.float32), abs=0.01)
    assert sample["seg"] == pytest.approx(seg)
    trust = np.asarray(Image.open(out / "trust" / "seg" / "room.png"))
    assert trust.shape == (60, 90)
    assert trust.dtype == np.uint8
    white = json.loads((out / "dataset.json").read_text())["trust"]["seg"]
    assert white["unit"] == "nats"
    means = json.loads((out / "trust" / "means.json").read_text())["room"]
    found = load(run_path, "cpu").predict(photo)["trust"]
    assert means == {task: pytest.approx(disagreement.mean(), rel=1e-5) for task, disagreement in found.items()}
    assert "1 of 1 photos" in capsys.readouterr().out


def test_a_consensus_knows_no_left_and_right(run_path):
    """Normals, which no transfer net of this run predicts, of a mirrored photo are the mirrored normals."""
    photo = noise(64, 96, 3)
    once, merged = load(run_path, "cpu"), load(run_path, "cpu", ("mirror", "zoom", "transfer"))
    mirrored = merged.predict(photo[:, ::-1])["normals"][:, ::-1] * (-1, 1, 1)
    np.testing.assert_allclose(mirrored, merged.predict(photo)["normals"], atol=1e-4)
    assert np.abs(merged.predict(photo)["depth"] - once.predict(photo)["depth"]).max() > 1e-3


def test_witnesses_that_there_are_not(tmp_path, run_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(UserError, match="looks at a photo once"):
        load(tmp_path / "model.onnx", witnesses=("mirror",))
    with pytest.raises(UserError, match="no witness 'twin'; there are mirror, zoom, transfer"):
        load(run_path, "cpu", ("mirror", "twin"))


@pytest.mark.parametrize("witnesses", [(), ("mirror", "transfer")])
def test_predictions_measure_as_the_run_does(tmp_path, toy_world, run_path, witnesses):
    """`predict` and then `evaluate --predictions` says what `evaluate RUN` says, up to the rounding of the files."""
    from umadapt.inference.photos import voting
    from umadapt.training.load import load_model

    folder = Folder(toy_world)
    assert run(Predict(run_path, (toy_world,), tmp_path / "out", witnesses=witnesses, device="cpu")) == 0
    by_files = evaluate_predictions(Folder(tmp_path / "out"), folder, "raw")
    model, config = load_model(run_path, "cpu")
    directly = evaluate(model, "target", folder, "raw", batch=1, shares=voting(model, config, witnesses))
    assert by_files["depth"]["rel"] == pytest.approx(directly["depth"]["rel"], rel=1e-3)
    assert by_files["normals"]["mean"] == pytest.approx(directly["normals"]["mean"], abs=0.1)
    assert by_files["seg"]["pacc"] == pytest.approx(directly["seg"]["pacc"], abs=1e-4)


def test_photos_of_all_kinds_and_bad_ones_named(tmp_path, run_path, capsys):
    photos = tmp_path / "in"
    photos.mkdir()
    picture = Image.fromarray(noise(40, 60, 3))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture.save(photos / "turned.jpg", exif=exif)
    picture.convert("L").save(photos / "grey.png")
    picture.convert("RGBA").save(photos / "alpha.png")
    picture.save(photos / "other.webp")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8nothing")
    assert run(Predict(run_path, (photos,), tmp_path / "out", device="cpu")) == 1
    captured = capsys.readouterr()
    assert "4 of 5 photos" in captured.out
    assert "broken.jpg" in captured.err
    folder = Folder(tmp_path / "out")
    assert folder.ids == ("alpha", "grey", "other", "turned")
    for id in folder.ids:
        folder.read(id, ("depth", "normals", "seg"))
    turned = folder.read_depth("turned")
    assert turned is not None
    assert turned.shape == (60, 40)
    assert np.array_equal(folder.read_image("turned"), read_photo(photos / "turned.jpg"))
    # once more into the same folder: its own photos are no obstacle
    assert run(Predict(run_path, (tmp_path / "out",), tmp_path / "out", device="cpu")) == 0


def test_equal_stems_are_refused(tmp_path):
    for name in ("a/x.jpg", "b/x.png"):
        write_image(tmp_path / name, noise(40, 40, 3))
    with pytest.raises(UserError, match=r"x\.jpg and .*x\.png would both"):
        find_photos((tmp_path / "a", tmp_path / "b"))
    same = tmp_path / "a" / "x.jpg"
    assert find_photos((tmp_path / "a", same)) == {"x": (same, None, None)}
    with pytest.raises(UserError, match="no photos given"):
        find_photos(())


def test_labelled_data_is_never_overwritten(toy_world, run_path):
    before = (toy_world / "seg" / "000.png").read_bytes()
    with pytest.raises(UserError, match="did not write"):
        run(Predict(run_path, (toy_world,), toy_world, device="cpu"))
    assert (toy_world / "seg" / "000.png").read_bytes() == before


def test_an_interrupted_folder_is_continued(tmp_path, run_path):
    write_image(tmp_path / "x.png", noise(40, 60, 3))
    config = Predict(run_path, (tmp_path / "x.png",), tmp_path / "out", device="cpu")
    assert run(config) == 0
    for path in tmp_path.glob("out/*/**/*.*"):
        path.unlink()
    assert run(config) == 0
    assert Folder(tmp_path / "out").ids == ("x",)


def test_fewer_tasks(tmp_path):
    make_run(tmp_path / "run", tasks=("depth",), graph={}, classes=())
    write_image(tmp_path / "x.png", noise(40, 60, 3))
    assert run(Predict(tmp_path / "run", (tmp_path / "x.png",), tmp_path / "out", device="cpu")) == 0
    assert Folder(tmp_path / "out").tasks == ("depth",)
    assert not (tmp_path / "out" / "trust").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 3}', b'{"a": {"depth": "x"}}', b"\xff"])
def test_damaged_means_cost_no_prediction(
    tmp_path: Path, run_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "photo.png", noise(64, 96, 3))
    means = tmp_path / "out" / "trust" / "means.json"
    means.parent.mkdir(parents=True)
    means.write_bytes(content)
    assert run(Predict(run_path, (tmp_path / "photo.png",), tmp_path / "out", device="cpu")) == 0
    assert list(json.loads(means.read_text())) == ["photo"]
    assert "means.json is damaged" in capsys.readouterr().err
