"""RAK WisGate gateways with their built-in network server: application/{id}/device/{devEUI}/rx.

Source: RAK7431 manual and messages seen; the frame is hexadecimal or base64, as `data_encode` says.
"""

from collections.abc import Callable, Mapping
from typing import Final

from services.ingest import chirpstack_v3
from services.ingest.uplink import Adapter, ByRadio, Message, Refused, Uplink

_EVENTS: Final[Mapping[str, Callable[[Message], Uplink]]] = {
    "rx": chirpstack_v3.up,
    "join": chirpstack_v3.join,
    "ack": chirpstack_v3.ack,
    "status": chirpstack_v3.status,
}


def parse(message: Message) -> Uplink:
    """A message by the last level of its topic; the level before it must name the same device."""
    *_, dev_eui, name = ["", "", *message.topic.split("/")]
    if name not in _EVENTS:
        raise Refused("unsupported_event", f"{name[:100]!r} messages are not read")
    understood = _EVENTS[name](message)
    if understood.device != ByRadio(f"eui:{dev_eui.lower()}"):
        raise Refused("bad_topic", f"topic names {dev_eui[:100]!r}, body {understood.device}")
    return understood


RAK = Adapter("rak", parse)
