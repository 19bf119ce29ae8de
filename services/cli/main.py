"""The command `lab`: one line per error, exit code 2 for what the operator can mend."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from services.cli.app import app
from shared.errors import OperatorError

# What adds which commands. Only what is asked for is imported: a command starts a quarter faster.
MODULES: Final = {
    "alerts": ("alerts",),
    "audit": ("audit",),
    "broker.shared_queue": ("broker",),
    "broker.violations": ("broker",),
    "commands": ("ingest", "push", "analytics", "api", "doctor"),
    "demo": ("demo",),
    "keys": ("key",),
    "ledger": ("ledger",),
    "rejects": ("rejects",),
    "replaying": ("simulate", "replay"),
    "reprocess": ("reprocess",),
    "schema": ("db",),
    "sites": ("site",),
    "users": ("user",),
}


def add_commands(arguments: Sequence[str] = ()) -> None:
    """Import what adds the command of these arguments; all of them to tell what there is."""
    asked = arguments[0] if arguments else ""
    wanted = [module for module, names in MODULES.items() if asked in names]
    for module in wanted or MODULES:
        import_module(f"services.cli.{module}")


def main() -> None:
    """Run `lab`; an OperatorError becomes one line on stderr and exit code 2."""
    add_commands(sys.argv[1:])
    try:
        app()
    except OperatorError as error:
        print(f"lab: {error}", file=sys.stderr)
        sys.exit(2)
