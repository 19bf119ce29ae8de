"""P1-05 ingest_latency_p95: how long after it was observed a message is here."""

import hashlib
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.analytics.methods import bootstrap
from services.analytics.outcomes.arrivals import CONTEXT, Arrivals
from services.analytics.outcomes.exposure import Exposure
from services.analytics.outcomes.metric import Measured, Metric

Floats = NDArray[np.float64]

SHARE: Final = 0.95
GATE_S: Final = 60.0
PACE: Final = 10  # times as fast as it was observed is catching up
METHOD: Final = f"bootstrap-device-95 B={bootstrap.RESAMPLES}"


class Counted(NamedTuple):
    """Lags (s) that count, by device, and how many of a window's messages were left out why."""

    device: NDArray[np.int64]
    lag: Floats
    all: int
    left_out: dict[str, int]


def counted(arrived: Arrivals, start: float, stop: float) -> Counted:
    """The latencies among the messages observed from `start` on and before `stop`.

    A message counts when it is newer than all its device sent before it, and came at its device's
    own pace: not ten times as fast after the one before it (of at most two days earlier) as the
    two were observed apart.
    """
    known = arrived.between(start - CONTEXT.total_seconds(), stop)
    here = known.observed >= start
    steady = _steady(known)
    reasons = {
        "history": known.history,
        "no_own_time": known.lag == 0,
        "negative_lag": known.lag < 0,
        "back_fill": ~steady,
    }
    left, left_out = here, {}
    for reason, hit in reasons.items():
        left_out[reason] = int((left & hit).sum())
        left = left & ~hit
    return Counted(known.device[left], known.lag[left], int(here.sum()), left_out)


def _steady(known: Arrivals) -> NDArray[np.bool_]:
    """Whether each message is neither older than one before it nor part of a device catching up."""
    steady = np.zeros(len(known.lag), dtype=bool)
    chain = np.flatnonzero(~known.history)
    for own in np.split(chain, np.flatnonzero(np.diff(known.device[chain])) + 1):
        if not len(own):
            continue
        observed = known.observed[own]
        newest = np.maximum.accumulate(observed)
        own = own[np.concatenate(([True], observed[1:] > newest[:-1]))]
        apart, after = np.diff(known.observed[own]), np.diff(known.received[own])
        steady[own[1:]] = (after >= apart / PACE) & (apart <= CONTEXT.total_seconds())
    return steady


def compute(window: Exposure, seed: int) -> Measured:
    """The 95th percentile of the lags that count, with devices resampled for the interval."""
    if window.replayed:
        return Measured(0, 0, 0, None, None, None, None, None, ("replayed: times of others",))
    found = counted(window.arrivals, float(window.midnights[0]), window.end)
    reasons = tuple(
        f"{reason}: {count} of {found.all} messages left out"
        for reason, count in found.left_out.items()
        if count
    )
    total, devices = len(found.lag), np.unique(found.device)
    coverage = total / found.all if found.all else None
    if not total:
        return Measured(0, 0, 0, None, None, None, None, coverage, reasons)
    within = int((found.lag <= GATE_S).sum())
    value = float(np.quantile(found.lag, SHARE, method="inverted_cdf"))
    if len(devices) == 1:
        reasons = ("single_device: no interval can be given", *reasons)
        return Measured(within, total, 1, value, None, None, None, coverage, reasons)
    low, high = bootstrap.quantile_interval(found.lag, found.device, SHARE, seed=seed)
    return Measured(within, total, len(devices), value, low, high, METHOD, coverage, reasons)


def inputs(window: Exposure) -> list[Any]:
    """Each device with its lags as a digest, and what was left out."""
    if window.replayed:
        return ["replayed"]
    found = counted(window.arrivals, float(window.midnights[0]), window.end)
    said = [
        [int(number), hashlib.sha256(found.lag[found.device == number].tobytes()).hexdigest()]
        for number in np.unique(found.device)
    ]
    return [said, found.all, found.left_out]


METRIC: Final = Metric(
    key="P1-05",
    name="ingest_latency_p95",
    def_version=1,
    label="Time to arrive, 95 % of messages",
    windows_days=(1,),
    gate=GATE_S,
    unit="s",
    wanted="down",
    n_min=2,
    formula=(
        "95th percentile (lowest lag that at least 95 % of the messages do not exceed) of received"
        " - observed over the raw uplinks observed in the window, one per message; n: devices;"
        " numerator: messages within 60 s, denominator: messages counted, coverage: counted / all."
        " Left out and counted in the reason: messages with values of several times or marked as"
        " history; those without a time of their own; negative lags (a clock ahead); back-fill:"
        " messages older than one the device sent before, and those received ten times as fast"
        " after the one before them as they were observed apart (or without one in two days),"
        " which is a device or gateway sending what it had stored, so an outage counts once, by"
        " its first message. A network server's own time is where a lag begins if the message"
        " has no other. Recorded pilots have no latency: their times are of another place."
        " Simulated ones measure the platform, not a radio. Windows whose uplinks are no longer"
        " kept stay as published"
    ),
    source="gate <= 60 s and n_min are our proposal; interval: devices resampled, 95 %",
    compute=compute,
    inputs=inputs,
    of_uplinks=True,
)
