"""PBRS (Zhang et al., CVPR 2017), for those who hold a copy: it was withdrawn in 2019. `umadapt render` replaces it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import numpy as np

from umadapt.config.data import Convert
from umadapt.data.camera import Camera
from umadapt.data.convert.base import DataSet, Plan, Record, decode, label_map, photo
from umadapt.data.convert.source import Source
from umadapt.data.normals import normals_from_depth
from umadapt.errors import UserError

CAMERA = Camera(517.97, 517.97, 320.0, 240.0, 640, 480)
PROBES, STRIDE = 5, 4  # images, and every how many pixels of them, that tell the axes of the normals
CLOSE_DEG = 30.0


def plan(source: Source, config: Convert) -> Plan:
    """SCENE/NNNNNN_{mlt,depth,norm_camera,category40}.png, each kind below a folder of its own."""
    images, depths, normals, labels = (
        {"-".join(m.groups()): n for n, m in source.match(rf"([0-9a-f]{{32}})/(\d{{6}})_{kind}\.png")}
        for kind in ("mlt", "depth", "norm_camera", "category40")
    )
    classes = label_map("nyu40")

    def depth(id: str) -> np.ndarray:
        return decode(source.read(depths[id]), source.where(depths[id]), ("I;16", "I")) * np.float32(0.001)

    def vectors(id: str) -> np.ndarray:
        stored = decode(source.read(normals[id]), source.where(normals[id]), ("RGB",))
        return (stored.astype(np.float32) / 127.5 - 1) * stored.any(-1, keepdims=True)

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for id in sorted(images.keys() & depths.keys() & normals.keys()):
            with contextlib.suppress(UserError):  # a damaged file is named when it is converted
                yield depth(id), vectors(id)

    axes = find_axes(list(itertools.islice(pairs(), PROBES)))

    def read(id: str) -> Record:
        record = photo(source, images[id])
        if id in depths:
            record.depth_m = depth(id)
        if id in normals and axes is not None:
            record.normals = vectors(id) @ axes.T
        if id in labels:
            where = source.where(labels[id])
            record.seg = classes.apply(decode(source.read(labels[id]), where, ("L", "P", "I;16", "I")), where)
        return record

    ids = sorted(images)
    parts = (("depth", depths), ("norm_camera", normals), ("category40", labels))
    missing = [
        f"{part}: {sum(id not in found for id in ids)} of {len(ids)} images have none"
        for part, found in parts
        if any(id not in found for id in ids)
    ]
    if normals and axes is None:
        missing.append("normals: left out, because their axes cannot be told without depth")
    facts = {} if axes is None else {"normals_axes": axes.astype(int).tolist()}
    return Plan(ids, read, classes.classes, camera=CAMERA if ids else None, missing=missing, facts=facts)


def find_axes(probes: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray | None:
    """(3, 3) of 0, 1 and -1: from the stored axes of normals to x right, y up, z towards the viewer; None where no
    pixel of the probes has both.

    OURS: told by comparing with the normals of depth and camera under all 48 signed permutations, because copies with
    different conventions are around.

    Raises:
        UserError: under none of them do normals and depth agree.
    """
    stored, fitted = [], []
    for depth_m, vectors in probes:
        small = depth_m[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
        plane = normals_from_depth(small, CAMERA.scaled(*depth_m.shape).scaled(*small.shape))
        given = vectors[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
        both = plane.any(-1) & given.any(-1)
        stored.append(given[both])
        fitted.append(plane[both])
    if not any(map(len, stored)):
        return None
    a, b = np.concatenate(stored), np.concatenate(fitted)
    a = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-6)
    best, least = np.eye(3), 180.0
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            axes = np.eye(3)[list(order)] * np.array(signs)[:, None]
            # the mean, because the few surfaces that look to the side tell left from right, and no median hears them
            angle = np.degrees(np.arccos(np.clip(((a @ axes.T) * b).sum(-1), -1, 1))).mean()
            if angle < least:
                best, least = axes, float(angle)
    if least > CLOSE_DEG:
        raise UserError(
            f"PBRS: normals disagree with depth by {least:.0f} degrees under every order of their axes; expected those "
            "of one set. To convert without normals leave their folder out of SRC"
        )
    return best


SET = DataSet(
    title="PBRS",
    home="pbrs.cs.princeton.edu (withdrawn in 2019)",
    license="SUNCG's terms; withdrawn",
    citation="Y. Zhang et al. Physically-Based Rendering for Indoor Scene Understanding Using CNNs. CVPR 2017.",
    plan=plan,
    published=568793,
)
