"""The state of a store: what it holds that it should not, what it lacks, and what is wrong around it.

Nothing here writes. `counterfoil doctor` shows it.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, Literal, TypeAlias

import msgspec

from counterfoil.events import FORMAT
from counterfoil.ids import now_ns
from counterfoil.store import deaths, seal, tapes
from counterfoil.version import __version__

__all__ = ["Check", "Query", "Told", "contents", "frameworks", "surroundings"]

#: Gives the rows of a query; it cannot write.
Query: TypeAlias = Callable[[str], Sequence[tuple[Any, ...]]]

OLDEST_SQLITE: Final = (3, 37, 0)
GIT_SECONDS: Final = 10
LISTED: Final = 5
#: Events may be unsigned so long where somebody drains.
UNSIGNED_HOURS: Final = 1
#: Bad lines and errors of our own that are older are a note.
RECENT_DAYS: Final = 7
#: Of the newest so many it is asked what they are attached to.
PROCESSES: Final = 100

_states = msgspec.json.Decoder(dict[str, str]).decode


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What one look found. `level`: `ok`, `note` (good to know), `problem` (something is to be done).

    `says` is one sentence, `found` names the first few things it is about, `count` how many there are, `bytes` how large.
    """

    name: str
    level: Literal["ok", "note", "problem"]
    says: str
    count: int = 0
    bytes: int = 0
    found: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """What the newest process that said something of a framework said: `state` as in `frameworks.states`, `at` in ISO 8601.

    `recorded`: it holds steps of that framework, however it came by them.
    """

    state: str
    pid: int
    at: str
    recorded: bool


def _check(
    name: str, good: str, bad: str, found: Sequence[str], *, level: Literal["note", "problem"] = "problem"
) -> Check:
    if not found:
        return Check(name=name, level="ok", says=good)
    return Check(name=name, level=level, says=bad, count=len(found), found=tuple(found[:LISTED]))


# -- around the store


def surroundings(path: str) -> Iterator[Check]:
    """Give what is to be said of the files of the store at `path`, and of where they are."""
    path = os.path.realpath(path)
    old = sqlite3.sqlite_version_info < OLDEST_SQLITE
    yield Check(
        name="versions",
        level="problem" if old else "ok",
        says=f"counterfoil {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.machine()}" + ("; SQLite must be 3.37 or newer." if old else "."),
    )
    yield _place(path)
    files = _files(path)
    if sys.platform != "win32":
        yield _check(
            "permissions",
            "Only their owner can read the store and its tapes.",
            "Others may read or write what agents did; take it from them with chmod go-rwx.",
            [
                f"{file} (mode {stat.S_IMODE(found.st_mode):o})"
                for file in files
                if (found := _stat(file)) and found.st_mode & 0o077
            ],
        )
        yield _owners(path, files)
    yield _git(path)
    yield _network(path)


def _place(path: str) -> Check:
    sizes = [found.st_size for file in (path, path + "-wal") if (found := _stat(file))]
    if not sizes:
        there = os.path.isdir(tapes.folder_of(path))
        says = f"{path} is not there yet" + (
            "; its tapes are." if there else ": nothing has been recorded here."
        )
        return Check(name="store", level="note" if there else "problem", says=says)
    return Check(name="store", level="ok", says=f"{path}, {sum(sizes):,} bytes.", bytes=sum(sizes))


def _files(path: str) -> list[str]:
    folder = tapes.folder_of(path)
    names = [path, path + "-wal", path + "-shm", folder]
    with suppress(OSError):  # not there, or not ours to look into: then its owner is named
        names += [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name != ".gitignore"]
    return [name for name in names if os.path.lexists(name)]


def _stat(file: str) -> os.stat_result | None:
    try:
        return os.lstat(file)
    except OSError:  # drained and deleted meanwhile
        return None


def _owners(path: str, files: Sequence[str]) -> Check:
    me = os.geteuid()
    # root reads everybody's store; what matters then is whether the store's owner can.
    store = _stat(path)
    owner = store.st_uid if me == 0 and store else me
    foreign = [
        f"{file} (user {found.st_uid})" for file in files if (found := _stat(file)) and found.st_uid != owner
    ]
    return _check(
        "owner",
        "Store and tapes belong to one user.",
        f"Files belong to somebody else than user {owner}; what they hold may not reach the store.",
        foreign,
    )


def _git(path: str) -> Check:
    folder = os.path.dirname(path)
    tree = folder
    while not os.path.exists(os.path.join(tree, ".git")):
        above = os.path.dirname(tree)
        if above == tree:
            return Check(name="git", level="ok", says="The store is in no git work tree.")
        tree = above
    git = shutil.which("git")
    ignored: int | None = None
    if git is not None and os.path.isdir(folder):
        # A repository may name programs to run (fsmonitor): not on our account.
        command = [git, "-c", "core.fsmonitor=false", "-C", folder, "check-ignore", "--quiet", "--", path]
        try:
            ignored = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_SECONDS, check=False
            ).returncode
        except (OSError, subprocess.SubprocessError):
            ignored = None
    if ignored == 0:
        return Check(
            name="git", level="ok", says=f"The store is in the git work tree {tree}, which ignores it."
        )
    if ignored == 1:
        says = f"The store is in the git work tree {tree}, which does not ignore it: add {os.path.basename(path)}* to .gitignore."
        return Check(name="git", level="problem", says=says, count=1, found=(path,))
    return Check(
        name="git",
        level="note",
        says=f"The store is in the git work tree {tree}; git does not tell whether it is ignored.",
    )


def _network(path: str) -> Check:
    if not os.path.exists("/proc/mounts"):
        return Check(
            name="disk",
            level="note",
            says="Whether the store is on a network file system cannot be told here.",
        )
    if tapes.is_local(os.path.dirname(path)):
        return Check(name="disk", level="ok", says="The store is on a local file system.")
    says = "The store is on a network file system, where locks and SQLite's WAL cannot be relied on: move it to a local disk."
    return Check(name="disk", level="problem", says=says, count=1, found=(path,))


# -- in the store


def frameworks(query: Query) -> dict[str, Told]:
    """Give what processes that recorded here said of the frameworks that they use."""
    found: dict[str, Told] = {}
    rows = query(
        f"""SELECT writer_id, pid, strftime('%Y-%m-%dT%H:%M:%SZ', started_ns / 1000000000, 'unixepoch'), frameworks
        FROM t_processes WHERE frameworks IS NOT NULL ORDER BY started_ns DESC, writer_id DESC LIMIT {PROCESSES}"""
    )
    for writer_id, pid, at, told in rows:
        new = {name: state for name, state in _states(told).items() if name not in found}
        if new:
            of = query(f"SELECT DISTINCT framework FROM t_steps WHERE writer_id = {int(writer_id)}")
            recorded = {framework for (framework,) in of}
            for name, state in new.items():
                found[name] = Told(state, pid, at, name in recorded)
    return found


def contents(path: str, query: Query, *, last: int = 10_000) -> Iterator[Check]:
    """Give what is to be said of the events, steps and tapes of the store at `path`, read with `query`.

    Of the chain, the `last` events are checked.
    """
    path = os.path.realpath(path)
    now = now_ns()
    yield from _tapes(path, query)
    yield from _steps(path, query)
    yield _quarantine(query, now)
    yield _errors(query, now)
    yield _chain(query, last)
    yield _checkpoints(query, now)


def _quarantine(query: Query, now: int) -> Check:
    rows = query(
        """SELECT writer, reason, count(*), max(at_ns) FROM quarantine LEFT JOIN tapes USING (tape_id)
        LEFT JOIN writers USING (writer_id) GROUP BY 1, 2 ORDER BY 4 DESC"""
    )
    return _check(
        "quarantine",
        "Every line of tape was an event.",
        "Lines of tape were no events and were set aside (table quarantine).",
        [f"{count} of {writer or 'an unknown tape'}: {reason}" for writer, reason, count, _ in rows],
        level=_level(rows, now),
    )


def _errors(query: Query, now: int) -> Check:
    rows = query(
        """SELECT place, sum(count), error_type, error_message, max(at_ns) FROM t_troubles
        GROUP BY place ORDER BY 5 DESC"""
    )
    return _check(
        "errors",
        "Counterfoil had no errors of its own.",
        "Counterfoil had errors of its own; something may not have been recorded.",
        [
            f"{place}: {count} times, last {error_type}: {message}"
            for place, count, error_type, message, _ in rows
        ],
        level=_level(rows, now),
    )


def _level(rows: Sequence[tuple[Any, ...]], now: int) -> Literal["note", "problem"]:
    """Give how bad it is: nothing that was recorded goes away, so what is long past must not be a problem for ever."""
    newest = max((row[-1] or 0 for row in rows), default=0)
    return "problem" if newest > now - RECENT_DAYS * 86_400_000_000_000 else "note"


def _tapes(path: str, query: Query) -> Iterator[Check]:
    offsets = {
        (writer, segment): offset
        for writer, segment, offset in query(
            "SELECT writer, segment, offset FROM tapes JOIN writers USING (writer_id)"
        )
    }
    here = deaths.Here(tapes.folder_of(path))
    waiting: list[str] = []
    newer: list[str] = []
    foreign: list[str] = []
    unreadable: list[str] = []
    left = 0
    for segment in tapes.listing(tapes.folder_of(path)):
        try:
            first, size = _first_line(segment.path)
        except FileNotFoundError:
            continue  # drained and deleted meanwhile
        except OSError as error:
            unreadable.append(f"{segment.path}: {error.strerror}")
            continue
        behind = max(0, size - offsets.get((segment.writer, segment.number), 0))
        left += behind
        if behind:
            waiting.append(f"{segment.path}: {behind} bytes")
        if _is_newer(first):
            newer.append(segment.path)
        for line in tapes.parse(first, 0):
            if isinstance(line, tapes.Line):
                origin = deaths.Process(line.text.host, line.text.boot, line.text.machine, exited=False)
                if not here.can_tell(origin):
                    foreign.append(f"{segment.path} (host {line.text.host or 'unknown'})")
    yield Check(
        name="tapes",
        level="note" if left else "ok",
        says=f"{left} bytes on tapes are not in the store."
        if left
        else "All that is on the tapes is in the store.",
        count=len(waiting),
        found=tuple(waiting[:LISTED]),
        bytes=left,
    )
    yield _check(
        "foreign tapes",
        "Every tape is of this host.",
        "Tapes of other hosts are here; whether their processes live cannot be told from here.",
        foreign,
        level="note",
    )
    yield _check(
        "unreadable tapes",
        "Every tape can be read.",
        "Tapes cannot be read; what they hold is not in the store.",
        unreadable,
    )
    yield _check(
        "newer tapes",
        "Every tape is of a format that is known here.",
        "Tapes were written by a newer Counterfoil; upgrade to see what they hold.",
        newer,
    )


def _first_line(path: str) -> tuple[bytes, int]:
    fd = tapes.open_to_read(path)
    try:
        return os.read(fd, 65_536).split(b"\n", 1)[0] + b"\n", os.fstat(fd).st_size
    finally:
        os.close(fd)


def _is_newer(first: bytes) -> bool:
    try:
        opening = msgspec.json.decode(first.split(b"\t", 1)[0])
        return isinstance(opening, dict) and int(opening.get("format") or 0) > FORMAT
    except (ValueError, TypeError):
        return False


def _steps(path: str, query: Query) -> Iterator[Check]:
    folder = tapes.folder_of(path)
    here = deaths.Here(folder)
    present = {segment.writer for segment in tapes.listing(folder)}
    live = human = 0
    lost: list[str] = []
    elsewhere: list[str] = []
    for writer, host, boot, machine, ended, asks, count, copied in query(
        """SELECT writer, host, boot, machine, coalesce(exit_ns >= last_ns, 0) OR gone_ns IS NOT NULL,
          s.kind IS 'human' AND coalesce(root.end_rank, 0) > 0, count(*),
          NOT EXISTS (SELECT 1 FROM tapes t WHERE t.writer_id = s.writer_id AND t.offset > 0)
        FROM t_steps s LEFT JOIN writers USING (writer_id) LEFT JOIN t_processes USING (writer_id)
        LEFT JOIN t_runs r ON r.run_id = s.run_id LEFT JOIN t_steps root ON root.step_id = r.root_id
        WHERE s.end_rank = 0 GROUP BY writer, 6 ORDER BY max(s.started_ns) DESC"""
    ):
        if asks:
            human += count
        elif ended:
            lost.append(f"{count} of process {writer}, which has ended")
        elif copied and writer not in present:
            elsewhere.append(f"{count} of process {writer}, copied from another store")
        elif not here.can_tell(deaths.Process(host, boot, machine, exited=False)):
            elsewhere.append(f"{count} of process {writer} on host {host or 'unknown'}")
        elif writer not in present:
            lost.append(f"{count} of process {writer}, whose tape is gone")
        else:
            live += count
    yield Check(name="running", level="ok", says=f"Steps under way in living processes: {live}.", count=live)
    yield Check(name="waiting", level="ok", says=f"Questions that wait for a human: {human}.", count=human)
    yield _check(
        "unfinished",
        "No other step is open.",
        "Steps are open that nothing will end any more.",
        lost,
    )
    yield _check(
        "other hosts",
        "No step is open on another host or in another store.",
        "Steps are open on other hosts or in other stores; from here nobody can tell whether they still run.",
        elsewhere,
        level="note",
    )
    yield _check(
        "orphans",
        "Every step has its start and its parent.",
        "Steps lack their start or the step that they belong under.",
        [
            f"step {step} of run {run}"
            for step, run in query(
                """SELECT step_id, run_id FROM t_steps s WHERE started_ns IS NULL OR parent_id IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM t_steps p WHERE p.step_id = s.parent_id AND p.run_id = s.run_id)
                ORDER BY started_ns DESC"""
            )
        ],
    )
    yield _check(
        "interrupted",
        "No process died in the middle of a step.",
        "Processes died in the middle of these runs.",
        [
            f"run {run}: steps {count}"
            for run, count in query(
                """SELECT run_id, count(*) FROM t_steps WHERE status = 'interrupted'
                GROUP BY run_id ORDER BY max(started_ns) DESC"""
            )
        ],
        level="note",
    )


def _chain(query: Query, last: int) -> Check:
    """Go over the chain from the event before the last `last` ones, through those that were pruned."""
    first = f"(SELECT coalesce((SELECT seq FROM events ORDER BY seq DESC LIMIT 1 OFFSET {last}), 0))"
    rows = query(
        f"""SELECT seq, CAST(head AS BLOB), commitments, chain, NULL FROM events WHERE seq >= {first}
        UNION ALL SELECT seq, NULL, NULL, chain, leaf FROM pruned WHERE seq >= {first} ORDER BY seq"""
    )
    before, expected = seal.GENESIS, 1
    if rows and rows[0][0] > 1 and rows[0][3] is not None:
        before, expected = rows[0][3], rows[0][0] + 1
        rows = rows[1:]
    bad: int | None = None
    for seq, head, commitments, chain, leaf in rows:
        before = seal.chained(before, seq, leaf or seal.leaf(head, commitments or b""))
        if seq != expected or chain not in {None, before}:
            bad = expected
            break
        expected += 1
    count = sum(row[4] is None for row in rows)
    highest = query("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
    if bad is None and highest and highest[0][0] >= expected:
        bad = expected
    if bad is not None:
        says = f"Event {bad} is not what was sealed, or is missing: the store was changed by hand or damaged."
        return Check(name="chain", level="problem", says=says, count=1, found=(str(bad),))
    return Check(
        name="chain",
        level="ok",
        says=f"The last {count} events are as they were sealed.",
        count=count,
    )


def _checkpoints(query: Query, now: int) -> Check:
    """Tell whether the store is signed, how long ago, and how many events came since."""
    if not query("SELECT 1 FROM meta WHERE key = 'audit_key'"):
        return Check(
            name="checkpoints",
            level="ok",
            says="The store is not signed; `counterfoil checkpoint` begins to.",
        )
    newest = query("SELECT size, at_ns FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1")
    size, at_ns = newest[0] if newest else (0, 0)
    ((count,),) = query(f"SELECT count(*) FROM events WHERE seq > {int(size)}")
    if not newest:
        return Check(
            name="checkpoints",
            level="problem",
            says="The store has a key to sign with, and no checkpoint is there: see `counterfoil verify`.",
            count=count,
        )
    ((when,),) = query(f"SELECT strftime('%Y-%m-%dT%H:%M:%SZ', {int(at_ns)} / 1000000000, 'unixepoch')")
    left = "1 event since is" if count == 1 else f"{count:,} events since are"
    if count and now - at_ns > UNSIGNED_HOURS * 3_600_000_000_000:
        says = f"The newest checkpoint is of {when}; {left} not signed: whoever drains has not got the key."
        return Check(name="checkpoints", level="note", says=says, count=count)
    since = f"; {left} not signed yet" if count else ", over all events"
    return Check(
        name="checkpoints", level="ok", says=f"The newest checkpoint is of {when}{since}.", count=count
    )
