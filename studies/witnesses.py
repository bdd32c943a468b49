"""What each witness of the consensus is worth: errors of merged predictions, on labelled photos.

    python studies/witnesses.py RUN LABELLED [--protocol nyud]

The shares are those that training has measured on the source ("witnesses" in RUN's config.json), so they read no label
of these photos. Cost: three minutes for a hundred photos on one CPU core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from umadapt.data.folder import Folder
from umadapt.evaluation.evaluator import Evaluator
from umadapt.evaluation.protocols import PROTOCOLS
from umadapt.inference.photos import photo_batches, physical_maps
from umadapt.nets.ensemble import consensus, shares_of
from umadapt.training.load import base_of, load_model

SETS = ((), ("mirror",), ("zoom",), ("transfer",), ("mirror", "zoom"), ("mirror", "zoom", "transfer"))
SHOWN = (("depth", "rel"), ("depth", "log10"), ("depth", "rms"), ("normals", "mean"), ("seg", "miou"), ("seg", "pacc"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("labelled")
    parser.add_argument("--protocol", default="raw", choices=PROTOCOLS)
    given = parser.parse_args()
    model, record = load_model(given.run, "cpu")
    measured = record.witnesses if record.witnesses is not None else base_of(record).witnesses
    folder, domain = Folder(given.labelled), record.domain
    protocol, made = PROTOCOLS[given.protocol], "normals" not in folder.tasks
    evaluators = {votes: Evaluator(folder, protocol, tuple(model.tasks), model.spec.classes, made) for votes in SETS}
    read = evaluators[()].read
    for seen in photo_batches(folder, folder.ids, model.spec, 8, read, True):
        for votes, evaluator in evaluators.items():
            shares = shares_of(measured, model.tasks, votes)
            merged = consensus(model, lambda x: model.encode(x, domain), seen.images, shares)
            physical = physical_maps(model, {task: merged[task] for task in evaluator.tasks}, seen.magnifications)
            for k, (name, truth) in enumerate(zip(seen.ids, seen.extras, strict=True)):
                evaluator.update(
                    name, {task: maps[k] for task, maps in physical.items()}, truth, folder.window_of(name)
                )
    print("| direct and | " + " | ".join(f"{task} {figure}" for task, figure in SHOWN) + " |")
    print("|---" * (len(SHOWN) + 1) + "|")
    for votes, evaluator in evaluators.items():
        found = evaluator.result()
        print(f"| {', '.join(votes) or '—'} | " + " | ".join(f"{found[t][f]:.3f}" for t, f in SHOWN) + " |")


if __name__ == "__main__":
    main()
