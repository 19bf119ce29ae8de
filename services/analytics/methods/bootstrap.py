"""Cluster bootstrap of a ratio of sums."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 1000
_STEPS: Final = 2000
_BLOCK: Final = 2_000_000  # indices drawn at a time: bounds memory with many clusters


def ratio_interval(
    numerator: NDArray[np.float64],
    denominator: NDArray[np.float64],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """95 % percentile interval of sum(numerator) / sum(denominator) over resampled clusters.

    Both (n,), one entry per cluster (a device), n ≥ 2, every denominator > 0: readings of one
    device are not independent, so devices are drawn whole. The same seed and input give the same
    interval. Raises ValueError otherwise. Source: Efron and Tibshirani 1993, chapter 13.
    """
    clusters = len(numerator)
    if clusters < 2 or not (denominator > 0).all():
        raise ValueError("a cluster bootstrap needs two clusters, each with exposure")
    random = np.random.Generator(np.random.PCG64(seed))
    ratios: list[NDArray[np.float64]] = []
    left = resamples
    while left:
        rows = min(left, max(1, _BLOCK // clusters))
        drawn = random.integers(0, clusters, size=(rows, clusters))
        ratios.append(numerator[drawn].sum(axis=1) / denominator[drawn].sum(axis=1))
        left -= rows
    low, high = np.quantile(np.concatenate(ratios), (0.025, 0.975))
    return float(low), float(high)


def quantile_interval(
    values: NDArray[np.float64],
    cluster: NDArray[np.int64],
    share: float,
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """95 % percentile interval of a quantile over resampled clusters.

    values, cluster (n,): each value and the cluster (a device) it is of, at least two clusters.
    The quantile is the lowest value whose cumulative share reaches `share`. Beyond 2,000 values
    it is taken among 2,000 of them, spread evenly by rank. Raises ValueError without two clusters.
    """
    names, member = np.unique(cluster, return_inverse=True)
    if len(names) < 2:
        raise ValueError("a cluster bootstrap needs two clusters")
    steps = np.quantile(values, np.linspace(0, 1, _STEPS), method="inverted_cdf")
    steps = np.unique(values if len(values) <= _STEPS else steps)
    bins = len(steps)
    place = np.searchsorted(steps, values)
    held = np.bincount(member * bins + place, minlength=len(names) * bins).reshape(-1, bins)
    drawn = np.random.Generator(np.random.PCG64(seed)).multinomial(
        len(names), np.full(len(names), 1 / len(names)), size=resamples
    )
    reached = np.cumsum(drawn.astype(np.float64) @ held, axis=1)
    found = steps[(reached >= share * reached[:, -1:]).argmax(axis=1)]
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)
