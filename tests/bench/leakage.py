"""`make evaluate-leakage DATA=folder`: third-party data with known leaks through the pilot kind.

The folder holds L-Town 2019 (scada_5min_*, leaks_*, leak_flow_5min_*) or the areas of the Battle of
Water Demand Forecasting (inflow_hourly_*). Neither is shipped: L-Town's licence is unresolved.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import leakage_areas, leakage_ltown


def main(arguments: list[str]) -> int:
    if not 1 <= len(arguments) <= 2 or not (folder := Path(arguments[0])).is_dir():
        sys.stderr.write(
            "usage: python -m tests.bench.leakage FOLDER [SCORED-FROM, as 2019-07-01]\n"
        )
        return 2
    since = datetime.fromisoformat([*arguments[1:], "1970-01-01"][0]).replace(tzinfo=UTC)
    known = {"scada_5min_*.parquet": leakage_ltown, "inflow_hourly_*.parquet": leakage_areas}
    held = [data for files, data in known.items() if any(folder.glob(files))]
    if not held:
        sys.stderr.write(f"{folder}: holds none of {', '.join(known)}\n")
        return 2
    figures, report = held[0].run(folder, since.timestamp())
    sys.stdout.write(f"{report}{json.dumps(figures)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
