"""The seed report's PoC at the Bandung IoT center, simulated: garden, farm, fishery, water.

The report names the Cibodas Botanical Garden, a strawberry farm, a lobster fishery and a device
that measures water quality, no more: every device, value and limit here is invented unless a
source stands beside it. The menu board has no farm or fishery service; the nearest one is used.
"""

from datetime import datetime, timedelta
from typing import Final

from simulators.bandung import garden, lobster, strawberry, water
from simulators.bandung.place import CITY, NETWORK, SITE
from simulators.citizens import Neighbourhood, Saying
from simulators.radio_site import SimulatedSite, scenario

VISITORS: Final = Neighbourhood(
    SITE,
    *CITY,
    every=timedelta(hours=30),
    sayings=(
        Saying("SEC-02", "id", "Papan suhu di kebun raya sangat membantu saat berkunjung."),
        Saying("SEC-02", "en", "It was very hot in the garden, more shade please."),
        Saying("WAT-02", "id", "Air di saluran dekat kebun stroberi keruh sejak pagi."),
        Saying("WAT-02", "en", "The farm shop shows when the beds were watered, nice."),
        Saying("WAT-03", "id", "Lobster di kolam pameran tampak lemas. Telepon 0811-0000-5678."),
        Saying("WAT-03", "en", "Can schools see the tank values? Write to guru@example.org"),
    ),
)


def build(anchor: datetime) -> SimulatedSite:
    """The site as it is when its simulation begins."""
    return SimulatedSite(
        key=SITE,
        name="Bandung IoT center PoC (simulated)",
        lat=CITY[0],
        lon=CITY[1],
        network=NETWORK,
        pilots=tuple(part.pilot(anchor) for part in (garden, strawberry, lobster, water)),
        neighbourhood=VISITORS,
    )


BANDUNG_POC: Final = scenario(
    "bandung-poc", "Bandung PoC, simulated: garden, strawberries, lobsters, water quality", build
)
