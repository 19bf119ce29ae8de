"""The demo's data directory: marked as ours, used by one demo at a time."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shared.embedded.child import ChildFailed
from shared.errors import OperatorError

_MARK: Final = "livinglab-demo"


class DirectoryError(OperatorError):
    """The directory cannot hold a demo."""


@contextmanager
def data_directory(named: Path | None) -> Iterator[Path]:
    """The named directory, kept for the next start; or a temporary one, removed at the end."""
    if named is None:
        temporary = Path(tempfile.mkdtemp(prefix="livinglab-demo-"))
        try:
            yield temporary
        except ChildFailed:
            raise  # its message points to a log in there: keep it
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        shutil.rmtree(temporary, ignore_errors=True)
        return
    directory = _ours(named.absolute())
    try:
        lock = os.open(directory / _MARK, os.O_RDWR | os.O_CREAT, 0o600)
        for part in ("logs", "nats", "postgres"):
            (directory / part).mkdir(exist_ok=True)
    except OSError as error:
        raise DirectoryError(f"{error.filename}: {error.strerror}: name another --data") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryError(
                f"{directory} is in use by another demo: stop it, or name another --data"
            ) from None
        yield directory
    finally:
        os.close(lock)


def _ours(directory: Path) -> Path:
    """Made if missing; refused when it holds anything a demo did not put there."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        foreign = any(directory.iterdir()) and not (directory / _MARK).exists()
    except OSError as error:
        raise DirectoryError(f"{directory}: {error.strerror}: name another --data") from None
    if foreign:
        raise DirectoryError(
            f"{directory} holds files of something else: name an empty or new directory as --data"
        )
    return directory


def require_seed(directory: Path, seed: int) -> None:
    """Another seed on kept data would contradict every value there; raises DirectoryError."""
    kept = directory / "seed"
    try:
        begun = kept.read_text(errors="replace").strip() if kept.exists() else ""
        if begun in ("", str(seed)):  # empty: the first start was killed before it wrote
            kept.write_text(f"{seed}\n")
            return
    except OSError as error:
        raise DirectoryError(f"{kept}: {error.strerror}: name another --data") from None
    raise DirectoryError(
        f"{directory} was begun with --seed {begun[:40]!r}: use that seed, or name another --data"
    )
