"""How rendered rooms compare with real photos: depth, class frequencies and classes a view, in one plot.

    python studies/scene_statistics.py docs/rooms-statistics.png ROOMS data/nyudv2:target

The first data set is drawn as bars, the second as a line; both are in the folder format with NYU40 classes. Reads at
most 600 views of each, every fourth pixel. Cost: a minute.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from umadapt.data.folder import Folder

STEP, VIEWS, SEEN_SHARE = 4, 600, 0.004
DEPTH_BINS_M = np.linspace(0, 8, 41)


@dataclass(frozen=True)
class Statistics:
    """Of the views of a data set; shares of the labelled pixels."""

    views: int
    depth: np.ndarray  # share of the pixels in each depth bin
    rows_m: np.ndarray  # median depth of twelve bands of rows, from the top
    median_m: np.ndarray  # (views,) median depth
    classes: np.ndarray  # share of each class
    seen: np.ndarray  # (views,) classes that cover more than SEEN_SHARE of a view


def measure(data: str) -> tuple[Statistics, tuple[str, ...]]:
    """Statistics of DATA or DATA:SPLIT, and its classes."""
    folder = Folder(data)
    depths, rows, medians, counts, seen = [], [], [], np.zeros(len(folder.classes)), []
    for name in folder.ids[:VIEWS]:
        sample = folder.read(name, ("depth", "seg"))
        depth_m, seg = (np.asarray(sample[task])[::STEP, ::STEP] for task in ("depth", "seg"))
        bands = np.array_split(np.where(depth_m > 0, depth_m, np.nan), 12)
        rows.append([np.nanmedian(band) if np.isfinite(band).any() else np.nan for band in bands])
        depths.append(np.histogram(depth_m[depth_m > 0], DEPTH_BINS_M)[0])
        medians.append(np.median(depth_m[depth_m > 0]))
        count = np.bincount(seg[seg < len(counts)], minlength=len(counts))
        counts += count
        seen.append((count > SEEN_SHARE * seg.size).sum())
    depth = np.sum(depths, 0)
    return Statistics(
        len(rows), depth / depth.sum(), np.nanmean(rows, 0), np.array(medians), counts / counts.sum(), np.array(seen)
    ), folder.classes


def draw(path: str, ours: Statistics, theirs: Statistics, names: tuple[str, ...]) -> None:
    """Write the plot."""
    figure = plt.figure(figsize=(13, 7.5), layout="constrained")
    grid = figure.add_gridspec(2, 4)
    axes = [figure.add_subplot(grid[0, k]) for k in range(4)]
    middle = (DEPTH_BINS_M[1:] + DEPTH_BINS_M[:-1]) / 2
    axes[0].bar(middle, ours.depth, width=0.2, color="#8fb8de", label=f"rendered ({ours.views} views)")
    axes[0].plot(middle, theirs.depth, color="#c44e52", label=f"real ({theirs.views} photos)")
    axes[0].set(title="depth of the pixels", xlabel="m", ylabel="share")
    axes[0].legend(fontsize=8)
    bins = np.linspace(0, 6, 25).tolist()
    axes[1].hist(ours.median_m, bins, density=True, color="#8fb8de")
    axes[1].hist(theirs.median_m, bins, density=True, histtype="step", color="#c44e52")
    axes[1].set(title="median depth of a view", xlabel="m")
    axes[2].plot(ours.rows_m, np.arange(12), color="#4c80b0")
    axes[2].plot(theirs.rows_m, np.arange(12), color="#c44e52")
    axes[2].set(title="median depth by row", xlabel="m", yticks=(0, 11), yticklabels=("top", "bottom"))
    axes[2].invert_yaxis()
    bins = (np.arange(0, 20) - 0.5).tolist()
    axes[3].hist(ours.seen, bins, density=True, color="#8fb8de")
    axes[3].hist(theirs.seen, bins, density=True, histtype="step", color="#c44e52")
    axes[3].set(title=f"classes over {100 * SEEN_SHARE:.1f} % of a view")
    bottom = figure.add_subplot(grid[1, :])
    order = np.argsort(-theirs.classes)
    x = np.arange(len(order))
    bottom.bar(x, 100 * ours.classes[order], color="#8fb8de")
    bottom.plot(x, 100 * theirs.classes[order], "o", color="#c44e52", markersize=4)
    bottom.set(yscale="log", ylim=(0.01, 60), ylabel="% of labelled pixels", title="class frequency")
    bottom.set_xticks(x, [names[k] for k in order], rotation=60, ha="right", fontsize=8)
    figure.savefig(path, dpi=80)


def main(path: str, rooms: str, photos: str) -> None:
    """Measure both, draw, and print what matters in numbers."""
    (ours, names), (theirs, their_names) = measure(rooms), measure(photos)
    if names != their_names:
        sys.exit(f"{rooms} and {photos} have different classes")
    draw(path, ours, theirs, names)
    overlap = np.minimum(ours.depth, theirs.depth).sum()
    common = np.minimum(ours.classes, theirs.classes).sum()
    print(f"depth histograms overlap by {overlap:.3f}, class frequencies by {common:.3f} (1 = equal)")
    for name, s in (("rendered", ours), ("real", theirs)):
        low, middle, high = np.percentile(s.median_m, (5, 50, 95))
        print(f"{name}: median depth of a view {low:.2f} / {middle:.2f} / {high:.2f} m (5, 50, 95 %), "
              f"{s.seen.mean():.1f} classes a view, {(s.classes > 0).sum()} classes in all")  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
