"""`umadapt predict`: all tasks on photos of any size, with trust maps, and on clips."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from umadapt.config import Predict
from umadapt.data.atomic import claimed, sweep, write_json
from umadapt.data.ids import check_id
from umadapt.distributed import process_group
from umadapt.errors import UserError
from umadapt.inference import cloud, video
from umadapt.inference.loading import load
from umadapt.inference.photo_files import find_photos
from umadapt.inference.prediction_folder import (
    add_means,
    describe,
    refuse_foreign,
    write_cloud,
    write_prediction,
)
from umadapt.inference.predictor import Predictor


def run(config: Predict) -> int:
    """Predict. Photos that cannot be read are named at the end, with exit code 1.

    Raises UserError where another process predicts into the folder.
    """
    with contextlib.nullcontext() if process_group.rank() else claimed(config.out):
        return predict_all(config)


def predict_all(config: Predict) -> int:
    """`run`, alone in its folder."""
    if config.cloud:
        cloud.check_installed()
    clips = video.find_clips(config.photos)
    photos = find_photos([path for path in config.photos if path not in clips.values()], some=not clips)
    if config.out.resolve() in {photo.file.resolve().parent for photo in photos.values()}:
        raise UserError(f"{config.out} is the folder of the photos themselves; give --out a new folder")
    predictor = load(config.run, config.device, config.witnesses, config.class_map)
    if config.cloud:
        cloud.check(predictor.maps, config.cloud_colours)
    if not process_group.rank():
        refuse_foreign(config.out, predictor.maps)
    meta = describe(predictor, config.out.resolve().name)
    if not process_group.rank():
        write_json(config.out / "dataset.json", meta)  # first: marks the folder as ours, also when interrupted
        for folder in (config.out, *config.out.glob("*/"), *config.out.glob("*/*/")):
            sweep(folder)
    process_group.barrier()
    mine = process_group.share_of(list(photos.items()), process_group.rank(), process_group.size())
    bad: list[str] = []
    unknown = 0
    means: dict[str, dict[str, float]] = {}
    for stem, photo in tqdm(mine, unit="photo", file=sys.stderr, leave=False, disable=process_group.rank() > 0):
        try:
            rgb = photo.read()
        except UserError as error:
            bad.append(str(error))
            continue
        focal = photo.focal(rgb, config.fov)
        unknown += focal is None
        found = predictor.look(rgb, photo.window, focal, photo.file)
        means[stem] = write_prediction(config.out, stem, photo.file, rgb, found, predictor)
        if config.cloud:
            write_cloud(config, stem, rgb, focal, predictor)
    bad += predict_clips(config, clips, predictor)
    add_means(config.out / "trust" / "means.json", process_group.gather(means))
    bad = [line for part in process_group.gather(bad) for line in part]
    unknown = sum(process_group.gather(unknown))
    given = len(photos) + len(clips)
    what = "photos" if not clips else "photos and clips" if photos else "clips"
    print(f"{given - len(bad)} of {given} {what} predicted into {config.out}")
    if unknown and predictor.fov:
        print(
            f"the camera of {unknown} is not known (no dataset.json, no EXIF) and taken to see {predictor.fov:.0f} "
            "degrees along the longer side; with another field of view depths are off by a factor: give --fov DEGREES"
        )
    for line in bad if not process_group.rank() else ():
        print(line, file=sys.stderr)
    return 1 if bad else 0


def predict_clips(config: Predict, clips: Mapping[str, Path], predictor: Predictor) -> list[str]:
    """Write OUT/video/STEM.mp4 of this rank's share of clips; what is wrong with others."""
    bad = []
    for stem, clip in process_group.share_of(list(clips.items()), process_group.rank(), process_group.size()):
        try:
            written = config.out / "video" / f"{check_id(stem, clip)}.mp4"
            count = video.predict_clip(clip, written, predictor, config.fov)
        except UserError as error:
            bad.append(str(error))
            continue
        print(f"{count} frames of {clip}: {written}")
    return bad
