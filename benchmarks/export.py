"""How long does the exported network take under ONNX Runtime, beside PyTorch and the literal network?

All that `umadapt predict` does between reading and writing files: the photo to the network's size, all tasks and trust
maps, and these at the photo's size. Latency is of one photo, throughput of --batch photos at once. Both libraries get
the same number of threads.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from benchmarks.literal import LiteralModel, activate, read
from benchmarks.measure import interleave, make_model, own_peak, parser, ratio, report, show, summary
from torch import Tensor

from umadapt.commands.export import made_photo
from umadapt.inference.export_graph import to_onnx
from umadapt.inference.photos import fitted, run_model
from umadapt.nets.model import UMAdapt
from umadapt.tasks.resize import resize_map, to_map

Maps = dict[str, Tensor]
Way = Callable[[np.ndarray], dict[str, np.ndarray]]  # photos (B, H, W, 3) uint8 to maps at their size
PHOTO = (480, 640)


def export(model: UMAdapt, path: Path) -> dict[str, float]:
    """Write the ONNX file: seconds, MB of the file, and the peak memory of this process so far."""
    wall, cpu = time.perf_counter(), time.process_time()
    onnx.save(to_onnx(model, "target"), path)
    spent = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    return spent | {"mb": path.stat().st_size / 1e6, "peak_mib": own_peak()}


def runtime(path: Path) -> Way:
    """ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda photos: dict(zip(names, map(np.asarray, session.run(None, {"photo": photos})), strict=True))


def pytorch(model: UMAdapt, forward: Callable[[Tensor], tuple[Maps, Maps]]) -> Way:
    """PyTorch, doing for several photos what `umadapt.inference.photos.predict_photo` does for one.

    Args:
        forward: images to predictions of all tasks, and of the transfer nets.
    """

    def predict(photos: np.ndarray) -> dict[str, np.ndarray]:
        size = (photos.shape[1], photos.shape[2])
        maps, crosses = forward(torch.stack([fitted(photo, model.spec.size) for photo in photos]))
        found = {n: [to_map(t.resize(x, size)) for x in t.to_physical(maps[n])] for n, t in model.tasks.items()}
        for name, cross in crosses.items():
            task = model.tasks[name]
            disagreement = task.energy_map(cross, maps[name])
            found[f"trust_{name}"] = [to_map(resize_map(x[None], size).squeeze(0)) for x in disagreement]
        return {name: np.stack(rows) for name, rows in found.items()}

    return predict


def networks(model: UMAdapt) -> dict[str, Callable[[Tensor], tuple[Maps, Maps]]]:
    """The literal network and ours, images to predictions."""
    plain = LiteralModel(model).eval()
    model.to(memory_format=torch.channels_last)

    def literal(images: Tensor) -> tuple[Maps, Maps]:
        features = plain.encoders["target"]((images - plain.mean) / plain.std)  # no contours, which nothing reads
        maps = {name: activate(name, decoder(features)) for name, decoder in plain.decoders.items()}
        return maps, {task: plain.transfer(task, read(maps)) for task in plain.graph}

    def ours(images: Tensor) -> tuple[Maps, Maps]:
        maps = run_model(model, images, "target")
        return maps, model.cross(maps)

    return {"literal": literal, "ours": ours}


def compared(ways: dict[str, Way], photos: np.ndarray, repeats: int) -> dict[str, Any]:
    """Times of all ways on the same photos, of which they say the same."""
    depth = {name: way(photos)["depth"] for name, way in ways.items()}
    assert all(np.allclose(depth["ours"], other, rtol=1e-3) for other in depth.values())
    times = interleave({name: lambda way=way: way(photos) for name, way in ways.items()}, repeats)
    for slow, fast in (("literal", "ours"), ("literal", "onnx"), ("ours", "onnx")):
        print(f"{slow + ' / ' + fast:18} {show(times, slow, fast)}", flush=True)
    rows = summary(times)
    return {
        "photos": len(photos),
        "times": rows,
        "photos_per_s": {name: len(photos) / row["wall_s"] for name, row in rows.items()},
        "speedup": {name: ratio(times, "literal", name) for name in ("ours", "onnx")},
    }


@torch.inference_mode()
def main() -> None:
    options = parser(__doc__, "size", "batch", "repeats")
    options.set_defaults(batch=4)
    given = options.parse_args()
    model = make_model(given.size).eval()
    with tempfile.TemporaryDirectory() as folder:
        exported = export(model, Path(folder) / "model.onnx")
        gc.collect()
        ways = {"onnx": runtime(Path(folder) / "model.onnx")}
    ways |= {name: pytorch(model, forward) for name, forward in networks(model).items()}
    print(
        f"the {given.size}'s network exported in {exported['wall_s']:.0f} s, CPU {exported['cpu_s']:.0f} s, "
        f"with {exported['peak_mib']:.0f} MiB; the file has {exported['mb']:.0f} MB"
    )
    found: dict[str, Any] = {"exported": exported}
    for what, count in {"latency": 1, "throughput": given.batch}.items():
        print(f"{what}, {count} photos of {PHOTO[0]}x{PHOTO[1]} at once: seconds of both, ratio (range)")
        found[what] = compared(ways, np.stack([made_photo(*PHOTO)] * count), given.repeats)
    report({"question": "export", "size": given.size, **found}, given.json)


if __name__ == "__main__":
    main()
