"""What is counted across requests, for the gate and for whoever knows the principal."""

from dataclasses import dataclass
from typing import Self

from services.api.gate.streams import Streams
from shared.http.buckets import Buckets
from shared.settings import Api


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests and live streams, by address and by principal."""

    addresses: Buckets
    principals: Buckets
    streams: Streams
    streams_of_principals: Streams

    @classmethod
    def of(cls, api: Api) -> Self:
        """Nothing counted yet."""
        return cls(
            addresses=Buckets(api.rate_per_address),
            principals=Buckets(api.rate_per_principal),
            streams=Streams(most=api.streams, each=api.streams_each),
            streams_of_principals=Streams(most=api.streams, each=api.streams_each),
        )
