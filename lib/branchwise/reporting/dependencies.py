"""Figures of dependency-ordered answering: cost and gain, edges, and a few graphs."""

from collections.abc import Callable

import networkx as nx
import pandas as pd
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from branchwise.config import Cell
from branchwise.data.types import Group, Question
from branchwise.dependencies.graph import layers, natural_key
from branchwise.reporting.frames import Results, one_line, title
from branchwise.reporting.look import Look, errors, panels, wide
from branchwise.results import GroupScore, Scores

NUM_GRAPHS = 2


def dependency_cost(results: Results) -> Figure:
    """EM, measured and ideal latency of every strategy, a row each; a column of panels a data set."""
    look = Look(results)
    strategies = results.experiment.strategies
    datasets = list(results.experiment.datasets)
    height = 0.17 * len(strategies) + 0.35
    figure, axes = panels(2 * len(datasets), 2, height)
    em, wall, ideal = (wide(results, m) for m in ("em", "wall_s", "ideal_s"))
    decoder = results.experiment.decoders[0]
    for number, dataset in enumerate(datasets):
        left, right = axes[2 * number : 2 * number + 2]
        for row, strategy in enumerate(strategies):
            keep = {"dataset": dataset, "strategy": strategy, "decoder": decoder}
            part, times, bounds = (_only(frame, keep) for frame in (em, wall, ideal))
            colour = look.colour[strategy]
            left.errorbar(
                100 * part.value, [row] * len(part), xerr=errors(part, 100), fmt="o", color=colour
            )
            right.errorbar(
                1000 * times.value, [row] * len(times), xerr=errors(times, 1000), fmt="o", color=colour
            )
            right.plot(1000 * bounds.value, [row] * len(bounds), "|", color=colour, markersize=7)
        for axis in (left, right):
            axis.set_yticks(range(len(strategies)))
            axis.set_ylim(len(strategies) - 0.5, -0.5)
            axis.grid(lw=0.3)
        left.set_yticklabels([results.label("strategy", name) for name in strategies], fontsize=6)
        right.set_yticklabels([])
        left.set_title(title(dataset), loc="left")
    axes[-2].set_xlabel("exact match, %")
    axes[-1].set_xlabel("ms per group (bar: ideal)")
    return figure


def _only(frame: pd.DataFrame, keep: dict[str, str]) -> pd.DataFrame:
    for axis, name in keep.items():
        frame = frame[frame[axis] == name]
    return frame


def dependency_gain(results: Results) -> Figure:
    """Gain in EM over the baseline against the recall of the followed edges, where these are known."""
    look = Look(results)
    figure, (axis,) = panels(1, 1, 2.1)
    shown: dict[str, Line2D] = {}
    for cell, scores in results.scores.items():
        recall = scores.metrics.get("edge_recall")
        if recall is None or cell not in results.comparisons:
            continue
        em, _ = results.comparisons[cell]
        colour, marker = look.colour[cell.strategy], look.marker[cell.strategy]
        axis.errorbar(
            100 * recall.value,
            100 * em.value,
            yerr=[[100 * (em.value - em.low)], [100 * (em.high - em.value)]],
            color=colour,
            marker=marker,
            elinewidth=0.7,
        )
        name = results.label("strategy", cell.strategy)
        shown[name] = Line2D([], [], color=colour, marker=marker, linestyle="", label=name)
    axis.axhline(0, color="0.5", lw=0.7)
    axis.set_xlabel("recall of the known dependencies, %")
    axis.set_ylabel(f"EM over {results.label('strategy', results.experiment.baseline)}, points")
    axis.grid(lw=0.3)
    if shown:
        figure.legend(handles=list(shown.values()), loc="outside upper center", ncols=2, frameon=False)
    return figure


def dependency_edges(results: Results) -> Figure:
    """Dependencies followed per question, by strategy and data set."""
    look = Look(results)
    frame = wide(results, "edges")
    strategies = [
        s
        for s in results.experiment.strategies
        if results.experiment.catalogues.strategies[s].dependencies
    ]
    datasets = list(results.experiment.datasets)
    figure, (axis,) = panels(1, 1, 0.28 * len(datasets) * max(1, len(strategies)) / 3 + 0.6)
    width = 0.8 / max(1, len(strategies))
    for offset, strategy in enumerate(strategies):
        part = frame[(frame.strategy == strategy)].drop_duplicates("dataset").set_index("dataset")
        places = [row + width * (offset - (len(strategies) - 1) / 2) for row in range(len(datasets))]
        values = [float(part["value"].get(name, 0.0)) for name in datasets]
        label = results.label("strategy", strategy)
        axis.barh(places, values, height=0.9 * width, color=look.colour[strategy], label=label)
    axis.set_yticks(range(len(datasets)), [title(name) for name in datasets])
    axis.invert_yaxis()
    axis.set_xlabel("dependencies per question")
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def dependency_graphs(results: Results) -> Figure:
    """The first groups of the first data set: edges known (grey) and followed (coloured)."""
    look = Look(results)
    dataset, model = results.experiment.datasets[0], results.experiment.models[0]
    found: dict[str, Scores] = {}
    for cell, scores in results.scores.items():
        if _shows(results, cell, dataset, model) and any(g.edge_pairs for g in scores.groups):
            found.setdefault(cell.strategy, scores)
    figure, axes = panels(max(1, NUM_GRAPHS * len(found)), NUM_GRAPHS, 1.15)
    for row, (strategy, scores) in enumerate(found.items()):
        names: dict[str, list[str]] = {group.group: [] for group in scores.groups[:NUM_GRAPHS]}
        for question in scores.questions:
            if question.group in names:
                names[question.group].append(question.question)
        for column, group in enumerate(scores.groups[:NUM_GRAPHS]):
            axis = axes[NUM_GRAPHS * row + column]
            _draw_graph(axis, group, names[group.group], look.colour[strategy])
            label = f"{results.label('strategy', strategy)}: " if column == 0 else ""
            axis.set_title(f"{label}{one_line(group.group)}", fontsize=6, loc="left")
    return figure


def _shows(results: Results, cell: Cell, dataset: str, model: str) -> bool:
    decoder = results.experiment.decoders[0]
    return (cell.dataset, cell.model, cell.decoder) == (dataset, model, decoder)


def _draw_graph(axis: Axes, group: GroupScore, names: list[str], colour: tuple) -> None:
    """Questions by depth from left to right; known edges that were not followed are dotted."""
    followed = set(group.edge_pairs)
    needs: dict[str, list[str]] = {name: [] for name in names}
    for source, target in group.edge_pairs:
        needs[target].append(source)
    questions = tuple(Question(id=n, text=n, golds=("?",), needs=tuple(needs[n])) for n in names)
    places = {}
    for depth, layer in enumerate(layers(Group(id="g", questions=questions))):
        for height, name in enumerate(sorted(layer, key=natural_key)):
            places[name] = (depth, -height + (len(layer) - 1) / 2)
    graph = nx.DiGraph()
    graph.add_nodes_from(names)
    rings = {"node_size": 90, "node_color": "white", "edgecolors": "0.3", "linewidths": 0.6}
    nx.draw_networkx_nodes(graph, places, ax=axis, **rings)
    written = {name: one_line(name) for name in names}
    for text in nx.draw_networkx_labels(graph, places, written, ax=axis, font_size=4.5).values():
        # networkx names one font, which would leave out the style's others.
        text.set_family(rcParams["font.family"])
    missed = [pair for pair in group.known_pairs or () if pair not in followed]
    arrows = {"ax": axis, "arrowsize": 6, "node_size": 90, "width": 0.9}
    colours = [colour] * len(followed)
    nx.draw_networkx_edges(graph, places, edgelist=list(followed), edge_color=colours, **arrows)
    nx.draw_networkx_edges(graph, places, edgelist=missed, edge_color="0.7", style=":", **arrows)
    axis.margins(0.15)
    axis.axis("off")


MAKERS: dict[str, Callable[[Results], Figure]] = {
    "dependency_cost": dependency_cost,
    "dependency_gain": dependency_gain,
    "dependency_edges": dependency_edges,
    "dependency_graphs": dependency_graphs,
}
