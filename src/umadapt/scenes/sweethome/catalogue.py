"""Sweet Home 3D's furniture catalogues (.sh3f) as a source of items with real sizes, classes and materials.

A .sh3f file is a zip of OBJ models and a PluginFurnitureCatalog.properties. furniture.tsv says what each model is.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from umadapt.errors import UserError
from umadapt.scenes.shapes import Item
from umadapt.scenes.sweethome import cache
from umadapt.scenes.sweethome.model import FORMAT, Packed, item_of, pack
from umadapt.scenes.sweethome.table import ROLES, Row, look_up, read_table, table_text

_PROPERTIES = "PluginFurnitureCatalog.properties"
_DEBIAN = Path("/usr/share/sweethome3d/furniture")
_KEPT = 96  # items in memory


@dataclass(frozen=True)
class Model:
    """One entry of a catalogue: NYU40 class, role in rooms, size in metres, and who made it."""

    id: str
    name: str
    label: str
    role: str  # "" = known but never placed
    size: tuple[float, float, float]  # width, depth, height in metres
    elevation: float  # metres above the floor at which it is meant to hang; 0 = stands
    creator: str
    license: str


@dataclass(frozen=True)
class _Source:
    """Where a model's mesh lies and how it is turned."""

    file: Path
    path: str
    rotation: tuple[float, ...]  # 3x3 by rows, in the file's frame
    size: tuple[float, float, float]
    row: Row
    catalogue: str


class Catalogue:
    """The models of some .sh3f files, sorted by id; meshes are read when they are asked for."""

    def __init__(self, files: list[Path], table: str) -> None:
        rows = read_table(table)
        self.skipped: dict[str, str] = {}  # model id -> why it is left out
        self._sources: dict[str, _Source] = {}
        models: dict[str, Model] = {}
        digest = hashlib.sha256(f"{FORMAT}\n{table}".encode())
        for file, checksums, properties in sorted((_open(file) for file in files), key=lambda f: f[1]):
            digest.update(checksums)
            for entry in _entries(properties):
                if (name := entry.get("id", entry.get("name", "?"))) not in models and name not in self.skipped:
                    self._add(models, file, properties, entry, rows)
        self.models = tuple(models[name] for name in sorted(models))
        self.digest = digest.hexdigest()[:16]
        self._recent: OrderedDict[str, Item] = OrderedDict()

    @staticmethod
    def open(folder: Path, table: str | None = None) -> Catalogue:
        """Read a folder of .sh3f files, or one. Raises UserError where there is none, or a file is broken."""
        files = sorted(folder.glob("*.sh3f")) if folder.is_dir() else [folder]
        if not files or not files[0].is_file():
            raise UserError(
                f"{folder} holds no furniture catalogue, expected .sh3f files of Sweet Home 3D; "
                "type `apt install sweethome3d-furniture`, or give the folder where yours are"
            )
        return Catalogue(files, table_text() if table is None else table)

    def of(self, role: str) -> tuple[Model, ...]:
        """All models of a role, sorted by id."""
        return tuple(model for model in self.models if model.role == role)

    def item(self, model: Model) -> Item:
        """The model as an item that fills its stated size. Raises UserError that says why it cannot be read."""
        if model.id in self._recent:
            self._recent.move_to_end(model.id)
            return self._recent[model.id]
        packed = cache.load(self.digest, model.id)
        if packed is None:
            packed = self._read(model)
            cache.store(self.digest, model.id, packed)
        item = item_of(packed, model.id, model.role, model.size)
        self._recent[model.id] = item
        if len(self._recent) > _KEPT:
            self._recent.popitem(last=False)
        return item

    def attribution(self) -> list[dict[str, str]]:
        """For each catalogue, creator and licence: how many of its models may appear."""
        counts = Counter((self._sources[m.id].catalogue, m.creator, m.license) for m in self.models if m.role)
        return [
            {"catalogue": catalogue, "creator": creator, "license": license_, "models": str(count)}
            for (catalogue, creator, license_), count in sorted(counts.items())
        ]

    def _read(self, model: Model) -> Packed:
        source = self._sources[model.id]
        try:
            with zipfile.ZipFile(source.file) as archive:
                return pack(archive, source.path, source.rotation, source.row, model.size)
        except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError) as error:
            raise UserError(f"{source.file.name}: {model.id} cannot be read: {error}") from error

    def _add(
        self,
        models: dict[str, Model],
        file: Path,
        properties: Mapping[str, str],
        entry: Mapping[str, str],
        rows: Mapping[str, Row],
    ) -> None:
        name = entry.get("id", entry.get("name", "?"))
        try:
            row = look_up(rows, name, entry.get("category", ""), entry.get("name", ""))
            if row is None:
                raise ValueError("unknown: furniture.tsv does not have its name")
            if row.left_out:
                raise ValueError(row.left_out)
            w, d, h = (_metres(entry, key) for key in ("width", "depth", "height"))
            if row.upright:
                d, h = h, d
            if row.turn_deg % 180:
                w, d = d, w
            low, high = ROLES.get(row.role, (0.0, 1e3))
            if not low <= max(w, d, h) <= high:
                raise ValueError(
                    f"its longest side, {max(w, d, h):g} m, is not {low:g} to {high:g} m as of a {row.role}"
                )
            rotation = tuple(float(v) for v in entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split())
            if len(rotation) != 9:
                raise ValueError(f"modelRotation has {len(rotation)} numbers, expected 9")
            source = _Source(
                file, entry["model"].lstrip("/"), rotation, (w, d, h), row, properties.get("name", file.stem)
            )
        except KeyError as error:
            self.skipped[name] = f"the catalogue does not state its {error.args[0]}"
        except ValueError as error:
            self.skipped[name] = str(error)
        else:
            self._sources[name] = source
            elevation = _metres(entry, "elevation") if "elevation" in entry else 0.0
            creator, license_ = entry.get("creator", "unknown"), properties.get("license", "unknown")
            models[name] = Model(name, entry["name"], row.label, row.role, (w, d, h), elevation, creator, license_)


def default_folder() -> Path | None:
    """Where Debian's sweethome3d-furniture puts its catalogues, when it is installed."""
    return _DEBIAN if any(_DEBIAN.glob("*.sh3f")) else None


def open_catalogue(furniture: str) -> Catalogue | None:
    """`none`, `auto` or a folder -> the catalogue, None where there is none to use."""
    if furniture == "none":
        return None
    folder = default_folder() if furniture == "auto" else Path(furniture)
    return Catalogue.open(folder) if folder else None


def _open(file: Path) -> tuple[Path, bytes, dict[str, str]]:
    """A catalogue's file, the checksums of all it holds, and its properties."""
    try:
        with zipfile.ZipFile(file) as archive:
            checksums = "\n".join(sorted(f"{i.CRC:08x} {i.filename}" for i in archive.infolist()))
            properties = _properties(archive.read(_PROPERTIES).decode("latin-1"))
    except KeyError as error:
        raise UserError(f"{file} is no furniture catalogue: it has no {_PROPERTIES}") from error
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise UserError(f"{file} cannot be read: {error}; get the file anew") from error
    return file, checksums.encode(), properties


def _properties(text: str) -> dict[str, str]:
    """Java's .properties: key = value, \\uXXXX escapes, lines that go on after a backslash."""
    out: dict[str, str] = {}
    for line in re.sub(r"\\\r?\n[ \t]*", "", text).splitlines():
        if found := re.match(r"\s*([^\s=:#!][^\s=:]*)\s*[=:\s]\s*(.*)", line):
            value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), found[2])
            out[found[1]] = re.sub(r"\\(.)", r"\1", value).strip()
    return out


def _entries(properties: Mapping[str, str]) -> list[dict[str, str]]:
    """The values of `key#number`, gathered by number."""
    entries: dict[int, dict[str, str]] = {}
    for key, value in properties.items():
        name, _, number = key.partition("#")
        if number.isdecimal():
            entries.setdefault(int(number), {})[name] = value
    return [entries[number] for number in sorted(entries)]


def _metres(entry: Mapping[str, str], key: str) -> float:
    """A length that the catalogue gives in centimetres."""
    value = round(float(entry[key]) / 100, 6)
    if not 0 <= value < 1e3 or (key != "elevation" and value == 0):
        raise ValueError(f"its {key} is {entry[key]}")
    return value
