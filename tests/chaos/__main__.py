"""`make chaos RUNS=50`: ends with one JSON line; SEED=7 RUNS=1 repeats the run of that seed."""

import argparse
import json
import sys
from collections import Counter
from contextlib import closing

from tests.chaos import runs
from tests.chaos.stands import Stands


def main() -> int:
    asked = argparse.ArgumentParser(prog="make chaos")
    asked.add_argument("--runs", type=int, default=50)
    asked.add_argument(
        "--seed", type=int, default=1, help="of the first run; the next has one more"
    )
    options = asked.parse_args()
    seeds = range(options.seed, options.seed + options.runs)
    with closing(Stands()) as stands:
        found = {seed: runs.run(stands.of(seed), seed) for seed in seeds}
        on = Counter(stands.of(seed).stand.name for seed in seeds)
    told = {
        "runs": len(found),
        "on": on,
        "published": sum(each.published for each in found.values()),
        "lost": sum(each.lost for each in found.values()),
        "duplicated": sum(each.duplicated for each in found.values()),
        "unbalanced": sum(each.unbalanced for each in found.values()),
        "wrong": sum(each.wrong for each in found.values()),
    }
    whole = runs.MESSAGES
    failed = [s for s, each in found.items() if not each.holds or each.published != whole]
    if failed:
        sys.stderr.write(f"seeds that do not balance, or were not sent whole: {failed}\n")
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
