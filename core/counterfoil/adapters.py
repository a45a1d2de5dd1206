"""What an adapter says of itself to core, and the manners that all adapters share. Imports no framework."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence  # noqa: TC003  # msgspec reads the annotations when the code runs
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "UNNAMED",
    "Adapter",
    "distribution",
    "exports",
    "say_where",
    "tidy",
    "unsupported",
    "versions",
    "warn_of_versions",
]

#: The name of an agent that has none.
UNNAMED: Final = "unnamed agent"

_REQUIREMENT: Final = re.compile(r"([\w.-]+)>=([\d.]+),<([\d.]+)", re.ASCII)
_logger: Final = logging.getLogger("counterfoil")
_said: Final[set[str]] = set()


class Adapter(msgspec.Struct, frozen=True, kw_only=True):
    """How to attach to one framework.

    `name` is the value of the `framework` column. `requires` are the distributions it supports, from the first version
    on, up to the second: `langchain-core>=0.3.80,<2`. `attach` names the module whose functions `install(db, ...)`,
    `uninstall()` and `installed()` attach to the whole process, undo that, and tell; it is imported when one of them is
    first needed, and may import the framework. `notes()`, if given, says in sentences what of the framework's own ways
    surprises its users in this environment; `counterfoil doctor` shows them where the framework is installed.
    `imported` is the module whose import means that an application uses the framework: by default the first
    requirement's name with `_` for `-`.
    """

    name: str
    requires: tuple[str, ...]
    attach: str
    imported: str | None = None
    notes: Callable[[], Sequence[str]] | None = None

    @property
    def module(self) -> str:
        """The module whose import means that an application uses the framework."""
        return self.imported or distribution(self.requires[0]).replace("-", "_")

    def install(self, db: str | os.PathLike[str] | None = None, **options: Any) -> None:
        """Record all that the framework does in this process to the store `db`. May be called again."""
        importlib.import_module(self.attach).install(db, **options)

    def uninstall(self) -> None:
        """Stop recording. May be called again."""
        importlib.import_module(self.attach).uninstall()

    def installed(self) -> bool:
        """Tell whether this process is recorded."""
        module = sys.modules.get(self.attach)
        return module is not None and bool(module.installed())


def exports(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Give a package's `__getattr__` and `__dir__` (PEP 562): each name is imported from its module when first needed.

    `places` are names and the modules of `package` that hold them. So a plugin's name is read with no framework.
    """

    def get(name: str) -> Any:
        module = places.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{module}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*places, *vars(sys.modules[package]).get("__all__", ())})

    return get, names


def unsupported(requires: tuple[str, ...]) -> tuple[str, ...]:
    """Give one sentence for each distribution that is installed in a version not supported.

    Raises ValueError for a requirement of another form than `name>=1.2,<2`.
    """
    there = versions(requires)
    sentences = []
    for requirement in requires:
        match = _REQUIREMENT.fullmatch(requirement)
        if match is None:
            raise ValueError(f"a requirement is of the form name>=1.2,<2, not {requirement!r}")
        name, first, beyond = match.groups()
        installed = there.get(name)
        if installed is not None and not _numbers(first) <= _numbers(installed) < _numbers(beyond):
            sentences.append(
                f"{name} {installed} is installed, but this version of counterfoil was tested with {requirement}: "
                "what it records may be incomplete."
            )
    return tuple(sentences)


def versions(requires: tuple[str, ...]) -> dict[str, str]:
    """Give the distributions of `requires` that are installed, and their versions."""
    from importlib import metadata  # noqa: PLC0415  # 15 ms, for who attaches alone

    found = {}
    for requirement in requires:
        name = distribution(requirement)
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def distribution(requirement: str) -> str:
    """Give the name of the distribution that a requirement is about."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(one) for one in re.findall(r"\d+", version.partition("+")[0])[:3])


@functools.cache
def warn_of_versions(requires: tuple[str, ...]) -> None:
    """Log those sentences, once in this process."""
    for sentence in unsupported(requires):
        _logger.warning(sentence)


def say_where(path: str, *, quiet: bool | None = None) -> None:
    """Print once, to stderr, that this process records to `path`, unless `quiet` or `$COUNTERFOIL_QUIET`."""
    if quiet is None:
        quiet = bool(os.environ.get("COUNTERFOIL_QUIET"))
    if not quiet and path not in _said:
        _said.add(path)
        sys.stderr.write(f"counterfoil records to {path}\n")


def tidy(name: str) -> str:
    """Give a name trimmed, inner white space to one blank (mapping.md, section 2)."""
    return name if name.isidentifier() else " ".join(name.split()) or UNNAMED
