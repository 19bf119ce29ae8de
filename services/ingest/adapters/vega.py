"""Vega NB-11 and its kind: an NB-IoT pulse counter that publishes JSON itself, on a free topic.

Source: Vega NB-11 user manual revision 03, section 5. Radio values are in tenths; times are epoch
seconds. Fields are dotted paths such as `Telemetry.pulse1`.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, Field

from services.ingest import decoded
from services.ingest.body import Counter, Number, from_epoch, read
from services.ingest.uplink import Adapter, ByRadio, Message, Record, Refused, Uplink

_NO_VALUES: Final = ("UTC", "reason")
_RADIO: Final = {"RSRP": "rsrp_dbm", "RSRQ": "rsrq_db", "RSSI": "rssi_dbm", "SNR": "snr_db"}


class _Message(BaseModel):
    imei: Annotated[str, Field(alias="IMEI", pattern=r"^[0-9]{15}$")]
    num: Counter
    utc: Annotated[Number, Field(alias="UTC")]


class _Body(BaseModel):
    message: Annotated[_Message, Field(alias="Message")]
    telemetry: Annotated[dict[str, Any], Field(alias="Telemetry")] = {}
    cell: Annotated[dict[str, Number], Field(alias="CellStatus")] = {}


def parse(message: Message) -> Uplink:
    """A message with the telemetry of one time."""
    body = read(_Body, message.payload)
    measured = body.telemetry.get("UTC", body.message.utc)
    if isinstance(measured, bool) or not isinstance(measured, int | float):
        raise Refused("bad_message", "Telemetry.UTC: no number")
    try:
        time = from_epoch(measured)
    except ValueError as error:
        raise Refused("bad_message", f"UTC: {error}") from None
    values = {name: value for name, value in body.telemetry.items() if name not in _NO_VALUES}
    return Uplink(
        device=ByRadio(f"imei:{body.message.imei}"),
        key=f"{body.message.num}:{body.message.utc:.3f}",
        observed_at=time,
        records=[Record(time, decoded.fields("Telemetry", values))],
        f_cnt=body.message.num,
        radio={ours: [body.cell[name] / 10] for name, ours in _RADIO.items() if name in body.cell},
    )


VEGA = Adapter("vega", parse)
