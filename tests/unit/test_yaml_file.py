"""YAML that people wrote: a fault is one line with its place; nothing is dropped, none explodes."""

from pathlib import Path

import pytest

from shared import yaml_file
from shared.errors import OperatorError

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_plain_content_is_read(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text("base: &b {zone: UTC, lat: 1}\nsite: {<<: *b, lat: 2}\nlist: [a, 1.5, null]\n")
    assert yaml_file.load(file, OperatorError) == {
        "base": {"zone": "UTC", "lat": 1},
        "site": {"zone": "UTC", "lat": 2},
        "list": ["a", 1.5, None],
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", ":3: 'a' stands twice"),
        ("a: {b: 1, b: 2}\n", ":1: 'b' stands twice"),
        (BOMB, "more than"),
        ("a: &a {b: *a}\n", "nested too deeply"),
        ("[" * 1000 + "]" * 1000, "nested too deeply"),
        ("{a: " * 30 + "1" + "}" * 30, "nested too deeply"),
        ("a: !!python/object/apply:os.getcwd []\n", "python/object"),
        ("a: !!binary /w==\n", "a: is no plain value"),
        ('a: {b: ["x\\0"]}\n', "a.b.0: holds a character"),
        ('a: "\\ud800"\n', "a: holds a character"),
        ("a: .inf\n", "a: must be a finite number"),
        (f"a: {10**30}\n", "a: is too large"),
        ("a: 2026-13-45\n", "month"),
        ("a: [1\n", "expected"),
        ("a: \0", "unacceptable character"),
    ],
)
def test_a_fault_is_one_line_with_its_place(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(content)
    with pytest.raises(OperatorError) as caught:
        yaml_file.load(file, OperatorError)
    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
