"""Files are written whole or not at all, whatever their writer is and however it fails."""

from __future__ import annotations

import errno
import os
import resource
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

from umadapt.data.atomic import sweep, whole_file, write_bytes
from umadapt.errors import UserError

LARGE = {"a": torch.zeros(100_000)}


def by_torch(path: Path) -> None:
    with path.open("wb") as file:
        torch.save(LARGE, file)


def by_safetensors(path: Path) -> None:
    safetensors.torch.save_file(LARGE, path)


def by_python(path: Path) -> None:
    path.write_bytes(bytes(400_000))


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 100 kB, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("writer", [by_torch, by_safetensors, by_python])
def test_a_full_disk_is_told_and_costs_nothing(tmp_path: Path, writer: Callable[[Path], None]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"earlier")
    with (
        pytest.raises(UserError, match=r"file: cannot be written \(File too large\); free some"),
        whole_file(path) as new,
    ):
        writer(new)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"earlier"]


def test_a_writer_that_hides_why_is_asked_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    with (
        pytest.raises(UserError, match=r"x: cannot be written \(No space left on device\)"),
        whole_file(tmp_path / "x"),
    ):
        raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598")


def test_a_mistake_of_the_program_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(TypeError), whole_file(tmp_path / "x"):
        raise TypeError("ours")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("writer", [by_torch, by_safetensors, by_python])
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_files_have_the_mode_of_their_neighbours(tmp_path: Path, writer: Callable[[Path], None], umask: int) -> None:
    before = os.umask(umask)
    try:
        with whole_file(tmp_path / "file") as new:
            writer(new)
        write_bytes(tmp_path / "neighbour", b"")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()} == {0o666 & ~umask}


def test_what_the_dead_left_is_swept(tmp_path: Path) -> None:
    host = os.uname().nodename[:64]
    dead, alive = tmp_path / f".tmp-{host}-99999999-1", tmp_path / f".tmp-{host}-{os.getpid()}-1"
    fresh, old = tmp_path / ".tmp-elsewhere-12-1", tmp_path / ".tmp-elsewhere-13-1"
    for path in (dead, alive, fresh, old):
        path.touch()
    long_ago = time.time() - 1e6
    os.utime(old, (long_ago, long_ago))
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([alive, fresh])


def test_other_faults_keep_their_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x: cannot be written \(Input/output error\)$"), whole_file(tmp_path / "x"):
        raise OSError(errno.EIO, "Input/output error")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"folder: cannot be written \(Is a directory\)"):
        write_bytes(tmp_path / "folder", b"")
