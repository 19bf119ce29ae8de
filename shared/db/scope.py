"""Which rows a question may see: the one place that knows how tables belong to sites.

The API's connections look into the schema `scoped` only. It holds a view of each table, and a view
of what belongs to sites shows those of the transaction's sites alone: none unless `enter` was
called. Reading and writing go through the same views, so no statement has to remember anything.
"""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import Connection, Table, TextClause, text

from shared.db.tables import metadata

SCHEMA: Final = "scoped"
ALL_SITES: Final = 0  # stands for every site, also those to come; ids begin at 1
SETTING: Final = "lab.sites"
ENTER: Final[TextClause] = text(f"SELECT set_config('{SETTING}', :sites, true)")

_SITES: Final = f"(SELECT {SCHEMA}.sites())"


def _own(column: str) -> str:
    return f"ARRAY[{ALL_SITES}, {column}] && {_SITES}"


def _through(table: str, column: str) -> str:
    """Rows that belong to a row of `table`, which has the site."""
    return (
        f"EXISTS (SELECT FROM public.{table} AS owner"
        f" WHERE owner.id = it.{column} AND {_own('owner.site_id')})"
    )


# Table → what makes a row of it visible. Readings stand in no list: they are found by the ids of
# datastreams, which do, and a condition on each of millions would be paid for nothing.
RULES: Final[Mapping[str, str]] = {
    "site": _own("it.id"),
    "source": _own("it.site_id"),
    "profile": _own("it.site_id"),
    "pilot": _own("it.site_id"),
    "device": _own("it.site_id"),
    "service_request": _own("it.site_id"),
    "task": _own("it.site_id"),  # of no site in particular: for who sees every one
    "gateway": _through("source", "source_id"),
    # Some belong to no source that is still there: whoever sees every site sees those too.
    "ledger": f"ARRAY[{ALL_SITES}] && {_SITES} OR {_through('source', 'source_id')}",
    "rejected": f"ARRAY[{ALL_SITES}] && {_SITES} OR {_through('source', 'source_id')}",
    "uplink": _through("device", "device_id"),
    "device_event": _through("device", "device_id"),
    "frame_newest": _through("device", "device_id"),
    "datastream": _through("device", "device_id"),
    "reading_superseded": (
        "EXISTS (SELECT FROM public.datastream JOIN public.device AS owner"
        " ON owner.id = datastream.device_id"
        f" WHERE datastream.id = it.datastream_id AND {_own('owner.site_id')})"
    ),
    "finding": _through("pilot", "pilot_id"),
    "metric_value": _through("pilot", "pilot_id"),
    "finding_action": (
        "EXISTS (SELECT FROM public.finding JOIN public.pilot AS owner"
        " ON owner.id = finding.pilot_id"
        f" WHERE finding.id = it.finding_id AND {_own('owner.site_id')})"
    ),
}
# Personal text: nothing that answers questions over HTTP can name the table.
WITHHELD: Final = frozenset({"feedback_raw"})


def sites_setting(sites: Collection[int] | None) -> str:
    """The value of `lab.sites`: ids of sites, or None for every site."""
    chosen = (ALL_SITES,) if sites is None else sorted(sites)
    return "{" + ",".join(map(str, chosen)) + "}"


def enter(connection: Connection, sites: Collection[int] | None) -> None:
    """Let this transaction see these sites (None: all of them), until it ends."""
    connection.execute(ENTER, {"sites": sites_setting(sites)})


def applied(connection: Connection) -> bool:
    """Whether the views are there: without them nothing is shown to anybody."""
    return connection.scalar(text(f"SELECT to_regclass('{SCHEMA}.site')")) is not None


def drop(connection: Connection) -> None:
    """Remove the views, which would stand in the way of a migration."""
    connection.execute(text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))


def apply(connection: Connection) -> None:
    """Make the views anew from the tables of this release; run after every upgrade."""
    drop(connection)
    connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    connection.execute(
        text(f"""
            CREATE FUNCTION {SCHEMA}.sites() RETURNS integer[] STABLE PARALLEL SAFE LANGUAGE sql
            RETURN NULLIF(current_setting('{SETTING}', true), '')::integer[]
        """)
    )
    for table in metadata.sorted_tables:
        if table.name not in WITHHELD:
            connection.execute(text(_view(table)))


def _view(table: Table) -> str:
    columns = ", ".join(f'it."{column.name}"' for column in table.columns)
    shown = f"CREATE VIEW {SCHEMA}.{table.name} AS SELECT {columns} FROM public.{table.name} AS it"
    rule = RULES.get(table.name)
    return f"{shown} WHERE {rule} WITH LOCAL CHECK OPTION" if rule else shown
