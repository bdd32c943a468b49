"""What the rooms owe their quality to: the same small training on sets that each lack one thing, measured on photos.

    python studies/scene_ablations.py OUT NYUDV2 WEIGHTS [NAME ...]

OUT gets data, runs and table.json; NYUDV2 is the folder with split val-a; WEIGHTS are of mobilenetv2_100. NAMEs choose
some of the ablations. Source-only, no distillation, 200 views and 200 steps at 96x128. WORKERS of them run at a time
(default 2), one core and about five minutes each. Run again, it goes on where it stopped. Expected: docs/rooms.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ABLATIONS = {  # name -> (arguments of render, arguments of train) beside the common ones
    "as it is": ("--seed 1", ""),
    "as it is, other seeds": ("--seed 2", "--seed 2"),
    "no catalogue furniture": ("--seed 1 --furniture none", ""),
    "no clutter": ("--seed 1 --clutter 0", ""),
    "no textures, no gloss": ("--seed 1 --without textures", ""),
    "plain light": ("--seed 1 --without light", ""),
    "no camera model": ("--seed 1 --without sensor", ""),
    "plain render (synthetic style)": ("--seed 1 --style synthetic", ""),
    "cameras anywhere": ("--seed 1 --without poses", ""),
    "4 samples a pixel": ("--seed 1 --spp 4", ""),
    "a quarter of the views": ("--seed 1 --views 50", ""),
    "no augmentation": ("--seed 1", "--augment 0"),
}
COMMON = {"--views": "200", "--size": "96x128", "--style": "photo", "--workers": "1"}
TRAIN = (
    "--backbone mobilenetv2_100 --size 96x128 --width 0.25 --transfer-width 0.05 --alpha 0 --transfer-steps 0 "
    "--base-steps 200 --contour-steps 0 --batch 12 --lr 5e-4"
)
FIGURES = (("depth", "rel"), ("depth", "rms"), ("depth", "d1"), ("normals", "mean"), ("seg", "miou"), ("seg", "pacc"))


def umadapt(arguments: str, log: Path) -> None:
    """One command on one core; raises with the log's name when it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("a") as file:
        command = [sys.executable, "-m", "umadapt", *arguments.split()]
        if subprocess.run(command, env=environment, stdout=file, stderr=subprocess.STDOUT).returncode:
            raise SystemExit(f"umadapt {arguments}\nfailed; see {log}")


def measure(name: str, out: Path, nyudv2: str, weights: str) -> dict:
    """Render, train and evaluate one ablation."""
    render, train = ABLATIONS[name]
    words = render.split()
    options = COMMON | dict(zip(words[::2], words[1::2], strict=True))
    data = out / ("rooms" + "".join(words).replace("--", "-"))
    run = out / "".join(c if c.isalnum() else "-" for c in name)
    log = out / f"{run.name}.log"
    umadapt(f"render {data} {' '.join(f'{k} {v}' for k, v in options.items())}", log)
    umadapt(f"train --source {data} --out {run} --weights {weights} {TRAIN} {train}", log)
    result = run / "ablation.json"
    umadapt(f"evaluate {run} --data {nyudv2}:val-a --protocol nyud --normals-from-depth --json {result}", log)
    return json.loads(result.read_text())


def table(results: dict[str, dict]) -> str:
    """Markdown, one line an ablation."""
    lines = ["| rooms | " + " | ".join(f"{t} {m}" for t, m in FIGURES) + " |", "|---" * (len(FIGURES) + 1) + "|"]
    for name, result in results.items():
        cells = (f"{result[t][m]:.1f}" if t == "normals" else f"{result[t][m]:.3f}" for t, m in FIGURES)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(out: str, nyudv2: str, weights: str, *names: str) -> None:
    """Measure, print and store; sets that two ablations share are rendered before the pairs begin."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = names or tuple(ABLATIONS)
    first = {ABLATIONS[name][0]: name for name in reversed(chosen)}.values()
    rest = [name for name in chosen if name not in first]
    results: dict[str, dict] = {}
    for group in (list(first), rest):
        with ThreadPoolExecutor(int(os.environ.get("WORKERS", "2"))) as pool:
            found = pool.map(lambda name: measure(name, folder, nyudv2, weights), group)
            results |= dict(zip(group, found, strict=True))
    results = {name: results[name] for name in chosen}
    (folder / "table.json").write_text(json.dumps(results, indent=1))
    print(table(results))


if __name__ == "__main__":
    if len(sys.argv) < 4 or set(sys.argv[4:]) - set(ABLATIONS):
        sys.exit(__doc__)
    main(*sys.argv[1:])
