"""What stands on shelves, and open shelves that come with it; sizes in metres."""

from __future__ import annotations

from umadapt.scenes.makers.forms import Rng, blob, body_material, lathe, limb, merged, pick, wrap
from umadapt.scenes.shapes import Item, Part, Top, box, move


def book_row(rng: Rng, x0: float, x1: float, y0: float, y1: float, z: float, room: float) -> list[Part]:
    """Standing books from x0 to x1, spines towards +y, no taller than `room`."""
    parts, x, run = [], x0, pick(rng, "book", 8)
    tall, size = min(rng.uniform(0.18, 0.28), room), rng.uniform(0.14, 0.22)
    while True:
        width = rng.uniform(0.014, 0.05)
        if x + width > x1:
            return merged(parts)
        if rng.random() < 0.6:  # sets of equal volumes break the confetti
            run, size = pick(rng, "book", 8), rng.uniform(0.14, 0.22)
            tall = min(rng.uniform(0.17, 0.31), room)
        front = y1 - rng.uniform(0.0, 0.02)
        one = box((x, max(y0, y1 - size), z), (x + width - 0.001, front, z + tall), "books", run)
        parts.append(one)
        x += width + (rng.uniform(0.03, 0.1) if rng.random() < 0.05 else 0.0)


def book_stack(rng: Rng, x: float, y: float, z: float, room: float, most: int = 7) -> list[Part]:
    """Lying books on each other around (x, y), within a circle of 18 cm."""
    parts, top = [], z
    w, d = rng.uniform(0.15, 0.2), rng.uniform(0.2, 0.26)
    for _ in range(int(rng.integers(1, most + 1))):
        t, s = rng.uniform(0.01, 0.04), rng.uniform(0.75, 1.0)
        if top + t > z + room:
            break
        one = box((-w / 2 * s, -d / 2 * s, 0.0), (w / 2 * s, d / 2 * s, t), "books", pick(rng, "book", 8))
        parts += move([one], rng.uniform(-12, 12), (x, y, top))
        top += t
    return parts


def pot(rng: Rng, x: float, y: float, z: float, r: float, room: float) -> list[Part]:
    """A vase, jar, bowl, jug or figurine of radius r at most."""
    h, material = min(rng.uniform(1.2, 4.0) * r, room), rng.choice([pick(rng, "plastic", 4), "ceramic0", "wood0"])
    outlines = [
        [(0.6, 0.0), (1.0, 0.35), (0.9, 0.6), (0.45, 0.85), (0.55, 1.0)],  # vase
        [(0.8, 0.0), (0.85, 0.75), (0.6, 0.85), (0.62, 1.0)],  # jar
        [(0.5, 0.0), (0.85, 0.3), (1.0, 1.0)],  # bowl
        [(0.7, 0.0), (0.95, 0.4), (0.7, 0.8), (0.8, 1.0)],  # jug
    ]
    kind = int(rng.integers(5))
    if kind == 4:
        body = lathe(
            [(0.0, 0.0), (r * 0.7, 0.0), (r * 0.35, h * 0.5), (r * 0.6, h * 0.65), (0.0, h * 0.8)],
            "otherprop",
            material,
            (x, y, z),
            n=10,
        )
        return [body, blob((x, y, z + h * 0.86), (r * 0.6, r * 0.6, h * 0.28), "otherprop", material, 1.0)]
    if kind == 2:
        h = min(h, r)
    outer = [(a * r, b * h) for a, b in outlines[kind]]
    mouth, inside = outer[-1][0], outer[-2][1] if kind != 2 else 0.15 * h
    profile = [(0.0, 0.0), *outer, (mouth * 0.85, h), (outer[0][0] * 0.85 if kind == 2 else mouth * 0.8, inside)]
    return [lathe([*profile, (0.0, inside)], "otherprop", material, (x, y, z), n=10)]


def load(rng: Rng, x0: float, x1: float, y0: float, y1: float, z: float, room: float, use: str = "mixed") -> list[Part]:
    """Things on a board from x0 to x1 and y0 to y1 (its front) at height z; `use`: books, boxes, pots or mixed."""
    parts, x, deep = [], x0 + 0.01, y1 - y0
    while x < x1 - 0.1:
        kind = use if use != "mixed" else str(rng.choice(["books", "books", "boxes", "pots", "stack", "gap"]))
        w = min(rng.uniform(0.15, 0.55), x1 - x - 0.01)
        if kind == "books":
            parts += book_row(rng, x, x + w, y0, y1 - 0.015, z, room)
        elif kind == "boxes":
            w = min(w, 0.4)
            h, d = min(rng.uniform(0.1, 0.32), room), min(deep - 0.02, rng.uniform(0.6, 1.0) * deep)
            parts.append(
                box((x + 0.01, y1 - 0.01 - d, z), (x + w - 0.01, y1 - 0.01, z + h), "box", pick(rng, "card", 3))
            )
            if rng.random() < 0.5:  # its lid
                parts.append(
                    box(
                        (x + 0.007, y1 - 0.013 - d, z + h * 0.8),
                        (x + w - 0.007, y1 - 0.007, z + h),
                        "box",
                        pick(rng, "card", 3),
                    )
                )
        elif kind == "pots":
            w = min(w, rng.uniform(0.17, 0.3))
            r = min(w / 2 - 0.01, deep / 2 - 0.01)
            parts += pot(rng, x + w / 2, y1 - r - 0.015, z, r, room)
        elif kind == "stack" and x + 0.36 < x1 and deep > 0.24:
            w = 0.36
            parts += book_stack(rng, x + w / 2, (y0 + y1) / 2, z, room)
        x += w + 0.01
    return parts


def _brackets(w: float, d: float, z: float) -> list[Part]:
    return [
        box((x - 0.012, -d / 2, z - 0.12), (x + 0.012, -d / 2 + 0.012, z), "shelves", "metal0")
        for x in (-w / 2 + 0.1, w / 2 - 0.1)
    ] + [
        limb((x, -d / 2 + 0.01, z - 0.11), (x, d / 2 - 0.03, z - 0.006), 0.008, 0.008, "shelves", "metal0", 4)
        for x in (-w / 2 + 0.1, w / 2 - 0.1)
    ]


def wall_shelf(rng: Rng) -> Item:
    """A board on brackets, several of them, or a box shelf, with things on it; hangs on a wall."""
    w, d, t = rng.uniform(0.5, 1.3), rng.uniform(0.2, 0.3), 0.025
    material, kind = body_material(rng), rng.integers(3)
    parts: list[Part] = []
    if kind == 2:  # an open box with one or two rows
        rows = int(rng.integers(1, 3))
        h = rows * 0.33 + t
        for x in (-w / 2, w / 2 - t):
            parts.append(box((x, -d / 2, 0.0), (x + t, d / 2, h), "shelves", material))
        parts.append(box((-w / 2 + t, -d / 2, 0.001), (w / 2 - t, -d / 2 + 0.01, h - 0.001), "shelves", material))
        for k in range(rows + 1):
            z = k * 0.33
            parts.append(box((-w / 2 + t, -d / 2 + 0.01, z), (w / 2 - t, d / 2 - 0.002, z + t), "shelves", material))
            if k < rows:
                parts += load(rng, -w / 2 + t, w / 2 - t, -d / 2 + 0.015, d / 2, z + t, 0.28)
    else:
        count = 1 if kind == 0 else int(rng.integers(2, 4))
        for k in range(count):
            z = k * rng.uniform(0.32, 0.36) if k else 0.0
            parts.append(box((-w / 2, -d / 2 + 0.001, z), (w / 2, d / 2, z + t), "shelves", material))
            parts += _brackets(w, d, z)
            free = 0.26 if k == count - 1 else 0.32 - t - 0.13  # below the brackets of the next board
            parts += load(rng, -w / 2, w / 2, -d / 2 + 0.02, d / 2, z + t, free)
    return wrap(parts)


def rack(rng: Rng) -> Item:
    """A tall open unit with posts and loaded boards, of metal or wood."""
    w, d, h = rng.uniform(0.7, 1.5), rng.uniform(0.32, 0.5), rng.uniform(1.4, 2.1)
    posts, boards = rng.choice(["metal0", "black0", "wood0"]), rng.choice(["wood0", "wood1", "metal0", "white0"])
    thick, count = rng.uniform(0.02, 0.035), int(rng.integers(3, 6))
    parts = [
        box((x, y, 0.0), (x + thick, y + thick, h), "shelves", posts)
        for x in (-w / 2, w / 2 - thick)
        for y in (-d / 2, d / 2 - thick)
    ]
    pitch = (h - 0.15) / count
    use = str(rng.choice(["mixed", "mixed", "boxes", "pots"]))
    for k in range(count + 1):
        z = 0.1 + k * pitch - 0.01
        parts.append(
            box((-w / 2 + 0.003, -d / 2 + 0.003, z), (w / 2 - 0.003, d / 2 - 0.003, z + 0.03), "shelves", boards)
        )
        if k < count or rng.random() < 0.3:
            x = w / 2 - thick
            parts += load(rng, -x, x, -d / 2 + thick, d / 2 - 0.01, z + 0.03, min(pitch - 0.07, 0.35), use)
    return wrap(parts, front=0.4)


def display_rack(rng: Rng) -> Item:
    """A long unit as in a bookshop: rows of books over its whole length, some face up on a sloping foot."""
    w, d, h = rng.uniform(1.4, 2.6), rng.uniform(0.34, 0.45), rng.uniform(1.3, 2.2)
    material, label, t = body_material(rng), "bookshelf", 0.025
    parts = [box((-w / 2, -d / 2, 0.0), (w / 2, -d / 2 + 0.015, h), label, material)]
    bays = max(2, round(w / 0.9))
    for k in range(bays + 1):
        x = -w / 2 + (w - t) * k / bays
        parts.append(box((x, -d / 2 + 0.015, 0.0), (x + t, d / 2, h + 0.002), label, material))
    rows = max(3, round((h - 0.1) / 0.34))
    pitch = (h - 0.1) / rows
    for j in range(rows + 1):
        z = 0.1 + j * pitch - t
        for k in range(bays):
            x0, x1 = -w / 2 + (w - t) * k / bays + t, -w / 2 + (w - t) * (k + 1) / bays
            parts.append(box((x0, -d / 2 + 0.015, z), (x1, d / 2 - 0.004, z + t), label, material))
            if j < rows:
                filled = x0 + (x1 - x0) * rng.choice([1.0, 1.0, rng.uniform(0.4, 1.0)])
                parts += book_row(rng, x0, filled, -d / 2 + 0.02, d / 2 - 0.03, z + t, pitch - t - 0.02)
    return wrap(parts, front=0.6)


def carton(rng: Rng, big: bool = False) -> Item:
    """A cardboard or storage box: closed, taped, with a lid, or open with its flaps out."""
    low, high = (0.25, 0.55) if big else (0.1, 0.24)
    w, d, h = rng.uniform(low, high), rng.uniform(low, high), rng.uniform(low * 0.6, high * 0.8)
    material, kind = pick(rng, "card", 3), rng.integers(3)
    parts = [box((-w / 2, -d / 2, 0), (w / 2, d / 2, h), "box", material)]
    if kind == 0:
        parts.append(box((-0.025, -d / 2 - 0.001, h * 0.7), (0.025, d / 2 + 0.001, h + 0.001), "box", "plastic0"))
    elif kind == 1:
        lid = min(0.05, h / 3)
        parts.append(
            box((-w / 2 - 0.004, -d / 2 - 0.004, h - lid), (w / 2 + 0.004, d / 2 + 0.004, h + 0.004), "box", material)
        )
    elif big:
        for s in (-1, 1):
            a, b = sorted((s * (w / 2 - 0.002), s * (w / 2 + 0.1)))
            parts.append(box((a, -d / 2 + 0.005, h - 0.03), (b, d / 2 - 0.005, h - 0.026), "box", material))
        parts.append(
            box((-w / 2 + 0.006, -d / 2 + 0.006, h), (w / 2 - 0.006, d / 2 - 0.006, h + 0.001), "box", "black0")
        )
    return wrap(parts)


def box_pile(rng: Rng) -> Item:
    """Boxes standing on each other, the bigger ones below."""
    parts: list[Part] = []
    z, tops = 0.0, []
    w, d = rng.uniform(0.35, 0.55), rng.uniform(0.3, 0.45)
    for _ in range(int(rng.integers(2, 5))):
        h = rng.uniform(0.14, 0.34)
        one = [box((-w / 2, -d / 2, 0), (w / 2, d / 2, h), "box", pick(rng, "card", 3))]
        one.append(box((-0.03, -d / 2 - 0.001, h * 0.75), (0.03, d / 2 + 0.001, h + 0.001), "box", "plastic0"))
        parts += move(one, rng.uniform(-9, 9), (rng.uniform(-0.03, 0.03), 0.0, z))
        z += h + 0.001
        w, d = w * rng.uniform(0.72, 0.98), d * rng.uniform(0.72, 0.98)
    tops.append(Top((-w / 3, -d / 3), (w / 3, d / 3), z, 0.4))
    return wrap(parts, tops)
