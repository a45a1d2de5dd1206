"""What somebody who can write the store, its tapes, or its checkpoints could do to them; each a function of a `Scene`."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from cli_story import invoke
from counterfoil.events import Head, Text
from counterfoil.ids import now_ns
from counterfoil.store import (
    checkpoints,
    erasures,
    keys,
    merge,
    prune,
    rebuild,
    schema,
    seal,
    signing,
)
from counterfoil.store.ingest import Drainer
from counterfoil.store.made import Made
from counterfoil.store.sealing import Sealing
from everything import Words, everything_happens, outside_of_runs
from handmade_tape import SECOND, T0, Tape, run_id, step_id

__all__ = ["ATTACKS", "BUILT", "Attack", "Scene", "Verdict", "build", "edit_built", "opened"]


class Verdict(NamedTuple):
    """What `counterfoil verify` said: its exit code, the first broken check, the first bad event, what it left open."""

    code: int
    broken: str | None
    seq: int | None
    open: tuple[str, ...]

    def __str__(self) -> str:
        if self.code == 1:
            return f"**1**: {self.broken}" + ("" if self.seq is None else f", event {self.seq}")
        return f"{self.code}" + (f", says {', '.join(self.open)}" if self.open else "")


class Attack(NamedTuple):
    """What is done, under which heading; `unseen` says why it cannot be seen even with an anchor.

    With `is_stranger` it is somebody without the key who verifies, and who was not told it.
    """

    group: str
    title: str
    do: Callable[[Scene], None]
    unseen: str
    is_stranger: bool


ATTACKS: list[Attack] = []


def attack(group: str, title: str, *, unseen: str = "", is_stranger: bool = False):
    def keep(do: Callable[[Scene], None]) -> Callable[[Scene], None]:
        ATTACKS.append(Attack(group, title, do, unseen, is_stranger))
        return do

    return keep


class Scene:
    """A signed and anchored store in a folder of its own, with what was kept of it: the anchor, the key, an older copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "x.db"
        self.tapes = folder / "x.db.tape"
        self.anchor = folder / "elsewhere" / "anchor"
        self.config = folder / "config"
        self.old = folder / "old"

    @contextmanager
    def db(self) -> Iterator[sqlite3.Connection]:
        """Give a connection of somebody who takes the guard rails away, and puts them back."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            rails = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
            db.execute("BEGIN")
            for name, _ in rails:
                db.execute(f"DROP TRIGGER {name}")
            yield db
            for _, sql in rails:
                db.execute(sql)
            db.execute("COMMIT")

    def do(self, *statements: str) -> None:
        with self.db() as db:
            for statement in statements:
                assert db.execute(statement).rowcount, f"nothing was changed by {statement}"

    def one(self, query: str) -> int:
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(query).fetchone()[0]

    def tape(self) -> Path:
        """Give the tape of the process that lives; all of it has been drained."""
        (path,) = self.tapes.glob("*.tape")
        return path

    def verify(self, *, with_anchor: bool, is_stranger: bool = False) -> Verdict:
        env = {"XDG_CONFIG_HOME": str(self.folder / "nothing" if is_stranger else self.config)}
        env |= {"COUNTERFOIL_KEY": None, "COUNTERFOIL_ANCHOR": None}
        more = ["--anchor", self.anchor] if with_anchor else []
        result = invoke("verify", "--db", self.path, "--json", *more, env=env)
        told = json.loads(result.stdout)
        broken = [one for one in told["checks"] if one["level"] == "broken"]
        seqs = [one["seq"] for one in broken if one["seq"] is not None]
        left = {one["name"] for one in told["checks"] if one["level"] == "open"}
        return Verdict(
            result.exit_code,
            broken[0]["name"] if broken else None,
            min(seqs, default=None),
            () if broken else tuple(sorted(left - {"anchor"} if not with_anchor else left)),
        )


def drain(path: Path) -> None:
    with Drainer(path) as drainer:
        drainer.drain(sign=False)


def build(folder: Path) -> Scene:
    """Make the store: three processes, four runs, one of them from another store, three checkpoints, all anchored."""
    scene = Scene(folder)
    for one in (scene.anchor.parent, scene.config, folder / "other"):
        one.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(scene.config))
        patch.delenv("COUNTERFOIL_KEY", raising=False)
        patch.delenv("COUNTERFOIL_ANCHOR", raising=False)
        gone = Tape(scene.path)
        everything_happens(gone, 1, Words("one"))
        gone.exit(t=T0 + 2_000 * SECOND)
        drain(scene.path)
        signing.begin(scene.path, anchor=scene.anchor)
        lives = Tape(scene.path)
        everything_happens(lives, 2, Words("two"))
        outside_of_runs(lives, Words("outside"))
        drain(scene.path)
        signing.begin(scene.path, anchor=scene.anchor)
        scene.old.mkdir()
        shutil.copy(scene.path, scene.old)
        shutil.copytree(scene.tapes, scene.old / "x.db.tape")
        everything_happens(lives, 3, Words("three"))
        other = Tape(folder / "other" / "y.db")
        everything_happens(other, 4, Words("four"))
        other.exit(t=T0 + 5_000 * SECOND)
        drain(folder / "other" / "y.db")
        merge.merge(scene.path, [folder / "other" / "y.db"])
        signing.begin(scene.path, anchor=scene.anchor)
        lives.let_go()
    return scene


@contextmanager
def opened(template: Scene, folder: Path) -> Iterator[Scene]:
    """Give a copy of the store for one attack; the process that lives, lives there too, as long as this block."""
    shutil.copytree(template.folder, folder)
    scene = Scene(folder)
    fd = os.open(scene.tape(), os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CONFIG_HOME", str(scene.config))
            patch.delenv("COUNTERFOIL_KEY", raising=False)
            patch.delenv("COUNTERFOIL_ANCHOR", raising=False)
            yield scene
    finally:
        os.close(fd)


# -- what several of them do


def seal_anew(db: sqlite3.Connection) -> None:
    """Hash all events anew, and the tree."""
    before = seal.GENESIS
    rows = db.execute(
        "SELECT seq, CAST(head AS BLOB), coalesce(commitments, x'') FROM events ORDER BY seq"
    ).fetchall()
    for number, (seq, head, commitments) in enumerate(rows, 1):
        before = seal.chained(before, number, seal.leaf(head, commitments))
        db.execute("UPDATE events SET seq = ?, chain = ? WHERE seq = ?", (number, before, seq))
    db.execute("DELETE FROM tiles")


def turn(scene: Scene) -> None:
    """Have a decision of the first run say the opposite, and hash and build all anew."""
    with scene.db() as db:
        changed = db.execute(
            "UPDATE events SET head = replace(head, '\"allow\"', '\"deny\"') WHERE seq = (SELECT min(seq) FROM events WHERE kind = 'decision')"
        )
        assert changed.rowcount == 1
        seal_anew(db)
        db.execute("DELETE FROM copies")
        db.execute("DELETE FROM sources")
    remove(scene.tape())
    rebuild.rebuild(scene.path)


def remove(tape: Path) -> None:
    """Take away a tape that would tell."""
    tape.unlink()


def drop_checkpoints(scene: Scene) -> None:
    scene.do("DELETE FROM checkpoints", "DELETE FROM sqlite_sequence WHERE name = 'checkpoints'")


def sign_anew(scene: Scene) -> None:
    with closing(schema.open_writer(str(scene.path))) as db:
        checkpoints.make(db, checkpoints.signer(db))


def made(scene: Scene, one: Made) -> None:
    """Put an event at the end with the store's own code, without the key."""
    with closing(schema.open_writer(str(scene.path))) as db:
        db.execute("BEGIN IMMEDIATE")
        key = db.execute("SELECT value FROM meta WHERE key = 'store_key'").fetchone()[0]
        sealing = Sealing(db, bytes(key))
        sealing.add_made(one)
        sealing.write()
        db.execute("COMMIT")
    rebuild.rebuild(scene.path)


def started(tape: Tape, n: int) -> None:
    tape.start(run_id(n), step_id(n), t=T0 + n * 9_000 * SECOND, name="late", input="pay 5")
    tape.end(run_id(n), step_id(n), t=T0 + n * 9_000 * SECOND + 1, output="paid 5")


# -- events

EVENTS = "Events"


@attack(EVENTS, "an event's head is edited")
def _(scene: Scene) -> None:
    scene.do(
        "UPDATE events SET head = replace(head, '\"t\":1', '\"t\":2') WHERE seq = 9 AND instr(head, '\"t\":1')"
    )


@attack(EVENTS, "an event's commitments are edited")
def _(scene: Scene) -> None:
    scene.do("UPDATE events SET commitments = randomblob(length(commitments)) WHERE seq = 9")


@attack(EVENTS, "an event is deleted")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM events WHERE seq = 9")


@attack(EVENTS, "two events change places")
def _(scene: Scene) -> None:
    scene.do(
        "UPDATE events SET seq = -9 WHERE seq = 9",
        "UPDATE events SET seq = 9 WHERE seq = 10",
        "UPDATE events SET seq = 10 WHERE seq = -9",
    )


@attack(EVENTS, "an event is put in between")
def _(scene: Scene) -> None:
    scene.do(
        "UPDATE events SET seq = -seq WHERE seq > 9",
        "UPDATE events SET seq = 1 - seq WHERE seq < 0",
        "INSERT INTO events(seq, head, chain) SELECT 10, head, chain FROM events WHERE seq = 9",
    )


@attack(EVENTS, "an event is said to be of another process")
def _(scene: Scene) -> None:
    scene.do(
        "UPDATE events SET tape_id = (SELECT max(tape_id) FROM tapes), offset = 9999999 WHERE seq = 9",
    )
    rebuild.rebuild(scene.path)


@attack(EVENTS, "a process is called otherwise")
def _(scene: Scene) -> None:
    scene.do("UPDATE writers SET writer = '00000000000000ff-1-abcdef' WHERE writer_id = 1")


@attack(EVENTS, "an event of a process is said to be the store's own")
def _(scene: Scene) -> None:
    scene.do("UPDATE events SET tape_id = NULL, offset = NULL WHERE seq = 9")


@attack(EVENTS, "an event that only a process records is added at the end, with the store's own code")
def _(scene: Scene) -> None:
    made(scene, Made(Head(k="score", t=now_ns(), q=0, run=run_id(1), step=step_id(101), value=1.0), Text()))


@attack(EVENTS, "on which tape an event was is removed")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM tapes WHERE tape_id = 1")
    rebuild.rebuild(scene.path)


@attack(EVENTS, "which process an event is of is removed")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM writers WHERE writer_id = 1")
    rebuild.rebuild(scene.path)


@attack(
    EVENTS,
    "events change their lines on a tape",
    unseen="nothing seals on which line an event was; a merge with a store that knows better brings it again, which is seen",
)
def _(scene: Scene) -> None:
    scene.do(
        "UPDATE events SET offset = -offset WHERE tape_id = 1 AND seq IN (9, 10)",
        "UPDATE events SET offset = (SELECT -offset FROM events WHERE seq = 10) WHERE seq = 9",
        "UPDATE events SET offset = (SELECT max(offset) + 1 FROM events WHERE tape_id = 1) WHERE seq = 10",
    )


@attack(
    EVENTS,
    "an event that a store makes by itself (a price) is added at the end, with the store's own code",
    unseen="whoever can write can add to the record; the next checkpoint signs it",
)
def _(scene: Scene) -> None:
    made(scene, Made(Head(k="price", t=now_ns(), q=0, run=run_id(1), step=step_id(102), cost_nano=0), Text()))


# -- the end

END = "The end"


def cut(scene: Scene) -> None:
    """Take the last run away, which came from another store."""
    scene.do(
        "DELETE FROM events WHERE seq >= (SELECT min(seq) FROM copies)",
        "DELETE FROM event_payloads WHERE seq >= (SELECT min(seq) FROM copies)",
        "DELETE FROM copies",
        "DELETE FROM sources",
    )
    remove(scene.tape())


@attack(END, "the last events are cut off")
def _(scene: Scene) -> None:
    cut(scene)


@attack(END, "... and the count of events is set back")
def _(scene: Scene) -> None:
    cut(scene)
    scene.do("UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM events) WHERE name = 'events'")


@attack(END, "... and the checkpoints over them are removed")
def _(scene: Scene) -> None:
    cut(scene)
    scene.do(
        "UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM events) WHERE name = 'events'",
        "DELETE FROM checkpoints WHERE size > (SELECT max(seq) FROM events)",
    )


@attack(END, "... and the count of checkpoints is set back, and all tables are built anew")
def _(scene: Scene) -> None:
    cut(scene)
    scene.do(
        "UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM events) WHERE name = 'events'",
        "DELETE FROM checkpoints WHERE size > (SELECT max(seq) FROM events)",
        "UPDATE sqlite_sequence SET seq = (SELECT max(checkpoint_id) FROM checkpoints) WHERE name = 'checkpoints'",
        "DELETE FROM refs WHERE payload_id NOT IN (SELECT payload_id FROM event_payloads)",
    )
    rebuild.rebuild(scene.path)


@attack(END, "an older copy is put in the store's place, tapes and all")
def _(scene: Scene) -> None:
    shutil.copy(scene.old / "x.db", scene.path)
    shutil.rmtree(scene.tapes)
    shutil.copytree(scene.old / "x.db.tape", scene.tapes)


@attack(END, "the store is removed, and its tapes; a new one is begun")
def _(scene: Scene) -> None:
    scene.path.unlink()
    shutil.rmtree(scene.tapes)
    started(Tape(scene.path), 7)
    drain(scene.path)


# -- all hashed anew

ANEW = "All hashed and built anew, after an edit"


@attack(ANEW, "without the key; the checkpoints are left")
def _(scene: Scene) -> None:
    turn(scene)


@attack(ANEW, "without the key; the checkpoints are removed")
def _(scene: Scene) -> None:
    turn(scene)
    scene.do("DELETE FROM checkpoints")


@attack(ANEW, "... and the count of checkpoints is set back")
def _(scene: Scene) -> None:
    turn(scene)
    drop_checkpoints(scene)


def another_key(scene: Scene) -> None:
    turn(scene)
    drop_checkpoints(scene)
    scene.do("DELETE FROM meta WHERE key = 'audit_key'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERFOIL_KEY", str(scene.folder / "another.key"))
        sign_new = signing.begin(scene.path)
    assert sign_new.is_new


@attack(ANEW, "signed with another key, which is put into the store; its owner verifies")
def _(scene: Scene) -> None:
    another_key(scene)


@attack(ANEW, "signed with another key; somebody who knows no key verifies", is_stranger=True)
def _(scene: Scene) -> None:
    another_key(scene)


@attack(ANEW, "signed anew with the stolen key")
def _(scene: Scene) -> None:
    turn(scene)
    drop_checkpoints(scene)
    sign_anew(scene)


# -- what is built

BUILT_TABLES = "What is built of the events"
BUILT = [table for table in schema.BUILT if table not in {"t_findings", "t_erasures"}]


def edit_built(scene: Scene, table: str) -> None:
    """Edit the last column of a row of a built table."""
    with closing(sqlite3.connect(scene.path)) as db:
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        (primary,) = db.execute(f"SELECT {columns[0]} FROM {table} LIMIT 1").fetchone()
    scene.do(f"UPDATE {table} SET {columns[-1]} = 4711 WHERE {columns[0]} = '{primary}'")


@attack(BUILT_TABLES, "a row of a built table is edited")
def _(scene: Scene) -> None:
    edit_built(scene, "t_steps")


@attack(BUILT_TABLES, "a row of a built table is deleted")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM t_handoffs WHERE run_id = (SELECT min(run_id) FROM t_handoffs)")


@attack(BUILT_TABLES, "a row is added to a built table")
def _(scene: Scene) -> None:
    scene.do("INSERT INTO t_erasures(seq, kind, at_ns, erased_by) VALUES (9, 'erasure', 9, 'nobody')")


@attack(BUILT_TABLES, "a view leaves rows out")
def _(scene: Scene) -> None:
    with scene.db() as db:
        (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'decisions'").fetchone()
        db.execute("DROP VIEW decisions")
        db.execute(f"{sql} WHERE 0")


@attack(BUILT_TABLES, "a trigger is added")
def _(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.path)) as db:
        db.execute("CREATE TRIGGER quiet AFTER INSERT ON t_steps BEGIN UPDATE t_steps SET status = 'ok'; END")
        db.commit()


@attack(BUILT_TABLES, "the guard rails on events are taken away")
def _(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.path)) as db:
        db.execute("DROP TRIGGER events_are_kept")
        db.commit()


@attack(BUILT_TABLES, "an index leaves rows out, and says that it does not")
def _(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.path, isolation_level=None)) as db:
        (sql,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 't_steps_run'").fetchone()
        db.execute("DROP INDEX t_steps_run")
        db.execute(f"{sql} WHERE kind <> 'tool'")
        db.execute("PRAGMA writable_schema=ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 't_steps_run'", (sql,))


# -- texts

TEXTS = "Texts"
_LINKED = "(SELECT payload_id FROM event_payloads WHERE seq = {})"


@attack(TEXTS, "a text is edited")
def _(scene: Scene) -> None:
    scene.do(f"UPDATE payloads SET body = replace(body, 'one', 'two') WHERE payload_id = {_LINKED.format(9)}")


@attack(TEXTS, "a text is deleted")
def _(scene: Scene) -> None:
    scene.do(f"DELETE FROM payloads WHERE payload_id = {_LINKED.format(9)}")


@attack(TEXTS, "two texts change places")
def _(scene: Scene) -> None:
    nine, ten = (scene.one(f"SELECT payload_id FROM event_payloads WHERE seq = {seq}") for seq in (9, 12))
    scene.do(
        f"UPDATE event_payloads SET payload_id = -1 WHERE payload_id = {nine}",
        f"UPDATE event_payloads SET payload_id = {nine} WHERE payload_id = {ten}",
        f"UPDATE event_payloads SET payload_id = {ten} WHERE payload_id = -1",
    )


@attack(TEXTS, "a message of a conversation is made another one")
def _(scene: Scene) -> None:
    scene.do("UPDATE refs SET payload_id = (SELECT payload_id FROM refs WHERE n = 2) WHERE n = 1")
    rebuild.rebuild(scene.path)


@attack(TEXTS, "a text is taken from its event, and no erasure says so")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM event_payloads WHERE seq = 9")
    rebuild.rebuild(scene.path)


@attack(
    TEXTS,
    "a text is taken from its event, and an erasure says so, sealed with the store's own code",
    unseen="who erased and why is what was said; the next checkpoint signs it. `counterfoil sql 'SELECT * FROM erasures'` lists all",
)
def _(scene: Scene) -> None:
    with scene.db() as db:
        head, commitments = db.execute(
            "SELECT CAST(head AS BLOB), commitments FROM events WHERE seq = 9"
        ).fetchone()
        db.execute("DELETE FROM event_payloads WHERE seq = 9")
    body = erasures.encode([(erasures.leaf_name(head, commitments), None)])
    head = Head(k="erasure", t=now_ns(), q=0, run=run_id(1), what="run", count=1, texts=1)
    made(scene, Made(head, Text(erased_by="nobody"), body, erasures.PART))


@attack(TEXTS, "the key under which the store files its texts is changed")
def _(scene: Scene) -> None:
    scene.do("UPDATE meta SET value = randomblob(32) WHERE key = 'store_key'")


@attack(TEXTS, "a text is filed under another's key: the next event that says that one would get it")
def _(scene: Scene) -> None:
    scene.do(f"UPDATE payloads SET key = randomblob(16) WHERE payload_id = {_LINKED.format(9)}")


# -- dropped runs

PRUNED = "Old runs that were dropped"


def pruned(scene: Scene) -> None:
    """Have the first run dropped in good order, by its owner, and anchored."""
    prune.prune(scene.path, T0 + 3_000 * SECOND, by="ada")
    signing.begin(scene.path, anchor=scene.anchor)


@attack(PRUNED, "what was kept of a dropped event is edited")
def _(scene: Scene) -> None:
    pruned(scene)
    scene.do("UPDATE pruned SET leaf = randomblob(32) WHERE seq = (SELECT min(seq) FROM pruned)")


@attack(PRUNED, "an event more is dropped than the record says")
def _(scene: Scene) -> None:
    pruned(scene)
    drop(scene, "seq = (SELECT max(seq) + 1 FROM pruned)")
    rebuild.rebuild(scene.path)


def drop(scene: Scene, which: str) -> None:
    with scene.db() as db:
        for seq, tape_id, offset, head, commitments in db.execute(
            f"SELECT seq, tape_id, offset, CAST(head AS BLOB), coalesce(commitments, x'') FROM events WHERE {which}"
        ).fetchall():
            row = (seq, tape_id, offset, seal.leaf(head, commitments))
            db.execute("INSERT INTO pruned(seq, tape_id, offset, leaf) VALUES (?, ?, ?, ?)", row)
            db.execute("DELETE FROM events WHERE seq = ?", (seq,))
            db.execute("DELETE FROM event_payloads WHERE seq = ?", (seq,))


@attack(
    PRUNED,
    "a run is dropped with the store's own code, without the key",
    unseen="as with an erasure: the record names the run, and the next checkpoint signs it",
)
def _(scene: Scene) -> None:
    run = f"run_id = '{run_id(1)}'"
    first, last = (scene.one(f"SELECT {edge}(seq) FROM events WHERE {run}") for edge in ("min", "max"))
    drop(scene, run)
    head = Head(k="prune", t=now_ns(), q=0, count=last - first + 1, what="older-than")
    body = json.dumps({"runs": [run_id(1)], "seqs": [[first, last]]}).encode()
    made(scene, Made(head, Text(erased_by="nobody"), body, prune.PART))


# -- other stores

SOURCES = "What came from other stores"


@attack(SOURCES, "what another store had sealed of an event is edited")
def _(scene: Scene) -> None:
    scene.do("UPDATE copies SET chain = randomblob(32) WHERE source_seq = 3")


@attack(SOURCES, "what another store had sealed of an event is removed")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM copies WHERE source_seq = 3")


@attack(
    SOURCES,
    "what another store had sealed is removed, of all events: as if they had been recorded here",
    unseen="nothing seals from where an event came; what it says is sealed here",
)
def _(scene: Scene) -> None:
    scene.do("DELETE FROM copies", "DELETE FROM sources")


@attack(
    SOURCES,
    "a store that events came from is called otherwise",
    unseen="nothing seals from where an event came",
)
def _(scene: Scene) -> None:
    scene.do("UPDATE sources SET store = 'ffffffffffffffffffffffffffffffff'")


# -- tapes

TAPES = "Tapes"
_BEFORE = "nothing protects a line until it is drained: seconds, in a calm process"


def on_tape(scene: Scene) -> Tape:
    """Have a process record a run that nobody drains."""
    tape = Tape(scene.path)
    started(tape, 7)
    return tape


@attack(TAPES, "a line is edited before it is drained", unseen=_BEFORE)
def _(scene: Scene) -> None:
    tape = on_tape(scene)
    tape.path.write_bytes(tape.path.read_bytes().replace(b"paid 5", b"paid 9"))


@attack(
    TAPES, "a line is cut out before it is drained", unseen="its number is missed; a full disk does that too"
)
def _(scene: Scene) -> None:
    tape = on_tape(scene)
    lines = tape.path.read_bytes().splitlines(keepends=True)
    tape.path.write_bytes(b"".join([*lines[:1], *lines[2:]]))


@attack(TAPES, "the last line is cut off before it is drained", unseen=_BEFORE)
def _(scene: Scene) -> None:
    tape = on_tape(scene)
    lines = tape.path.read_bytes().splitlines(keepends=True)
    tape.path.write_bytes(b"".join(lines[:-1]))


@attack(TAPES, "a whole tape is removed before it is drained", unseen=_BEFORE)
def _(scene: Scene) -> None:
    on_tape(scene).path.unlink()


@attack(TAPES, "the store is told that a line was drained which was not")
def _(scene: Scene) -> None:
    tape = on_tape(scene)
    drain(scene.path)
    size = tape.path.stat().st_size
    started(tape, 8)
    scene.do(f"UPDATE tapes SET offset = {tape.path.stat().st_size} WHERE offset = {size}")


@attack(TAPES, "a line is edited after it was drained, its head")
def _(scene: Scene) -> None:
    tape = scene.tape()
    tape.write_bytes(tape.read_bytes().replace(b'"allow"', b'"allot"'))


@attack(TAPES, "a line is edited after it was drained, its text")
def _(scene: Scene) -> None:
    tape = scene.tape()
    tape.write_bytes(tape.read_bytes().replace(b"twoword", b"TWOWORD"))


@attack(TAPES, "a tape is cut after it was drained")
def _(scene: Scene) -> None:
    tape = scene.tape()
    tape.write_bytes(tape.read_bytes()[:-100])


@attack(TAPES, "a drained tape is put back under its name", unseen="nothing comes twice, and nothing changes")
def _(scene: Scene) -> None:
    tape = on_tape(scene)
    kept = tape.path.read_bytes()
    tape.exit(t=T0 + 10**15)
    signing.begin(scene.path, anchor=scene.anchor)
    assert not tape.path.exists()
    tape.path.write_bytes(kept)


@attack(TAPES, "a drained tape is put back under another name")
def _(scene: Scene) -> None:
    shutil.copy(scene.tape(), scene.tapes / "00000000000000ff-1-abcdef.000001.tape")


@attack(TAPES, "a drained line is put to its own tape once more")
def _(scene: Scene) -> None:
    with scene.tape().open("r+b") as file:
        line = file.read().splitlines(keepends=True)[1]
        file.write(line)


@attack(
    TAPES,
    "a line that was no event, and was set aside, is removed",
    unseen="only events are sealed; where a process had numbered it, its number is missed",
)
def _(scene: Scene) -> None:
    scene.do("DELETE FROM quarantine")


# -- checkpoints

CHECKPOINTS = "Checkpoints"


@attack(CHECKPOINTS, "one in the middle is removed")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM checkpoints WHERE checkpoint_id = 2")


@attack(CHECKPOINTS, "the last is removed")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM checkpoints WHERE checkpoint_id = 3")


@attack(CHECKPOINTS, "... and the count of them is set back")
def _(scene: Scene) -> None:
    scene.do(
        "DELETE FROM checkpoints WHERE checkpoint_id = 3",
        "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'checkpoints'",
    )


@attack(CHECKPOINTS, "all are removed")
def _(scene: Scene) -> None:
    scene.do("DELETE FROM checkpoints")


@attack(CHECKPOINTS, "... and the count of them is set back, the key too: as if nobody had ever signed")
def _(scene: Scene) -> None:
    drop_checkpoints(scene)
    scene.do("DELETE FROM meta WHERE key = 'audit_key'")


@attack(CHECKPOINTS, "one is edited")
def _(scene: Scene) -> None:
    scene.do("UPDATE checkpoints SET note = replace(note, 'time 2', 'time 1') WHERE checkpoint_id = 2")


@attack(CHECKPOINTS, "when one was made is set back")
def _(scene: Scene) -> None:
    scene.do("UPDATE checkpoints SET at_ns = at_ns - 3600000000000 WHERE checkpoint_id = 3")


@attack(CHECKPOINTS, "the stored tree is edited")
def _(scene: Scene) -> None:
    big(scene)
    scene.do("UPDATE tiles SET hash = randomblob(32)")


def big(scene: Scene) -> None:
    """Have the owner record and anchor enough for the tree to be stored."""
    tape = Tape(scene.path)
    for n in range(10, 150):
        started(tape, n)
    signing.begin(scene.path, anchor=scene.anchor)


@attack(CHECKPOINTS, "the tree over events to come is put in place")
def _(scene: Scene) -> None:
    scene.do("INSERT INTO tiles(level, n, hash) VALUES (1, 7, randomblob(32))")


@attack(CHECKPOINTS, "another key is put into the store")
def _(scene: Scene) -> None:
    other = keys.make(str(scene.folder / "another.key"), "counterfoil/another")
    scene.do(f"UPDATE meta SET value = '{other.public}' WHERE key = 'audit_key'")


@attack(CHECKPOINTS, "the store is called otherwise")
def _(scene: Scene) -> None:
    scene.do("UPDATE meta SET value = 'ffffffffffffffffffffffffffffffff' WHERE key = 'store_id'")


# -- what is told to the store

TOLD = "Settings"


@attack(
    TOLD,
    "the store is told to drop what is older than an hour",
    unseen="`drain --watch` then does it, and records who asked as `settings`; `counterfoil settings` shows it",
)
def _(scene: Scene) -> None:
    scene.do("INSERT INTO meta(key, value) VALUES ('prune-after', '1h')")


@attack(TOLD, "the store is told that anchors have had what is to come")
def _(scene: Scene) -> None:
    scene.do("INSERT INTO meta(key, value) VALUES ('anchored:file /srv/anchor', 4711)")
