"""The ladder's figures over seeds, laid out as the paper's tables: summary, Markdown, plain text, HTML."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from umadapt.downstream.rows import aligned
from umadapt.reports import markup
from umadapt.reports.ladder import LABELLED, PRIOR, Rung
from umadapt.reports.paper import ROWS, Figure, Table

Evaluations = Mapping[str, Mapping[int, Mapping[str, Any]]]  # rung -> seed -> evaluation JSON
BASELINE, ORACLE = "source-only", "oracle"
BEST_NOTE = "In bold the best of the variants that see no label of the target"
ENDS_NOTE = (
    "Image-free prior: one map a task for all photos, what a network that never looks could learn of the labels; a "
    "variant no better knows where things tend to be, and does not see. Oracle: the network, weights and steps of "
    "source only, trained on labelled photos of the target instead"
)
GAP_NOTE = (
    "Gap closed: (source only − x) / (source only − oracle) of the first figure, of the means over seeds; – where "
    "there is no oracle, or one that is not better than source only by more than the deviation of either. Mean gain: "
    "by how much the errors of all tasks are below those of source only, as shares, the mean over tasks (Maninis et "
    "al., CVPR 2019)"
)
NOTES = f"{ENDS_NOTE}. {BEST_NOTE}. {GAP_NOTE}."


class Spread(NamedTuple):
    """One figure over seeds."""

    mean: float
    sd: float | None  # of the sample (n - 1); None for one seed
    n: int


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and standard deviation; None of nothing."""
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def over_seeds(evaluations: Evaluations, figure: Figure) -> dict[str, Spread]:
    """rung -> its figure over the seeds that have it."""
    out: dict[str, Spread] = {}
    for rung, seeds in evaluations.items():
        values = [value for e in seeds.values() if (value := figure.of(e)) is not None]
        found = spread(values)
        if found is not None:
            out[rung] = found
    return out


def gap_closed(spreads: Mapping[str, Spread], figure: Figure) -> dict[str, float]:
    """rung -> share of the way from source-only to the oracle; the same formula whether more or less is better.

    Empty without one of the two, or where the oracle is not better by more than their seeds differ: a share of next to
    nothing says nothing.
    """
    if BASELINE not in spreads or ORACLE not in spreads:
        return {}
    start, end = spreads[BASELINE], spreads[ORACLE]
    gap = end.mean - start.mean if figure.more else start.mean - end.mean
    if gap <= max(start.sd or 0.0, end.sd or 0.0):
        return {}
    way = end.mean - start.mean
    return {rung: (found.mean - start.mean) / way for rung, found in spreads.items()}


def mean_gain(spreads: Sequence[Mapping[str, Spread]]) -> dict[str, float]:
    """rung -> by how much its errors are below those of source-only, as shares, the mean over tasks.

    Args:
        spreads: of one error a task, of which less is better. A rung that lacks one has no mean.
    """
    if any(BASELINE not in found for found in spreads):
        return {}
    starts = [found[BASELINE].mean for found in spreads]
    whole = set[str].intersection(*(set(found) for found in spreads))
    return {
        rung: statistics.fmean(1 - found[rung].mean / start for found, start in zip(spreads, starts, strict=True))
        for rung in whole
    }


def best_of(spreads: Mapping[str, Spread], figure: Figure) -> set[str]:
    """The best rungs without target labels, compared as they are shown: two that read the same are both best."""
    shown = {rung: float(f"{found.mean:.3f}") for rung, found in spreads.items() if rung not in LABELLED}
    if len(shown) < 2:
        return set()
    best = (max if figure.more else min)(shown.values())
    return {rung for rung, value in shown.items() if value == best}


def show(found: Spread | None) -> str:
    if found is None:
        return "–"
    return f"{found.mean:.3f}" + ("" if found.sd is None else f" ± {found.sd:.3f}")


def show_share(share: float | None) -> str:
    """In per cent; source-only has closed 0.0 % of its gap, whatever the sign of that zero."""
    return "–" if share is None else f"{100 * share:.1f} %".replace("-0.0 ", "0.0 ")


class Row(NamedTuple):
    """One rung of one table, as text."""

    rung: str
    title: str
    labels: str  # labelled photos of the target that it saw
    cells: list[str]
    best: list[bool]
    of_all: str  # under the table's last heading
    paper: list[str]


def rows(table: Table, evaluations: Evaluations, rungs: Sequence[Rung], labels: Mapping[str, str]) -> list[Row]:
    """The rungs that have a figure of the table; those of fewer seeds than others say so."""
    spreads = [over_seeds(evaluations, figure) for figure in table.figures]
    best = [best_of(found, figure) for found, figure in zip(spreads, table.figures, strict=True)]
    whole = {"gap closed": lambda: gap_closed(spreads[0], table.figures[0]), "mean gain": lambda: mean_gain(spreads)}
    of_all = whole[table.of_all]() if table.of_all else {}
    most = max((len(seeds) for seeds in evaluations.values()), default=0)
    out: list[Row] = []
    for rung in rungs:
        if not any(rung.name in found for found in spreads):
            continue
        count = len(evaluations[rung.name])
        lacking = count < most and rung.name != PRIOR
        title = rung.title + (f" ({count} of {most} seeds)" if lacking else "")
        paper = table.rows.get(rung.name)
        out.append(
            Row(
                rung.name,
                title,
                labels.get(rung.name, "0"),
                [show(found.get(rung.name)) for found in spreads],
                [rung.name in found for found in best],
                show_share(of_all.get(rung.name)),
                [f"{x:g}" for x in paper] if paper else ["–"] * len(table.figures),
            )
        )
    return out


def summary(
    tables: Sequence[Table], evaluations: Evaluations, rungs: Sequence[Rung], labels: Mapping[str, str]
) -> dict[str, Any]:
    """The figures of ladder.json.

    {rung: {"title", "paper_row", "labelled", "evaluations", "figures", "gap_closed", "mean_gain"}}, the last by rungs
    that have an error of every task, else null.

    "figures" is {task: {key: {"mean", "sd", "n", "paper"}}}, in the units of the tables (fractions, metres, degrees).
    """
    out: dict[str, Any] = {}
    for rung in rungs:
        figures: dict[str, dict[str, Any]] = {}
        closed: dict[str, float] = {}
        gain = None
        for table in tables:
            if table.of_all == "mean gain":
                gain = mean_gain([over_seeds(evaluations, figure) for figure in table.figures]).get(rung.name)
            for i, figure in enumerate(table.figures):
                spreads = over_seeds(evaluations, figure)
                if rung.name not in spreads:
                    continue
                paper = table.rows.get(rung.name)
                key = f"100-{figure.key}" if figure.missing_share else figure.key
                entry = {**spreads[rung.name]._asdict(), "paper": paper[i] if paper else None}
                figures.setdefault(figure.task, {}).setdefault(key, entry)
                if i == 0 and table.of_all == "gap closed" and rung.name in (gaps := gap_closed(spreads, figure)):
                    closed[f"{figure.task}/{figure.key}"] = gaps[rung.name]
        if figures:
            out[rung.name] = {
                "title": rung.title,
                "paper_row": ROWS.get(rung.name),
                "labelled": labels.get(rung.name, 0),
                "evaluations": {str(seed): evaluation for seed, evaluation in evaluations[rung.name].items()},
                "figures": figures,
                "gap_closed": closed,
                "mean_gain": gain,
            }
    return out


def headings(table: Table) -> tuple[list[str], list[str]]:
    """(ours, the paper's) column headings."""
    ours = [f"{figure.heading} {'↑' if figure.more else '↓'}" for figure in table.figures]
    return ours, [f"paper: {figure.heading}" for figure in table.figures]


# ---------------------------------------------------------------------------------------------------------------------
# Layouts


def markdown(tables: Sequence[tuple[Table, Sequence[Row]]], facts: Sequence[str], commands: Sequence[str]) -> str:
    """The whole of ladder.md."""
    lines = ["# The ladder", "", *(f"- {fact}" for fact in facts), ""]
    for table, found in tables:
        ours, papers = headings(table)
        head = ["", "labels", *ours, *([table.of_all] if table.of_all else []), *papers]
        lines += [f"## {table.title}", "", f"| {' | '.join(head)} |"]
        lines.append(f"|---|{'---:|' * (len(head) - 1)}")
        for row in found:
            cells = [f"**{c}**" if best else c for c, best in zip(row.cells, row.best, strict=True)]
            cells += [row.of_all] if table.of_all else []
            lines.append(f"| {' | '.join([row.title, row.labels, *cells, *row.paper])} |")
        lines += [
            "",
            f"paper: {table.note}. Other data and another amount of training: compare the order and steps.",
            "",
        ]
    lines += [NOTES, "", "## Commands", "", "```", *commands, "```"]
    return "\n".join(lines).replace("|cos|", "\\|cos\\|") + "\n"


def text(tables: Sequence[tuple[Table, Sequence[Row]]]) -> str:
    """For the terminal: all figures, with the paper's first one beside them. The best end in *."""
    blocks: list[str] = []
    for table, found in tables:
        ours, papers = headings(table)
        grid = [["", "labels", *ours, *([table.of_all] if table.of_all else []), papers[0]]]
        for row in found:
            cells = [c + ("*" if best else " ") for c, best in zip(row.cells, row.best, strict=True)]
            grid.append([row.title, row.labels, *cells, *([row.of_all] if table.of_all else []), row.paper[0]])
        blocks.append(f"{table.title}\n{aligned(grid)}")
    return "\n\n".join(blocks)


def html(
    tables: Sequence[tuple[Table, Sequence[Row]]],
    facts: Sequence[str],
    commands: Sequence[str],
    grid: str | None,
    more: str = "",
) -> str:
    """The whole of ladder.html, one file that needs nothing else; `grid` is a data URL, `more` further sections."""
    parts = [f"<header><h1>The ladder</h1><ul>{''.join(f'<li>{escape(fact)}</li>' for fact in facts)}</ul></header>"]
    for table, found in tables:
        ours, papers = headings(table)
        head = ["", "labels", *map(escape, ours), *([table.of_all] if table.of_all else []), *map(escape, papers)]
        lines = []
        for row in found:
            cells = [f"<b>{c}</b>" if best else c for c, best in zip(row.cells, row.best, strict=True)]
            cells += [row.of_all] if table.of_all else []
            cells = [row.labels, *cells, *(f"<small>{c}</small>" for c in row.paper)]
            lines.append(markup.row(escape(row.title), cells))
        note = f"paper: {table.note}. Other data and another amount of training: compare the order and steps."
        parts.append(
            f"<section><h2>{escape(table.title)}</h2>{markup.table(head, lines)}<p>{escape(note)}</p></section>"
        )
    parts.append(f"<p>{escape(NOTES)}</p>")
    if grid:
        title = "<h2>Pictures <small>as the paper's Figure 4, seed 0</small></h2>"
        parts.append(f'<section>{title}<img alt="photos, truth and predictions" src="{grid}"></section>')
    parts.append(more)
    parts.append(f"<section><h2>Commands</h2><pre>{escape(chr(10).join(commands))}</pre></section>")
    return markup.shell("UM-Adapt ladder", parts, "main{max-width:80rem}")
