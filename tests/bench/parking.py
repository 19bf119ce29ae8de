"""`make evaluate-parking DATA=folder`: recorded stays and counts through the parking pilot kind.

The folder holds any of: *caltech*.parquet (stays in single bays), *birmingham*.parquet and
*germany*.parquet with *germany*meta.csv (counts of car parks). None is shipped: see their licences.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench import parking_bays, parking_counts

Figures = dict[str, Any]
PARTS: Final[Mapping[str, Callable[[Path], tuple[Figures, str]]]] = {
    "*caltech*.parquet": parking_bays.caltech,
    "*birmingham*.parquet": parking_counts.birmingham,
    "*germany*.parquet": parking_counts.germany,
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not (folder := Path(arguments[0])).is_dir():
        sys.stderr.write("usage: python -m tests.bench.parking FOLDER\n")
        return 2
    found = [(run, file) for name, run in PARTS.items() for file in sorted(folder.glob(name))]
    if not found:
        sys.stderr.write(f"{folder}: holds none of {', '.join(PARTS)}\n")
        return 2
    figures: Figures = {}
    for run, file in found:
        figures[file.stem], report = run(file)
        sys.stdout.write(report)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
