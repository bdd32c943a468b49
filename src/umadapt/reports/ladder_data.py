"""What a ladder reads: the data that its suite asks for, labels of the target for prior and oracle, exams."""

from __future__ import annotations

from collections.abc import Sequence

from umadapt.config import Reproduce
from umadapt.data.atomic import write_bytes
from umadapt.data.fitted import fits_normals
from umadapt.data.folder import Folder
from umadapt.errors import UserError
from umadapt.evaluation.protocols import PROTOCOLS
from umadapt.reports.ladder import Data, Exam, asks_for

WANTED = {  # suite -> what it reads, as the paper has it
    "indoor": {
        "source": "labelled indoor renders with depth, normals and seg (the paper: 100,000 of PBRS)",
        "target": "photos without labels (the paper: the 795 training photos of NYUDv2)",
        "eval": "labelled photos (the paper: the 654 test photos of NYUDv2)",
    },
    "outdoor": {
        "source": "labelled street renders with depth and seg (the paper: 24,966 images of GTA5)",
        "target": "photos of streets without labels (the paper: KITTI and Cityscapes)",
        "eval": "labelled photos of streets (the paper: the Eigen split of KITTI; Cityscapes val)",
    },
}
EVERY = 3  # of the rendered photos, one in so many has labels for UM-Adapt-S


def refuse_missing(config: Reproduce) -> None:
    """Raise a UserError that says which data a suite lacks."""
    given = {"source": config.source, "target": config.target, "eval": config.eval}
    lacking = [f"  --{role} DATA: {what}" for role, what in WANTED.get(config.suite, {}).items() if not given[role]]
    if lacking:
        raise UserError(
            f"{config.suite} makes no data of its own; in the folder format it needs\n"
            + "\n".join(lacking)
            + "\nindoor-small renders its own and runs as it is"
        )
    if bool(config.target) != bool(config.eval):
        raise UserError("give both --target and --eval, of one kind of photos; or neither, to use rendered ones")
    if config.labelled and not config.target:
        raise UserError("--labelled belongs to a --target; the rendered photos have labels already")


def open_data(config: Reproduce) -> Data:
    """What the ladder reads, all of it there by now; writes the split `labelled` of the rendered photos."""
    out = config.out
    source = config.source or str(out / "rooms")
    target, labelled, oracle = config.target, config.labelled, ""
    if len(labelled) == 1:  # `train` reads one folder
        oracle = labelled[0]
    if not target:
        photos, oracle = str(out / "photos"), str(out / "photos-labelled") if asks_for(config, "oracle") else ""
        ids = Folder(photos).ids
        write_bytes(out / "photos" / "splits" / "labelled.txt", "".join(f"{id}\n" for id in ids[::EVERY]).encode())
        target, labelled = (photos,), (f"{photos}:labelled",)
    wanted = ("depth", "seg") if config.suite == "outdoor" else ("depth", "normals", "seg")
    addresses = config.eval or (str(out / "test"),)
    refuse_shared(labelled, addresses)
    exams = tuple(open_exam(address, config.protocol, wanted, labelled) for address in addresses)
    tasks = learnable(Folder(oracle), wanted) if oracle else ()
    fitted = "normals" in tasks and "normals" not in Folder(oracle).tasks
    return Data(source, target, exams, labelled, oracle if tasks else None, tasks if tasks != wanted else (), fitted)


def learnable(folder: Folder, wanted: Sequence[str]) -> tuple[str, ...]:
    """Of the wanted tasks those that the folder has labels of; normals too where they can be made of its depth."""
    have = {*folder.tasks, "normals"} if fits_normals(folder) else set(folder.tasks)
    return tuple(task for task in wanted if task in have)


def refuse_shared(labelled: Sequence[str], exams: Sequence[str]) -> None:
    """Raise a UserError where photos to measure on are among the labelled ones, which rungs learn from."""
    for given in map(Folder, labelled):
        for exam in map(Folder, exams):
            shared = set(given.ids) & set(exam.ids) if given.root.resolve() == exam.root.resolve() else set[str]()
            if shared:
                raise UserError(
                    f"--labelled and --eval share {len(shared)} photos of {exam.root}, such as {min(shared)!r}; "
                    "nothing may learn from what it is measured on: give splits that are apart"
                )


def open_exam(address: str, protocol: str, tasks: Sequence[str], labelled: Sequence[str] = ()) -> Exam:
    """Labelled photos, the protocol that belongs to them, and of the labelled photos of the target those that have
    most of its tasks, for its prior. Raises UserError where they have no labels."""
    folder = Folder(address)
    labels = (folder.read_label(task, id) for id in folder.ids for task in folder.tasks)
    first = next((label for label in labels if label is not None), None)
    if first is None:
        raise UserError(f"{address} has no labels; --eval wants labelled photos")
    if protocol == "auto":
        protocol = "raw"
        if "normals" not in tasks:
            protocol = "cityscapes_19" if "seg" in folder.tasks else "kitti_eigen"
        elif first.shape[:2] == PROTOCOLS["nyud"].size:
            protocol = "nyud"
    truth = learnable(folder, tasks)
    common = {given: len(learnable(Folder(given), truth)) for given in labelled}
    prior = max(common, key=common.__getitem__, default="")
    from_depth = "normals" in truth and "normals" not in folder.tasks
    return Exam(address, protocol, from_depth, truth, prior if common.get(prior) else "")
