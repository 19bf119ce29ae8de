"""Wilson's score interval of a proportion."""

from math import sqrt
from typing import Final

Z_95: Final = 1.959963984540054


def interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Lower and upper bound of a proportion, within 0 … 1, also at 0/n and n/n.

    Raises ValueError unless 0 ≤ successes ≤ trials and trials ≥ 1.
    Source: E. B. Wilson 1927, J. Am. Stat. Assoc. 22:209; 10 of 10 gives 0.72 … 1.00.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} of {trials} is no proportion")
    share = successes / trials
    shrink = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / shrink
    half = z / shrink * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # At the ends the bound is exact; rounding must not put it on the wrong side of the value.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high
