"""P1-01 device_activation: how many of the planned devices are live."""

from typing import Any, Final

import numpy as np

from services.analytics.methods import wilson
from services.analytics.outcomes.exposure import Exposure
from services.analytics.outcomes.metric import Measured, Metric


def compute(window: Exposure, _seed: int) -> Measured:
    """Devices live over devices planned, with Wilson's interval."""
    planned, live, heard = _counts(window)
    n = int(planned.sum())
    if n == 0:
        return Measured(0, 0, 0, None, None, None, None, None)
    alive = int(live.sum())
    low, high = wilson.interval(alive, n)
    return Measured(alive, n, n, alive / n, low, high, "wilson-95", float(heard.sum() / n))


def inputs(window: Exposure) -> list[Any]:
    """Each planned device and whether it was live and heard."""
    planned, live, heard = _counts(window)
    return [[window.devices[i].id, bool(live[i]), bool(heard[i])] for i in np.flatnonzero(planned)]


def _counts(window: Exposure) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], ...]:
    """Per device: planned, live, heard at all."""
    end = window.end
    planned = np.array(
        [
            device.due is not None
            and device.due < end
            and (device.cancelled is None or device.cancelled >= end)
            for device in window.devices
        ],
        dtype=bool,
    )
    commissioned = np.array(
        [each.commissioned is not None and each.commissioned < end for each in window.devices],
        dtype=bool,
    )
    live = planned & commissioned & window.valid.any(axis=1)
    return planned, live, planned & window.heard.any(axis=1)


METRIC: Final = Metric(
    key="P1-01",
    name="device_activation",
    def_version=1,
    label="Device activation",
    windows_days=(30,),
    gate=0.90,
    unit="1",
    wanted="up",
    n_min=5,
    formula=(
        "devices commissioned before the window's end with at least one reading of quality 1 or 2"
        " in the window / devices planned to be live before its end (without a plan: commissioned)"
        " and not cancelled before it; coverage: those of them with any reading in the window"
    ),
    source="gate lower bound >= 0.90 and n_min are our proposal; interval Wilson 95 %",
    compute=compute,
    inputs=inputs,
)
