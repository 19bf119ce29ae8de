"""Messages of network servers, gateways and devices, as published; README.md says where from."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FREE_TOPICS = {
    "milesight-embedded": "/milesight/6438F39254820003/up",
    "kerlink-wanesy": "kerlink/dataUp",
    "none (NB-IoT device, MQTT)": "vega/up",
    "the-things-stack-v3": "v3/app1@ttn/devices/dev1/up",
}
ADAPTERS = {
    "chirpstack-v4": "chirpstack",
    "chirpstack-gateway-bridge": "chirpstack",
    "the-things-stack-v3": "tts",
    "milesight-embedded": "milesight",
    "rak-wisgate": "rak",
    "kerlink-wanesy": "kerlink",
    "none (NB-IoT device, MQTT)": "vega",
}


class Sample(NamedTuple):
    """One message, and the adapter that reads it."""

    id: str
    adapter: str
    topic: str
    payload: dict[str, Any]

    @property
    def body(self) -> bytes:
        return json.dumps(self.payload).encode()


@cache
def samples() -> dict[str, Sample]:
    """Every sample by its id."""
    lines = Path(__file__).with_name("network_server_events.jsonl").read_text().splitlines()
    return {sample.id: sample for sample in map(_sample, lines)}


def _sample(line: str) -> Sample:
    row = json.loads(line)
    server = row["network_server"]
    topic = row["topic"] or FREE_TOPICS[server]
    return Sample(row["id"], ADAPTERS[server], topic, row["payload"])
