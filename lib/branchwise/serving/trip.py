"""What the network takes of a request's time."""

import statistics
import time

_NUM_PROBES, _PROBE_S = 3, 5.0


async def round_trip_s(base_url: str, key: str) -> float | None:
    """The median time of a request that computes nothing, up to the first byte of what comes back. None
    where the server cannot be reached; whoever asks then hears why.
    """
    import httpx

    headers = {"authorization": f"Bearer {key}"} if key else {}
    times = []
    async with httpx.AsyncClient(timeout=_PROBE_S, headers=headers) as client:
        for _ in range(_NUM_PROBES + 1):
            began = time.perf_counter()
            try:
                # A list of models may be long: what it says is not waited for.
                async with client.stream("GET", f"{base_url}/models") as reply:
                    times.append(time.perf_counter() - began)
                    if int(reply.headers.get("content-length", 0) or 0) < 100_000:
                        await reply.aread()  # so that the connection stays
            except (httpx.HTTPError, ValueError):
                return None
    # The first one opened the connection.
    return statistics.median(times[1:])
