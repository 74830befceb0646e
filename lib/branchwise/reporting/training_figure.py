"""The figure of training curves."""

import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from branchwise.reporting.fitting import legend_above
from branchwise.reporting.look import in_words, panels, widen_per_cent
from branchwise.reporting.style import DASHES
from branchwise.reporting.ticks import label_log
from branchwise.reporting.trainings import Training


def draw_trainings(trainings: tuple[Training, ...]) -> Figure:
    """Loss and answers right on held-out groups against steps, a line a checkpoint; dotted: the loss on
    what is trained on.
    """
    if not trainings:
        return in_words("Nothing is trained in this experiment.")
    figure, (losses, rights) = panels(2, 1, 1.6)
    palette = sns.color_palette("colorblind", 10)
    models = list(dict.fromkeys(one.model for one in trainings))
    handles = []
    for number, one in enumerate(trainings):
        colour, dash = palette[number % 10], DASHES[models.index(one.model) % len(DASHES)]
        seen = one.curve.dropna(subset=["loss"])
        losses.plot(seen.step, seen.loss, color=colour, lw=0.5, linestyle=":")
        looks = one.curve.dropna(subset=["held_out_loss"])
        losses.plot(looks.step, looks.held_out_loss, color=colour, lw=1, linestyle=dash)
        rights.plot(looks.step, 100 * looks.held_out_right, color=colour, lw=1, linestyle=dash)
        name = one.label if len(models) == 1 else f"{one.label}, {one.model}"
        handles.append(Line2D([], [], color=colour, linestyle=dash, label=name))
    label_log(losses, "y", 1.4)
    losses.set_ylabel("loss, nats a token")
    rights.set_ylabel("answers right, %")
    rights.set_xlabel("step  (dotted: what is trained on)")
    widen_per_cent(rights, "y")
    for axis in (losses, rights):
        axis.grid(lw=0.3)
    legend_above(figure, handles)
    return figure
