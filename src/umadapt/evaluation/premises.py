"""What a protocol takes for granted of the data, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from umadapt.evaluation.protocols import Protocol

BORDER = 0.02  # share of a side that must be without truth to be called cropped
KITTI = (3.1, 3.5)  # width / height of its pictures
MOST = 0.5  # share of the images whose prediction runs against the truth that is told even without a fit


@dataclass
class Premises:
    """Seen of the depth of all images."""

    images: int = 0
    against: int = 0  # images in which predictions grow where the truth falls
    top_m: float = 0.0  # largest truth
    box: tuple[float, float, float, float] | None = None  # top, bottom, left, right of all truth, shares of the sides
    aspects: tuple[float, float] = (float("inf"), 0.0)

    def see(self, found: Tensor, truth: Tensor) -> None:
        """One image: what is predicted and true in metres, both (..., H, W), whole and neither aligned nor clipped."""
        valid = (truth > 0).reshape(truth.shape[-2:])
        if not bool(valid.any()):
            return
        height, width = valid.shape
        rows, columns = valid.any(1).nonzero().flatten(), valid.any(0).nonzero().flatten()
        box = (
            int(rows[0]) / height,
            (int(rows[-1]) + 1) / height,
            int(columns[0]) / width,
            (int(columns[-1]) + 1) / width,
        )
        x, y = (map_.reshape(height, width)[valid].double() for map_ in (found, truth))
        against = float(((x - x.mean()) * (y - y.mean())).mean()) < 0
        aspect = width / height
        self.merge(Premises(1, int(against), float(y.max()), box, (aspect, aspect)))

    def merge(self, other: Premises) -> None:
        """Add what was seen of other images."""
        self.images += other.images
        self.against += other.against
        self.top_m = max(self.top_m, other.top_m)
        self.aspects = (min(self.aspects[0], other.aspects[0]), max(self.aspects[1], other.aspects[1]))
        if self.box is None or other.box is None:
            self.box = self.box or other.box
        else:
            a, b = self.box, other.box
            self.box = (min(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3]))

    def failed(self, protocol: Protocol, align: str, max_m: float | None) -> Iterator[str]:
        """A line for each premise that does not hold; `max_m` is what dataset.json says, None = nothing."""
        if self.images == 0 or self.box is None:
            return
        if self.against and (align == "scale-shift" or self.against > MOST * self.images):
            told = (
                "the fit has a negative scale" if align == "scale-shift" else "the prediction falls where depth grows"
            )
            yield (
                f"in {self.against} of {self.images} images {told}, as of inverse depth; expected depth along the "
                "optical axis in metres"
            )
        if protocol.crop is not None:
            top, bottom, left, right = self.box
            if min(top, 1 - bottom) > 0 and min(left, 1 - right) > BORDER:
                yield (
                    f"the truth lies within rows {top:.0%} to {bottom:.0%} and columns {left:.0%} to {right:.0%}: it "
                    f"is cropped already, and protocol {protocol.name} crops whole pictures"
                )
            if protocol.size is None and not (KITTI[0] <= self.aspects[0] and self.aspects[1] <= KITTI[1]):
                yield (
                    f"protocol {protocol.name} crops whole pictures of KITTI, 3.3 times as wide as high; these are "
                    f"{self.aspects[0]:.2g} to {self.aspects[1]:.2g} times: cropped already, or another set"
                )
        if protocol.depth_range_m is not None:
            cap = protocol.depth_range_m[1]
            if max_m is not None and max_m < cap * 0.99:
                yield f"max_m = {max_m:g} m of dataset.json cuts the truth below the {cap:g} m of {protocol.name}"
