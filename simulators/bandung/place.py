"""Where the simulated PoC stands: city and garden to about a kilometre, a network, radio ids."""

from typing import Final
from uuid import UUID

from simulators.gateway import Faults, Gateway, Network

SITE: Final = "bandung"
CITY: Final = (-6.91, 107.61)
GARDEN: Final = (-6.74, 107.01)  # Cibodas Botanical Garden
NETWORK: Final = Network(
    application_id=UUID("bad60000-0000-4000-8000-000000000000"),
    application_name="bandung-simulated",
    gateways=(
        Gateway("bad6000000000001", -6.9120, 107.6085),
        Gateway("bad6000000000002", -6.7395, 107.0075),
    ),
)
FAULTS: Final = Faults(lost=0.004, twice=0.004, late=0.02)


def eui(number: int) -> str:
    """The radio id of a simulated device of this site."""
    return f"bad6{number:012x}"
