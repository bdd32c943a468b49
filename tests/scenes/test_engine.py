"""Choosing an engine: the probe survives an aborting LLVM, and says what to type."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

from umadapt.errors import UserError
from umadapt.scenes import engine

LAYOUT = ["lib/libLLVM.so.23.1", *(f"lib/x86/{name}.so.1.0" for name in ("libunwind", "libc++abi", "libc++"))]


def llvm(library: str, *support: str) -> engine.Engine:
    return engine.Engine("llvm", "llvm_ad_rgb", library, support)


@pytest.fixture
def aborting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "candidates", lambda: [llvm("libLLVM-bad.so")])
    monkeypatch.setattr(engine, "_PROBE", "import os; os.abort()")


@pytest.mark.usefixtures("aborting")
def test_auto_falls_back() -> None:
    chosen, remark = engine.choose("auto")
    assert chosen == engine.SCALAR
    assert "libLLVM-bad.so" in remark
    assert remark.index("pip install karellen-llvm-core") < remark.index("apt install libllvm19")
    assert "\n" not in remark


@pytest.mark.usefixtures("aborting")
def test_llvm_is_refused_where_it_aborts() -> None:
    with pytest.raises(UserError, match=r"--engine llvm does not work here.*signal 6"):
        engine.choose("llvm")


def test_probe_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(engine, "_TIMEOUT_S", 0.3)
    assert "no answer" in engine.probe(llvm("libLLVM-slow.so"))


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "candidates", list)
    chosen, remark = engine.choose("auto")
    assert chosen.name == "scalar"
    assert "no LLVM 17 or newer" in remark


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, files: Sequence[str] | None, listed: Sequence[str] | None = None
) -> None:
    """No LLVM here but for the package with these files (None = absent); its record may list others."""
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(engine.glob, "glob", lambda pattern: [])

    def record(name: str) -> list[metadata.PackagePath] | None:
        assert name == "karellen-llvm-core"
        if files is None:
            raise metadata.PackageNotFoundError(name)
        found = [metadata.PackagePath(f"../../../{file}") for file in listed or files]
        for path in found:
            path.dist = metadata.Distribution.at(folder / "lib/python3/site-packages/karellen.dist-info")
        return found

    for file in files or []:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / "lib/python3/site-packages").mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(metadata, "files", record)


def test_package_comes_before_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    links = ["lib/libLLVM.so", "lib/libLLVM-23.so", "lib/x86/libc++.so.1", "share/libc++/v1/std.cppm"]  # not made yet
    install(tmp_path, monkeypatch, LAYOUT, [*links, *reversed(LAYOUT)])
    monkeypatch.setattr(engine.glob, "glob", lambda pattern: ["/nowhere/libLLVM.so.25.1"] if "64" in pattern else [])
    packaged = llvm(*(str(tmp_path / name) for name in LAYOUT))
    assert engine.candidates() == [packaged, llvm("/nowhere/libLLVM.so.25.1")]
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", packaged.library)  # as after export()
    assert engine.candidates() == [packaged]


@pytest.mark.parametrize(
    ("files", "listed"),
    [
        (None, None),  # not installed
        ([], LAYOUT),  # installed elsewhere than its record says
        (["lib/libLLVM.so.16.0", *LAYOUT[1:]], None),  # too old
        (["bin/README"], None),
    ],
)
def test_package_without_a_library(
    files: list[str] | None, listed: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, files, listed)
    assert engine.candidates() == []
    with pytest.raises(UserError, match=r"no LLVM 17 or newer was found\);\n.*pip install karellen-llvm-core"):
        engine.choose("llvm")


def test_package_without_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(engine.glob, "glob", lambda pattern: [])
    monkeypatch.setattr(metadata, "files", lambda name: None)
    assert engine.candidates() == []


def test_support_is_loaded_first(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", "")
    monkeypatch.setattr(engine.ctypes, "CDLL", loaded.append)
    llvm("libLLVM.so", "first.so", "second.so").export()
    assert loaded == ["first.so", "second.so"]
    assert engine.os.environ["DRJIT_LIBLLVM_PATH"] == "libLLVM.so"


def test_probe_names_a_support_that_does_not_load() -> None:
    assert "/nowhere/libc++.so.1" in engine.probe(llvm("libLLVM.so", "/nowhere/libc++.so.1"))


_RAISE = """
import sys
from umadapt.scenes import engine
engine.Engine("llvm", "llvm_ad_rgb", sys.argv[1], tuple(sys.argv[2:])).export()
import mitsuba as mi
mi.set_variant("llvm_ad_rgb")
try:
    mi.load_dict({"type": "unknown"})
except RuntimeError:
    print("raised", end="")
"""


def test_package_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It renders, and Mitsuba's exceptions are still Python's."""
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(engine.glob, "glob", lambda pattern: [])
    found = engine.candidates()
    if not found:
        pytest.skip("karellen-llvm-core is not installed")
    assert len(found[0].support) == 3
    assert engine.choose("llvm") == (found[0], "")
    command = [sys.executable, "-c", _RAISE, found[0].library, *found[0].support]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "raised"


def test_own_library_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", "/somewhere/libLLVM.so")
    assert engine.candidates() == [llvm("/somewhere/libLLVM.so")]


def test_old_libraries_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, None)
    names = ["libLLVM-15.so.1", "libLLVM.so.16.0", "libLLVM.so.19.1", "libLLVM-17.so.1", "libLLVM.so"]
    monkeypatch.setattr(
        engine.glob, "glob", lambda pattern: [f"/nowhere/{n}" for n in names] if "*/" in pattern else []
    )
    assert engine.candidates() == [llvm("/nowhere/libLLVM.so.19.1"), llvm("/nowhere/libLLVM-17.so.1")]


def test_without_mitsuba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install mitsuba"):
        engine.choose("auto")


def test_cuda_is_asked_for_where_there_is_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(engine.os.path, "exists", lambda path: path == "/dev/nvidiactl")
    monkeypatch.setattr(engine, "candidates", lambda: [llvm("libLLVM-20.so")])
    monkeypatch.setattr(engine, "probe", lambda e: asked.append(e.variant) or ("no driver" if e.name == "cuda" else ""))
    assert engine.choose("auto")[0].name == "llvm"
    assert asked == ["cuda_ad_rgb", "llvm_ad_rgb"]
    with pytest.raises(UserError, match=r"--engine cuda does not work here \(cuda: no driver\)"):
        engine.choose("cuda")
    monkeypatch.setattr(engine, "probe", lambda e: "")
    assert engine.choose("auto") == (engine.CUDA, "")
