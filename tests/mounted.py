"""File systems of our own, on real kernels: one that can lose power or turn read-only, one that can be full."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

import pytest

__all__ = ["Disk", "Memory", "mounting"]


def _run(*command: object) -> None:
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"


class Disk:
    """An ext4 file system in a file, mounted. What is in the file is what a loss of power would leave."""

    #: Nothing reaches the disk by the mere passing of time; a damaged file system turns read-only.
    OPTIONS = "loop,commit=600,errors=remount-ro"

    def __init__(self, image: Path) -> None:
        self._image = image
        self.folder = image.with_suffix(".mounted")
        self.folder.mkdir()
        self._mounted = False
        self._mount()

    @classmethod
    def made(cls, image: Path, megabytes: int = 64) -> Self:
        """Give a new disk."""
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", "-F", image)
        return cls(image)

    def _mount(self) -> None:
        _run("mount", "-o", self.OPTIONS, self._image, self.folder)
        self._mounted = True

    def after_power_loss(self, image: Path) -> Disk:
        """Give what the disk would be if power went now. Nobody may be writing to it."""
        _run("cp", "--sparse=always", self._image, image)
        return type(self)(image)

    def turn_read_only(self) -> None:
        """Have the kernel find an error and mount it read-only, whoever writes to it."""
        (device,) = (
            line.split()[0].removeprefix("/dev/")
            for line in Path("/proc/mounts").read_text().splitlines()
            if line.split()[1] == str(self.folder)
        )
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("counterfoil's own test")

    def repair(self) -> None:
        """Check the file system and mount it again. Nobody may use it."""
        self.close()
        # 1: there was something to mend, and it is mended.
        assert subprocess.run(["e2fsck", "-fy", str(self._image)], capture_output=True).returncode in {0, 1}
        self._mount()

    def close(self) -> None:
        if self._mounted:
            _run("umount", self.folder)
            self._mounted = False


class Memory:
    """A file system in memory, of so many kilobytes."""

    def __init__(self, folder: Path, kilobytes: int) -> None:
        folder.mkdir()
        self.folder = folder
        _run("mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "counterfoil-test", folder)

    def resize(self, kilobytes: int) -> None:
        _run("mount", "-o", f"remount,size={kilobytes}k", self.folder)

    def close(self) -> None:
        _run("umount", self.folder)


def _may_mount() -> bool:
    # In a container root may lack the right, or the loop devices.
    programs = all(shutil.which(one) for one in ("mkfs.ext4", "e2fsck", "mount"))
    return programs and os.geteuid() == 0 and os.access("/dev/loop-control", os.W_OK)


mounting = pytest.mark.skipif(
    not _may_mount(), reason="needs root, loop devices and mkfs.ext4: real disks are mounted"
)
