"""The spool on a disk: bounded, taken over by whoever gets the lock, honest when it is full."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.ingest.spool.journal import SEGMENT_BYTES
from services.ingest.spool.record import Damage
from services.ingest.spool.spool import Spool, SpoolFull, SpoolUnusable
from services.ingest.uplink import Message

NOW = datetime(2026, 11, 30, tzinfo=UTC)
LIMIT = 64 * 2**20


def message(number: int, size: int = 10, topic: str = "livinglab/here/g1/up") -> Message:
    return Message(topic, str(number).encode().ljust(size), NOW)


def opened(directory: Path, limit: int = LIMIT) -> Spool:
    return Spool(directory, limit, lambda topic: topic.endswith("/feedback"))


def read(spool: Spool) -> list[Message | Damage]:
    return [each for segment in spool.waiting() for each in segment.read()]


def empty(spool: Spool) -> None:
    for segment in spool.waiting():
        spool.remove(segment, damaged=False)


def test_what_was_appended_is_there_after_a_restart_in_order(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append([message(1), message(2)])
    spool.append([message(3)])
    spool.close()
    again = opened(tmp_path)
    assert (read(again), again.messages) == ([message(1), message(2), message(3)], 3)
    empty(again)
    assert (again.messages, again.size) == (0, 0)
    assert len([*tmp_path.iterdir()]) == 1  # the folder was taken over, not one more made


def test_it_is_on_the_disk_before_append_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    spool = opened(tmp_path)
    spool.append([message(i) for i in range(100)])
    assert synced == ["file", "folder", "file"]  # the segment, its name, all records at once
    spool.append([message(i) for i in range(100)])
    assert synced[3:] == ["file"]


def test_the_bound_is_kept_and_room_made_is_used(tmp_path: Path) -> None:
    spool = opened(tmp_path, limit=2**20)
    for i in range(9):
        spool.append([message(i, 100_000)])
    with pytest.raises(SpoolFull, match="LAB_INGEST_SPOOL_BYTES"):
        spool.append([message(9, 2 * 100_000)])
    assert 0.8 * 2**20 < spool.size <= 2**20
    assert spool.full
    held = spool.messages
    assert held == len(read(spool))
    spool.remove(spool.waiting()[0], damaged=False)
    assert spool.full is None
    spool.append([message(0, 1000)])


def test_segments_are_small_so_that_room_comes_back_in_steps(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for i in range(20):
        spool.append([message(i, 2**20)])
    sizes = [each.size for each in spool.waiting()]
    assert len(sizes) == 3
    assert all(size < SEGMENT_BYTES + 2**21 for size in sizes)
    assert sum(sizes) == spool.size


def test_what_citizens_wrote_lies_apart_is_private_and_goes_first(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    said = message(7, topic="livinglab/here/feedback")
    spool.append([message(1), said])
    personal, common = spool.waiting()
    assert ([*personal.read()], [*common.read()]) == ([said], [message(1)])
    assert personal.path.parent.name == "personal"
    assert b"feedback" not in common.path.read_bytes()
    assert stat.S_IMODE(personal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(personal.path.parent.stat().st_mode) == 0o700
    damage(personal.path, 70)
    spool.remove(personal, damaged=True)
    assert not [*personal.path.parent.iterdir()]


def damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("place", [0, 5, 30, 80])
def test_damage_costs_what_it_hit_and_the_bytes_are_kept(tmp_path: Path, place: int) -> None:
    spool = opened(tmp_path)
    spool.append([message(i) for i in range(9)])
    (segment,) = spool.waiting()
    damage(segment.path, place)
    found = read(spool)
    lost = sum(isinstance(each, Damage) for each in found)
    assert lost == 1
    assert sum(isinstance(each, Message) for each in found) >= 8
    size = spool.size
    spool.remove(segment, damaged=True)
    assert (spool.waiting(), spool.size) == ([], size)
    assert len([*segment.path.parent.glob("*.damaged")]) == 1


class Disk:
    """A disk that takes so many bytes more, then fails as it is told."""

    def __init__(self, room: int, error: int) -> None:
        self.room = room
        self.error = error
        self._write: Callable[[int, memoryview], int] = os.write

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.room <= 0:
            raise OSError(self.error, os.strerror(self.error))
        taken = self._write(descriptor, data[: self.room])
        self.room -= taken
        return taken


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG])
def test_a_disk_that_takes_no_more_is_told_and_later_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    for room in range(0, 400, 27):
        spool = opened(tmp_path / str(room))
        spool.append([message(1)])
        disk = Disk(room, error)
        monkeypatch.setattr(os, "write", disk.write)
        with pytest.raises(SpoolFull, match="LAB_INGEST_SPOOL"):
            spool.append([message(i) for i in range(2, 9)])
        assert spool.full
        disk.room = 2**20
        spool.append([message(9)])
        assert spool.full is None
        monkeypatch.undo()
        assert read(spool) == [message(1), message(9)]
        spool.close()


def test_a_failed_fsync_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path)
    spool.append([message(1)])

    def fsync(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(SpoolFull):
        spool.append([message(2)])
    monkeypatch.undo()
    spool.append([message(2)])
    assert read(spool)[0] == message(1)
    assert message(2) in read(spool)


def test_a_real_limit_on_the_size_of_files_is_a_full_spool(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from tests.unit.test_spool import message, opened, read\n"
        "from services.ingest.spool.spool import SpoolFull\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "spool, kept, refused = opened(Path(sys.argv[1])), 0, 0\n"
        "for i in range(9):\n"
        "    try: spool.append([message(i, 1500)]); kept += 1\n"
        "    except SpoolFull as full: assert 'File too large' in str(full); refused += 1\n"
        "assert kept > 4 and refused > 2, (kept, refused)\n"
        "assert len(read(spool)) == kept\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "spool")], check=True)


def test_what_a_killed_process_left_is_adopted_and_what_a_living_one_has_is_not(
    tmp_path: Path,
) -> None:
    script = (
        "import sys, os; from pathlib import Path\n"
        "from tests.unit.test_spool import message, opened\n"
        "spool = opened(Path(sys.argv[1])); spool.append([message(int(sys.argv[2]))])\n"
        "print('spooled', flush=True); sys.stdin.read()\n"
    )
    others = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(i)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for i in range(2)
    ]
    for other in others:
        assert other.stdout
        assert other.stdout.readline() == b"spooled\n"
    spool = opened(tmp_path)
    spool.adopt()
    assert spool.messages == 0
    for other in others:
        other.kill()
        other.wait()
        assert other.stdin
        assert other.stdout
        other.stdin.close()
        other.stdout.close()
    spool.adopt()
    assert sorted(m.payload for m in read(spool) if isinstance(m, Message)) == [
        message(0).payload,
        message(1).payload,
    ]
    empty(spool)
    spool.adopt()
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_error_of_the_operator(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SpoolUnusable, match="LAB_INGEST_SPOOL: cannot use"):
        opened(tmp_path)


def test_a_path_that_is_no_folder_is_an_error_of_the_operator(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnusable, match="LAB_INGEST_SPOOL: cannot use"):
        opened(tmp_path / "file")
