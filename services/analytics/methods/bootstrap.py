"""Cluster bootstrap of a ratio of sums."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

RESAMPLES: Final = 1000
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
