"""KITTI raw (Geiger et al., IJRR 2013) with sparse depth: the official annotated maps, or the laser's own points."""

from __future__ import annotations

from importlib import resources

from umadapt.config.data import Convert
from umadapt.data.camera import Camera
from umadapt.data.convert.base import DataSet, Plan, Record, decode, photo
from umadapt.data.convert.gta5 import STREET_MAX_M, STREET_STEP_M
from umadapt.data.convert.laser import Calibration, project, read_calibration, read_scan
from umadapt.data.convert.source import Source
from umadapt.errors import UserError

DRIVE = r"(\d{4}_\d\d_\d\d_drive_\d{4}_sync)"
DATE = slice(0, 10)  # of a drive's name


def plan(source: Source, config: Convert) -> Plan:
    """DATE/DRIVE/image_0K/data/FRAME.png, the scans beside them, and DRIVE/proj_depth/groundtruth."""
    images = _by_id(source, DRIVE + r"/image_(0[23])/data/(\d{10})\.(?:png|jpg)")
    truths = _by_id(source, DRIVE + r"/proj_depth/groundtruth/image_(0[23])/(\d{10})\.png") if config.annotated else {}
    scans = {(m[1], m[2]): n for n, m in source.match(DRIVE + r"/velodyne_points/data/(\d{10})\.bin")}
    rigs, faults = _calibrations(source)

    def read(id: str) -> Record:
        drive, camera, frame = id.rsplit("-", 2)
        record = photo(source, images[id])
        if id in truths:
            where = source.where(truths[id])
            record.depth_m = decode(source.read(truths[id]), where, ("I;16", "I")) / 256.0
        elif (drive, frame) in scans and drive[DATE] in faults:
            raise UserError(faults[drive[DATE]])
        elif (drive, frame) in scans and drive[DATE] in rigs:
            rig, scan = rigs[drive[DATE]], scans[drive, frame]
            size = decode(source.read(images[id]), source.where(images[id])).shape[:2]
            if size != rig.sizes[camera]:
                raise UserError(f"{source.where(images[id])}: found {size}, the calibration says {rig.sizes[camera]}")
            points = read_scan(source.read(scan), source.where(scan))
            record.depth_m = project(points, rig.projections[camera], size, config.velodyne_depth)
        return record

    ids = sorted(images)
    without = [i for i in ids if i not in truths and (i[:26], i.rsplit("-", 1)[1]) not in scans]
    dates = sorted({id[DATE] for id in ids} - rigs.keys() - faults.keys())
    missing = [f"depth: {len(without)} of {len(ids)} images have none (drives' zips, {ANNOTATED})"] if without else []
    missing += [f"calibration of {', '.join(dates)} (DATE_calib.zip)"] if dates and scans else []
    splits = eigen_splits(ids, {id for id in ids if id in truths})
    facts = {"depth_of": "annotated, else laser" if truths else "laser"}
    camera = _camera(rigs, ids)
    return Plan(ids, read, (), STREET_STEP_M, STREET_MAX_M, camera=camera, splits=splits, missing=missing, facts=facts)


def _by_id(source: Source, pattern: str) -> dict[str, str]:
    """DRIVE-CAMERA-FRAME -> name."""
    return {"-".join(match.groups()): name for name, match in source.match(pattern)}


def _calibrations(source: Source) -> tuple[dict[str, Calibration], dict[str, str]]:
    """Date -> its rig, or what is wrong with it; where both files are there."""
    found: dict[str, dict[str, str]] = {}
    for name, match in source.match(r"(\d{4}_\d\d_\d\d)/calib_(cam_to_cam|velo_to_cam)\.txt"):
        found.setdefault(match[1], {})[match[2]] = name
    rigs: dict[str, Calibration] = {}
    faults: dict[str, str] = {}
    for date, files in found.items():
        if len(files) == 2:
            cameras, scanner = files["cam_to_cam"], files["velo_to_cam"]
            where = f"{source.where(cameras)} or {source.where(scanner)}"
            try:
                rigs[date] = read_calibration(source.read(cameras), source.read(scanner), where)
            except UserError as error:  # other days need not suffer
                faults[date] = str(error)
    return rigs, faults


def _camera(rigs: dict[str, Calibration], ids: list[str]) -> Camera | None:
    """The one camera of all images; None where days or cameras differ, or nothing is known."""
    kinds = {(id[DATE], id.rsplit("-", 2)[1]) for id in ids}
    if not kinds or any(date not in rigs for date, _ in kinds):
        return None
    cameras = set()
    for date, camera in kinds:
        matrix, (height, width) = rigs[date].intrinsics[camera], rigs[date].sizes[camera]
        fx, fy, cx, cy = (float(matrix[at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
        cameras.add(Camera(fx, fy, cx + 0.5, cy + 0.5, width, height))  # there the first pixel's centre is 0
    return cameras.pop() if len(cameras) == 1 else None


def eigen_frames() -> list[str]:
    """Ids of the 697 test images of Eigen et al., from maps/kitti_eigen_test.txt."""
    text = resources.files("umadapt.data.convert").joinpath("maps", "kitti_eigen_test.txt").read_text()
    ids = []
    for line in (line for line in text.splitlines() if line and not line.startswith("#")):
        date, drive, frames = line.split()
        for part in frames.split(","):
            first, _, rest = part.partition("-")
            last, _, step = rest.partition("/")
            numbers = range(int(first), int(last) + 1, int(step)) if rest else [int(first)]
            ids += [f"{date}_drive_{drive}_sync-02-{frame:010d}" for frame in numbers]
    return ids


def eigen_splits(ids: list[str], annotated: set[str]) -> dict[str, list[str]]:
    """eigen_test, its part with annotated depth (652 of the complete set), and eigen_train: all images of the drives
    without a test image. OURS: all of them, where the published list of 22,600 picks some."""
    test = eigen_frames()
    drives = {id.rsplit("-", 2)[0] for id in test}
    there = set(ids)
    return {
        "eigen_test": [id for id in test if id in there],
        "eigen_test_annotated": [id for id in test if id in annotated],
        "eigen_train": [id for id in ids if id.rsplit("-", 2)[0] not in drives],
    }


ANNOTATED = "data_depth_annotated.zip"
SET = DataSet(
    title="KITTI",
    home="www.cvlibs.net/datasets/kitti",
    license="CC BY-NC-SA 3.0",
    citation="A. Geiger, P. Lenz, C. Stiller, R. Urtasun. Vision meets Robotics. IJRR 2013. "
    "J. Uhrig et al. Sparsity Invariant CNNs. 3DV 2017 (annotated depth).",
    plan=plan,
)
