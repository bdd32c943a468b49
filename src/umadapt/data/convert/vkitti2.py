"""Virtual KITTI 2 (Cabon et al., 2020): five scenes in ten conditions, with depth and colour-coded classes."""

from __future__ import annotations

import numpy as np

from umadapt.config.data import Convert
from umadapt.data.camera import Camera
from umadapt.data.convert.base import NONE, DataSet, Plan, Record, decode, label_map, photo, rows
from umadapt.data.convert.gta5 import STREET_MAX_M, STREET_STEP_M
from umadapt.data.convert.source import Source
from umadapt.errors import UserError

CAMERA = Camera(725.0087, 725.0087, 621.0, 187.5, 1242, 375)  # intrinsic.txt, whose pixel (0, 0) has its centre at 0


def plan(source: Source, config: Convert) -> Plan:
    """SceneNN/CONDITION/frames/{rgb,depth,classSegmentation}/Camera_K/*."""
    parts = {"rgb": r"rgb_(\d{5})\.jpg", "depth": r"depth_(\d{5})\.png", "classSegmentation": r"classgt_(\d{5})\.png"}
    found: dict[str, dict[str, str]] = {}
    for part, pattern in parts.items():
        whole = rf"(Scene\d\d)/([\w-]+)/frames/{part}/(Camera_\d)/{pattern}"
        found[part] = {"-".join(match.groups()): name for name, match in source.match(whole)}
    images, depths, labels = found["rgb"], found["depth"], found["classSegmentation"]
    classes = label_map("cityscapes").classes
    colours = colour_table()

    def read(id: str) -> Record:
        record = photo(source, images[id])
        if id in depths:
            where = source.where(depths[id])
            depth = decode(source.read(depths[id]), where, ("I;16", "I"))  # centimetres along the axis
            # the sky, 655.35 m, becomes the farthest that the file holds, not missing: it is known to be far
            record.depth_m = np.minimum(depth * np.float32(0.01), np.float32(65535 * STREET_STEP_M))
        if id in labels:
            where = source.where(labels[id])
            record.seg = to_classes(decode(source.read(labels[id]), where, ("RGB",)), colours, where)
        return record

    missing = [
        f"{part}: {len(images) - len(images.keys() & found[part].keys())} of {len(images)} images have none "
        f"(vkitti_2.0.3_{part}.tar)"
        for part in ("depth", "classSegmentation")
        if images.keys() - found[part].keys()
    ]
    ids = sorted(images)
    scenes = sorted({id.partition("-")[0] for id in ids})
    splits = {scene: [id for id in ids if id.startswith(f"{scene}-")] for scene in scenes}
    return Plan(ids, read, classes, STREET_STEP_M, STREET_MAX_M, CAMERA if ids else None, splits, missing)


def colour_table() -> dict[int, int]:
    """Colour as 0xRRGGBB -> class id."""
    table = {}
    for row in rows("vkitti2"):
        colour = int(row["red"]) << 16 | int(row["green"]) << 8 | int(row["blue"])
        table[colour] = int(row["id"]) if row["id"] else NONE
    return table


def to_classes(rgb: np.ndarray, table: dict[int, int], where: str) -> np.ndarray:
    """(H, W, 3) uint8 colours -> (H, W) uint8 ids. Raises UserError on a colour that the set does not have."""
    wide = rgb.astype(np.uint32)
    packed = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    present, inverse = np.unique(packed, return_inverse=True)
    strange = [f"#{colour:06x}" for colour in present.tolist() if colour not in table]
    if strange:
        raise UserError(f"{where}: unknown label colours {', '.join(strange[:8])}; expected those of maps/vkitti2.csv")
    return np.array([table[c] for c in present.tolist()], np.uint8)[inverse].reshape(rgb.shape[:2])


SET = DataSet(
    title="Virtual KITTI 2",
    home="europe.naverlabs.com/proxy-virtual-worlds-vkitti-2",
    license="CC BY-NC-SA 3.0",
    citation="Y. Cabon, N. Murray, M. Humenberger. Virtual KITTI 2. 2020. A. Gaidon et al. Virtual Worlds. CVPR 2016.",
    plan=plan,
    published=42520,
)
