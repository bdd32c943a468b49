"""Conversion is resumed, never mixed, and a full disk ends it with a clear message."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from originals import ORIGINALS
from umadapt.cli import main
from umadapt.data.convert import output
from umadapt.data.folder import Folder


def test_other_options_are_not_mixed_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ORIGINALS["nyudv2"](tmp_path / "src")
    command = ["convert", "nyudv2", str(tmp_path / "src"), str(tmp_path / "out")]
    assert main(command) == 0
    assert main([*command, "--classes", "13"]) == 2
    assert "other options (classes: 40 -> 13)" in capsys.readouterr().err
    assert len(Folder(tmp_path / "out").classes) == 40


def test_a_foreign_folder_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ORIGINALS["gta5"](tmp_path / "src")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert main(["convert", "gta5", str(tmp_path / "src"), str(tmp_path / "out")]) == 2
    assert "not made by convert" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_full_disk_ends_it_and_room_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ORIGINALS["synthia"](tmp_path / "src")
    command = ["convert", "synthia", str(tmp_path / "src"), str(tmp_path / "out"), "--workers", "1"]
    written, count = Path.write_bytes, 0

    def full(self: Path, data: bytes) -> int:
        nonlocal count
        count += 1
        if count > 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return written(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert main(command) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert main(command) == 0
    folder = Folder(tmp_path / "out")
    assert folder.ids == original.ids
    assert all(folder.has(task, id) for task in ("depth", "seg") for id in folder.ids)
    assert not [p for p in (tmp_path / "out").rglob(".*") if p.is_file()]


def test_the_report_counts(tmp_path: Path) -> None:
    original = ORIGINALS["cityscapes"](tmp_path / "src")
    data = original.image.read_bytes()
    original.image.write_bytes(data[:100])
    command = ["convert", "cityscapes", str(tmp_path / "src"), str(tmp_path / "out"), "--json", str(tmp_path / "j")]
    assert main(command) == 1
    told = json.loads((tmp_path / "j").read_text())
    assert told["images"] == told["found"] - 1 == len(original.ids) - 1
    assert len(told["bad"]) == 1
    assert told["published"] == 3475 or told["published"] == 5000


def test_ctrl_c_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = ORIGINALS["gta5"](tmp_path / "src")
    command = ["convert", "gta5", str(tmp_path / "src"), str(tmp_path / "out"), "--workers", "1"]
    before, count = output.write_record, 0

    def stop(*given: object) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        before(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(output, "write_record", stop)
        assert main(command) == 130
    assert main(command) == 0
    assert Folder(tmp_path / "out").ids == original.ids
