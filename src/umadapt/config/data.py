"""Arguments of the commands that make, take in and pack data sets, as config.py has those of the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional, UseAppendAction

from umadapt.config.options import JsonFile, Names, Shard, Size, Span

SetName = Literal["nyudv2", "pbrs", "hypersim", "gta5", "vkitti2", "synthia", "kitti", "cityscapes"]


@dataclass(frozen=True)
class Render:
    """Make a labelled synthetic data set: rooms with furniture, image, depth, normals and seg."""

    out: Positional[Path]  # folder to write (an unfinished one is continued)
    views: int = 200  # images in all; with --rooms, images of each room
    rooms: int = 0  # rooms, each seen in --views images; 0 = as many as --views takes
    size: Size = (228, 304)  # image size in pixels, height x width
    fov: Span = (50.0, 75.0)  # horizontal field of view in degrees, drawn for each room; NYUDv2's camera has 63.3
    style: Literal["synthetic", "photo", "dim"] = "synthetic"  # or textures, light and a camera; or a poor one's
    seed: int = 0  # which rooms; the same seed gives the same files on any number of workers
    spp: int = 0  # samples a pixel; 0 = 2 at 320 pixels wide and more in smaller images for oidn, 16 for atrous
    denoiser: Literal["auto", "oidn", "atrous"] = "auto"  # oidn needs the package pyoidn; auto = it where installed
    views_per_room: int = 4  # cameras in each room, without --rooms
    furniture: str = "auto"  # folder of Sweet Home 3D catalogues (.sh3f); none; auto = Debian's where it is installed
    clutter: float = 1.0  # how many small loose objects; 0 = none, 1 = as in NYUDv2
    without: Names = ()  # leave out, to learn what it is worth: textures, light, sensor (photo style), poses
    tone_of: str = ""  # DATA or DATA:SPLIT of photos, labelled or not, whose tones the images get (photo style)
    shard: Shard = (1, 1)  # I/N: render the I-th of N shares of the rooms, into the same folder or another
    workers: int = 0  # processes; 0 = one a core
    engine: Literal["auto", "cuda", "llvm", "scalar"] = "auto"  # Mitsuba's engine; auto = the fastest that works here


@dataclass(frozen=True)
class Convert:
    """Turn a public data set, as its owner distributes it, into the folder format."""

    name: Positional[SetName]  # which set
    src: Positional[Path]  # its folder (archives in it are read in place), archive or file
    out: Positional[Path]  # folder to write, in the folder format (an unfinished one is continued)
    more: UseAppendAction[tuple[Path, ...]] = ()  # further folders or archives of the set; may be given several times
    classes: Literal[40, 13] = 40  # nyudv2: NYU40, or the 13 coarse classes
    raw_depth: bool = False  # nyudv2: the sensor's depth with its holes, not the in-painted one
    normals: Path | None = None  # nyudv2: a folder of normals ID.png in the folder format; default: of depth and camera
    depth: Path | None = None  # gta5: a folder of your own depth, ID.png of 16 bits in millimetres or ID.npy in metres
    tone_map: bool = False  # hypersim: tone-map the HDR colour ourselves, also where the set has previews
    annotated: bool = True  # kitti: the official annotated depth where there is one, else the projected laser points
    velodyne_depth: bool = False  # kitti: the laser's depth from the scanner, as the Eigen split's evaluation takes it
    disparity: bool = False  # cityscapes: depth from the disparity maps
    labelled: int = 500  # cityscapes: images of the seeded split of labelled training images
    seed: int = 0  # cityscapes: of that split
    workers: int = 0  # images at once; 0 = as many as there are cores
    json: JsonFile = None  # write what was found here too


@dataclass(frozen=True)
class Check:
    """Validate a data folder: ranges, invalid share, class histogram; exit code 1 with one line per bad file."""

    data: Positional[str]  # DATA or DATA:SPLIT
    sheet: Path | None = None  # contact sheet PNG to write; default DATA/check.png
    json: JsonFile = None  # write the findings here too


@dataclass(frozen=True)
class Pack:
    """Pack a data folder into tar shards, which are read wherever a folder is, also behind a URL."""

    data: Positional[str]  # DATA or DATA:SPLIT
    out: Positional[Path]  # folder to write (an unfinished one is continued)
    shard_mb: int = 256  # largest size of a shard in megabytes; the files of an image stay together
    verify: bool = True  # decode every file first; exit code 1 with one line per bad file
    workers: int = 0  # files decoded at once; 0 = as many as there are cores
    json: JsonFile = None  # write what was packed here too
