"""The project keeps its own rules: layout, size budgets, imports, documentation, lock files."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from shared.settings import SECTIONS, variable

ROOT = Path(__file__).parent.parent
PACKAGES = ("services", "shared", "simulators")
FILE_CEILING, FILE_MEDIAN = 300, 100
FUNCTION_CEILING, FUNCTION_MEDIAN = 60, 10
TOP_LEVEL = {
    *("services", "shared", "simulators", "deploy", "tests"),
    *("pyproject.toml", "docker-compose.yml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"),
    *("requirements.lock", "requirements-dev.lock"),
}


def tracked() -> list[Path]:
    """Every file git tracks or would add."""
    out = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [ROOT / line for line in out.splitlines() if (ROOT / line).is_file()]


def python_files() -> list[Path]:
    return [f for f in tracked() if f.suffix == ".py" and "migrations/versions" not in str(f)]


def source_files() -> list[Path]:
    """What ships: without tests."""
    return [f for f in python_files() if f.relative_to(ROOT).parts[0] in PACKAGES]


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Name and length in lines of every function."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield f"{file.relative_to(ROOT)}:{node.name}", node.end_lineno - node.lineno + 1


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def test_the_top_level_is_the_agreed_one() -> None:
    found = {file.relative_to(ROOT).parts[0] for file in tracked()}
    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL


def test_files_stay_small() -> None:
    large = {str(f.relative_to(ROOT)): lines(f) for f in python_files() if lines(f) > FILE_CEILING}
    assert not large
    written = [lines(f) for f in source_files() if lines(f) > 1]
    assert median(written) <= FILE_MEDIAN


def test_functions_stay_small() -> None:
    lengths = {name: length for f in python_files() for name, length in functions(f)}
    assert not {name: n for name, n in lengths.items() if n > FUNCTION_CEILING}
    assert median(n for f in source_files() for _, n in functions(f)) <= FUNCTION_MEDIAN


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(f.relative_to(ROOT))
        for f in python_files()
        if f.read_text().strip() and not ast.get_docstring(ast.parse(f.read_text()))
    ]
    assert not silent


def test_no_grab_bag_modules() -> None:
    assert not [f for f in python_files() if re.fullmatch(r"(utils?|helpers?|common|misc)", f.stem)]


def test_import_rules_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "lock", ["requirements.lock", "requirements-dev.lock", "deploy/requirements.lock"]
)
def test_lock_files_are_pinned_by_hash_and_name_no_registry(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index" not in text
    pins = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert len(pins) > 20
    for pin in pins:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", pin), pin[:80]
        assert "--hash=sha256:" in pin, pin[:80]


def test_the_lock_answers_every_declared_dependency() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.M))
    wanted = {re.match(r"[a-z0-9_-]+", each).group() for each in declared}  # type: ignore[union-attr]
    assert wanted <= locked


def test_every_setting_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    names = [variable(section, field) for section in SECTIONS for field in section.model_fields]
    assert not [name for name in names if name not in readme]


@pytest.mark.parametrize("command", ["make demo", "make test", "make check"])
def test_the_readme_shows_the_commands(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()


def test_what_the_documents_point_to_is_there() -> None:
    known = {*tracked()}
    missing = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in tracked()
        if document.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)\)", document.read_text())
        if "://" not in target
        and not any((document.parent / target).resolve() in (f, *f.parents) for f in known)
    ]
    assert not missing


def test_no_path_of_a_machine_is_written_down() -> None:
    here = str(ROOT)
    texts = [f for f in tracked() if f.suffix in (".py", ".md", ".toml", ".yml", ".yaml", ".lock")]
    assert not [f.name for f in texts if here in f.read_text()]
