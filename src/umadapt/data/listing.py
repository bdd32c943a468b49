"""What lies in a folder: the files that are read, by id, and those that are not, by reason."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from umadapt.data.files import PHOTO_SUFFIXES
from umadapt.data.pictures import HEAD, kind_of_content
from umadapt.errors import UserError

KIND_WORDS = {  # words in the names of folders that others use, and the folder that they stand for here
    "depth": ("depth", "depthmap", "disparity", "disp"),
    "normals": ("normal", "normalmap"),
    "seg": ("seg", "segmentation", "semantic", "label", "mask", "annotation", "gtfine", "class", "classe"),
    "image": ("image", "img", "rgb", "photo", "picture", "pic", "color", "colour", "frame", "leftimg8bit"),
}
LITTER = ("thumbs.db", "desktop.ini")
NO_DATA = (".txt", ".md", ".csv", ".json", ".yaml", ".yml", ".html", ".pdf")  # beside the folders of a data set
MARKS = ("dataset.json", "index.npz", "config.json")  # of a data set, a packed one, a run: what lies there is its own
CURES = {
    **dict.fromkeys((".npy", ".npz", ".exr", ".hdr", ".pfm"), "write 16-bit PNGs: docs/data.md, Your own simulator"),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"), "develop them to JPEG"),
    **dict.fromkeys((".mov", ".mp4", ".avi", ".mkv"), "take frames out of them"),
}
OPTIONAL = (".heic", ".heif", ".hif", ".avif")  # kinds that not every installation reads
SHOWN = 6  # reasons in a line


@dataclass
class Listing:
    """Files by id (the path in the folder without its suffix, such as `kitchen/0001`), and the rest by reason."""

    files: dict[str, Path] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)


def kind_of(name: str) -> str | None:
    """The folder of the format that a folder of this name seems to be: `Images` -> "image", `depht` -> "depth"."""
    words = [word.rstrip("s") for word in re.findall("[a-z0-9]+", name.lower())]
    for kind, known in KIND_WORDS.items():
        if any(word in known for word in words):
            return kind
    near = difflib.get_close_matches(name.lower(), list(KIND_WORDS), 1, 0.7)
    return near[0] if near else None


def reason_of(suffix: str) -> str:
    """How a file with this suffix is counted."""
    suffix = suffix.lower() or "(no suffix)"
    return f"{suffix} ({CURES[suffix]})" if suffix in CURES else suffix


def list_folder(folder: Path, suffixes: Iterable[str], *, photos_alone: bool = False) -> Listing:
    """List a folder and all within it; nothing where it does not exist. What is hidden is passed over.

    Args:
        suffixes: of the files that are read, those that come first before others of the same id.
        photos_alone: no format separates photos from labels here, so that folders named as labels are, and data sets
            and runs in folders of their own, are left out.

    Raises:
        UserError: it cannot be listed, or two files share an id.
    """
    order = {suffix: place for place, suffix in enumerate(suffixes)}
    found = Listing()
    for path, id in _walk(folder, "", photos_alone, found, set()):
        place = order.get(path.suffix.lower())
        cure = _unreadable(path) if place is not None else None
        if place is None or cure:
            found.unread[f"{path.suffix.lower()} ({cure})" if cure else reason_of(path.suffix)] += 1
        elif id not in found.files:
            found.files[id] = path
        else:
            first, second = sorted((found.files[id], path), key=lambda path: order[path.suffix.lower()])
            if second.suffix.lower() not in OPTIONAL:
                names = " and ".join(sorted((first.name, second.name)))
                raise UserError(f"{folder}: {names} share the id {id!r}; rename or remove one of them")
            found.files[id] = first  # a phone's HEIC beside the JPEG that was made of it
            found.unread[f"{second.suffix.lower()} beside {first.suffix.lower()} of the same name"] += 1
    found.files = dict(sorted(found.files.items()))
    return found


def _unreadable(path: Path) -> str | None:
    """What it takes to read a photo whose kind not every installation reads; None where it is read. By content: there
    are JPEGs named .HEIC."""
    if path.suffix.lower() not in OPTIONAL:
        return None
    try:
        with path.open("rb") as file:
            kind = kind_of_content(file.read(HEAD))
    except OSError:
        return None  # whoever reads it says so
    return kind.cure if kind is not None and kind.cure else None


def _walk(folder: Path, prefix: str, photos_alone: bool, found: Listing, seen: set[str]) -> Iterator[tuple[Path, str]]:
    """(file, id) of all files; what is left out is counted in `found`."""
    real = os.path.realpath(folder)
    if real in seen:  # links may go round
        return
    seen.add(real)
    for entry in entries(folder):
        path = folder / entry.name
        if entry.is_dir():
            if photos_alone and kind_of(entry.name) in ("depth", "normals", "seg"):
                found.unread[f"folder named as labels are ({prefix}{entry.name}/)"] += 1
            elif photos_alone and any((path / mark).exists() for mark in MARKS):
                found.unread[f"data set or run of its own ({prefix}{entry.name}/)"] += 1
            else:
                yield from _walk(path, f"{prefix}{entry.name}/", photos_alone, found, seen)
        elif entry.is_file():
            yield path, prefix + path.stem


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder and is neither hidden nor litter of a file browser, by name. Raises UserError."""
    try:
        with os.scandir(folder) as found:
            seen = [e for e in found if not e.name.startswith(".") and e.name.lower() not in LITTER]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror or error})") from error
    return sorted(seen, key=lambda entry: entry.name)


def beside(root: Path, known: Collection[str]) -> Counter[str]:
    """What lies in a data folder beside the folders of the format and `known`, by reason."""
    unread: Counter[str] = Counter()
    for entry in entries(root):
        if entry.name in known:
            continue
        if entry.is_dir():
            kind = kind_of(entry.name)
            hint = f"; the format's is {kind}/" if kind else ""
            unread[f"folder {entry.name}/{hint}"] += 1
        elif (suffix := Path(entry.name).suffix.lower()) and suffix not in NO_DATA:
            unread[reason_of(suffix)] += 1
    return unread


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """Which of the known ids is meant: the one with the same numbers, else the most similar one; None = none is."""
    numbers = re.findall(r"\d+", name)
    alike = [id for id in known if numbers and re.findall(r"\d+", id) == numbers]
    near = alike or difflib.get_close_matches(name, list(known)[:1000], 1, 0.3)
    return near[0] if near else None


def told(unread: Counter[str]) -> str:
    """`2 .heic (…), 1 .npy`."""
    parts = [f"{n} {reason}" for reason, n in unread.most_common(SHOWN)]
    more = len(unread) - SHOWN
    return ", ".join(parts) + (f" and {more} more kinds" if more > 0 else "")


def match_labels(folder: Path, labels: Listing, photos: Listing) -> None:
    """Count labels of a folder without a photo as not read.

    Raises:
        UserError: labels are there, and none can be read.
    """
    strays = [id for id in labels.files if id not in photos.files] if photos.files else []
    if strays and len(strays) == len(labels.files):
        near = nearest_name(strays[0], photos.files)
        cure = f"call {strays[0]}.png {near}.png" if near else "a label has the name of its photo"
        example = photos.files[near or next(iter(photos.files))].relative_to(folder.parent)
        raise UserError(f"{folder}: none of its {len(strays)} files has the name of a photo, such as {example}; {cure}")
    if strays:
        labels.unread[f"{folder.name} without a photo of that name ({strays[0]}.png)"] += len(strays)
    if labels.unread and not labels.files:
        what = {"depth": "16-bit grey, ", "normals": "8-bit RGB, ", "seg": "8-bit grey or palette, "}[folder.name]
        raise UserError(
            f"{folder}: none of its files is read ({told(labels.unread)}); expected ID.png in {what}"
            "named as the photo ID"
        )


@dataclass
class DataListing:
    """What lies in a data folder."""

    images: dict[str, Path]
    labels: dict[str, dict[str, Path]]  # by task
    unread: Counter[str]
    photos_in_root: bool  # a plain folder of photos


def list_data(root: Path, tasks: Sequence[str], own: Collection[str]) -> DataListing:
    """List a data folder or a plain folder of photos; `own` is what belongs into the former.

    Raises:
        UserError: labels or photos lie where nothing reads them, see `match_labels` and `refuse_photos_elsewhere`.
    """
    labels = {task: list_folder(root / task, [".png"]) for task in tasks}
    inside = (root / "image").is_dir()
    # Beside label folders, a picture directly in DATA is no photo (a contact sheet, say).
    photos_in_root = not inside and not any(listed.files for listed in labels.values())
    photos = Listing()
    if inside or photos_in_root:
        photos = list_folder(root / "image" if inside else root, PHOTO_SUFFIXES, photos_alone=photos_in_root)
    for task, listed in labels.items():
        match_labels(root / task, listed, photos)
    files = {task: listed.files for task, listed in labels.items()}
    unread: Counter[str] = Counter()
    for listed in (photos, *labels.values()):
        unread += listed.unread
    if not photos_in_root:
        unread += beside(root, own)
        if not inside:
            refuse_photos_elsewhere(root, own, set().union(*files.values()))
    return DataListing(photos.files, files, unread, photos_in_root)


def refuse_photos_elsewhere(root: Path, own: Collection[str], ids: Collection[str]) -> None:
    """Raise a UserError when photos of the labels `ids` lie beside these, where nothing reads them; `own` is what does
    belong there."""
    for entry in entries(root):
        path = Path(entry.name)
        if entry.name in own:
            continue
        if entry.is_dir() and kind_of(entry.name) == "image":
            raise UserError(f"{root}: found labels, but no image/; rename {entry.name}/ to image/")
        if entry.is_file() and path.stem in ids and path.suffix.lower() in PHOTO_SUFFIXES:
            raise UserError(
                f"{root}: photos such as {entry.name} lie beside the folders of labels; move them into image/"
            )


def nothing_found(root: Path, unread: Counter[str]) -> str:
    """What to say of a folder without a photo or label."""
    place = root / "image" if (root / "image").is_dir() else root
    hint = ""
    if place != root:  # an empty image/ beside what was meant
        named = [e.name for e in entries(root) if e.is_dir() and e.name != "image"]
        meant = [name for name in named if kind_of(name) == "image"]
        hint = f". Is it {meant[0]}/ that should be called image/?" if meant else ""
    expected = " ".join(PHOTO_SUFFIXES)
    return f"{place}: found no photos ({told(unread) or 'no files'}); expected {expected}{hint}"


def read_split(root: Path, split: str, known: Collection[str], others: Sequence[str] = ()) -> tuple[str, ...]:
    """The ids that ROOT/splits/SPLIT.txt lists.

    Args:
        known: ids that there are.
        others: names of splits that a packed set's index has.

    Raises:
        UserError: no such split, or it is empty, repeats ids or lists some that there are not.
    """
    path = root / "splits" / f"{split}.txt"
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except FileNotFoundError as error:
        listed = [Path(e.name).stem for e in entries(path.parent) if e.name.endswith(".txt")]
        names = listed or others
        have = ", ".join(names) or f"none (no {path.parent}/NAME.txt)"
        raise UserError(f"{root}: no split {split!r}; it has: {have}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected text, one id a line") from error
    ids = [line.strip() for line in lines if line.strip()]
    repeated = [i for i, n in Counter(ids).items() if n > 1]
    absent = [i for i in ids if i not in known]
    if not ids:
        raise UserError(f"{path}: empty; expected one id a line")
    if repeated:
        raise UserError(f"{path}: id {repeated[0]!r} is listed more than once ({len(repeated)} such ids)")
    if absent:
        hint = " (write ids without the suffix)" if Path(absent[0]).with_suffix("").as_posix() in known else ""
        raise UserError(f"{path}: {len(absent)} of {len(ids)} ids have no image, such as {absent[0]!r}{hint}")
    return tuple(ids)
