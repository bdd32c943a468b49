"""`umadapt pack DATA OUT`: a data folder as tar shards, which `Folder` reads in its place."""

from __future__ import annotations

from umadapt.config.data import Pack
from umadapt.data.atomic import claimed, write_json
from umadapt.data.folder import Folder
from umadapt.data.packed.packing import begin, beside, finish, is_finished, key_of, not_packed, write_shards
from umadapt.data.packed.plan import plan_shards
from umadapt.errors import UserError


def run(config: Pack) -> int:
    """Pack; 0, or 1 when a file is bad: then the set stays unfinished.

    Raises UserError when OUT holds other things, or another process packs into it.
    """
    with claimed(config.out):
        return pack(config)


def pack(config: Pack) -> int:
    """`run`, alone in its folder."""
    folder = Folder(config.data)
    if folder.packed is not None:
        raise UserError(f"{folder.root} is a packed set already; give the folder that it was made from")
    shards = plan_shards(folder, config.shard_mb * 1_000_000)
    meta = beside(folder)
    key = key_of(shards, meta)
    bad: list[str] = []
    left_out = not_packed(folder, meta, config.out)
    if is_finished(config.out, key):
        print(f"{config.out} is packed already: nothing to do")
    else:
        done = begin(config, folder)
        bad = write_shards(config, folder, shards, done)
        if not bad:
            finish(config.out, shards, done, meta, key)
    size = sum(shard.size for shard in shards)
    for line in bad:
        print(line)
    if bad:
        print(f"bad: {len(bad)}; {config.out} stays unfinished. Mend or remove these files, then pack again")
    else:
        print(f"{config.out}: {len(folder.ids)} ids in {len(shards)} shards, {size / 1e6:.1f} MB")
    if left_out:
        print(f"left out: {', '.join(left_out[:8])}" + (f" and {len(left_out) - 8} more" if left_out[8:] else ""))
    if config.json:
        told = {"n": len(folder.ids), "shards": len(shards), "bytes": size, "bad": bad, "left_out": left_out}
        write_json(config.json, {"data": config.data, "out": config.out, **told})
    return 1 if bad else 0
