"""The demo's data directory: whatever is found in it, one line or a start, never a crash."""

from pathlib import Path

import pytest

from services.cli.directory import DirectoryError, data_directory, require_seed


@pytest.mark.parametrize("part", ["logs", "nats", "postgres"])
def test_a_file_in_the_place_of_a_part_is_named(tmp_path: Path, part: str) -> None:
    for name in ("livinglab-demo", part):
        (tmp_path / name).touch()
    with pytest.raises(DirectoryError, match=rf"/{part}: File exists"), data_directory(tmp_path):
        pass


def test_a_directory_in_the_place_of_the_mark_is_named(tmp_path: Path) -> None:
    (tmp_path / "livinglab-demo").mkdir()
    with pytest.raises(DirectoryError, match="Is a directory"), data_directory(tmp_path):
        pass


@pytest.mark.parametrize("kept", [b"2\n", b"\xff\xfe"])
def test_another_or_an_unreadable_seed_is_refused(tmp_path: Path, kept: bytes) -> None:
    (tmp_path / "seed").write_bytes(kept)
    with pytest.raises(DirectoryError, match="was begun with --seed"):
        require_seed(tmp_path, 1)


def test_a_seed_cut_off_by_a_kill_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "seed").touch()
    require_seed(tmp_path, 3)
    assert (tmp_path / "seed").read_text() == "3\n"
