"""`make evaluate-leakage DATA=folder`: third-party data with known leaks through the pilot kind.

The folder holds L-Town 2019 (scada_5min_*, leaks_*, leak_flow_5min_*) or the areas of the Battle of
Water Demand Forecasting (inflow_hourly_*). Neither is shipped: L-Town's licence is unresolved.
"""

import json
import sys
from pathlib import Path

from tests.bench import leakage_ltown


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not (folder := Path(arguments[0])).is_dir():
        sys.stderr.write("usage: python -m tests.bench.leakage FOLDER\n")
        return 2
    if [*folder.glob("scada_5min_*.parquet")]:
        figures, report = leakage_ltown.run(folder)
    else:
        sys.stderr.write(f"{folder}: holds no scada_5min_*.parquet (L-Town)\n")
        return 2
    sys.stdout.write(f"{report}{json.dumps(figures)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
