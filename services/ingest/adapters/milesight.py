"""Milesight gateways (UG65, UG67 …) with their embedded network server: uplinks on a free topic.

Source: Milesight support article 73000600064; the device is named by the message's devEUI.
"""

from services.ingest import chirpstack_v3
from services.ingest.uplink import Adapter

MILESIGHT = Adapter("milesight", chirpstack_v3.up)
