"""How exact are the labels of rooms? Depth and normals of floor, walls and ceiling against their planes.

    python studies/exactness.py --views 40

Prints the largest differences, before labels are rounded for their files. Cost: 20 CPU seconds, 1 GB.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from umadapt.config.data import Render
from umadapt.scenes.interior.stock import Stock
from umadapt.scenes.labels import cast
from umadapt.scenes.renderer import furnish, pinhole_of
from umadapt.scenes.sweethome.catalogue import open_catalogue

EACH = 4  # views of a room


def main() -> None:
    """Cast the views of as many rooms as it takes; compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    config = Render(Path("unused"), size=(240, 320), views_per_room=EACH, seed=given.seed, style="photo")
    stock = Stock(open_catalogue(config.furniture))
    depth_apart_m, angle_apart, compared, pixels = 0.0, 0.0, 0, 0
    for number in range(-(-given.views // EACH)):
        room, poses = furnish(config, stock, number)
        camera, triangles = pinhole_of(config, number), room.triangles()
        sides = [(axis, at) for axis, end in enumerate((room.width, room.depth, room.height)) for at in (0.0, end)]
        for pose in poses:
            index, depth_m, normals = cast(triangles, pose, camera)
            rays = camera.rays() * [1, -1, -1] @ pose.axes.T  # of depth 1, in the frame of the room
            corners = np.where((index >= 0)[..., None, None], triangles.corners[index], np.nan)
            for axis, at in sides:
                on = (np.abs(corners[..., axis] - at) < 1e-9).all(-1)
                exact_m = (at - pose.position[axis]) / rays[on, axis]
                inwards = np.eye(3)[axis] * (1 if at == 0 else -1)
                cosine = np.clip(normals[on] @ pose.axes.T @ inwards, -1, 1)
                if on.any():
                    depth_apart_m = max(depth_apart_m, float(np.abs(depth_m[on] - exact_m).max()))
                    angle_apart = max(angle_apart, float(np.degrees(np.arccos(cosine)).max()))
                compared += int(on.sum())
            pixels += index.size
    print(f"{given.views} views, {compared / pixels:.0%} of their pixels on floor, walls and ceiling")
    print(f"depth at most {depth_apart_m:.1e} m, normals at most {angle_apart:.1e} degrees from the planes")


if __name__ == "__main__":
    main()
