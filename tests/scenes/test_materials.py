"""All rooms are one scene to the compiler, and look as they would with a mesh and a bitmap for each material."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from umadapt.scenes import engine

pytest.importorskip("mitsuba")


def run(function: str, *arguments: str) -> None:
    """Call a function of this file in a process of its own: a variant is chosen once."""
    chosen = engine.choose("auto")[0]
    if chosen.name != "llvm":
        pytest.skip("no LLVM that works here")
    done = subprocess.run(
        [sys.executable, __file__, function, *arguments], stderr=subprocess.PIPE, text=True, check=False
    )
    if "LLVM ERROR: Cannot select" in done.stderr:  # of LLVM 23 on processors with AVX512_FP16, of this kernel alone
        pytest.skip("this LLVM cannot compile the kernel for this processor")
    assert done.returncode == 0, done.stderr


def test_tiles_look_as_bitmaps_do() -> None:
    run("compare_textures")


def test_one_kernel_for_all_rooms(tmp_path: Path) -> None:
    run("compare_kernels", str(tmp_path))


def compare_textures() -> None:
    """Three textures on three faces, at places in, on and beyond their borders."""
    mi, tiles = engine.mitsuba(), importlib.import_module("umadapt.scenes.tiles")
    rng = np.random.default_rng(0)
    textures = [rng.random(shape) for shape in ((5, 7, 3), (2, 3, 3), (3,))]
    ours = tiles.Tiles(textures, np.array([2, 0, 1]))
    uv = np.concatenate([rng.uniform(-3, 3, (500, 2)), rng.integers(-9, 9, (500, 2)) / 6]).astype(np.float32)
    for face, texture in ((1, textures[0]), (2, textures[1]), (0, textures[2])):
        hit = importlib.import_module("drjit").zeros(mi.SurfaceInteraction3f, len(uv))
        hit.uv, hit.prim_index = mi.Point2f(uv.T), mi.UInt32(face)
        theirs: dict[str, object] = {"type": "rgb", "value": texture.tolist()}
        if texture.ndim == 3:
            theirs = {"type": "bitmap", "raw": True, "data": mi.TensorXf(texture.astype(np.float32))}
        expected = np.broadcast_to(np.array(mi.load_dict(theirs).eval(hit)), (3, len(uv)))
        np.testing.assert_allclose(np.array(ours.eval(hit)), expected, atol=2e-5)


def compare_kernels(folder: str) -> None:
    """Rooms with other materials, lights and cameras run the same compiled code."""
    dr, render, renderer = (
        importlib.import_module(name) for name in ("drjit", "umadapt.scenes.render", "umadapt.scenes.renderer")
    )
    config = importlib.import_module("umadapt.config.data").Render(
        Path(folder), views=6, views_per_room=2, size=(24, 32), spp=1, furniture="none", style="photo", seed=5
    )
    config = render.resolved(config)
    renderer.prepare(config, engine.choose("auto")[0])
    dr.set_flag(dr.JitFlag.KernelHistory, True)
    hashes = []
    for room in range(3):
        renderer.trace(config, renderer.build_scene(config, room))
        large = (kernel for kernel in dr.kernel_history() if kernel.get("operation_count", 0) > 500)
        hashes.append([kernel["hash"] for kernel in large])
    assert len(hashes[0]) == 2, hashes  # the picture and its guides
    assert hashes[0] == hashes[1] == hashes[2], hashes


if __name__ == "__main__":
    importlib.import_module("umadapt.scenes.tracer").start(engine.choose("auto")[0])
    globals()[sys.argv[1]](*sys.argv[2:])
