"""How many photos a second does a model that ships take, and where do its multiply-adds go?

All that a program does with a decoded photo of the network's own size: maps and trust maps at the photo's size, by the
exported ONNX file and by PyTorch. Beside them the rate of a matrix product of the same run, the ceiling.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from benchmarks.measure import interleave, parser, report, show, summary
from benchmarks.operations import MATRIX, counted

import umadapt
from umadapt.commands.export import compare, made_photo
from umadapt.commands.export import run as export
from umadapt.config import Export
from umadapt.inference.exported import load_onnx
from umadapt.inference.predictor import Predictor
from umadapt.nets.model import UMAdapt
from umadapt.training.load import load_model

PRODUCTS = 20  # of matrices a repeat
AT_ONCE = 20  # photos a repeat


@torch.no_grad()
def parts(model: UMAdapt, domain: str) -> dict[str, float]:
    """10^9 multiply-adds of one photo: encoder, each decoder, transfer nets."""
    images = torch.empty(1, 3, *model.spec.size, device="meta")
    features, found = model.encode(images, domain), {"encoder": counted(lambda: model.encode(images, domain))}
    found |= {f"decoder of {task}": counted(lambda task=task: model.decode(features, (task,))) for task in model.tasks}
    maps = model.decode(features)
    return found | {"transfer nets": counted(lambda: model.cross(maps))}


def ways(run: Path, folder: Path) -> dict[str, Predictor]:
    """The run in PyTorch, and exported."""
    file = folder / "model.onnx"
    export(Export(run=run, out=file))
    return {"onnx": load_onnx(file, "cpu"), "pytorch": umadapt.load(str(run), "cpu")}


def main() -> None:
    options = parser(__doc__, "repeats")
    options.add_argument("run", nargs="?", type=Path, default=Path("indoor-base"))
    given = options.parse_args()
    model, record = load_model(given.run, "cpu")
    gmac = parts(model.to("meta"), record.domain)
    total, size = sum(gmac.values()), model.spec.size
    with tempfile.TemporaryDirectory() as folder:
        predictors = ways(given.run, Path(folder))
        photo = made_photo(*size)
        differences = compare(predictors["pytorch"], predictors["onnx"], (size,))
        a, b = torch.rand(2, MATRIX, MATRIX)
        timed: dict[str, Any] = {"product": lambda: [a @ b for _ in range(PRODUCTS)]}
        timed |= {name: lambda p=p: [p.predict(photo) for _ in range(AT_ONCE)] for name, p in predictors.items()}
        times = interleave(timed, given.repeats)
    rows = summary(times)
    rate = PRODUCTS * MATRIX**3 / 1e9 / rows["product"]["wall_s"]
    found = {}
    for name in predictors:
        speed = AT_ONCE / rows[name]["wall_s"]
        found[name] = {"photos_per_s": speed, "share_of_ceiling": speed * total / rate}
        print(f"{name:8} {speed:6.1f} photos a second, {speed * total / rate:.0%} of a matrix product's rate")
    print(f"pytorch / onnx: {show(times, 'pytorch', 'onnx')}")
    print(f"a matrix product: {rate:.0f} billion multiply-adds a second; a photo of {size[0]}x{size[1]}: {total:.2f}")
    for name, giga in gmac.items():
        print(f"  {name:20} {giga:6.3f}  {giga / total:4.0%}")
    worst = max(figures.get("largest", 0.0) for maps in differences.values() for figures in maps.values())
    print(f"largest difference of a map: {worst:.1e}")
    report({"question": "shipped", "gmac": gmac, "rate": rate, "found": found, "largest": worst}, given.json)


if __name__ == "__main__":
    main()
