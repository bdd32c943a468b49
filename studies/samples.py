"""How many samples a pixel do the denoisers need? Error of a view in grey levels against many samples.

    python studies/samples.py [--rooms 12] [--size 240x320] [--reference 256] [--sheet FILE.png]

The reference is REFERENCE samples and Open Image Denoise at its best, since some rooms are noisy even then. Errors are
root mean squares over the pixels of a view after exposure and the sRGB curve, mean over one view of each room, with the
CPU seconds that colour, guides and filter take together. Cost: a CPU minute a room.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np

from umadapt.config.data import Render
from umadapt.config.options import parse_size
from umadapt.data.files import write_image
from umadapt.data.viz import contact_sheet
from umadapt.scenes import camera, denoise, engine, renderer
from umadapt.scenes.labels import cast


@dataclass(frozen=True)
class Setting:
    """A denoiser with its quality and the samples a pixel that it gets."""

    denoiser: denoise.Denoiser
    spp: int
    quality: str = ""

    def __str__(self) -> str:
        return f"{self.denoiser} {self.quality}".strip() + f", {self.spp}"


SETTINGS = [
    *(Setting("oidn", spp, quality) for spp in (1, 2, 4, 8) for quality in ("fast", "balanced", "high")),
    *(Setting("atrous", spp) for spp in (8, 16)),
]


@dataclass(frozen=True)
class View:
    """The first view of a room, with its labels."""

    config: Render
    scene: renderer.Scene
    number: int
    labels: tuple[np.ndarray, np.ndarray, np.ndarray]

    @staticmethod
    def of(config: Render, room: int) -> View:
        """Draw the room."""
        scene, number = renderer.build_scene(config, room), renderer.views_a_room(config) * room
        labels = cast(scene.triangles, scene.pose(number), scene.camera)
        return View(config, scene, number, labels)

    def linear(self, setting: Setting) -> np.ndarray:
        """(H, W, 3) radiance."""
        config = replace(self.config, denoiser=setting.denoiser, spp=setting.spp)
        with mock.patch.object(denoise, "OIDN_QUALITY", setting.quality):
            rendered = renderer.trace(config, self.scene)[0]
            return renderer.denoised(config, self.scene, rendered, *self.labels)


def main() -> None:
    """Render, compare, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=12)
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--reference", type=int, default=256)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--sheet", type=Path, help="picture of the views to write: reference, then the settings")
    given = parser.parse_args()
    config = Render(
        Path("unused"), size=parse_size(given.size), style="photo", seed=given.seed, views=1, rooms=given.rooms
    )
    renderer.prepare(config, engine.choose("auto")[0])
    best = Setting("oidn", given.reference, "high")
    errors: dict[Setting, list[float]] = defaultdict(list)
    cost_s: dict[Setting, list[float]] = defaultdict(list)
    rows = []
    for room in range(given.rooms):
        view = View.of(config, room)
        reference = view.linear(best)
        gain = camera.exposure_gain(reference)
        shown = {best: camera.srgb(camera.shoulder(reference * gain))}
        for setting in SETTINGS:
            view.linear(setting)  # compiled
            begin = time.process_time()
            image = view.linear(setting)
            cost_s[setting].append(time.process_time() - begin)
            shown[setting] = camera.srgb(camera.shoulder(image * gain))
            errors[setting].append(255 * float(np.sqrt(((shown[setting] - shown[best]) ** 2).mean())))
        rows.append([camera.to_uint8(image) for image in shown.values()])
    print(f"| {given.rooms} views of {given.size} | error, grey levels | CPU s |\n|---|---:|---:|")
    for setting in SETTINGS:
        print(f"| {setting} | {np.mean(errors[setting]):.2f} | {np.median(cost_s[setting]):.2f} |")
    if given.sheet:
        titles = [str(setting) for setting in (best, *SETTINGS)]
        write_image(given.sheet, contact_sheet(rows, titles, tile=config.size))


if __name__ == "__main__":
    main()
