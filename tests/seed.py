"""One seed for tests that draw at random: always the same, but another each time in test-full."""

import os
import random
from typing import Final

FULL: Final = "LAB_TEST_FULL" in os.environ
SEED: Final = int(os.environ.get("LAB_TEST_SEED") or (random.randrange(2**31) if FULL else 1))
TOLD: Final = f"LAB_TEST_SEED={SEED} replays this"  # for the message of every assertion


def drawing(*purpose: object) -> random.Random:
    """A generator of its own for each purpose: one test more disturbs no other's numbers."""
    return random.Random(f"{SEED}/{purpose}")
