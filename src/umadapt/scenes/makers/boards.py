"""Flat things for walls: mirrors, boards, screens, clocks; z = 0 is the lower edge, the back is at y = -depth / 2."""

from __future__ import annotations

from umadapt.scenes.makers.forms import Rng, body_material, lathe, limb, pick, turned, wrap
from umadapt.scenes.shapes import Item, Part, box, move, upright


def mirror(rng: Rng) -> Item:
    """A mirror: framed, frameless or round, from a small one to a tall one."""
    if rng.random() < 0.2:
        r = rng.uniform(0.22, 0.4)
        frame = turned(
            lathe([(0.0, 0.0), (r, 0.0), (r, 0.025), (0.0, 0.025)], "mirror", body_material(rng), n=28), -90, axis=0
        )
        glass = turned(
            lathe([(0.0, 0.0), (r - 0.03, 0.0), (r - 0.03, 0.002), (0.0, 0.002)], "mirror", "mirror0", n=28),
            -90,
            axis=0,
        )
        return wrap([frame, *move([glass], 0.0, (0.0, 0.025, 0.0))])
    w, h = rng.choice([[0.45, 0.65], [0.6, 0.9], [0.9, 0.8], [1.3, 0.9], [0.45, 1.4], [0.6, 1.6]]) * rng.uniform(
        0.85, 1.15
    )
    if rng.random() < 0.45:
        return wrap(
            [
                box((-w / 2 + 0.01, 0.0, 0.01), (w / 2 - 0.01, 0.012, h - 0.01), "mirror", "metal0"),
                box((-w / 2, 0.012, 0.0), (w / 2, 0.017, h), "mirror", "mirror0"),
            ]
        )
    t, frame = rng.uniform(0.025, 0.07), rng.choice([pick(rng, "wood", 3), "metal0", "white0", "black0"])
    parts = frame_of(w, h, t, 0.03, "mirror", frame)
    parts.append(box((-w / 2 + t, 0.0, t), (w / 2 - t, 0.018, h - t), "mirror", "mirror0"))
    return wrap(parts)


def frame_of(w: float, h: float, t: float, d: float, label: str, material: str) -> list[Part]:
    """Four bars of width t and depth d around an opening, in the plane y = 0 .. d."""
    return [
        box((-w / 2, 0.0, 0.0), (w / 2, d, t), label, material),
        box((-w / 2, 0.0, h - t), (w / 2, d, h), label, material),
        box((-w / 2, 0.0, t), (-w / 2 + t, d - 0.001, h - t), label, material),
        box((w / 2 - t, 0.0, t), (w / 2, d - 0.001, h - t), label, material),
    ]


def notice_board(rng: Rng) -> Item:
    """A cork or cloth board (NYU40: otherstructure) with sheets pinned to it."""
    w, h, t = rng.uniform(0.6, 1.6), rng.uniform(0.5, 1.1), 0.025
    parts = frame_of(w, h, t, 0.02, "otherstructure", rng.choice(["wood0", "metal0", "black0"]))
    parts.append(
        box(
            (-w / 2 + t, 0.0, t),
            (w / 2 - t, 0.012, h - t),
            "otherstructure",
            rng.choice(["cork0", pick(rng, "cloth", 6)]),
        )
    )
    return wrap(parts + pinned(rng, w - 0.12, h - 0.12, 0.06, 0.012, int(rng.integers(3, 14))))


def pinned(rng: Rng, w: float, h: float, z: float, y: float, count: int) -> list[Part]:
    """Sheets on a wall or board: x in +-w/2, height z to z + h, 0.6 mm steps in front of y so that none coincide."""
    parts: list[Part] = []
    for k in range(count):
        a, b = (0.21, 0.297) if rng.random() < 0.7 else (0.297, 0.21)
        s = rng.uniform(0.5, 1.0)
        a, b = a * s, b * s
        if a > w or b > h:
            continue
        x, q = rng.uniform(-w / 2 + a / 2, w / 2 - a / 2), z + rng.uniform(0, h - b)
        material = rng.choice(["paper0", "paper1", "paper1", "white1", pick(rng, "plastic", 4)])
        label = "picture" if rng.random() < 0.15 else "paper"
        material = material if label == "paper" else pick(rng, "art", 4)
        step = y + 0.0006 * k
        parts.append(box((x - a / 2, step, q), (x + a / 2, step + 0.001, q + b), label, material))
    return parts


def blackboard(rng: Rng) -> Item:
    """A dark board with chalk tray (NYU40: otherstructure)."""
    w, h, t = rng.uniform(1.4, 3.0), rng.uniform(0.9, 1.25), 0.03
    parts = frame_of(w, h, t, 0.025, "otherstructure", rng.choice(["wood0", "metal0"]))
    parts.append(box((-w / 2 + t, 0.0, t), (w / 2 - t, 0.014, h - t), "otherstructure", "board0"))
    parts.append(box((-w * 0.4, 0.025, 0.005), (w * 0.4, 0.085, 0.02), "otherstructure", "metal0"))
    return wrap(parts)


def projector_screen(rng: Rng) -> Item:
    """A pulled-down screen with its case (NYU40: otherstructure)."""
    w, h, label = rng.uniform(1.4, 2.4), rng.uniform(1.0, 1.6), "otherstructure"
    return wrap(
        [
            box((-w / 2 - 0.06, -0.04, h), (w / 2 + 0.06, 0.04, h + 0.09), label, "white0"),
            box((-w / 2, -0.002, 0.02), (w / 2, 0.0, h), label, "black0"),
            box((-w / 2 + 0.05, 0.0, 0.07), (w / 2 - 0.05, 0.0015, h - 0.06), label, "white1"),
            limb((-w / 2, 0, 0.012), (w / 2, 0, 0.012), 0.014, 0.014, label, "black0"),
        ]
    )


def television_wall(rng: Rng) -> Item:
    """A flat television on a wall."""
    w = rng.uniform(0.8, 1.4)
    h, screen = w * 0.575, rng.choice(["screen0", "screen0", "screen1"])
    return wrap(
        [
            box((-0.2, 0.0, h / 2 - 0.15), (0.2, 0.03, h / 2 + 0.15), "television", "black0"),
            box((-w / 2, 0.03, 0.0), (w / 2, 0.075, h), "television", "black0"),
            upright(box((-w / 2 + 0.015, 0.075, 0.022), (w / 2 - 0.015, 0.077, h - 0.015), "television", screen)),
        ]
    )


def wall_clock(rng: Rng) -> Item:
    """A round clock."""
    r, label = rng.uniform(0.12, 0.2), "otherprop"
    case = lathe(
        [(0.0, 0.0), (r, 0.0), (r, 0.04), (r * 0.9, 0.042), (0.0, 0.042)],
        label,
        rng.choice(["black0", "wood0", "metal0"]),
        n=28,
    )
    face = lathe([(0.0, 0.042), (r * 0.88, 0.042), (r * 0.88, 0.044), (0.0, 0.044)], label, "white0", n=28)
    parts = [turned(p, -90, axis=0) for p in (case, face)]
    for angle, long, thick in ((rng.uniform(0, 360), 0.5, 0.008), (rng.uniform(0, 360), 0.75, 0.005)):
        hand = box((-thick, 0.044, -0.02), (thick, 0.047, r * long), label, "black0")
        parts.append(turned(hand, angle, axis=1))
    for k in range(12):
        mark = box((-0.004, 0.044, r * 0.72), (0.004, 0.0455, r * 0.82), label, "black0")
        parts.append(turned(mark, 30 * k, axis=1))
    return wrap(parts)


def picture(rng: Rng) -> Item:
    """A framed picture, a canvas, a poster or a set; its z = 0 is the lower edge, its back lies on the wall."""
    kind, parts = rng.random(), []
    if kind < 0.6:
        w, h = _format(rng)
        return wrap(_framed(rng, w, h, rng.choice(["black0", pick(rng, "wood", 3), "white0", "metal0"])))
    w, h = _format(rng)
    if kind < 0.8:  # a canvas or a poster
        d = rng.choice([0.002, 0.025])
        parts.append(box((-w / 2, 0.0, 0.0), (w / 2, d, h), "picture", "white0"))
        parts.append(
            upright(
                box((-w / 2 + 0.001, d, 0.001), (w / 2 - 0.001, d + 0.001, h - 0.001), "picture", pick(rng, "art", 4))
            )
        )
        return wrap(parts)
    frame, count = rng.choice(["black0", "white0", "wood0"]), int(rng.integers(2, 5))
    w, h = rng.uniform(0.18, 0.4), rng.uniform(0.2, 0.45)
    for k in range(count):
        x, z = (k * (w + 0.06), 0.0) if count < 4 else (k % 2 * (w + 0.06), k // 2 * (h + 0.06))
        parts += move(_framed(rng, w, h, frame), 0.0, (-x, 0.0, z))
    return wrap(parts)


def _format(rng: Rng) -> tuple[float, float]:
    a, b = rng.uniform(0.25, 0.75), rng.uniform(1.0, 1.8)
    return [(a, a * b), (a * b, a), (a * b, a), (min(1.5, 2.4 * a), 0.6 * a)][int(rng.integers(4))]


def _framed(rng: Rng, w: float, h: float, frame: str) -> list[Part]:
    t = rng.uniform(0.012, 0.06)
    parts = [box((-w / 2, 0.0, 0.0), (w / 2, 0.02, h), "picture", frame)]
    if rng.random() < 0.4 and min(w, h) > 0.25:  # a mount
        parts.append(box((-w / 2 + t, 0.02, t), (w / 2 - t, 0.0215, h - t), "picture", "white0"))
        t += rng.uniform(0.03, 0.07)
    parts.append(upright(box((-w / 2 + t, 0.02, t), (w / 2 - t, 0.023, h - t), "picture", pick(rng, "art", 4))))
    return parts


def whiteboard(rng: Rng) -> Item:
    """A whiteboard with an aluminium frame."""
    w, h = rng.uniform(1.0, 1.6), rng.uniform(0.8, 1.1)
    parts = [box((-w / 2, -0.015, 0.0), (w / 2, 0.003, h), "whiteboard", "metal0")]
    parts.append(box((-w / 2 + 0.02, 0.003, 0.02), (w / 2 - 0.02, 0.006, h - 0.02), "whiteboard", "white0"))
    return Item((w, 0.03, h), parts)
