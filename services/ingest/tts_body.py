"""What The Things Stack v3 writes, as far as it is read: members of an application message.

Source: TheThingsIndustries/lorawan-stack-docs, integrations/data-formats. Empty, zero and false
members are omitted everywhere: what is missing is 0, "" or false.
"""

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from services.ingest.body import (
    Counter,
    Entries,
    Eui,
    Frame,
    GatewayId,
    Latitude,
    Longitude,
    Number,
    Port,
    Told,
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Ids(_Model):
    """Who the message is about."""

    device_id: Told = ""
    dev_eui: Eui | None = None
    dev_addr: Told = ""


class Location(_Model):
    """Degrees (WGS 84) and metres."""

    latitude: Latitude = 0.0
    longitude: Longitude = 0.0
    altitude: Number = 0.0
    accuracy: Number = 0.0
    source: Told = ""


class GatewayIds(_Model):
    """A gateway, by EUI where it has one."""

    gateway_id: GatewayId = ""
    eui: Eui | None = None


class RxMetadata(_Model):
    """One gateway's reception: dBm, dB."""

    gateway_ids: GatewayIds = GatewayIds()
    time: AwareDatetime | None = None
    gps_time: AwareDatetime | None = None
    rssi: Number = 0.0
    snr: Number = 0.0
    location: Location | None = None


class Lora(_Model):
    """Bandwidth in Hz."""

    bandwidth: int = 0
    spreading_factor: int = 0


class DataRate(_Model):
    """Modulation; other than LoRa is not read."""

    lora: Lora = Lora()


class Settings(_Model):
    """The transmission; frequency in Hz, written as a string."""

    data_rate: DataRate = DataRate()
    frequency: int = 0  # a string in Hz
    time: AwareDatetime | None = None


class Measurement(BaseModel):
    """One normalised measurement, its members as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")
    time: AwareDatetime | None = None


class Battery(_Model):
    """Percent, as last told by the device: on every uplink since."""

    value: Number | None = None
    received_at: AwareDatetime | None = None


class Up(_Model):
    """`uplink_message`."""

    session_key_id: Told = ""
    f_cnt: Counter = 0
    f_port: Port = 0
    frm_payload: Frame = ""
    decoded_payload: dict[str, Any] | None = None
    normalized_payload: Entries[Measurement] = []
    rx_metadata: Entries[RxMetadata] = []
    settings: Settings = Settings()
    received_at: AwareDatetime | None = None
    last_battery_percentage: Battery = Battery()


class Join(_Model):
    """`join_accept`."""

    received_at: AwareDatetime | None = None


class Downlink(_Model):
    """A downlink at some stage of its way."""

    f_cnt: Counter = 0
    f_port: Port = 0
    correlation_ids: Entries[Told] = []


class Error(_Model):
    """Why a downlink failed."""

    name: Told = ""
    message_format: Told = ""


class Failed(_Model):
    """`downlink_failed`."""

    downlink: Downlink = Downlink()
    error: Error = Error()


class Solved(_Model):
    """`location_solved`."""

    service: Told = ""
    location: Location


class ServiceData(_Model):
    """`service_data`."""

    service: Told = ""


class Body(_Model):
    """An application message: one of its members says what it is."""

    end_device_ids: Ids | None = None
    correlation_ids: Entries[str] = []
    received_at: AwareDatetime | None = None
    simulated: bool = False
    uplink_message: Up | None = None
    join_accept: Join | None = None
    downlink_queued: Downlink | None = None
    downlink_sent: Downlink | None = None
    downlink_ack: Downlink | None = None
    downlink_nack: Downlink | None = None
    downlink_failed: Failed | None = None
    location_solved: Solved | None = None
    service_data: ServiceData | None = None
    uplink_normalized: Any = None
    downlinks: Any = None
