"""What all figures share: colours, markers, legends, panels."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from branchwise.reporting.frames import Results, ordered
from branchwise.reporting.style import COLUMN_IN, DASHES, MARKERS


class Look:
    """One colour and marker a strategy, one line style a decoder, the same in every figure."""

    def __init__(self, results: Results) -> None:
        experiment = results.experiment
        palette = sns.color_palette("colorblind", len(experiment.strategies))
        self.results = results
        self.colour = dict(zip(experiment.strategies, palette, strict=True))
        self.marker = {s: MARKERS[i % len(MARKERS)] for i, s in enumerate(experiment.strategies)}
        self.dash = {d: DASHES[i % len(DASHES)] for i, d in enumerate(experiment.decoders)}

    def face(self, strategy: str, decoder: str) -> Any:
        """Fill of a marker: its colour for the first decoder, white for the others."""
        first = self.results.experiment.decoders[0]
        return self.colour[strategy] if decoder == first else "white"

    def legend(self, figure: Figure, decoders: bool = True) -> None:
        """Strategies and, where there are several, decoders, above the axes."""
        label = self.results.label
        handles = [
            Line2D([], [], color=c, marker=self.marker[s], label=label("strategy", s))
            for s, c in self.colour.items()
        ]
        if decoders and len(self.dash) > 1:
            handles += [
                Line2D([], [], color="0.3", linestyle=dash, label=label("decoder", d))
                for d, dash in self.dash.items()
            ]
        figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=min(3, len(handles)),
            frameon=False,
            columnspacing=1.0,
            handlelength=1.9,
        )


def wide(results: Results, metric: str) -> pd.DataFrame:
    """One metric of every cell, in the order of the config."""
    frame = results.metrics()
    return ordered(frame[frame.metric == metric], results.experiment)


def errors(part: pd.DataFrame, scale: float = 1.0) -> list[pd.Series]:
    """Lengths of the error bars below and above each value."""
    return [scale * (part.value - part.low), scale * (part.high - part.value)]


def panels(count: int, columns: int, height_in: float) -> tuple[Figure, list]:
    """A figure one column wide with `count` panels, `height_in` inches each."""
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(COLUMN_IN, height_in * rows + 0.4),
        squeeze=False,
        layout="constrained",
    )
    flat = [axis for row in axes for axis in row]
    for unused in flat[count:]:
        unused.set_visible(False)
    return figure, flat[:count]
