"""How a training went, step by step: a table that is written as CSV and, for TensorBoard, as events.

Torch-free but for TensorBoard's writer.
"""

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

from branchwise.files import write_text


class Point(NamedTuple):
    """One line of a curve. Losses are mean cross-entropies a token, in nats; `right` shares of answers
    all of whose tokens are the likeliest, teacher-forced. Means are over the steps since the line before.
    """

    step: int
    loss: float | None
    right: float | None
    held_out_loss: float | None
    held_out_right: float | None
    rate: float | None
    gradient_norm: float | None
    tokens: int
    train_s: float


class Since:
    """What has come up since the last point of the curve."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._norms: list[float] = []
        self._right = self._spans = 0
        self.rate: float | None = None

    def add(self, loss: float, right: int, spans: int, norm: float, rate: float) -> None:
        self._losses.append(loss)
        self._norms.append(norm)
        self._right, self._spans, self.rate = self._right + right, self._spans + spans, rate

    @property
    def loss(self) -> float | None:
        return sum(self._losses) / len(self._losses) if self._losses else None

    @property
    def norm(self) -> float | None:
        return sum(self._norms) / len(self._norms) if self._norms else None

    @property
    def right(self) -> float | None:
        return self._right / self._spans if self._spans else None


class Curve:
    """The points so far; written anew with each, so that a resumed training's file has no line twice."""

    def __init__(self, work: Path, points: list[Any] | None = None) -> None:
        self.work = work
        self.points = [Point(*point) for point in points or ()]
        self._writer: Any = None

    def add(self, point: Point) -> None:
        """A point more."""
        self.points.append(point)
        self.write(self.work / "curve.csv")
        values = point._asdict()
        step = values.pop("step")
        for name, value in values.items():
            if value is not None:
                self._events().add_scalar(name, value, step)
        self._events().flush()

    def write(self, path: Path) -> None:
        """Write the table."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(Point._fields)
        table.writerows([_short(value) for value in point] for point in self.points)
        write_text(path, text.getvalue())

    def _events(self) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What an earlier run wrote of later steps is not shown.
            step = self.points[-1].step if self.points else 0
            self._writer = SummaryWriter(str(self.work / "tensorboard"), purge_step=step)
        return self._writer


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
