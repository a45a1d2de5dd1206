"""What tells one host, and one boot of it, from another: a tape says it, and its reader compares."""

from __future__ import annotations

import os
from typing import NamedTuple

__all__ = ["Origin", "contents", "origin"]


class Origin(NamedTuple):
    """A host's name, the id of its kernel's boot, the id of the machine; None where that is not told."""

    host: str | None
    boot: str | None
    machine: str | None


def origin() -> Origin:
    """Give this process's own."""
    host = os.uname().nodename if hasattr(os, "uname") else None
    return Origin(host, contents("/proc/sys/kernel/random/boot_id"), contents("/etc/machine-id"))


def contents(path: str) -> str | None:
    """Give what a small file of the system's says; None where there is none, or nothing in it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip() or None
    except OSError:
        return None
