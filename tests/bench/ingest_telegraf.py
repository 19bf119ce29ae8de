"""Telegraf with the same messages: mqtt_consumer at QoS 1, persistent → outputs.postgresql.

LAB_BENCH_TELEGRAF names a telegraf with these two plugins and the json_v2 parser.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from shared.settings import Mqtt
from tests.bench.ingest_messages import FILTER
from tests.bench.ingest_world import World, polled

CLIENT_ID: Final = "bench-telegraf"
# Its window is the broker's (2000), and it is let to write as soon as half of it is there.
_CONFIG: Final = """
[agent]
  flush_interval = "1s"
  metric_batch_size = 1000
  metric_buffer_limit = 100000
  omit_hostname = true
[[inputs.mqtt_consumer]]
  servers = ["tcp://{host}:{port}"]
  topics = ["{filter}"]
  qos = 1
  persistent_session = true
  client_id = "{client_id}"
  username = "{username}"
  password = "{password}"
  max_undelivered_messages = 2000
  data_format = "json_v2"
  topic_tag = ""
{metrics}
[[outputs.postgresql]]
  connection = "{connection}"
"""


_METRIC: Final = """
  [[inputs.mqtt_consumer.json_v2]]
    measurement_name = "{table}"
    timestamp_path = "time"
    timestamp_format = "2006-01-02T15:04:05.999999Z07:00"
    [[inputs.mqtt_consumer.json_v2.tag]]
      path = "deviceInfo.devEui"
"""
_FIELD: Final = """
    [[inputs.mqtt_consumer.json_v2.field]]
      path = "object.{name}"
      type = "float"
"""
FIELDS: Final = ("level", "temperature", "battery")


def arrived(connection: psycopg.Connection[Any], table: str) -> Iterator[int]:
    """How many uplinks it has written so far; it makes its table at its first write."""
    made = f"SELECT (to_regclass('{table}') IS NOT NULL)::int"
    if any(polled(connection, made, 0.1)):
        yield from polled(connection, f"SELECT count(*) FROM {table}", 0.2)


def start(
    program: str, world: World, directory: Path, tables: Mapping[str, Sequence[str]]
) -> subprocess.Popen[bytes]:
    """Running with its session, writing these fields into these tables; the caller ends it."""
    place = Mqtt(url=world.broker.url)
    known = conninfo_to_dict(world.database.url)
    metrics = [
        _METRIC.format(table=table) + "".join(_FIELD.format(name=name) for name in names)
        for table, names in tables.items()
    ]
    config = directory / "telegraf.conf"
    config.write_text(
        _CONFIG.format(
            host=place.host,
            port=place.port,
            filter=FILTER,
            client_id=CLIENT_ID,
            username=place.username,
            password=place.password,
            metrics="".join(metrics),
            connection=" ".join(f"{key}={value}" for key, value in known.items()),
        )
    )
    command = [program, "--config", str(config), "--quiet", "--strict-env-handling"]
    return subprocess.Popen(command)
