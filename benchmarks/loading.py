"""Can data loading keep up with the fastest step? Photos of 480x640 and their labels, on one thread.

"first" decodes the files, "again" takes them from memory; both augment. "photos" adds contour maps, as `adapt` reads
them; "labelled" has depth, normals and seg, as `train` reads them. "before colours" is the part of "again" that stays
on the CPU where the network is on a GPU.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from benchmarks.measure import CLASSES, interleave, make_batch, make_model, parser, report, summary
from benchmarks.step import ours

from umadapt.data.atomic import write_json
from umadapt.data.augment import Augment
from umadapt.data.files import write_depth, write_image, write_normals, write_seg
from umadapt.data.folder import Folder
from umadapt.training.batches import Batches

HEIGHT, WIDTH = 480, 640


def write_world(root: Path, count: int) -> None:
    """Labelled images of NYUDv2's size; blocks of noise, which decode about as long as photos."""
    rng = np.random.default_rng(0)
    for i in range(count):
        blocks = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3)).repeat(8, 0).repeat(8, 1)
        image = (blocks + rng.normal(0, 8, blocks.shape)).clip(0, 255).astype(np.uint8)
        write_image(root / "image" / f"{i:03d}.png", image)
        write_depth(root / "depth" / f"{i:03d}.png", 1 + blocks[..., 0] / 64)
        normals = blocks.astype(np.float32) - 127
        write_normals(root / "normals" / f"{i:03d}.png", normals / np.linalg.norm(normals, axis=-1, keepdims=True))
        write_seg(root / "seg" / f"{i:03d}.png", (blocks[..., 1] % CLASSES).astype(np.uint8))
    seg = {"classes": [f"class {i}" for i in range(CLASSES)], "ignore": 255}
    tasks = {"depth": {"scale_m": 0.001, "max_m": 10.0}, "normals": {}, "seg": seg}
    write_json(root / "dataset.json", {"name": "noise", "license": "CC0-1.0", "camera": None, "tasks": tasks})


def load(made: dict[str, Batches], images: int) -> dict[str, dict[str, float]]:
    """Seconds an image of each reader, decoding and from memory."""
    first = interleave({f"{kind}, first": lambda b=b: [b(k) for k in range(images)] for kind, b in made.items()}, 1, 0)
    again = {f"{kind}, again": lambda b=b: [b(k) for k in range(images)] for kind, b in made.items()}
    again |= {
        f"{kind}, before colours": lambda b=b: [b.sample(b.pick(k), k) for k in range(images)]
        for kind, b in made.items()
    }
    times = first | interleave(again, 3, 0)
    return summary({name: [(w / images, c / images) for w, c in values] for name, values in times.items()})


def main() -> None:
    options = parser(__doc__, "size", "batch", "repeats")
    options.add_argument("--images", type=int, default=16, help="images of the set")
    given = options.parse_args()
    model = make_model(given.size)
    size, grid = model.spec.size, model.grid(model.spec.size)
    step = ours("noadv", model, make_batch(model, given.batch), "shared")
    step_s = summary(interleave({"step": step}, given.repeats))["step"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_world(Path(folder), given.images)
        data = Folder(folder)  # read one image a batch, so that each is a fresh one the first time
        photos = Batches(data, data.ids, size, grid, batch=1, recipe=Augment(), contours=True)
        labelled = Batches(data, data.ids, size, grid, tasks=tuple(model.tasks), batch=1, recipe=Augment())
        rows = load({"photos": photos, "labelled": labelled}, given.images)
    torch.set_num_threads(threads)
    for name, row in rows.items():
        row["steps_ratio"] = step_s["cpu_s"] / given.batch / row["cpu_s"]
        print(f"{name:24} {row['cpu_s'] * 1e3:7.1f} ms an image; the fastest step takes {row['steps_ratio']:.1f}x that")
    report({"question": "loading", "size": given.size, "batch": given.batch, "step": step_s, "rows": rows}, given.json)


if __name__ == "__main__":
    main()
