"""Kitchen and office machines, desk lamps and other things with cables; sizes in metres."""

from __future__ import annotations

from umadapt.scenes.makers.forms import Rng, blob, body_material, lathe, limb, path, pick, rim, turned, wrap
from umadapt.scenes.makers.furniture import fronts
from umadapt.scenes.shapes import Item, Part, Top, box, cylinder, move, tilt, upright


def _dial(x: float, y: float, z: float, r: float, label: str, material: str) -> Part:
    return limb((x, y - 0.005, z), (x, y + 0.02, z), r, r * 0.9, label, material, 10)


def stove(rng: Rng) -> Item:
    """A cooker: oven door with window, knobs, hob with rings or grates, sometimes pots on it."""
    w, d, h = rng.uniform(0.5, 0.76), 0.62, rng.uniform(0.86, 0.92)
    body, label, face = rng.choice(["white0", "steel0", "black0"]), "otherstructure", 0.27
    parts = [
        box((-w / 2, -d / 2, 0.03), (w / 2, face, h - 0.02), label, body),
        box((-w / 2 + 0.03, -d / 2 + 0.03, 0.0), (w / 2 - 0.03, face - 0.04, 0.03), label, "black0"),
        box((-w / 2 - 0.002, -d / 2, h - 0.02), (w / 2 + 0.002, face + 0.01, h), label, rng.choice(["black0", body])),
        box((-w / 2 + 0.01, face, 0.2), (w / 2 - 0.01, face + 0.03, h - 0.14), label, body),
        box((-w / 2 + 0.07, face + 0.03, 0.3), (w / 2 - 0.07, face + 0.033, h - 0.27), label, "screen0"),
        box((-w / 2 + 0.01, face, 0.05), (w / 2 - 0.01, face + 0.025, 0.19), label, body),
        limb(
            (-w / 2 + 0.05, face + 0.06, h - 0.19), (w / 2 - 0.05, face + 0.06, h - 0.19), 0.011, 0.011, label, "metal0"
        ),
    ]
    for x in (-w / 2 + 0.08, w / 2 - 0.08):
        parts.append(limb((x, face + 0.028, h - 0.19), (x, face + 0.062, h - 0.19), 0.008, 0.008, label, "metal0", 6))
    for k in range(5):
        parts.append(_dial((k - 2) * w / 6, face, h - 0.08, 0.02, label, "black0" if body != "black0" else "metal0"))
    if rng.random() < 0.6:
        parts.append(box((-w / 2, -d / 2, h), (w / 2, -d / 2 + 0.05, h + rng.uniform(0.1, 0.2)), label, body))
    for x in (-w / 4, w / 4):
        for y in (-0.13, 0.13):
            r = rng.uniform(0.07, 0.1)
            hob = [(r * 0.75, 0.0), (r, 0.0), (r, 0.012), (r * 0.75, 0.012)]
            parts.append(lathe([(0.0, 0.0), *hob[1:3], (0.0, 0.012)], label, "screen0", (x, y, h), n=16))
            if rng.random() < 0.2:
                pan = rim([(r * 0.95, 0.0), (r * 1.05, rng.uniform(0.05, 0.14))], 0.005)
                parts.append(lathe(pan, "otherprop", rng.choice(["steel0", "black0"]), (x, y, h + 0.0125), n=16))
    return wrap(parts, [Top((-w / 2 + 0.05, -0.2), (w / 2 - 0.05, 0.2), h + 0.012, 0.3)], front=0.6)


def microwave(rng: Rng) -> Item:
    """A microwave oven: door with dark window, panel with keys."""
    w, d, h = rng.uniform(0.44, 0.54), rng.uniform(0.32, 0.4), rng.uniform(0.26, 0.31)
    body, label, y = rng.choice(["white0", "black0", "steel0"]), "otherprop", d / 2 - 0.03
    panel = w / 2 - 0.11
    parts = [
        box((-w / 2, -d / 2, 0.012), (w / 2, y, h), label, body),
        box((-w / 2 + 0.005, y, 0.02), (panel, y + 0.012, h - 0.008), label, body),
        box((-w / 2 + 0.035, y + 0.012, 0.05), (panel - 0.045, y + 0.014, h - 0.04), label, "screen0"),
        box((panel - 0.03, y + 0.012, 0.04), (panel - 0.015, y + 0.03, h - 0.03), label, "metal0"),
        box((panel + 0.005, y, 0.02), (w / 2 - 0.005, y + 0.01, h - 0.008), label, "black0"),
        box((panel + 0.02, y + 0.01, h - 0.06), (w / 2 - 0.02, y + 0.012, h - 0.03), label, "screen0"),
    ]
    for r in range(4):
        for c in range(3):
            x, z = panel + 0.03 + c * 0.022, 0.05 + r * 0.028
            parts.append(box((x - 0.008, y + 0.01, z), (x + 0.008, y + 0.013, z + 0.016), label, "metal0"))
    for x in (-w / 2 + 0.05, w / 2 - 0.05):
        parts.append(box((x - 0.02, -d / 2 + 0.03, 0.0), (x + 0.02, y - 0.02, 0.012), label, "black0"))
    return wrap(parts, [Top((-w / 2, -d / 2), (w / 2, y), h, 0.3)])


def kettle(rng: Rng) -> Item:
    """A kettle, toaster or coffee machine."""
    material, kind = rng.choice(["steel0", "black0", "white0", pick(rng, "plastic", 4)]), rng.integers(3)
    if kind == 0:
        r, h = rng.uniform(0.07, 0.085), rng.uniform(0.18, 0.23)
        body = [(0.0, 0.0), (r, 0.0), (r, 0.03), (r * 0.96, 0.1), (r * 0.7, h - 0.01), (r * 0.6, h), (0.0, h + 0.005)]
        parts = [lathe(body, "otherprop", material, n=18), cylinder((0, 0, h), 0.015, 0.025, "otherprop", "black0")]
        parts += path(
            [(-r * 0.7, 0, h - 0.01), (-r - 0.05, 0, h - 0.01), (-r - 0.05, 0, 0.07), (-r * 0.93, 0, 0.05)],
            0.011,
            "otherprop",
            "black0",
        )
        parts.append(limb((r * 0.7, 0, h * 0.7), (r + 0.035, 0, h * 0.92), 0.022, 0.012, "otherprop", material))
        return wrap(parts)
    if kind == 1:
        w, d, h = rng.uniform(0.26, 0.32), rng.uniform(0.16, 0.2), rng.uniform(0.17, 0.2)
        parts = [blob((0, 0, h / 2), (w, d, h), "otherprop", material, 0.2)]
        for y in (-0.035, 0.035):
            parts.append(box((-w * 0.36, y - 0.014, h - 0.01), (w * 0.36, y + 0.014, h + 0.001), "otherprop", "black0"))
        parts.append(box((w / 2 - 0.01, -0.02, h * 0.6), (w / 2 + 0.02, 0.02, h * 0.68), "otherprop", "black0"))
        return wrap(parts)
    w, d, h = rng.uniform(0.18, 0.24), rng.uniform(0.2, 0.26), rng.uniform(0.3, 0.37)
    parts = [
        box((-w / 2, -d / 2, 0.0), (w / 2, d / 2, 0.035), "otherprop", "black0"),
        box((-w / 2 + 0.003, -d / 2 + 0.001, 0.035), (w / 2 - 0.003, -d / 2 + 0.09, h), "otherprop", "black0"),
        box((-w / 2, -d / 2, h - 0.11), (w / 2, d / 2 - 0.01, h + 0.002), "otherprop", material),
        lathe(
            [(0.0, 0.0), (0.055, 0.0), (0.07, 0.06), (0.05, 0.13), (0.0, 0.13)],
            "otherprop",
            "screen0",
            (0, 0.04, 0.035),
        ),
    ]
    return wrap(parts)


def appliance(rng: Rng) -> Item:
    """A dishwasher, or a washing machine or dryer with a round door."""
    w, d, h = 0.6, rng.uniform(0.58, 0.64), rng.uniform(0.84, 0.9)
    washer = rng.random() < 0.5
    label, body = ("otherfurniture", "white0") if washer else ("otherstructure", rng.choice(["white0", "steel0"]))
    y = d / 2 - 0.05
    parts = [
        box((-w / 2, -d / 2, 0.03), (w / 2, y, h), label, body),
        box((-w / 2 + 0.03, -d / 2 + 0.03, 0.0), (w / 2 - 0.03, y - 0.05, 0.03), label, "black0"),
        box((-w / 2 + 0.01, y, h - 0.13), (w / 2 - 0.01, y + 0.008, h - 0.02), label, rng.choice(["black0", body])),
        _dial(w / 2 - 0.1, y + 0.008, h - 0.075, 0.03, label, "metal0"),
        box((-0.1, y + 0.008, h - 0.1), (0.06, y + 0.01, h - 0.06), label, "screen0"),
    ]
    if washer:
        hoop = [(0.0, 0.0), (0.19, 0.0), (0.19, 0.02), (0.145, 0.03), (0.0, 0.012)]
        door = turned(lathe(hoop, label, rng.choice(["metal0", "white0"]), n=24), -90, axis=0)
        glass = turned(
            lathe([(0.0, 0.0), (0.14, 0.0), (0.11, 0.025), (0.0, 0.03)], label, "screen0", n=24), -90, axis=0
        )
        parts += move([door], 0.0, (0, y - 0.002, h * 0.47)) + move([glass], 0.0, (0, y + 0.012, h * 0.47))
    else:
        parts.append(box((-w / 2 + 0.005, y, 0.12), (w / 2 - 0.005, y + 0.018, h - 0.14), label, body))
        parts.append(limb((-0.2, y + 0.04, h - 0.19), (0.2, y + 0.04, h - 0.19), 0.01, 0.01, label, "metal0"))
        for x in (-0.18, 0.18):
            parts.append(limb((x, y + 0.01, h - 0.19), (x, y + 0.04, h - 0.19), 0.008, 0.008, label, "metal0", 6))
    return wrap(parts, [Top((-w / 2, -d / 2), (w / 2, y), h, 0.4)], front=0.6)


def range_hood(rng: Rng) -> Item:
    """An extractor hood: a flat pyramid with its duct; hangs on a wall."""
    w, d = rng.uniform(0.58, 0.8), rng.uniform(0.45, 0.52)
    steel = rng.choice(["steel0", "white0", "black0"])
    parts = [
        lathe(
            [(0.0, 0.0), (1.0, 0.0), (1.0, 0.05), (0.42, 0.25), (0.0, 0.25)],
            "otherstructure",
            steel,
            scale=(w * 0.7071, d * 0.7071),
            n=4,
        ),
        box((-w * 0.2, -d / 2, 0.2), (w * 0.2, -d / 2 + 0.28, 0.7), "otherstructure", steel),
    ]
    return wrap(parts)


def island(rng: Rng) -> Item:
    """A kitchen island: cabinets with fronts on one side, a counter top that overhangs."""
    w, d, h = rng.uniform(1.2, 2.0), rng.uniform(0.7, 0.95), rng.uniform(0.88, 0.94)
    material, face = body_material(rng), d / 2 - 0.06
    units = max(2, round(w / 0.5))
    parts = [
        box((-w / 2 + 0.04, -d / 2 + 0.08, 0.0), (w / 2 - 0.04, face - 0.05, 0.1), "cabinet", material),
        box((-w / 2 + 0.03, -d / 2 + 0.06, 0.1), (w / 2 - 0.03, face, h - 0.04), "cabinet", material),
        box((-w / 2, -d / 2, h - 0.04), (w / 2, d / 2, h), "counter", pick(rng, "stone", 2)),
        *fronts(-w / 2 + 0.03, w / 2 - 0.03, face, 0.11, h - 0.24, units, 1, "cabinet", material),
        *fronts(-w / 2 + 0.03, w / 2 - 0.03, face, h - 0.23, h - 0.05, units, 1, "cabinet", material),
    ]
    return wrap(parts, [Top((-w / 2, -d / 2), (w / 2, d / 2), h, 0.5)], front=0.7)


def laptop(rng: Rng) -> Item:
    """An open laptop."""
    w, d = rng.uniform(0.31, 0.38), rng.uniform(0.22, 0.25)
    body, screen = rng.choice(["metal0", "black0"]), rng.choice(["screen0", "screen1"])
    parts = [
        box((-w / 2, -d / 2, 0.0), (w / 2, d / 2, 0.018), "otherprop", body),
        box((-w / 2 + 0.02, -d / 2 + 0.03, 0.018), (w / 2 - 0.02, 0.02, 0.02), "otherprop", "black0"),
        box((-0.05, 0.035, 0.018), (0.05, d / 2 - 0.012, 0.019), "otherprop", "plastic0"),
    ]
    lid = [
        box((-w / 2, -d / 2 - 0.004, 0.0185), (w / 2, -d / 2 + 0.004, 0.02 + d), "otherprop", body),
        upright(
            box((-w / 2 + 0.01, -d / 2 + 0.004, 0.035), (w / 2 - 0.01, -d / 2 + 0.006, 0.01 + d), "otherprop", screen)
        ),
    ]
    return wrap(parts + [tilt(p, rng.uniform(8, 28), (0.0, -d / 2, 0.0185)) for p in lid])


def telephone(rng: Rng) -> Item:
    """A desk telephone: wedge, keys, handset across its left side."""
    material = rng.choice(["black0", "white0", "plastic0"])
    w, d = rng.uniform(0.18, 0.22), rng.uniform(0.18, 0.22)
    deck = [box((-w / 2, -d / 2, 0.0), (w / 2, d / 2, 0.03), "otherprop", material)]
    for r in range(4):
        for c in range(3):
            x, y = 0.015 + c * 0.024, 0.06 - r * 0.024
            deck.append(box((x - 0.008, y - 0.008, 0.03), (x + 0.008, y + 0.008, 0.035), "otherprop", "metal0"))
    deck.append(box((0.0, -d / 2 + 0.02, 0.03), (w / 2 - 0.015, -d / 2 + 0.055, 0.033), "otherprop", "screen0"))
    x = -w / 2 + 0.035
    deck.append(blob((x, 0.0, 0.062), (0.032, d + 0.01, 0.026), "otherprop", material, 0.4))
    for y in (-d / 2 + 0.03, d / 2 - 0.03):
        deck.append(blob((x, y, 0.045), (0.048, 0.05, 0.045), "otherprop", material, 0.6))
    return wrap([tilt(p, -12, (0.0, d / 2, 0.0)) for p in deck])


def printer(rng: Rng) -> Item:
    """A desktop printer with paper tray, panel and sheets coming out."""
    w, d, h = rng.uniform(0.4, 0.5), rng.uniform(0.34, 0.42), rng.uniform(0.2, 0.34)
    body = rng.choice(["white0", "black0", "plastic0"])
    y = d / 2 - 0.08
    parts = [
        box((-w / 2, -d / 2, 0.0), (w / 2, y, h * 0.42), "otherprop", body),
        box((-w / 2 + 0.03, -d / 2 + 0.01, h * 0.42), (w / 2 - 0.03, y - 0.05, h * 0.62), "otherprop", "black0"),
        box((-w / 2, -d / 2 + 0.002, h * 0.62), (w / 2, y - 0.004, h - 0.02), "otherprop", body),
        box((-w / 2 + 0.01, -d / 2 + 0.02, h - 0.02), (w / 2 - 0.01, y - 0.02, h), "otherprop", "black0"),
        box((-w / 2 + 0.06, y - 0.06, h * 0.42), (w / 2 - 0.06, y + 0.08, h * 0.42 + 0.01), "otherprop", body),
        box((-0.105, y - 0.08, h * 0.42 + 0.01), (0.105, y + 0.06, h * 0.42 + 0.016), "paper", "paper0"),
        box((w / 2 - 0.14, y - 0.004, h * 0.68), (w / 2 - 0.03, y, h * 0.9), "otherprop", "screen0"),
        box((-w / 2 + 0.04, y, 0.02), (w / 2 - 0.04, y + 0.008, h * 0.3), "otherprop", body),
    ]
    return wrap(parts, [Top((-w / 2, -d / 2), (w / 2, y - 0.03), h, 0.3)])
