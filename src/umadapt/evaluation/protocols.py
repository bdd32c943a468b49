"""The field's protocols by name: what of a map is measured, and how figures of pixels become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from umadapt.errors import UserError
from umadapt.tasks.base import Counting
from umadapt.tasks.resize import Bounds

Align = Literal["none", "median", "scale-shift"]
Borders = tuple[float, float, float, float]  # top, bottom, left, right, as shares of the height and the width

CITYSCAPES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain",
    "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
SYNTHIA_16 = tuple(name for name in CITYSCAPES if name not in ("terrain", "truck", "train"))
NYU = 40  # classes of NYUDv2, the last of which is otherprop, whatever a list of forty calls it
SYNTHIA_13 = tuple(name for name in SYNTHIA_16 if name not in ("wall", "fence", "pole"))


@dataclass(frozen=True)
class Protocol:
    """What is measured and how. Predictions are always resized to the ground truth, never the other way round."""

    name: str
    size: tuple[int, int] | None = None  # the only size of ground truth that the protocol knows, H, W
    crop: Bounds | Borders | None = None  # in pixels of `size`, or shares of any size, rounded down
    depth_range_m: tuple[float, float] | None = None  # predictions are clipped to it, truth outside it is masked
    open_range: bool = False  # truth at the very ends of the range is masked too
    per_image: bool = False  # depth: the mean over images of each image's figures; else pooled over all pixels
    never: tuple[str, ...] = ()  # seg: classes that are never predicted
    classes: tuple[str, ...] = ()  # seg: truth of other classes is masked, and they are never predicted; () = all
    mean_over: tuple[str, ...] = ()  # seg: classes of the mean; () = all that are measured
    official_mean: bool = False  # seg: a class that is predicted and has no truth counts as 0 (cityscapesscripts)

    def describe(self) -> str:
        """One line for the table."""
        crop = "no crop"
        if self.crop:
            of = "" if self.size else " of height and width"
            crop = "crop [{:g}:{:g}, {:g}:{:g}]".format(*self.crop) + of
        at = f" at {self.size[0]}x{self.size[1]}" if self.size else ""
        cap = "depth {:g} to {:g} m".format(*self.depth_range_m) if self.depth_range_m else "no depth cap"
        never = f", class {', '.join(self.never)} never predicted" if self.never else ""
        if self.classes:
            never = f", {len(self.classes)} classes, other truth masked"
        if self.mean_over:
            never += f", mIoU and accuracy means over {len(self.mean_over)}"
        if self.official_mean:
            never += ", classes predicted but absent count as 0"
        pooled = "depth averaged over images, all else" if self.per_image else "errors"
        return f"{self.name}: {crop}{at}, {cap}{never}, {pooled} pooled over all valid pixels"

    def window(self, size: tuple[int, int]) -> Bounds:
        """Rows [top:bottom] and columns [left:right] of truth of that size, all of it without a crop."""
        if self.crop is None:
            return 0, size[0], 0, size[1]
        if self.size is not None:
            top, bottom, left, right = (int(x) for x in self.crop)
            return top, bottom, left, right
        sides = (size[0], size[0], size[1], size[1])
        top, bottom, left, right = (int(share * side) for share, side in zip(self.crop, sides, strict=True))
        return top, bottom, left, right

    def masked_depth(self, truth: Tensor) -> Tensor:
        """Depth truth in metres with 0 where it is outside the range."""
        if self.depth_range_m is None:
            return truth
        low, high = self.depth_range_m
        inside = (truth > low) & (truth < high) if self.open_range else (truth >= low) & (truth <= high)
        return truth.where(inside, torch.zeros_like(truth))

    def unseen(self, classes: Sequence[str]) -> tuple[int, ...]:
        """Ids that are never predicted, of these classes. Raises UserError where the protocol's are not among them."""
        if not self.classes:
            named = tuple(i for i, name in enumerate(classes) if name in self.never)
            return (NYU - 1,) if self.never and not named and len(classes) == NYU else named
        lacking = [name for name in self.classes if name not in classes]
        if lacking:
            raise UserError(
                f"protocol {self.name} measures {len(self.classes)} classes of Cityscapes; these data have none called "
                f"{', '.join(map(repr, lacking[:4]))}. Map the labels to Cityscapes' train ids, or use --protocol raw"
            )
        return tuple(i for i, name in enumerate(classes) if name not in self.classes)

    def masked_seg(self, truth: Tensor, classes: Sequence[str], ignore: int) -> Tensor:
        """Ids with `ignore` where the class is not the protocol's."""
        if not self.classes:
            return truth
        other = torch.zeros(max(256, int(truth.max()) + 1), dtype=torch.bool, device=truth.device)
        other[list(self.unseen(classes))] = True
        return truth.where(~other[truth.long()], torch.full_like(truth, ignore))

    def counting(self, classes: Sequence[str]) -> Counting:
        """How the tasks' meters count."""
        mean_over = tuple(i for i, name in enumerate(classes) if name in self.mean_over) if self.mean_over else None
        return Counting(self.unseen(classes) if classes else (), self.per_image, mean_over, self.official_mean)


# Eigen et al. (NIPS 2014): rows and columns of 480x640 that have a valid projection of NYUDv2's depth
_EIGEN_NYUD = (45, 471, 41, 601)
_NYUD_FULL = Protocol("nyud_full", size=(480, 640), depth_range_m=(0.1, 10.0), never=("otherprop",))
# Shares of height and width. Since Godard et al. (CVPR 2017) the field measures Eigen's split of KITTI in the crop of
# Garg et al. (ECCV 2016), kitti_eigen here; kitti_eigen_raw has Eigen's own crop
_GARG_KITTI = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
_EIGEN_KITTI = (0.3324324, 0.91351351, 0.0359477, 0.96405229)
_KITTI = Protocol("kitti_eigen", None, _GARG_KITTI, (1e-3, 80.0), open_range=True, per_image=True)
_CITY = Protocol("cityscapes_19", classes=CITYSCAPES, official_mean=True)
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("raw"),
        Protocol("nyud", _NYUD_FULL.size, _EIGEN_NYUD, _NYUD_FULL.depth_range_m, never=_NYUD_FULL.never),
        _NYUD_FULL,
        # Laina et al., 3DV 2016, evaluateNYU.m: whole images of in-painted depth, nothing clipped, one mean over all
        Protocol("nyu_laina", _NYUD_FULL.size, never=_NYUD_FULL.never),
        _KITTI,
        Protocol("kitti_eigen_50", None, _GARG_KITTI, (1e-3, 50.0), open_range=True, per_image=True),
        Protocol("kitti_eigen_raw", None, _EIGEN_KITTI, (1e-3, 80.0), open_range=True, per_image=True),
        _CITY,
        Protocol("synthia_16", classes=SYNTHIA_16, official_mean=True),
        Protocol("synthia_13", classes=SYNTHIA_16, mean_over=SYNTHIA_13, official_mean=True),
    )
}


def median_scale(found: Tensor, truth: Tensor) -> Tensor:
    """Predictions times the ratio of the medians; vectors of valid pixels (Zhou et al., CVPR 2017)."""
    return found * (_median(truth) / _median(found).clamp(min=1e-6))


def scale_and_shift(found: Tensor, truth: Tensor) -> Tensor:
    """s * prediction + t with the s and t of least squares in metres; vectors of valid pixels.

    OURS: of depth; Ranftl et al. (TPAMI 2022) fit disparity, which these predictions are not.
    """
    x, y = found.double(), truth.double()
    spread = (x - x.mean()).square().mean()
    s = ((x - x.mean()) * (y - y.mean())).mean() / spread if spread > 1e-12 else torch.ones_like(spread)
    return (s * (x - x.mean()) + y.mean()).to(found.dtype)


def _median(values: Tensor) -> Tensor:
    """The mean of the two middle values, as NumPy has it; torch's is the lower one."""
    ordered = values.sort().values
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


ALIGN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"median": median_scale, "scale-shift": scale_and_shift}


def clip_depth(protocol: Protocol, found: Tensor, truth: Tensor, align: str = "none") -> Tensor:
    """A prediction aligned to what is valid of its truth (> 0), image by image, then clipped to the protocol's range.

    Args:
        found: (H, W) metres, cropped as `truth` is.
        truth: (H, W) metres, what `Protocol.masked_depth` gives.
        align: "none", "median" or "scale-shift".
    """
    if align != "none" and bool((truth > 0).any()):
        valid = truth > 0
        found = found.clone()
        found[valid] = ALIGN[align](found[valid], truth[valid])
    return found if protocol.depth_range_m is None else found.clamp(*protocol.depth_range_m)
