"""What servers did in a cell, put together from its traces."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from branchwise.decoding.models.entry import ModelEntry
from branchwise.results import GroupRecord, ServedRun


def served_run(records: Iterable[GroupRecord], models: Sequence[ModelEntry]) -> ServedRun | None:
    """The sum of all replies of served models; None where there are none. `models`: whoever was asked."""
    asks = [ask for record in records for ask in record.trace.asks if ask.served is not None]
    served = [ask.served for ask in asks if ask.served is not None]
    if not served:
        return None
    faults: Counter[str] = Counter()
    for one in served:
        faults.update(one.faults)
    costs = [one.cost for one in served]
    trips = [one.round_trip_s for one in served if one.round_trip_s is not None]
    computed = [one.server_s for one in served]
    prices = {model.server_name: model.price for model in models if model.price is not None}
    return ServedRun(
        models=tuple(sorted({one.model for one in served})),
        fingerprints=tuple(sorted({one.fingerprint for one in served if one.fingerprint})),
        num_replies=len(served),
        num_kept=sum(one.kept for one in served),
        num_attempts=sum(one.attempts for one in served),
        faults=dict(faults.most_common()),
        num_empty=sum(not ask.raw.strip() for ask in asks),
        cost=None if None in costs else sum(cost for cost in costs if cost is not None),
        prices=tuple({"model": name, **price.model_dump(mode="json")} for name, price in prices.items()),
        cached=int(sum(ask.tokens.cached for ask in asks)),
        ideal_cached=sum(one.ideal_cached for one in served),
        median_s=statistics.median(ask.duration_s for ask in asks),
        server_s=None if None in computed else statistics.median(s for s in computed if s is not None),
        round_trip_s=statistics.median(trips) if trips else None,
        waited_s=sum(one.waited_s for one in served),
    )


def said_of(run: ServedRun) -> str:
    """A cell's requests in one line."""
    parts = [f"{run.num_replies} replies of {', '.join(run.models)}"]
    if run.num_kept:
        parts.append(f"{run.num_kept} kept from an earlier run")
    if run.faults:
        kinds = ", ".join(f"{kind} ({number})" for kind, number in run.faults.items())
        parts.append(f"{sum(run.faults.values())} attempts failed and were made again: {kinds}")
    if run.num_empty:
        parts.append(f"{run.num_empty} are empty")
    if run.cost is not None:
        currency = run.prices[0]["currency"] if run.prices else ""
        parts.append(f"cost {run.cost:.4f} {currency}".strip())
    return "; ".join(parts)
