"""Servers that an experiment asks: where they are, and whether their keys are set."""

import os
from collections.abc import Iterator

from branchwise.config import Experiment
from branchwise.doctor.fact import Fact


def servers(experiment: Experiment) -> Iterator[Fact]:
    """A fact a server."""
    from branchwise.serving.entry import ServerSettings

    roles, judge = experiment.roles, experiment.judge
    beside = (roles.planner_decoder, roles.paraphraser_decoder, judge.decoder if judge else None)
    for name in dict.fromkeys((*experiment.decoders, *filter(None, beside))):
        entry = experiment.catalogues.decoders[name]
        if isinstance(entry, ServerSettings):
            yield Fact(f"server {name}", f"{entry.base_url}, {_key(entry.key_name)}")
    if judge is not None and judge.decoder is None:
        yield Fact("server of the judge", f"{judge.base_url}, {_key(judge.key_name)}")


def _key(variable: str | None) -> str:
    """Whether a variable is set, never what it holds."""
    if variable is None:
        return "no key"
    return f"{variable} {'set' if os.environ.get(variable) else 'not set'}"
