"""`umadapt convert NAME SRC OUT`: every image of a public set into the folder format; what is bad is named."""

from __future__ import annotations

import importlib

from umadapt.config.data import Convert
from umadapt.data.atomic import write_json
from umadapt.data.convert import SETS
from umadapt.data.convert.base import DataSet, Plan
from umadapt.data.convert.digests import verify
from umadapt.data.convert.output import STATE, begin, convert_all, finish
from umadapt.data.convert.source import Source
from umadapt.errors import UserError

SHOWN = 20  # bad images that the screen lists; --json lists all


def run(config: Convert) -> int:
    """Convert; 0, or 1 when something was bad and is left out. What is there from before is not written again."""
    module = importlib.import_module(SETS[config.name])
    chosen: DataSet = module.SET
    source = Source(config.src, *config.more)
    plan = chosen.plan(source, config)
    if not plan.ids:
        lines = [*plan.missing, *source.refused, *source.unread]
        found = "; ".join(lines) or f"{len(source.names)} files of other names"
        raise UserError(f"{config.src}: no image of {chosen.title} ({found}). Its owner offers it at {chosen.home}")
    _tell(plan, chosen, source)
    state = begin(config)
    warnings = list(verify(source, chosen.digests, state["digests"]))  # no fault: a part of the set may be wanted
    for line in warnings:
        print(f"warning: {line}")
    write_json(config.out / STATE, state)
    bad = [*source.refused, *convert_all(config, plan)]
    written = finish(config.out, chosen, plan, config.name)
    for line in bad[:SHOWN]:
        print(f"bad: {line}")
    if len(bad) > SHOWN:
        print(f"bad: … and {len(bad) - SHOWN} more" + ("" if config.json else "; --json FILE lists all"))
    print(f"{config.out}: {written} of {len(plan.ids)} images of {chosen.title}; license: {chosen.license}")
    print(f"look at them with: umadapt check {config.out}")
    if config.json:
        found = {"name": config.name, "images": written, "found": len(plan.ids), "published": chosen.published or None}
        write_json(config.json, {**found, "missing": list(plan.missing), "warnings": warnings, "bad": bad})
    return 1 if bad else 0


def _tell(plan: Plan, chosen: DataSet, source: Source) -> None:
    """Say what is missing before the work begins."""
    for line in plan.missing:
        print(f"missing: {line}")
    for line in source.unread:
        print(f"not read: {line}")
    if chosen.published and len(plan.ids) < chosen.published:
        print(f"found {len(plan.ids):,} of the {chosen.published:,} published images")
    if plan.missing or len(plan.ids) < chosen.published:
        print(f"the owner of {chosen.title} offers it at {chosen.home}")
