"""What a ChirpStack v4 server publishes of a device's frames, and what radio does to them.

Source: chirpstack/chirpstack-docs, src/chirpstack/integrations/{mqtt,events}.md (JSON encoding).
"""

import heapq
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from simulators.device import Device, ticks
from simulators.message import Message, Timed
from simulators.noise import between, digest, uniform

_CHANNELS_HZ: Final = (921_400_000, 921_600_000)  # AS923-2 default channels


@dataclass(frozen=True, slots=True)
class Gateway:
    """A radio: 16 hex digits and where it stands."""

    id: str
    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Network:
    """One ChirpStack application and the gateways in reach of its devices."""

    application_id: UUID
    application_name: str
    gateways: tuple[Gateway, ...]

    @property
    def topic_filter(self) -> str:
        return f"application/{self.application_id}/device/+/event/+"


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of uplinks lost, published twice, and late by up to max_delay."""

    lost: float = 0.0
    twice: float = 0.0
    late: float = 0.0
    max_delay: timedelta = timedelta(minutes=2)


NONE: Final = Faults()


def uplinks(
    network: Network, device: Device, seed: int, start: datetime, faults: Faults = NONE
) -> Iterator[Timed]:
    """Every `up` event of a device from `start` on, in the order of leaving the server."""
    return _in_order_of_leaving(_heard(network, device, seed, start, faults))


def _heard(
    network: Network, device: Device, seed: int, start: datetime, faults: Faults
) -> Iterator[tuple[datetime, Timed]]:
    """When each uplink was sent, and when its event leaves: the same, or late."""
    for f_cnt, at in ticks(device, seed, start):
        chance = (seed, device.eui, at.timestamp())  # counters come again after a re-join
        if uniform(*chance, "lost") < faults.lost:
            continue
        message = up(network, device, seed, f_cnt, at)
        late = uniform(*chance, "late") < faults.late
        due = at + (faults.max_delay * uniform(*chance, "delay") if late else timedelta(0))
        yield at, Timed(due, message)
        if uniform(*chance, "twice") < faults.twice:
            yield at, Timed(due, message)


def _in_order_of_leaving(heard: Iterator[tuple[datetime, Timed]]) -> Iterator[Timed]:
    waiting: list[tuple[datetime, int, Timed]] = []
    for order, (sent, timed) in enumerate(heard):
        while waiting and waiting[0][0] <= sent:
            yield heapq.heappop(waiting)[2]
        heapq.heappush(waiting, (timed.due, order, timed))


def up(network: Network, device: Device, seed: int, f_cnt: int, at: datetime) -> Message:
    """One `up` event; its deduplicationId follows from seed, device, counter and time."""
    frame = device.instrument.frame(device.key, seed, at)
    deduplication_id = str(
        UUID(bytes=digest(seed, device.eui, f_cnt, at.timestamp(), size=16), version=4)
    )
    data_rate = 2 + int(4 * uniform(seed, device.eui, "dr"))
    body = {
        "deduplicationId": deduplication_id,
        "time": at.isoformat(timespec="milliseconds"),
        "deviceInfo": {
            "tenantId": str(UUID(int=network.application_id.int + 1)),
            "tenantName": "Simulated tenant",
            "applicationId": str(network.application_id),
            "applicationName": network.application_name,
            "deviceProfileId": str(UUID(int=network.application_id.int + 2 + frame.f_port)),
            "deviceProfileName": type(device.instrument).__name__,
            "deviceName": device.key,
            "devEui": device.eui,
            "deviceClassEnabled": "CLASS_A",
            "tags": {"origin": "simulated"},
        },
        "devAddr": digest(device.eui, size=4).hex(),
        "adr": True,
        "dr": data_rate,
        "fCnt": f_cnt,
        "fPort": frame.f_port,
        "confirmed": False,
        "data": b64encode(frame.data).decode(),
        "object": dict(frame.object),
        "rxInfo": [*_rx_info(network, device, seed, f_cnt, at)],
        "txInfo": {
            "frequency": _CHANNELS_HZ[f_cnt % len(_CHANNELS_HZ)],
            "modulation": {
                "lora": {
                    "bandwidth": 125_000,
                    "spreadingFactor": 12 - data_rate,
                    "codeRate": "CR_4_5",
                }
            },
        },
        "regionConfigId": "as923_2",
    }
    topic = f"application/{network.application_id}/device/{device.eui}/event/up"
    return Message(topic, orjson.dumps(body), deduplication_id)


def _rx_info(
    network: Network, device: Device, seed: int, f_cnt: int, at: datetime
) -> Iterator[dict[str, object]]:
    """The device's nearest gateway always hears it, each other one half of the time."""
    nearest = int(len(network.gateways) * uniform(device.eui, "nearest"))
    for i, gateway in enumerate(network.gateways):
        chance = (seed, device.eui, f_cnt, gateway.id)
        if i != nearest and uniform(*chance, "hears") < 0.5:
            continue
        farther = 0 if i == nearest else 12
        yield {
            "gatewayId": gateway.id,
            "uplinkId": int.from_bytes(digest(*chance, size=4)),
            "nsTime": (at + timedelta(milliseconds=210)).isoformat(timespec="milliseconds"),
            "rssi": round(between(-105, -85, *chance, "rssi")) - farther,
            "snr": round(between(2, 11, *chance, "snr"), 1) - farther / 2,
            "channel": f_cnt % len(_CHANNELS_HZ),
            "location": {"latitude": gateway.lat, "longitude": gateway.lon},
            "context": b64encode(digest(*chance, "context", size=4)).decode(),
            "crcStatus": "CRC_OK",
        }
