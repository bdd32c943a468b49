"""Which denoiser is taken, and what Open Image Denoise makes of noise."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from umadapt.errors import UserError
from umadapt.scenes import denoise


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find(name))


def test_what_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert denoise.choose("auto") == denoise.choose("oidn") == "oidn"
    assert denoise.choose("atrous") == "atrous"


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "pyoidn")
    assert denoise.choose("auto") == "atrous"
    with pytest.raises(UserError, match="pip install pyoidn"):
        denoise.choose("oidn")


def test_small_images_need_more_samples() -> None:
    assert [denoise.samples("oidn", width) for width in (160, 320, 640)] == [4, 2, 2]
    assert denoise.samples("atrous", 160) == denoise.samples("atrous", 640) == 16


def test_oidn_removes_noise_and_keeps_texture() -> None:
    pytest.importorskip("pyoidn")
    denoise.start()
    rng = np.random.default_rng(0)
    albedo = np.where(np.indices((96, 128)).sum(0)[..., None] // 8 % 2, 0.7, 0.2).repeat(3, -1).astype(np.float32)
    normals = np.broadcast_to(np.array([0, 0, 1], np.float32), albedo.shape)
    noisy = (albedo * rng.gamma(1.0, 1.0, albedo.shape)).astype(np.float32)
    clean = denoise.oidn(noisy, albedo, normals)
    assert np.abs(clean - albedo).mean() < 0.15 * np.abs(noisy - albedo).mean()
    assert denoise.oidn(noisy, albedo, normals).tobytes() == clean.tobytes()
