"""Write a run as a model of the package: src/umadapt/models/NAME.safetensors, with what it was made of in its header.

    python studies/ship.py RUN NAME [--drop contour,depth] [--card KEY=VALUE ...]

`--drop` leaves the contour decoder and transfer nets to tasks out, which predicting does without.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from umadapt.training import run_file
from umadapt.training.load import base_of, load_model
from umadapt.training.weights import weights


def main() -> None:
    """Write the file and print its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--drop", default="", help="contour, and tasks whose transfer nets are left out")
    parser.add_argument("--card", nargs="*", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    model, record = load_model(given.run, "cpu")
    card = dict(pair.split("=", 1) for pair in given.card)
    run_file.MODELS.mkdir(exist_ok=True)
    file = run_file.MODELS / f"{given.name}.safetensors"
    drop = [name for name in given.drop.split(",") if name]
    run_file.write(file, dataclasses.replace(record, card=card), base_of(record), weights(model), drop)
    print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
