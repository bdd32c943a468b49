"""HTML of the viewer: two pictures under a slider, a tab for each map, its key, and what lies under the pointer.

`viewer.js` makes it move, `viewer.css` dresses it. Texts of users and of files are escaped here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from umadapt.data import viz
from umadapt.serve.shown import Class, Layer, Shown

SMALL = 0.005  # share of a photo below which a class has no place in the key

HERE = Path(__file__).parent
SCRIPT = (HERE / "viewer.js").read_text()
STYLE = (HERE / "viewer.css").read_text()

Address = Callable[[Path], str]  # of a file, where the page has it


class Pair(NamedTuple):
    """What one tab shows."""

    title: str
    left: str  # address of the picture on the left of the slider
    right: str
    left_title: str
    right_title: str
    key: str  # HTML beneath


def photo_beside_maps(shown: Shown, address: Address) -> str:
    """The viewer of a photo: it on the left, each map on the right."""
    photo = address(shown.photo)
    pairs = [Pair(x.title, photo, address(x.picture), "Photo", x.title, key_of(x, shown.classes)) for x in shown.layers]
    height, width = shown.size
    about = f"{escape(shown.name)} · {width} × {height} · camera {escape(shown.camera)}"
    return viewer(pairs, shown.shape_size, address(shown.under), shown.classes, about)


def before_beside_after(before: Shown, after: Shown, address: Address) -> str:
    """The viewer of what two models see in one photo: the photo under a tab of its own, then each map of both."""
    pairs = [
        Pair(x.title, address(x.picture), address(y.picture), "Before", "After", key_of(y, after.classes))
        for x, y in zip(before.layers, after.layers, strict=True)
        if x.kind != "trust"
    ]
    photo = address(after.photo)
    pairs.append(Pair("Photo", photo, photo, "", "", ""))
    return viewer(pairs, after.shape_size, address(after.under), after.classes, escape(after.name))


def viewer(pairs: Sequence[Pair], size: tuple[int, int], under: str, classes: Sequence[Class], about: str) -> str:
    """The viewer; `about` and the keys are HTML."""
    names = escape(json.dumps({c.id: c.name for c in classes}))
    first, (height, width) = pairs[0], size
    tabs = "".join(tab(pair, number == 0) for number, pair in enumerate(pairs))
    keys = "".join(
        f'<div class="um-key"{"" if number == 0 else " hidden"}>{pair.key}</div>' for number, pair in enumerate(pairs)
    )
    return f"""<section class="um-viewer" data-under="{escape(under)}" data-names="{names}">
<div class="um-stage" style="aspect-ratio:{width}/{height};max-width:calc(70vh*{width / height:.4f})">
<img class="um-left" src="{escape(first.left)}" alt="{escape(first.left_title)}" draggable="false">
<img class="um-right" src="{escape(first.right)}" alt="{escape(first.right_title)}" draggable="false">
<canvas class="um-mark" width="{width}" height="{height}"></canvas>
<span class="um-tag um-tag-left">{escape(first.left_title)}</span>
<span class="um-tag um-tag-right">{escape(first.right_title)}</span>
<span class="um-cut"></span>
<input class="um-slide" type="range" min="0" max="100" value="50" aria-label="how much of the left picture is shown">
<output class="um-under" hidden></output>
</div>
<div class="um-keys">{keys}</div>
<div class="um-tabs" role="tablist">{tabs}</div>
<p class="um-about">{about}</p>
</section>"""


def tab(pair: Pair, chosen: bool) -> str:
    data = {
        "left": pair.left,
        "right": pair.right,
        "left-title": pair.left_title,
        "right-title": pair.right_title,
    }
    held = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    return (
        f'<button type="button" class="um-tab" role="tab" aria-selected="{str(chosen).lower()}" {held}>'
        f'<img src="{escape(pair.right)}" alt="" draggable="false"><span>{escape(pair.title)}</span></button>'
    )


def key_of(layer: Layer, classes: Sequence[Class]) -> str:
    """What the colours of a map mean, as HTML."""
    if layer.kind == "depth":
        return scale(viz.NEAR_TO_FAR, "0 m", f"{layer.scale or 0:.1f} m")
    if layer.kind == "trust":
        return scale(viz.GOOD_TO_BAD, "the tasks agree", "they do not")
    if layer.kind == "share":
        return scale(viz.ZERO_TO_ONE, "0", "1")
    if layer.kind == "normals":
        return "".join(
            chip(colour, text)
            for colour, text in (
                ((255, 128, 128), "faces right"),
                ((0, 128, 128), "left"),
                ((128, 255, 128), "up"),
                ((128, 0, 128), "down"),
                ((128, 128, 255), "towards you"),
            )
        )
    large = [c for c in classes if c.share >= SMALL]
    chips = "".join(
        f'<button type="button" class="um-class" data-id="{c.id}">{chip(c.colour, c.name)}'
        f"<small>{math.ceil(100 * c.share)} %</small></button>"
        for c in large
    )
    left = len(classes) - len(large)
    return chips + (f"<small>and {left} more in a few pixels</small>" if left else "")


def chip(colour: Sequence[int], text: str) -> str:
    return f'<span class="um-chip"><i style="background:{css(colour)}"></i>{escape(text)}</span>'


def scale(anchors: Sequence[Sequence[int]], low: str, high: str) -> str:
    """A bar of a colour map between the words for its ends."""
    stops = ",".join(css(colour) for colour in anchors)
    bar = f'<i class="um-scale" style="background:linear-gradient(90deg,{stops})"></i>'
    return f"<span>{escape(low)}</span>{bar}<span>{escape(high)}</span>"


def css(colour: Sequence[int]) -> str:
    return "rgb({},{},{})".format(*colour)
