"""Models to and from folders as the Hub has them; no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import umadapt
from toy_runs import write_runs
from umadapt.cli import main
from umadapt.errors import UserError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_runs(tmp_path_factory.mktemp("hub"))


def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (64, 96, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", ["base", "adapted"])
def test_what_is_saved_predicts_the_same(
    runs: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)  # the adapted run names its base
    model = umadapt.load(name, "cpu")
    assert isinstance(model, umadapt.Model)
    model.save_pretrained(tmp_path / "saved")
    assert {file.name for file in (tmp_path / "saved").iterdir()} == {"config.json", "model.safetensors", "README.md"}
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "library_name: umadapt" in card
    assert "depth, normals, seg" in card
    again = umadapt.Model.from_pretrained(tmp_path / "saved", device="cpu")
    assert again.classes == model.classes
    found, wanted = again.predict(photo()), model.predict(photo())
    assert found["depth"] == pytest.approx(wanted["depth"], rel=0.02)  # half precision
    assert (found["seg"] == wanted["seg"]).mean() > 0.98
    again.save_pretrained(tmp_path / "twice")
    twice = umadapt.load(tmp_path / "twice", "cpu").predict(photo())
    np.testing.assert_array_equal(twice["depth"], found["depth"])


def test_witnesses_come_along(runs: Path, tmp_path: Path) -> None:
    umadapt.load(runs / "base", "cpu").save_pretrained(tmp_path / "saved")  # type: ignore[attr-defined]
    merged = umadapt.Model.from_pretrained(tmp_path / "saved", device="cpu", witnesses=("mirror",))
    mirrored = merged.predict(photo()[:, ::-1])["depth"][:, ::-1]
    np.testing.assert_allclose(mirrored, merged.predict(photo())["depth"], rtol=1e-3)


def test_a_saved_folder_is_a_run_folder(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    umadapt.load(runs / "base", "cpu").save_pretrained(tmp_path / "saved")  # type: ignore[attr-defined]
    photos = str(runs / "photos" / "image")
    assert main(["predict", str(tmp_path / "saved"), photos, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "6 of 6 photos" in capsys.readouterr().out


def test_a_run_is_never_saved_over_itself(runs: Path) -> None:
    before = (runs / "base" / "config.json").read_text()
    with pytest.raises(UserError, match="is a run; save the model into another folder"):
        umadapt.load(runs / "base", "cpu").save_pretrained(runs / "base")  # type: ignore[attr-defined]
    assert (runs / "base" / "config.json").read_text() == before
