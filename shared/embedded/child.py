"""A child process that cannot outlive its parent, not even after a kill -9 of it."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.errors import OperatorError

_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)


class ChildFailed(OperatorError):
    """A part of the platform did not start or ended by itself; the message points to its log."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to run as; None keeps the caller's identity."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Child:
    """One running part and how to stop it gently."""

    name: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    log: Path

    def stop(self, patience_s: float = 15.0) -> None:
        """Ask, wait, then kill; returns when the process is gone."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def failure(self) -> ChildFailed:
        """What to tell when it ended by itself: exit code and its last words."""
        words = self.log.read_text(errors="replace").strip().splitlines()
        last = words[-1] if words else "it wrote nothing"
        return ChildFailed(
            f"{self.name} ended with code {self.process.returncode}: {last} (log: {self.log})"
        )


def _private(path: str, flags: int) -> int:
    """What is written there is for its owner alone: a log may tell more than everybody may know."""
    return os.open(path, flags, 0o600)


def spawn(
    name: str,
    argv: Sequence[str],
    *,
    log: Path,
    stop_signal: signal.Signals = signal.SIGTERM,
    orphan_signal: signal.Signals = signal.SIGKILL,
    account: Account | None = None,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> Child:
    """Start a child in its own session, so that Ctrl-C reaches only the supervisor.

    orphan_signal is what the kernel sends the child when the thread that started it ends.
    """
    with open(log, "ab", opener=_private) as output:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=dict(env) if env is not None else None,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            preexec_fn=dies_with(os.getpid(), orphan_signal),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    return Child(name, process, stop_signal, log)


def wait_until(ready: Callable[[], bool], child: Child, *, patience_s: float, what: str) -> None:
    """Poll until ready; raises ChildFailed when the child ends first or patience does."""
    deadline = time.monotonic() + patience_s
    while not ready():
        if child.process.poll() is not None:
            raise child.failure()
        if time.monotonic() > deadline:
            child.stop()
            raise ChildFailed(f"{child.name}: {what} within {patience_s:.0f} s (log: {child.log})")
        time.sleep(0.05)


def dies_with(parent: int, orphan_signal: signal.Signals) -> Callable[[], None]:
    """What a child runs before its program, so that the kernel signals it when `parent` ends."""

    def arrange() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the line above
            os.kill(os.getpid(), signal.SIGKILL)

    return arrange
