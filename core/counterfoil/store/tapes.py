"""The tapes as a reader finds them: which there are, whether their writers live, what the lines say."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from counterfoil.events import Head, Text
from counterfoil.host import Origin, contents, origin
from counterfoil.tape import ERASED, folder_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

if sys.platform != "win32":
    import fcntl

__all__ = [
    "Bad", "Line", "Origin", "Segment", "blank", "close", "folder_of", "is_bare", "is_local", "left_bytes", "listing",
    "lock", "open_to_read", "origin", "parse", "sweep", "tell_of_erasure",
]  # fmt: skip

_NAME: Final = re.compile(r"([0-9a-f]{16}-[0-9]+-[0-9a-f]{6})\.([0-9]{1,9})\.tape")
#: How long a file may be in the making before it is taken for abandoned.
MAKING_SECONDS: Final = 60.0

#: Blanked at a time.
PIECE: Final = 1 << 20

#: What every head begins with; and how often, from the end of a line, it is looked for.
_HEAD: Final = b'{"k":'
TRIES: Final = 20

_heads = msgspec.json.Decoder(Head)
_text = msgspec.json.Decoder(Text).decode
_NO_TEXT: Final = Text()

_NETWORK: Final = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs",
        "fuse.s3fs", "gfs2", "ocfs2", "beegfs", "virtiofs", "vboxsf",
    }
)  # fmt: skip


class Segment(NamedTuple):
    """One file of tape. Writers' names sort by age."""

    writer: str
    number: int
    path: str


class Line(msgspec.Struct, frozen=True, gc=False):
    """An event as it stands on the tape: where, the head's bytes, and its parts as they are."""

    offset: int
    raw_head: bytes
    head: Head
    text: Text
    bodies: list[bytes]


class Bad(NamedTuple):
    """A line that is no event."""

    offset: int
    raw: bytes
    reason: str


def make_folder(folder: str) -> None:
    """Make the folder of tapes, for its owner alone and out of git's sight, unless it is there. Raises OSError."""
    if not os.path.isdir(folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(os.path.join(folder, ".gitignore"), "w", encoding="ascii") as ignore:
            ignore.write("*\n")


def listing(folder: str) -> list[Segment]:
    """Give the segments in `folder`, oldest first; none where there is no folder."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None:
            found.append(Segment(match[1], int(match[2]), os.path.join(folder, name)))
    return sorted(found)


def left_bytes(folder: str, db: sqlite3.Connection | None) -> int:
    """Give how many bytes of tape in `folder` the store that `db` reads does not hold yet."""
    known: dict[tuple[str, int], int] = {}
    if db is not None:
        with suppress(sqlite3.Error):
            known = {
                (writer, segment): offset
                for writer, segment, offset in db.execute(
                    "SELECT writer, segment, offset FROM tapes JOIN writers USING (writer_id)"
                )
            }
    left = 0
    with suppress(OSError):
        for segment in listing(folder):
            with suppress(OSError):
                left += max(0, os.stat(segment.path).st_size - known.get((segment.writer, segment.number), 0))
    return left


def is_bare(folder: str) -> bool:
    """Tell whether there is no tape in `folder`, nor one in the making."""
    try:
        return not any(name.endswith((".tape", ".new")) for name in os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def sweep(folder: str) -> None:
    """Remove what a process left that died while it made a segment: no event is in it."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith(".new")]
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        try:
            fd = open_to_read(path)
        except OSError:
            continue
        try:
            if time.time() - os.fstat(fd).st_mtime > MAKING_SECONDS and lock(fd):
                os.unlink(path)
        except OSError:
            continue
        finally:
            close(fd)


def open_to_read(path: str) -> int:
    """Give a descriptor of a segment, never through a symbolic link. Raises OSError."""
    return os.open(
        path, os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_BINARY"))
    )


def close(fd: int) -> None:
    """Close what `open_to_read` gave, and its lock with it."""
    if sys.platform != "win32":
        # A child forked at this moment holds the descriptor too, and would hold the lock.
        fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def lock(fd: int) -> bool:
    """Try the writer's lock on an open segment: had, the writer has let go of it."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def blank(path: str, stretches: Iterable[tuple[int, int]]) -> None:
    """Write spaces over the lines that begin and end, at the latest, at these offsets; each newline stays.

    Safe while the writer lives: it only appends, and readers begin behind what is drained. Raises OSError.
    """
    # Not O_APPEND: Linux would append what pwrite(2) was told to put elsewhere.
    fd = os.open(
        path, os.O_RDWR | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_BINARY"))
    )
    changed = False
    try:
        for start, end in stretches:
            at = start
            while at < end:
                os.lseek(fd, at, os.SEEK_SET)
                line = os.read(fd, min(PIECE, end - at)).partition(b"\n")[0]
                if not line:
                    break
                if line.strip():
                    os.lseek(fd, at, os.SEEK_SET)
                    at += os.write(fd, b" " * len(line))
                    changed = True
                else:
                    at += len(line)
        if changed:
            os.fsync(fd)
    finally:
        os.close(fd)


def tell_of_erasure(folder: str) -> None:
    """Have the writers in `folder` write again what they say again: its text may be gone. Raises OSError."""
    fd = os.open(
        os.path.join(folder, ERASED),
        os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0),
        0o600,
    )
    try:
        os.write(fd, b".")
    finally:
        os.close(fd)


def is_local(folder: str) -> bool:
    """Tell whether `folder` lies on a file system of this host alone; False where that cannot be told."""
    mounts = contents("/proc/mounts")
    if mounts is None:
        return False
    best, kind = "", None
    real = os.path.realpath(folder)
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) > 2:
            point = fields[1].replace("\\040", " ")
            if (real + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
                best, kind = point, fields[2]
    return kind is not None and kind not in _NETWORK


def parse(data: bytes, base: int) -> Iterator[Line | Bad]:
    """Give what the whole lines in `data`, which starts at offset `base`, say. Empty lines say nothing."""
    lines = data.split(b"\n")
    lines.pop()
    split = [line.split(b"\t") for line in lines]
    heads = _decoded([parts[0] for parts in split])
    offset = base
    for line, parts, head in zip(lines, split, heads, strict=True):
        one = _judged(offset, line, parts, head)
        if isinstance(one, Line):
            yield one
        elif line.strip():
            yield from _behind(one)
        offset += len(line) + 1


def _judged(offset: int, line: bytes, parts: list[bytes], head: Head | str) -> Line | Bad:
    if isinstance(head, str):
        return Bad(offset, line, head)
    text = _NO_TEXT
    if "text" in head.parts:
        at = head.parts.index("text") + 1
        if at < len(parts):
            try:
                text = _text(parts[at])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                return Bad(offset, line, f"its text is none: {error}")
    if reason := _wrong(head, parts):
        return Bad(offset, line, reason)
    return Line(offset, parts[0], head, text, parts[1:])


def _behind(bad: Bad) -> Iterator[Line | Bad]:
    """Give the whole line that may stand behind a torn one, and what is before it.

    A full disk cuts a thread's line short; before that thread knows, another's may have found room behind it.
    """
    raw, at = bad.raw, len(bad.raw)
    for _ in range(TRIES):
        at = raw.rfind(_HEAD, 1, at)
        if at < 0:
            break
        parts = raw[at:].split(b"\t")
        one = _judged(bad.offset + at, raw[at:], parts, _decoded(parts[:1])[0])
        if isinstance(one, Line):
            yield Bad(bad.offset, raw[:at], "it is torn, and another line stands behind it")
            yield one
            return
    yield bad


def _decoded(raw: list[bytes]) -> list[Head | str]:
    try:
        heads = _heads.decode_lines(b"\n".join(raw))
        if len(heads) == len(raw):
            return list(heads)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    # One bad line fails the call, an empty one is left out: take them one by one.
    one_by_one: list[Head | str] = []
    for line in raw:
        try:
            one_by_one.append(_heads.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            one_by_one.append(f"the head is no event: {error}")
    return one_by_one


_OF_STEPS: Final = frozenset({"start", "amend", "end", "close", "gone", "price"})
_INT64: Final = 1 << 63


def _wrong(head: Head, parts: list[bytes]) -> str | None:
    if len(parts) - 1 != len(head.parts):
        return f"{len(head.parts)} parts are named, {len(parts) - 1} are there"
    kind = head.k
    if kind in _OF_STEPS:
        if head.step is None or head.run is None:
            return "a step's event without run or step"
    elif kind == "handoff":
        if head.handoff is None:
            return "a handoff's event without its id"
    elif kind in {"decision", "approval"}:
        if head.item is None:
            return f"{'a decision' if kind == 'decision' else 'an approval'} without its id"
    elif kind == "answer" and head.run is None:
        return "an answer without a run"
    if not -_INT64 <= head.t < _INT64:
        return "its time is out of range"
    return None
