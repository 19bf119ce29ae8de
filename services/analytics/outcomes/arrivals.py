"""What arrived of a pilot's devices and when, by message: the raw uplinks of some days."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import chain
from math import inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from services.analytics import local_time

Floats = NDArray[np.float64]

CONTEXT: Final = timedelta(days=2)  # how far back the message before one is looked for
FETCHED: Final = 10_000

_ARRIVED: Final = text("""
    SELECT device_id, CAST(extract(epoch FROM observed_at) AS float8),
           CAST(extract(epoch FROM received_at) AS float8),
           CAST(extract(epoch FROM received_at - observed_at) AS float8), CAST(history AS int)
    FROM uplink
    WHERE device_id = ANY(CAST(:devices AS int[])) AND event = 'up'
      AND observed_at >= :start AND observed_at < :stop
    ORDER BY device_id, received_at, observed_at, uplink_id
""")
_OLDEST: Final = text("""
    SELECT min(first.observed_at) AS observed_at, min(first.received_at) AS received_at
    FROM unnest(CAST(:devices AS int[])) AS part(id)
    CROSS JOIN LATERAL (
        SELECT observed_at, received_at FROM uplink
        WHERE device_id = part.id ORDER BY observed_at LIMIT 1
    ) AS first
""")


class Arrivals(NamedTuple):
    """Messages (m,) by device and then in order of receipt: device id, observed and received (s
    since 1970), lag = received - observed (s), history: said to be no latency by ingest."""

    device: NDArray[np.int64]
    observed: Floats
    received: Floats
    lag: Floats
    history: NDArray[np.bool_]

    def between(self, start: float, stop: float) -> "Arrivals":
        """Those observed from `start` on and before `stop`."""
        inside = (self.observed >= start) & (self.observed < stop)
        return Arrivals(
            self.device[inside],
            self.observed[inside],
            self.received[inside],
            self.lag[inside],
            self.history[inside],
        )


def arrivals(rows: NDArray[np.float64]) -> Arrivals:
    """From rows (m, 5): device id, observed, received, lag, history."""
    return Arrivals(rows[:, 0].astype(np.int64), rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 4] > 0)


NONE: Final = arrivals(np.empty((0, 5)))


def load(connection: Connection, devices: Sequence[int], start: float, stop: float) -> Arrivals:
    """Messages observed from `start` (s since 1970) less CONTEXT on and before `stop`."""
    scope = {
        "devices": list(devices),
        "start": local_time.at(start) - CONTEXT,
        "stop": local_time.at(stop),
    }
    # Streamed: rows as Python objects take ten times the memory of their array.
    rows = connection.execute(_ARRIVED, scope, execution_options={"yield_per": FETCHED})
    return arrivals(np.fromiter(chain.from_iterable(rows), dtype=np.float64).reshape(-1, 5))


def complete_from(connection: Connection, devices: Sequence[int], first: float) -> float:
    """From when on (s since 1970) no message is missing because it was kept long enough: -inf
    where one observed before `first` is still there, inf where none is.

    Uplinks are removed in the order of receipt, and none is observed after it is received: what
    was observed since any kept one was received is all there.
    """
    row = connection.execute(_OLDEST, {"devices": list(devices)}).one()
    if row.observed_at is None:
        return inf
    return -inf if row.observed_at.timestamp() < first else float(row.received_at.timestamp())
