"""Cibinong testbed, simulated: flood, smart metering, leakage, parking, and citizens.

The services are those the seed report proposes for the town; everything here is invented but the
town's position: devices, limits, leaks, rises, faults, feedback.
"""

from datetime import datetime, timedelta
from typing import Final

from simulators.cibinong import flood, leakage, metering, parking
from simulators.cibinong.place import LAT, LON, NETWORK, SITE
from simulators.citizens import Neighbourhood, Saying
from simulators.radio_site import SimulatedSite, scenario

NEIGHBOURHOOD: Final = Neighbourhood(
    SITE,
    LAT,
    LON,
    every=timedelta(hours=14),
    sayings=(
        Saying("SEC-02", "id", "Air sungai naik cepat di dekat jembatan, mohon dicek."),
        Saying("SEC-02", "id", "Selokan tersumbat sampah, jalan tergenang setelah hujan."),
        Saying("SEC-02", "en", "The river is very high behind the market this evening."),
        Saying("SEC-02", "en", "The siren was clear, thank you. Water is going down now."),
        Saying("SEC-02", "id", "Genangan sudah surut. Laporan dari Contoh, hp 0812-0000-1234."),
        Saying("WAT-04", "id", "Meteran air berputar walau semua keran ditutup."),
        Saying("WAT-04", "id", "Tagihan bulan ini dua kali lipat. NIK saya 3201 0000 0000 0001."),
        Saying("WAT-04", "en", "Water pressure is low every morning around six."),
        Saying("WAT-04", "en", "Please call me about my meter: +62 811 0000 0000."),
        Saying("WAT-04", "en", "Seeing my use by the hour helped us find a dripping tap."),
        Saying("ENG-02", "id", "Kapan hasil survei warga diumumkan? Kirim ke warga@example.org"),
        Saying("ENG-02", "en", "The repair was quick, well done."),
    ),
)


def build(anchor: datetime) -> SimulatedSite:
    """The site as it is when its simulation begins."""
    return SimulatedSite(
        key=SITE,
        name="Cibinong testbed (simulated)",
        lat=LAT,
        lon=LON,
        network=NETWORK,
        pilots=(
            flood.pilot(anchor),
            metering.pilot(anchor),
            leakage.pilot(anchor),
            parking.pilot(anchor),
            parking.bench(anchor),
        ),
        neighbourhood=NEIGHBOURHOOD,
    )


CIBINONG_TESTBED: Final = scenario(
    "cibinong-testbed", "Cibinong testbed, simulated: floods, water, parking, citizens", build
)
