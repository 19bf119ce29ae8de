"""What the tables say, in the names and shapes of the model of events."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Engine, text

from services.api.resources.latest import latest_of
from shared.db import scope
from shared.db.engine import async_engine
from shared.settings import Database

_NAMES: Final = """
    (SELECT site.key || '/' || source.key FROM source JOIN site ON site.id = source.site_id
     WHERE source.id = t.source_id) AS source,
    (SELECT site.key || '/' || device.key FROM device JOIN site ON site.id = device.site_id
     WHERE device.id = t.device_id) AS device
"""
_STREAMS: Final = text("""
    SELECT datastream.id, site.key || '/' || device.key AS device, property
    FROM datastream JOIN device ON device.id = device_id JOIN site ON site.id = device.site_id
""")
_UPLINKS: Final = text(
    f"SELECT topic, observed_at, received_at, {_NAMES}, md5(payload) FROM uplink t"
)
_READINGS: Final = text("SELECT datastream_id, time, value, quality FROM reading")
_HOURLY: Final = text(
    "SELECT datastream_id, hour, n, n_good, sum, min, max, first, last FROM reading_hourly"
)
_REFUSED: Final = text(f"""
    SELECT topic, md5(payload), {_NAMES}, reason, received_at FROM rejected t
    WHERE scope = 'message'
""")
_ITEMS: Final = text(
    f"SELECT {_NAMES}, reason, received_at, topic FROM rejected t WHERE scope = 'item'"
)
_LEDGER: Final = text(
    f"SELECT {_NAMES}, hour, kind, n FROM ledger t WHERE n <> 0 AND kind <> 'frame_gap'"
)


class Tables:
    """Each method reads one table whole; rows come in no order."""

    def __init__(self, engine: Engine, database: Database) -> None:
        self._engine, self._database = engine, database
        with engine.connect() as connection:
            self._streams = {
                row.id: (row.device, row.property) for row in connection.execute(_STREAMS)
            }

    def uplinks(self) -> Iterator[tuple[Any, ...]]:
        """(topic, observed, received, source, device, digest), once for each row."""
        return self._rows(_UPLINKS)

    def readings(self) -> Iterator[tuple[Any, ...]]:
        """(device, property, time, value, quality)."""
        return ((*self._streams[number], *rest) for number, *rest in self._rows(_READINGS))

    def hourly(self) -> Iterator[tuple[Any, ...]]:
        """(device, property, hour, n, n_good, sum, min, max, first, last)."""
        return ((*self._streams[number], *rest) for number, *rest in self._rows(_HOURLY))

    def refused(self) -> Iterator[tuple[Any, ...]]:
        """(topic, digest, source, device, reason, received)."""
        return self._rows(_REFUSED)

    def items(self) -> Iterator[tuple[Any, ...]]:
        """(source, device, reason, received, topic)."""
        return self._rows(_ITEMS)

    def ledger(self) -> Iterator[tuple[Any, ...]]:
        """(source, device, hour, kind, n)."""
        return self._rows(_LEDGER)

    async def latest(self) -> list[tuple[Any, ...]]:
        """(device, property, time, value, quality) as the API answers it."""
        engine = async_engine(self._database)
        async with engine.connect() as connection:
            await connection.run_sync(scope.enter, None)
            found = await latest_of(connection, datetime.now(UTC), [*self._streams])
        await engine.dispose()
        return [(f"{f.site}/{f.device}", f.property, f.time, f.value, f.quality) for f in found]

    def _rows(self, sql: Any) -> Iterator[tuple[Any, ...]]:
        with self._engine.connect() as connection:
            options = {"stream_results": True, "max_row_buffer": 20_000}
            for row in connection.execution_options(**options).execute(sql):
                yield tuple(row)
