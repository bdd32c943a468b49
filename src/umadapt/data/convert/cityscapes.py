"""Cityscapes (Cordts et al., CVPR 2016): 5,000 finely labelled street photos; depth from disparity by option."""

from __future__ import annotations

import json

import numpy as np

from umadapt.config.data import Convert
from umadapt.data.convert.base import DataSet, Plan, Record, decode, label_map, photo
from umadapt.data.convert.gta5 import STREET_MAX_M, STREET_STEP_M
from umadapt.data.convert.source import Source
from umadapt.errors import UserError

BASELINE_M, FOCAL = 0.209313, 2262.52  # of the set's rig, where an image has no camera file
FRAME = r"(train|val|test|train_extra)/([^/]+)/([^/]+_\d{6}_\d{6})"


def plan(source: Source, config: Convert) -> Plan:
    """LeftImg8bit/SPLIT/CITY/ID_leftImg8bit.png, gtFine/…/ID_gtFine_labelIds.png, disparity, camera."""
    images, labels, disparities, cameras = (
        {match[3]: (match[1], name) for name, match in source.match(rf"{folder}/{FRAME}_{suffix}")}
        for folder, suffix in (
            ("leftImg8bit", r"leftImg8bit\.png"),
            ("gtFine", r"gtFine_labelIds\.png"),
            ("disparity", r"disparity\.png"),
            ("camera", r"camera\.json"),
        )
    )
    classes = label_map("cityscapes")
    others = sorted({match[1] for _, match in source.match(r"gtFine/.*_gtFine_(?!labelIds)(\w+\.\w+)")})
    if images and others and not labels:
        raise UserError(
            f"the labels of gtFine are others: found only _gtFine_{', _gtFine_'.join(others)}, expected "
            "_gtFine_labelIds.png, which are mapped to the 19 classes here; take gtFine_trainvaltest.zip as it is"
        )

    def read(id: str) -> Record:
        split, name = images[id]
        record = photo(source, name)
        if id in labels and split != "test":  # the labels of test are dummies
            where = source.where(labels[id][1])
            record.seg = classes.apply(decode(source.read(labels[id][1]), where, ("L", "P")), where)
        if config.disparity and id in disparities:
            name = disparities[id][1]
            stored = decode(source.read(name), source.where(name), ("I;16", "I"))
            bf = product(source, cameras[id][1]) if id in cameras else BASELINE_M * FOCAL
            record.depth_m = depth_of(stored, bf)
        return record

    ids = sorted(images)
    splits = {s: [id for id in ids if images[id][0] == s] for s in ("train", "val", "test", "train_extra")}
    # from train: val has 500 images too, and choosing those would be training on the test
    train = [id for id in splits["train"] if id in labels]
    if train:
        order = np.random.default_rng(config.seed).permutation(len(train))
        few = sorted(train[i] for i in order[: config.labelled])
        splits |= {"labelled": few, "unlabelled": sorted(set(splits["train"]) - set(few))}
    missing = []
    for what, found, parts in (
        ("gtFine", labels, ("train", "val")),
        ("disparity", disparities, ("train", "val") if config.disparity else ()),
    ):
        lacking = sum(id not in found for part in parts for id in splits[part])
        if lacking:
            missing.append(f"{what}: {lacking} images have none ({what}_trainvaltest.zip)")
    facts = {"labelled": {"count": len(splits.get("labelled", ())), "seed": config.seed}}
    return Plan(ids, read, classes.classes, STREET_STEP_M, STREET_MAX_M, splits=splits, missing=missing, facts=facts)


def product(source: Source, name: str) -> float:
    """Baseline in metres times focal length in pixels, of a camera file."""
    try:
        camera = json.loads(source.read(name))
        return float(camera["extrinsic"]["baseline"]) * float(camera["intrinsic"]["fx"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{source.where(name)}: no camera of the set ({error})") from error


def depth_of(stored: np.ndarray, bf: float) -> np.ndarray:
    """(H, W) metres of stored disparities d = (p - 1) / 256; p = 0 is missing, d = 0 as far as the file holds."""
    disparity = (stored.astype(np.float32) - 1) / 256
    far = np.float32(65535 * STREET_STEP_M)
    depth = np.divide(np.float32(bf), disparity, out=np.full_like(disparity, far), where=disparity > 0)
    return np.where(stored > 0, np.minimum(depth, far), np.float32(0))


SET = DataSet(
    title="Cityscapes",
    home="www.cityscapes-dataset.com",
    license="the set's own, for research and education; no redistribution",
    citation="M. Cordts et al. The Cityscapes Dataset for Semantic Urban Scene Understanding. CVPR 2016.",
    plan=plan,
    published=5000,
    digests={  # of the owner's files, as GluonCV checks them
        "gtFine_trainvaltest.zip": "sha1:99f532cb1af174f5fcc4c5bc8feea8c66246ddbc",
        "leftImg8bit_trainvaltest.zip": "sha1:2c0b77ce9933cc635adda307fbba5566f5d9d404",
    },
)
