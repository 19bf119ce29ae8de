"""Finds plug-ins: the module-level objects of one type in a package, by name."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Protocol, TypeVar


class Named(Protocol):
    """Anything that carries its own name."""

    @property
    def name(self) -> str: ...


Kind = TypeVar("Kind", bound=Named)


def discover(package: ModuleType, kind: type[Kind]) -> dict[str, Kind]:
    """Every object of type `kind` defined in the package's modules, by its name.

    Raises ValueError when two carry the same name: one would hide the other.
    """
    found: dict[str, Kind] = {}
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        for thing in vars(import_module(module.name)).values():
            if not isinstance(thing, kind):
                continue
            if found.setdefault(thing.name, thing) is not thing:
                raise ValueError(f"two {kind.__name__}s are named {thing.name!r} in {package}")
    return dict(sorted(found.items()))
