"""Choosing an engine: the probe survives an aborting LLVM, and says what to type."""

from __future__ import annotations

import importlib.util

import pytest

from umadapt.errors import UserError
from umadapt.scenes import engine


@pytest.fixture
def aborting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "candidates", lambda: ["libLLVM-bad.so"])
    monkeypatch.setattr(engine, "_PROBE", "import os; os.abort()")


@pytest.mark.usefixtures("aborting")
def test_auto_falls_back() -> None:
    chosen, remark = engine.choose("auto")
    assert chosen == engine.SCALAR
    assert "libLLVM-bad.so" in remark
    assert "apt install libllvm19" in remark
    assert "\n" not in remark


@pytest.mark.usefixtures("aborting")
def test_llvm_is_refused_where_it_aborts() -> None:
    with pytest.raises(UserError, match=r"--engine llvm does not work here.*signal 6"):
        engine.choose("llvm")


def test_probe_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(engine, "_TIMEOUT_S", 0.3)
    assert "no answer" in engine.probe(engine.Engine("llvm", "llvm_ad_rgb", "libLLVM-slow.so"))


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "candidates", list)
    chosen, remark = engine.choose("auto")
    assert chosen.name == "scalar"
    assert "no LLVM 17 or newer" in remark


def test_own_library_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", "/somewhere/libLLVM.so")
    assert engine.candidates() == ["/somewhere/libLLVM.so"]


def test_old_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    names = ["libLLVM-15.so.1", "libLLVM.so.16.0", "libLLVM.so.19.1", "libLLVM-17.so.1", "libLLVM.so"]
    monkeypatch.setattr(
        engine.glob, "glob", lambda pattern: [f"/nowhere/{n}" for n in names] if "*/" in pattern else []
    )
    assert engine.candidates() == ["/nowhere/libLLVM.so.19.1", "/nowhere/libLLVM-17.so.1"]


def test_without_mitsuba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install mitsuba"):
        engine.choose("auto")


def test_cuda_is_asked_for_where_there_is_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(engine.os.path, "exists", lambda path: path == "/dev/nvidiactl")
    monkeypatch.setattr(engine, "candidates", lambda: ["libLLVM-20.so"])
    monkeypatch.setattr(engine, "probe", lambda e: asked.append(e.variant) or ("no driver" if e.name == "cuda" else ""))
    assert engine.choose("auto")[0].name == "llvm"
    assert asked == ["cuda_ad_rgb", "llvm_ad_rgb"]
    with pytest.raises(UserError, match=r"--engine cuda does not work here \(cuda: no driver\)"):
        engine.choose("cuda")
    monkeypatch.setattr(engine, "probe", lambda e: "")
    assert engine.choose("auto") == (engine.CUDA, "")
