"""`umadapt check DATA`: read every file once, say what is wrong and what the labels look like."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from umadapt.config.data import Check
from umadapt.data import viz
from umadapt.data.atomic import write_json
from umadapt.data.check import View, examine, pick
from umadapt.data.files import write_image
from umadapt.data.folder import Folder


def run(config: Check) -> int:
    """Print the findings; 0, or 1 when any file is bad. Raises UserError when DATA itself cannot be understood."""
    folder = Folder(config.data, tell=False)
    found = examine(folder)
    sizes, bad = found.sizes, found.bad
    listed = ", ".join(f"{size} ({n})" for size, n in sizes.most_common(3)) + (", …" if len(sizes) > 3 else "")
    print(f"{folder.name}{f':{folder.split}' if folder.split else ''}: {len(folder.ids)} ids")
    print(f"image   {found.images} of {len(folder.ids)} views" + (f"; sizes {listed}" if listed else ""))
    for task, figures in found.tasks.items():
        print("\n".join(describe(folder, task, figures)))
    for line in found.warnings:
        print(f"warning: {line}")
    for line in found.notes:
        print(f"note: {line}")
    for line in bad:
        print(line)
    far_m = found.tasks.get("depth", {}).get("percentiles", {}).get("95", folder.depth_max_m)
    print(write_sheet(folder, found.views, config.sheet, far_m))
    good = "all files that are read are good" if folder.unread else "all files are good"
    print(f"bad: {len(bad)}" if bad else good)
    if config.json:
        told = {"data": config.data, "name": folder.name, "n": len(folder.ids), "images": found.images, "sizes": sizes}
        told |= {"unread": folder.unread, "tasks": found.tasks, "warnings": found.warnings, "notes": found.notes}
        write_json(config.json, {**told, "bad": bad})
    return 1 if bad else 0


def describe(folder: Folder, task: str, found: dict[str, Any]) -> list[str]:
    """Lines for people."""
    head = f"{task:8}{found['read']} of {len(folder.ids)} views, {found['missing']:.1%} of pixels missing"
    at = found.get("percentiles")
    if task == "depth" and at:
        spread = f"5/50/95 %: {at['5']:.2f} / {at['50']:.2f} / {at['95']:.2f} m"
        return [f"{head}; {spread}; {found['beyond_max']:.1%} beyond {folder.depth_max_m:g} m"]
    if task == "normals" and at:
        axes = [f"{axis} {at['5'][i]:+.2f} / {at['50'][i]:+.2f} / {at['95'][i]:+.2f}" for i, axis in enumerate("xyz")]
        return [f"{head}; {found['not_unit']:.1%} not unit; 5/50/95 %: {', '.join(axes)}"]
    shares = [f"{name} {share:.1%}" for name, share in found.get("classes", {}).items()]
    lines = [", ".join(shares[i : i + 8]) for i in range(0, len(shares), 8)]
    return [f"{head}; {len(shares)} classes"] + [f"        {line}" for line in lines]


def write_sheet(folder: Folder, views: list[View], asked: Path | None, far_m: float) -> str:
    """Write the contact sheet; a line on where it is, or why not."""
    if asked is None and folder.photos_in_root:
        return "no contact sheet: it would count as a photo in this folder; use --sheet FILE"
    # The mode too: an administrator may write where the owner has said that nobody should.
    if asked is None and not (os.access(folder.root, os.W_OK) and folder.root.stat().st_mode & 0o222):
        return f"no contact sheet: {folder.root} is read-only; use --sheet FILE"
    path = asked or folder.root / "check.png"
    write_image(path, sheet_of(folder, views, far_m))
    return f"contact sheet: {path}"


def sheet_of(folder: Folder, views: list[View], far_m: float) -> np.ndarray:
    """A row a view, a column a kind of file."""
    columns = [c for c in ("image", *folder.tasks) if any(folder.has(c, id) for id in folder.ids)]
    colours = viz.palette(len(folder.classes) or 255)
    show = {
        "depth": lambda x: viz.depth_to_rgb(x, far_m),
        "normals": viz.normals_to_rgb,
        "seg": lambda x: viz.seg_to_rgb(x, colours),
    }
    blank = np.full((3, 4, 3), 255, np.uint8)
    rows = []
    for id in pick(folder, views):
        row = []
        for column in columns:
            if not folder.has(column, id):
                row.append(blank)
            else:
                row.append(show[column](folder.read_label(column, id)) if column in show else folder.read_image(id))
        rows.append(row)
    return viz.contact_sheet(rows, columns)
