"""Where the simulated testbed stands: the town's position, a network, ids of radios."""

from typing import Final
from uuid import UUID

from simulators.gateway import Faults, Gateway, Network

SITE: Final = "cibinong"
LAT, LON = -6.4817, 106.8540
NETWORK: Final = Network(
    application_id=UUID("c1b10000-0000-4000-8000-000000000000"),
    application_name="cibinong-simulated",
    gateways=(
        Gateway("c1b1000000000001", -6.4790, 106.8512),
        Gateway("c1b1000000000002", -6.4868, 106.8601),
    ),
)
FAULTS: Final = Faults(lost=0.004, twice=0.004, late=0.02)


def eui(number: int) -> str:
    """The radio id of a simulated device of this site."""
    return f"c1b1{number:012x}"
