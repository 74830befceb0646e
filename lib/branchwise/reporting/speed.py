"""The benchmark's figure: time of a decoding step in every layout, and the floor under it."""

from pathlib import Path
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from branchwise.errors import UserError
from branchwise.reporting.fitting import legend_above
from branchwise.reporting.look import NUM_COLOURS
from branchwise.reporting.style import COLUMN_IN, MARKERS, save, styled
from branchwise.reporting.ticks import label_log

SCHEMA = 1
"""Schema of the benchmark's results that this module reads."""


class _Row(BaseModel):
    """What is drawn of a layout that ran; a row holds more."""

    layout: str
    prefix: int = Field(ge=0, lt=2**31, description="Tokens.")
    branches: int = Field(ge=1, lt=2**31)
    step_s: FiniteFloat = Field(gt=0)
    floor_s: FiniteFloat = Field(gt=0)


def _rows(result: dict[str, Any]) -> pd.DataFrame:
    """The layouts that ran. Raises UserError where there is none, and for what is no result."""
    rows = result.get("rows")
    rows = rows if isinstance(rows, list) else []
    timed = [row for row in rows if not isinstance(row, dict) or "error" not in row]
    if not timed:
        raise UserError("the benchmark's result holds no layout that ran", "run `branchwise bench` again")
    try:
        return pd.DataFrame([_Row.model_validate(row).model_dump() for row in timed])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(
            f"the benchmark's result has a row whose {'.'.join(map(str, first['loc'])) or 'form'} is not "
            f"right: {first['msg']}",
            "run `branchwise bench` again",
        ) from None


def draw_speed(result: dict[str, Any]) -> Figure:
    """Milliseconds a step against branches, a panel for each prefix length; then against the prefix,
    at the most branches. Both axes are logarithmic; the grey line is what no layout can beat.
    """
    if result.get("schema") != SCHEMA:
        raise UserError(
            f"the benchmark's result has schema {result.get('schema')!r:.40}, not {SCHEMA}",
            "run `branchwise bench` again",
        )
    rows = _rows(result)
    rows["step_ms"], rows["floor_ms"] = 1e3 * rows.step_s, 1e3 * rows.floor_s
    layouts = list(rows.layout.unique())
    prefixes = sorted(rows.prefix.unique())
    panels = [(rows[rows.prefix == prefix], "branches", f"prefix {prefix}") for prefix in prefixes]
    if len(prefixes) > 1:
        most = rows.branches.max()
        panels.append((rows[rows.branches == most], "prefix", f"{most} branches"))
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(COLUMN_IN, 0.2 + 1.5 * lines),
        squeeze=False,
        sharey=True,
        layout="constrained",
    )
    for axis, (part, along, title) in zip(axes.flat, panels, strict=False):
        _panel(axis, part, along, title, layouts)
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_visible(False)
    for line in axes:
        line[0].set_ylabel("ms per step")
    for axis in list(axes.flat)[: len(panels)]:
        label_log(axis, "y", 1.1)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    for handle, label in zip(handles, labels, strict=True):
        handle.set_label(label)
    legend_above(figure, handles, most_columns=2)
    return figure


def _panel(axis: Axes, part: pd.DataFrame, along: str, title: str, layouts: list[str]) -> None:
    palette = sns.color_palette("colorblind", NUM_COLOURS)
    for number, layout in enumerate(layouts):
        some = part[part.layout == layout].sort_values(along)
        ours = layout == "tree"
        axis.plot(
            some[along],
            some.step_ms,
            color="black" if ours else palette[number % NUM_COLOURS],
            marker=MARKERS[number % len(MARKERS)],
            linewidth=1.8 if ours else 0.9,
            zorder=3 if ours else 2,
            label=layout,
        )
    floor = part.drop_duplicates(along).sort_values(along)
    axis.plot(floor[along], floor.floor_ms, color="0.45", linestyle="--", label="floor")
    axis.set(xscale="log", xlabel=along, title=title)
    ticks = sorted(part[along].unique())
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    sns.despine(ax=axis)


def write_speed(result: dict[str, Any], stem: Path) -> None:
    """Draw a result to `stem` with each format's suffix."""
    with styled():
        save(draw_speed(result), stem)
