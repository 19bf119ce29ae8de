"""The command `lab`: one line per error, exit code 2 for what the operator can mend."""

import sys

from services.cli import (
    alerts,
    audit,
    commands,
    demo,
    keys,
    ledger,
    rejects,
    replaying,
    reprocess,
    schema,
    sites,
    users,
)
from services.cli.app import app
from services.cli.broker import shared_queue, violations
from shared.errors import OperatorError

__all__ = [
    "alerts",
    "audit",
    "commands",
    "demo",
    "keys",
    "ledger",
    "main",
    "rejects",
    "replaying",
    "reprocess",
    "schema",
    "shared_queue",
    "sites",
    "users",
    "violations",
]  # each adds its commands


def main() -> None:
    """Run `lab`; an OperatorError becomes one line on stderr and exit code 2."""
    try:
        app()
    except OperatorError as error:
        print(f"lab: {error}", file=sys.stderr)
        sys.exit(2)
