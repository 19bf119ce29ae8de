"""`make evaluate-environment DATA=folder`: recorded air and river data through the pilot kind.

The folder holds any of: *ispu_daily*.parquet (official daily sub-indices of Jakarta),
*river_quality*.parquet (official river samples) and *beijing_hourly*.parquet (hourly pollutants).
None is shipped: see their licences. The kind's own functions are called, without a database.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench import environment_air, environment_water

Figures = dict[str, Any]
PARTS: Final[Mapping[str, Callable[[Path], Figures]]] = {
    "*ispu_daily*.parquet": environment_air.jakarta,
    "*beijing_hourly*.parquet": environment_air.beijing,
    "*river_quality*.parquet": environment_water.jakarta,
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not (folder := Path(arguments[0])).is_dir():
        sys.stderr.write("usage: python -m tests.bench.environment FOLDER\n")
        return 2
    found = [(run, file) for name, run in PARTS.items() for file in sorted(folder.glob(name))]
    if not found:
        sys.stderr.write(f"{folder}: holds none of {', '.join(PARTS)}\n")
        return 2
    for run, file in found:
        sys.stdout.write(json.dumps({"data": file.stem, **run(file)}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
