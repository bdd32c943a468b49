"""At which size a network sees a photo. No torch."""

from __future__ import annotations

import math


def fit_size(photo_hw: tuple[int, int], net_hw: tuple[int, int]) -> tuple[int, int]:
    """The size a photo is predicted at: the network's when the aspect ratios differ by 5 % at most, else as many
    pixels at the photo's own aspect, sides multiples of 32.

    >>> fit_size((480, 640), (228, 304)), fit_size((640, 480), (228, 304))
    ((228, 304), (320, 224))
    """
    (photo_h, photo_w), (net_h, net_w) = photo_hw, net_hw
    if abs(math.log((photo_w * net_h) / (photo_h * net_w))) <= math.log(1.05):
        return net_h, net_w
    pixels, aspect = net_h * net_w, photo_w / photo_h
    h, w = (max(32, 32 * round(side / 32)) for side in (math.sqrt(pixels / aspect), math.sqrt(pixels * aspect)))
    return h, w
