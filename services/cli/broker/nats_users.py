"""The users of NATS: a file that its configuration includes, and the order to read it again."""

import asyncio
import json
import os
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import bcrypt
from nats.aio.client import Client

from shared.db.credentials import Grant
from shared.domain.subject import NotForNats, subjects
from shared.errors import OperatorError
from shared.jetstream import MAY_PUBLISH, MAY_SUBSCRIBE
from shared.nats_client import FAILURES, ask, connected
from shared.settings import Broker, Mqtt

_PING: Final = "$SYS.REQ.SERVER.PING"
_RELOAD: Final = "$SYS.REQ.SERVER.{}.RELOAD"
_ANSWER_S: Final = 5.0
_SILENCE_S: Final = 0.5  # after it every node of a cluster has answered
# Ingest's own; NATS reads the password from its environment, so that it starts before any sync.
FIRST: Final = "users: [\n{user: lab, password: $MQTT_PASSWORD}\n"
# A publisher over MQTT needs $MQTT.sub.> for its acknowledgements, and without a block of its own
# NATS lets it subscribe to everything. Over NATS's own protocol that subject would show other
# sessions' messages: so MQTT only.
_SUBSCRIBE: Final = ["$MQTT.sub.>"]
_CONNECTIONS: Final = ["MQTT"]
_ROUNDS: Final = 10  # this password is typed by people


class NodeNotReloaded(OperatorError):
    """A server did not take the new users; the message says which and why."""


def sync(
    broker: Broker,
    mqtt: Mqtt,
    grants: Sequence[Grant],
    worker: tuple[str, str] | None = None,
    *,
    dry_run: bool,
) -> list[str]:
    """Bring the users file to the grants and let every node read it; returns the diff.

    worker: user and password of ingest at the queue. Every node is told also when nothing changed:
    an earlier order may have failed.
    """
    file = broker.users_file
    assert file is not None  # the settings see to it
    before = _read(file)
    wanted = {grant.user: _user(grant) for grant in grants}
    if worker:
        wanted[worker[0]] = _worker(*worker, before.get(worker[0], {}).get("password", ""))
    diff = _diff(before, wanted)
    if not dry_run:
        _write(file, _rendered(wanted.values()))
        asyncio.run(_reload_all(broker, mqtt.tls_context))
    return diff


def _user(grant: Grant) -> dict[str, Any]:
    try:
        allowed = sorted({each for f in grant.filters for each in subjects(f)})
    except NotForNats as error:
        raise OperatorError(f"source {grant.user}: filters: {error}") from None
    return {
        "user": grant.user,
        "password": grant.password_hash,
        "permissions": {"publish": allowed, "subscribe": _SUBSCRIBE},
        "allowed_connection_types": _CONNECTIONS,
    }


def _worker(user: str, password: str, before: str) -> dict[str, Any]:
    """What a worker needs at the queue, and no more; an equal password keeps its hash."""
    secret = password.encode()
    same = before and bcrypt.checkpw(secret, before.encode())
    return {
        "user": user,
        "password": before if same else bcrypt.hashpw(secret, bcrypt.gensalt(_ROUNDS)).decode(),
        "permissions": {"publish": [*MAY_PUBLISH], "subscribe": [*MAY_SUBSCRIBE]},
        "allowed_connection_types": ["STANDARD"],
    }


def _rendered(users: Sequence[dict[str, Any]] | Any) -> str:
    lines = "".join(f"{json.dumps(user, ensure_ascii=False)}\n" for user in users)
    return f"# Written by `lab broker sync`: what is changed here is lost.\n{FIRST}{lines}]\n"


def _read(file: Path) -> dict[str, dict[str, Any]]:
    """The sources' users in the file as it is; a line that is not ours is written anew."""
    try:
        lines = file.read_text().splitlines() if file.exists() else []
    except OSError as error:
        raise OperatorError(f"LAB_BROKER_USERS_FILE: {file}: {error.strerror}") from None
    users = {}
    for line in lines:
        if line.startswith('{"user"'):
            user = json.loads(line)
            users[user["user"]] = user
    return users


def _diff(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> list[str]:
    lines = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if after is None:
            lines.append(f"- user {name}")
        elif before is None:
            lines.append(f"+ user {name}: {', '.join(after['permissions']['publish'])}")
        elif before != after:
            lines.append(f"~ user {name}: {_changed(before, after)}")
    return lines


def _changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    told = []
    if before["password"] != after["password"]:
        told.append("new password")
    if before["permissions"] != after["permissions"]:
        old, new = (", ".join(each["permissions"]["publish"]) for each in (before, after))
        told.append(f"{old} → {new}")
    return "; ".join(told) or "connections"


def _write(file: Path, content: str) -> None:
    """All or nothing, readable by its owner alone: a reload never sees half of it."""
    try:
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # 0600
        with os.fdopen(descriptor, "w") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        Path(name).replace(file)
    except OSError as error:
        raise OperatorError(f"LAB_BROKER_USERS_FILE: {file}: {error.strerror}") from None


async def _reload_all(broker: Broker, tls: ssl.SSLContext) -> None:
    """Each address, also after one has failed; of a cluster any address reaches every node."""
    failed = []
    for url in broker.urls:
        try:
            async with connected(url, tls) as client:
                failed += await _reload(client)
        except FAILURES as error:
            place = urlsplit(url)
            failed.append(f"{place.hostname}:{place.port}: {error or type(error).__name__}")
    if failed:
        raise NodeNotReloaded(
            f"LAB_BROKER_ADMIN_URL: the users file is written, but was not read by"
            f" {'; '.join(failed)}: mend that, then `lab broker sync`"
        )


async def _reload(client: Client) -> list[str]:
    """Let every node that answers read its configuration again; what went wrong."""
    failed, nodes = [], await _nodes(client)
    for identity, name in nodes.items():
        answer = await ask(client, _RELOAD.format(identity))
        if "error" in answer:
            failed.append(f"{name}: {answer['error'].get('description', answer['error'])}")
    return failed or ([] if nodes else ["no node that answered: is this the system account?"])


async def _nodes(client: Client) -> dict[str, str]:
    """Identity and name of every server of the cluster."""
    inbox, nodes = client.new_inbox(), dict[str, str]()
    answers = await client.subscribe(inbox)
    await client.publish(_PING, reply=inbox)
    try:
        while True:
            answer = await answers.next_msg(timeout=_SILENCE_S if nodes else _ANSWER_S)
            server = json.loads(answer.data or b"{}").get("server")
            if server:
                nodes[server["id"]] = server["name"]
    except TimeoutError:
        return nodes
