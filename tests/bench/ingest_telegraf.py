"""Telegraf with the same messages: mqtt_consumer at QoS 1, persistent → outputs.postgresql.

LAB_BENCH_TELEGRAF names a telegraf with these two plugins and the json_v2 parser.
"""

import subprocess
from collections.abc import Iterator
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
  [[inputs.mqtt_consumer.json_v2]]
    measurement_name = "telegraf_reading"
    timestamp_path = "time"
    timestamp_format = "2006-01-02T15:04:05.999999Z07:00"
    [[inputs.mqtt_consumer.json_v2.tag]]
      path = "deviceInfo.devEui"
    [[inputs.mqtt_consumer.json_v2.field]]
      path = "object.level"
      type = "float"
    [[inputs.mqtt_consumer.json_v2.field]]
      path = "object.temperature"
      type = "float"
    [[inputs.mqtt_consumer.json_v2.field]]
      path = "object.battery"
      type = "float"
[[outputs.postgresql]]
  connection = "{connection}"
"""


def arrived(connection: psycopg.Connection[Any]) -> Iterator[int]:
    """How many uplinks it has written so far; it makes its table at its first write."""
    made = "SELECT (to_regclass('telegraf_reading') IS NOT NULL)::int"
    if any(polled(connection, made, 0.1)):
        yield from polled(connection, "SELECT count(*) FROM telegraf_reading", 0.2)


def start(program: str, world: World, directory: Path) -> subprocess.Popen[bytes]:
    """Running with its session; the caller ends it."""
    place = Mqtt(url=world.broker.url)
    known = conninfo_to_dict(world.database.url)
    config = directory / "telegraf.conf"
    config.write_text(
        _CONFIG.format(
            host=place.host,
            port=place.port,
            filter=FILTER,
            client_id=CLIENT_ID,
            username=place.username,
            password=place.password,
            connection=" ".join(f"{key}={value}" for key, value in known.items()),
        )
    )
    return subprocess.Popen([program, "--config", str(config), "--quiet"])
