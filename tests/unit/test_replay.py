"""`lab replay`: any table, checked as a whole, with values and times exactly as recorded."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import yaml

from shared.errors import OperatorError
from shared.settings import Mqtt
from simulators import replay
from simulators.replay_map import MapError, read_map

WIDE: dict[str, Any] = {
    "site": "jakarta",
    "time": "when",
    "device": "gauge",
    "devices": {"Depok": "depok", "Karet": None},
    "fields": {"level": "level_cm", "rain": "rain_mm"},
}
HEAD = "when,gauge,level,rain\n"


def mapped(tmp_path: Path, **changes: Any) -> Path:
    file = tmp_path / "map.yaml"
    kept = {key: value for key, value in (WIDE | changes).items() if value is not None}
    file.write_text(yaml.safe_dump(kept))
    return file


def table(tmp_path: Path, text: str, name: str = "data.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return file


def sent(file: Path, map_file: Path, shift: timedelta = timedelta(0)) -> list[tuple[str, Any]]:
    mapping = read_map(map_file)
    replay.survey(file, mapping)
    return [
        (timed.message.topic, json.loads(timed.message.payload))
        for timed in replay.messages(file, mapping, "jakarta", shift)
    ]


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz"])
def test_rows_become_plain_messages(tmp_path: Path, name: str) -> None:
    file = table(tmp_path, HEAD + "2026-01-01T00:00:00Z,Depok,-0.062,0.1\n", name)
    told = {
        "time": "2026-01-01T00:00:00Z",
        "values": {"level_cm": -0.062, "rain_mm": 0.1},
        "history": True,
    }
    assert sent(file, mapped(tmp_path)) == [("livinglab/jakarta/depok/up", told)]


def test_cells_without_a_value_are_not_published(tmp_path: Path) -> None:
    rows = (
        "2026-01-01T00:00Z,Depok,,nan\n2026-01-01T01:00Z,Depok,5,-\n2026-01-01T02:00Z,Depok,-,7\n"
    )
    values = [
        body["values"]
        for _, body in sent(table(tmp_path, HEAD + rows), mapped(tmp_path, missing=["-"]))
    ]
    assert values == [{"level_cm": 5.0}, {"rain_mm": 7.0}]


def test_a_device_mapped_to_null_is_left_out(tmp_path: Path) -> None:
    file = table(tmp_path, HEAD + "2026-01-01T00:00Z,Karet,x,x\n2026-01-01T00:00Z,Depok,1,2\n")
    assert [topic for topic, _ in sent(file, mapped(tmp_path))] == ["livinglab/jakarta/depok/up"]


def test_an_exact_duplicate_is_published_twice_with_one_key(tmp_path: Path) -> None:
    row = "2026-01-01T00:00Z,Depok,1,2\n"
    file = table(tmp_path, HEAD + row + row + row.replace("1,2", "9,2"))
    found = list(replay.messages(file, read_map(mapped(tmp_path)), "jakarta", timedelta(0)))
    keys = [timed.message.identity for timed in found]
    assert len(keys) == 3
    assert len(set(keys)) == 2, "another value at the same time is another message"


def test_a_shift_moves_times_only(tmp_path: Path) -> None:
    file = table(tmp_path, HEAD + "2026-01-01T00:00:00.25Z,Depok,1,2\n")
    (_, body), *_ = sent(file, mapped(tmp_path), timedelta(weeks=2))
    assert datetime.fromisoformat(body["time"]) == datetime(2026, 1, 15, 0, 0, 0, 250_000, UTC)
    assert body["values"] == {"level_cm": 1.0, "rain_mm": 2.0}


def test_a_long_table_takes_the_field_from_its_quantity(tmp_path: Path) -> None:
    text = "when,gauge,what,value\n2026-01-01T00:00Z,Depok,h,1.5\n2026-01-01T00:00Z,Depok,r,0\n"
    long = mapped(tmp_path, quantity="what", value="value", fields={"h": "level_m", "r": "rain_mm"})
    found = sent(table(tmp_path, text), long)
    assert [body["values"] for _, body in found] == [{"level_m": 1.5}, {"rain_mm": 0.0}]


def test_local_times_are_those_of_the_zone(tmp_path: Path) -> None:
    file = table(tmp_path, HEAD + "01/07/2026 07:30,Depok,1,2\n")
    local = mapped(tmp_path, zone="Asia/Jakarta", time_format="%d/%m/%Y %H:%M")
    assert sent(file, local)[0][1]["time"] == "2026-07-01T00:30:00Z"


def test_the_repeated_autumn_hour_is_read_in_file_order(tmp_path: Path) -> None:
    hours = ["00:30", "01:00", "01:30", "01:00", "01:30", "02:00"]
    rows = [f"2016-10-30T{hour},{d},1,2\n" for hour in hours for d in ("Depok", "Bogor")]
    local = mapped(tmp_path, zone="Europe/London", devices={"Depok": "depok", "Bogor": "bogor"})
    found = sent(table(tmp_path, HEAD + "".join(rows)), local)
    utc = [body["time"][11:16] for topic, body in found if "depok" in topic]
    assert utc == ["23:30", "00:00", "00:30", "01:00", "01:30", "02:00"]


def test_parquet_values_keep_their_bits(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "data.parquet"
    level = np.array([-0.062, np.nan, 80], dtype=np.float32)
    times = pa.array(
        [1_767_225_600_000_000_001, 1_767_225_601_000_000_000, 1_767_225_602_000_000_000],
        pa.timestamp("ns", tz="UTC"),
    )
    gauge = pa.array(["Depok"] * 3).dictionary_encode()
    rain = pa.array([0.1, None, None])
    columns = {"when": times, "gauge": gauge, "level": level, "rain": rain}
    parquet.write_table(pa.table(columns), file)
    found = [body for _, body in sent(file, mapped(tmp_path))]
    assert [body["values"] for body in found] == [
        {"level_cm": float(np.float32(-0.062)), "rain_mm": 0.1},
        {"level_cm": 80.0},
    ]
    assert found[0]["time"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("2026-01-01T00:00Z,Depok,high,1", "row 3: level 'high' is no number"),
        ("2026-01-01T00:00Z,Depok,1_0,1", "row 3: level '1_0' is no number"),
        ("2026-01-01T00:00Z,Depok,inf,1", "row 3: level 'inf' is no finite number"),
        ("yesterday,Depok,1,1", "row 3: when 'yesterday' is no time"),
        (",Depok,1,1", "row 3: when '' is no time"),
        ("2026-01-01T00:00Z,Bogor,1,1", "row 3: gauge 'Bogor' is not in the map's `devices`"),
        ("2026-01-01T00:00Z,Depok,1", "row 3: 3 cells, the header has 4"),
        ("2026-03-29T01:30,Depok,1,1", "row 3: when 2026-03-29T01:30 does not exist in Europe"),
    ],
)
def test_a_bad_row_is_one_line_before_anything_is_published(
    tmp_path: Path, row: str, told: str
) -> None:
    file = table(tmp_path, f"{HEAD}2026-01-01T00:00Z,Depok,1,2\n{row}\n")
    map_file = mapped(tmp_path, zone="Europe/London")
    nowhere = Mqtt(url="mqtt://127.0.0.1:1")  # the row must be told before the broker is tried
    with pytest.raises(OperatorError) as caught:
        replay.replay(file, map_file, nowhere, now=datetime.now(UTC), stop=Event())
    assert str(caught.value).startswith(f"{file}: {told}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"zone": "Asia/Bogor"}, "'Asia/Bogor' is no IANA time zone"),
        ({"quantity": "what"}, "quantity and value go together"),
        ({"fields": {}}, "fields"),
        ({"fields": {"level": "x", "rain": "x"}}, "two columns give 'x'"),
        ({"colour": "red"}, "colour"),
        ({"devices": {"Depok": "De/pok"}}, "devices.Depok"),
        ({"time": None}, "time"),
    ],
)
def test_a_bad_map_is_one_line_with_its_place(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    file = mapped(tmp_path, **changes)
    with pytest.raises(MapError) as caught:
        read_map(file)
    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("data.csv", b"a,b\n1,2\n", "has no column 'when'; its columns: a, b"),
        ("data.csv", b"", "has no column 'when'"),
        ("data.csv", b"\xff\xfe\x00", "is not UTF-8 CSV"),
        ("data.csv.gz", b"no gzip", "Not a gzipped file"),
        ("data.csv.gz", gzip.compress(HEAD.encode() * 99, mtime=0)[:-30], "is not UTF-8 CSV"),
        ("data.parquet", b"no parquet at all", "is no Parquet file"),
        ("data.csv", HEAD.encode(), "has no row with a value"),
    ],
)
def test_another_kind_of_file_is_one_line(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(OperatorError) as caught:
        sent(file, mapped(tmp_path))
    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_a_missing_site_are_named(tmp_path: Path) -> None:
    with pytest.raises(MapError, match=r"nowhere\.yaml: No such file"):
        read_map(tmp_path / "nowhere.yaml")
    with pytest.raises(OperatorError, match=r"nowhere\.csv: No such file"):
        sent(tmp_path / "nowhere.csv", mapped(tmp_path))
    file = table(tmp_path, HEAD)
    with pytest.raises(replay.ReplayError, match="site: is missing; name one there or by --site"):
        replay.replay(
            file, mapped(tmp_path, site=None), Mqtt(), now=datetime.now(UTC), stop=Event()
        )
