"""How long a device takes for some tokens: the floor of its data sheet, by a stated share of it.

A pass reads the weights once and the keys that its rows see, and takes two operations a weight and row;
what is larger, reading or computing, decides, and no pass is faster than its layers can be started.
"""

from typing import NamedTuple

from branchwise.reporting.planning.facts import Device, ModelSize
from branchwise.reporting.planning.work import Work

EFFICIENCY = 0.5
"""Share of the floor that is reached: 0.54 by the tree decoder on a CPU (resources/bench), 0.69 by the
best that is published of one prompt on a GPU."""
SPARE = 1.2
"""Memory that is needed, by the weights': the rest holds keys, values and what a pass makes."""


class Pace(NamedTuple):
    """What a model is computed by: how much of the floor is reached, whether prompts share what they
    begin with, and how many groups are in one pass.
    """

    device: Device
    efficiency: float
    shares: bool
    groups_at_once: float


def seconds(work: Work, model: ModelSize, pace: Pace) -> float:
    """Time for some tokens, those of all groups together."""
    return prefill_s(work, model, pace) + decode_s(work, model, pace)


def prefill_s(work: Work, model: ModelSize, pace: Pace) -> float:
    """Time to compute prompts."""
    tokens = work.unique if pace.shares else work.sent
    seen = (work.shared + work.own) / 2
    flop = tokens * (2 * model.num_weights + model.flop_per_pair * seen)
    return flop / (pace.device.flop_per_s * pace.efficiency)


def decode_s(work: Work, model: ModelSize, pace: Pace) -> float:
    """Time to generate."""
    device = pace.device
    passes = work.generated / max(1.0, work.rows * pace.groups_at_once)
    # Where a prefix is shared, one read of it serves all rows of a group.
    keys = (work.shared / max(1.0, work.rows) if pace.shares else work.shared) + work.own
    num_bytes = passes * model.num_weights * device.bytes_per_weight
    num_bytes += work.generated * keys * model.key_bytes(device.bytes_per_weight)
    flop = work.generated * (2 * model.num_weights + model.flop_per_pair * (work.shared + work.own))
    floor = max(num_bytes / device.bytes_per_s, flop / device.flop_per_s)
    return max(floor / pace.efficiency, passes * model.layers * device.launch_s)


def training_s(tokens: float, model: ModelSize, device: Device, efficiency: float, whole: bool) -> float:
    """Time to train on so many tokens: a pass forward and back, and where the whole model is trained
    (`whole`) the gradient of its weights, too.
    """
    return (6 if whole else 4) * model.num_weights * tokens / (device.flop_per_s * efficiency)


def num_devices(model: ModelSize, device: Device) -> int:
    """Devices that a model needs to fit."""
    if device.memory_gb is None:
        return 1
    needed = SPARE * model.billions * device.bytes_per_weight
    return max(1, -(-int(needed * 1000) // int(device.memory_gb * 1000)))
