"""P1-02 data_completeness: how many of the expected readings came."""

from typing import Any, Final

import numpy as np

from services.analytics.methods import bootstrap
from services.analytics.outcomes.exposure import Exposure
from services.analytics.outcomes.metric import Measured, Metric

METHOD: Final = f"bootstrap-device-95 B={bootstrap.RESAMPLES}"


def compute(window: Exposure, seed: int) -> Measured:
    """Readings received over expected, with devices resampled for the interval."""
    expected, received, active = _sums(window)
    counted = expected > 0
    n, in_service = int(counted.sum()), int(active.sum())
    left_out = in_service - n
    reasons = (f"interval_unknown: {left_out} devices left out",) if left_out else ()
    coverage = n / in_service if in_service else None
    if n == 0:
        return Measured(0, 0, 0, None, None, None, None, coverage, reasons)
    came, due = float(received[counted].sum()), float(expected[counted].sum())
    if n == 1:
        reasons = ("single_device: no interval can be given", *reasons)
        return Measured(came, due, n, came / due, None, None, None, coverage, reasons)
    low, high = bootstrap.ratio_interval(received[counted], expected[counted], seed=seed)
    return Measured(came, due, n, came / due, low, high, METHOD, coverage, reasons)


def inputs(window: Exposure) -> list[Any]:
    """Each device in service with what it sent and should have."""
    expected, received, active = _sums(window)
    return [
        [window.devices[i].id, float(received[i]), float(expected[i])]
        for i in np.flatnonzero(active)
    ]


def _sums(window: Exposure) -> tuple[np.ndarray[Any, Any], ...]:
    """Per device over the window: expected, received, in service at all."""
    return (
        window.expected.sum(axis=1),
        window.received.sum(axis=1),
        window.active.sum(axis=1) > 0,
    )


METRIC: Final = Metric(
    key="P1-02",
    name="data_completeness",
    def_version=1,
    label="Data completeness",
    windows_days=(7, 30),
    gate=0.95,
    unit="1",
    wanted="up",
    n_min=2,
    formula=(
        "sum over devices and local hours (days where the interval is longer than an hour) of"
        " min(readings, expected) / sum of expected; expected = seconds from commissioning to"
        " cancellation without logged maintenance / nominal interval; readings of any quality, of"
        " the fullest datastream of the device; coverage: devices counted / devices in service,"
        " those without a nominal interval of at most a day are left out. As in the catalogue,"
        " readings are capped at what is expected per device and hour: a surplus in one hour does"
        " not make up for another, so a device whose interval does not divide the hour, or whose"
        " readings fall on either side of full hours, scores below 1 even when on time."
        " Maintenance is excluded as registered: the platform does not record when it was written"
        " down, so it may have been entered after the window closed"
    ),
    source="gate >= 0.95 and n_min are our proposal; interval: devices resampled, 95 %",
    compute=compute,
    inputs=inputs,
)
