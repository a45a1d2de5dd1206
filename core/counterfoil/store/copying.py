"""Events of one store copied into another: sealed as they were, each once, then folded like any other.

An event of a tape is known by its writer, segment and offset; one that a drainer made by its leaf, which its salts
make its own. Head, salts and commitments stay as they are; the texts are stored under the other store's key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from counterfoil.events import Head, Text, decode_head, decode_text
from counterfoil.store import bulk, erasures, fold, refold, seal, sealing, sources
from counterfoil.store.errors import StoreError
from counterfoil.store.exclusive import transaction
from counterfoil.store.fold import READ, Event
from counterfoil.store.sources import Claim
from counterfoil.store.views import LISTED

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from counterfoil.store.read import Store

__all__ = ["Copied", "copy_bad_lines", "copy_events"]

#: Copied in one transaction, at most.
EVENTS: Final = 500
BYTES: Final = 4 << 20

_NO_TEXT: Final = Text()


class Copied(NamedTuple):
    """What a copy did: events that were new, that were here already, and that contradict what is here."""

    events: int
    known: int
    contradicting: int


class _Row(NamedTuple):
    """An event as the source holds it."""

    seq: int
    tape_id: int | None
    offset: int | None
    head: bytes
    commitments: bytes
    chain: bytes

    @property
    def leaf(self) -> bytes:
        return seal.leaf(self.head, self.commitments)


class _Here(NamedTuple):
    """An event as it stands in the store that is copied to; `pruned`: of which its leaf is left."""

    seq: int
    leaf: bytes
    pruned: bool = False


def copy_events(
    source: Store, db: sqlite3.Connection, *, only: str = "1", params: Sequence[Any] = ()
) -> Copied:
    """Copy the events of `source` for which the condition `only` holds into the store that `db` writes to.

    In transactions of a few hundred: what is stored is whole, and to do it again goes on from there.
    """
    copying = _Copying(source, db)
    done = Copied(0, 0, 0)
    for rows in copying.batches(only, params):
        try:
            with transaction(db):
                part = copying.copy(rows)
        except msgspec.DecodeError as error:
            raise StoreError(
                f"{source.path}: an event from {rows[0].seq} to {rows[-1].seq} cannot be read ({error}); "
                "the store was changed by hand or damaged."
            ) from None
        done = Copied(*(one + other for one, other in zip(done, part, strict=True)))
    return done


def copy_bad_lines(source: Store, db: sqlite3.Connection) -> None:
    """Copy the lines of tape that were no events, those that are here left out."""
    copying = _Copying(source, db)
    with transaction(db):
        for rowid, tape_id, offset in _rows(source, "SELECT rowid, tape_id, offset FROM quarantine"):
            _, here = copying.tape(tape_id)
            if db.execute(
                "SELECT 1 FROM quarantine WHERE tape_id = ? AND offset = ?", (here, offset)
            ).fetchone():
                continue
            (line,) = _rows(source, "SELECT at_ns, reason, raw FROM quarantine WHERE rowid = ?", (rowid,))
            db.execute(
                "INSERT INTO quarantine(tape_id, offset, at_ns, reason, raw) VALUES (?, ?, ?, ?, ?)",
                (here, offset, *line),
            )


def _rows(source: Store, query: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    return source.sql(query, params)[1]


def _rows_in(
    run: Callable[[str, Sequence[Any]], Iterable[tuple[Any, ...]]],
    query: str,
    values: Iterable[Any],
    params: Sequence[Any] = (),
) -> Iterator[tuple[Any, ...]]:
    """Give the rows of `query`, whose `IN (...)` stands for a part of `values` at a time; `params` come after it."""
    wanted = list(values)
    for at in range(0, len(wanted), bulk.ROWS):
        part = wanted[at : at + bulk.ROWS]
        yield from run(query.replace("IN (...)", f"IN ({','.join('?' * len(part))})"), (*part, *params))


class _Copying:
    """From one store into another, batch by batch."""

    def __init__(self, source: Store, db: sqlite3.Connection) -> None:
        self._source = source
        self._db = db
        key = db.execute("SELECT value FROM meta WHERE key = 'store_key'").fetchone()[0]
        self._content_key = seal.ContentKey(bytes(key)).of
        self._store = str(_rows(source, "SELECT value FROM meta WHERE key = 'store_id'")[0][0])
        self._own = sources.store_id(db)
        self._tapes: dict[int, tuple[int, int]] = {}
        #: Events that lost all, in the source or here.
        self._erased = erasures.whole([*_rows(source, erasures.BODIES), *db.execute(erasures.BODIES)])
        #: Of what the store itself had made and then pruned: a leaf, and its number.
        self._made_pruned = dict(db.execute("SELECT leaf, seq FROM pruned WHERE tape_id IS NULL").fetchall())
        #: Runs of which nothing was here before.
        self._fresh: set[str | None] = {None}

    def _theirs(
        self, query: str, values: Iterable[Any], params: Sequence[Any] = ()
    ) -> Iterator[tuple[Any, ...]]:
        return _rows_in(lambda one, bound: _rows(self._source, one, bound), query, values, params)

    def _ours(
        self, query: str, values: Iterable[Any], params: Sequence[Any] = ()
    ) -> Iterator[tuple[Any, ...]]:
        return _rows_in(self._db.execute, query, values, params)

    # -- reading the source

    def batches(self, only: str, params: Sequence[Any]) -> Iterator[list[_Row]]:
        """Give the source's events in their order, as many at a time as memory should hold."""
        last = self._copied_before() if only == "1" else 0
        while True:
            rows = [
                _Row(seq, tape_id, offset, head, commitments or b"", chain)
                for seq, tape_id, offset, head, commitments, chain in _rows(
                    self._source,
                    f"""SELECT seq, tape_id, offset, CAST(head AS BLOB), commitments, chain FROM events
                    WHERE seq > ? AND ({only}) ORDER BY seq LIMIT {EVENTS}""",
                    (last, *params),
                )
            ]
            if not rows:
                return
            rows = self._bounded(rows)
            yield rows
            last = rows[-1].seq

    def _copied_before(self) -> int:
        (first,) = _rows(self._source, "SELECT min(seq) FROM events")[0]
        return 0 if first is None else sources.copied_before(self._db, self._store, first, self._chain_at)

    def _chain_at(self, seq: int) -> bytes | None:
        found = _rows(self._source, "SELECT chain FROM events WHERE seq = ?", (seq,))
        return found[0][0] if found else None

    def _bounded(self, rows: list[_Row]) -> list[_Row]:
        sizes = dict(
            self._theirs(
                """SELECT seq, sum(length(CAST(body AS BLOB))) FROM event_payloads JOIN payloads USING (payload_id)
                WHERE seq IN (...) GROUP BY seq""",
                (row.seq for row in rows),
            )
        )
        total = 0
        for at, row in enumerate(rows):
            total += sizes.get(row.seq, 0)
            if total > BYTES and at:
                return rows[:at]
        return rows

    # -- one batch

    def copy(self, rows: Sequence[_Row]) -> Copied:
        """Copy `rows`, inside a transaction."""
        heads = {row.seq: decode_head(row.head) for row in rows}
        here = self._known(rows)
        self._empty(rows, heads)
        contradicting = sum(one is None for one in here.values())
        new = [row for row in rows if row.seq not in here]
        runs = {heads[row.seq].run for row in new}
        self._fresh |= runs - {
            run for (run,) in self._ours("SELECT run_id FROM t_runs WHERE run_id IN (...)", runs)
        }
        seqs = self._add(new, heads)
        # What the source has erased is not erased here, but for events that only refer to texts: whose word is this one.
        erased = {heads[row.seq].run for row in new if heads[row.seq].k == "erasure"} - self._fresh
        if erased:
            refold.refold(self._db, self._source.path, erased)
        placed = {seq: one for seq, one in here.items() if one is not None}
        placed |= {row.seq: _Here(seqs[row.seq], row.leaf) for row in new}
        sources.note(self._db, self._claims(rows, placed))
        return Copied(len(new), len(here) - contradicting, contradicting)

    def _empty(self, rows: Sequence[_Row], heads: dict[int, Head]) -> None:
        """Have events that were erased refer to no text, also where another run still holds it."""
        if not self._erased:
            return
        named = [
            row.seq
            for row in rows
            if erasures.refers(heads[row.seq])
            and erasures.leaf_name(row.head, row.commitments) in self._erased
        ]
        query = "SELECT DISTINCT seq FROM event_payloads WHERE seq IN (...)"
        held = {seq for (seq,) in self._theirs(query, named)}
        for seq in named:
            if seq not in held:
                heads[seq] = erasures.emptied(heads[seq])

    def tape(self, tape_id: int) -> tuple[int, int]:
        """Give writer and tape of the store that is copied to, for a tape of the source."""
        found = self._tapes.get(tape_id)
        if found is not None:
            return found
        db = self._db
        ((writer, segment),) = _rows(
            self._source,
            "SELECT writer, segment FROM tapes JOIN writers USING (writer_id) WHERE tape_id = ?",
            (tape_id,),
        )
        db.execute("INSERT OR IGNORE INTO writers(writer) VALUES (?)", (writer,))
        (writer_id,) = db.execute("SELECT writer_id FROM writers WHERE writer = ?", (writer,)).fetchone()
        # At offset 0: if the tape itself is here too, its drainer leaves out what came this way.
        db.execute("INSERT OR IGNORE INTO tapes(writer_id, segment) VALUES (?, ?)", (writer_id, segment))
        (here,) = db.execute(
            "SELECT tape_id FROM tapes WHERE writer_id = ? AND segment = ?", (writer_id, segment)
        ).fetchone()
        self._tapes[tape_id] = (writer_id, here)
        return writer_id, here

    def _known(self, rows: Sequence[_Row]) -> dict[int, _Here | None]:
        """Give where the events are that are here already; None for one whose place another event holds."""
        known: dict[int, _Here | None] = {}
        by_tape: dict[int, dict[int, _Row]] = {}
        made: dict[bytes, list[_Row]] = {}
        times: set[int] = set()
        for row in rows:
            if row.tape_id is None:
                made.setdefault(row.leaf, []).append(row)
                times.add(decode_head(row.head).t)
            elif row.offset is not None:
                by_tape.setdefault(row.tape_id, {})[row.offset] = row
        for tape_id, of_tape in by_tape.items():
            for seq, offset, head, commitments in self._ours(
                """SELECT seq, offset, CAST(head AS BLOB), commitments FROM events
                WHERE offset IN (...) AND tape_id = ?""",
                of_tape,
                (self.tape(tape_id)[1],),
            ):
                row = of_tape[offset]
                known[row.seq] = _Here(seq, seal.leaf(head, commitments or b"")) if head == row.head else None
            for seq, offset, leaf in self._ours(
                "SELECT seq, offset, leaf FROM pruned WHERE offset IN (...) AND tape_id = ?",
                of_tape,
                (self.tape(tape_id)[1],),
            ):
                known[of_tape[offset].seq] = _Here(seq, leaf, pruned=True)
        for seq, head, commitments in self._ours(
            "SELECT seq, CAST(head AS BLOB), commitments FROM events WHERE tape_id IS NULL AND t_ns IN (...)",
            times,
        ):
            leaf = seal.leaf(head, commitments or b"")
            for row in made.get(leaf, ()):
                known[row.seq] = _Here(seq, leaf)
        for leaf in made.keys() & self._made_pruned.keys():
            for row in made[leaf]:
                known[row.seq] = _Here(self._made_pruned[leaf], leaf, pruned=True)
        return known

    def _add(self, rows: Sequence[_Row], heads: Mapping[int, Head]) -> dict[int, int]:
        """Store and fold events that are new here; give their numbers here by those in the source."""
        db = self._db
        tip = db.execute("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        seq, chain = (int(tip[0]), bytes(tip[1])) if tip is not None else (0, seal.GENESIS)
        seqs: dict[int, int] = {}
        stored: list[tuple[Any, ...]] = []
        for row in rows:
            seq += 1
            seqs[row.seq] = seq
            chain = seal.chained(chain, seq, row.leaf)
            tape_id = None if row.tape_id is None else self.tape(row.tape_id)[1]
            stored.append((seq, tape_id, row.offset, row.head.decode(), row.commitments or None, chain))
        links: dict[tuple[int, int], tuple[int, bytes]] = {
            (one, slot): (payload_id, salt)
            for one, slot, payload_id, salt in self._theirs(
                "SELECT seq, slot, payload_id, salt FROM event_payloads WHERE seq IN (...)", seqs
            )
        }
        refs = self._refs(rows, heads, links)
        bodies = self._bodies({*(payload_id for payload_id, _ in links.values()), *refs.values()})
        payloads = self._store_bodies(bodies)
        bulk.insert(db, "events", ("seq", "tape_id", "offset", "head", "commitments", "chain"), stored)
        bulk.insert(
            db,
            "event_payloads",
            ("seq", "slot", "payload_id", "salt"),
            [
                (seqs[one], slot, payloads[payload_id], salt)
                for (one, slot), (payload_id, salt) in links.items()
            ],
        )
        bulk.insert(
            db,
            "refs",
            ("writer_id", "n", "payload_id"),
            [(*key, payloads[payload_id]) for key, payload_id in refs.items()],
            verb="INSERT OR IGNORE",
        )
        events: list[Event] = []
        for row in rows:
            head = heads[row.seq]
            named = {name: links.get((row.seq, slot), (None,))[0] for slot, name in enumerate(head.parts)}
            read = {name: bodies[at] for name, at in named.items() if at is not None and name in READ}
            text = named.get("text")
            events.append(
                Event(
                    seqs[row.seq],
                    None if row.tape_id is None else self.tape(row.tape_id)[0],
                    head,
                    _NO_TEXT if text is None else decode_text(bodies[text]),
                    {name: None if at is None else payloads[at] for name, at in named.items()},
                    read,
                )
            )
        fold.apply(db, events, sealing.refs_of(db, events, {}))
        self._borrow(heads[row.seq] for row in rows)
        return seqs

    def _refs(
        self,
        rows: Sequence[_Row],
        heads: Mapping[int, Head],
        links: Mapping[tuple[int, int], tuple[int, bytes]],
    ) -> dict[tuple[int, int], int]:
        """Give the source's payload of each (writer here, number) that these events give or refer to."""
        given: dict[tuple[int, int], int] = {}
        wanted: dict[int, set[int]] = {}
        for row in rows:
            if row.tape_id is None:
                continue
            head = heads[row.seq]
            writer_id = self.tape(row.tape_id)[0]
            for slot, name in enumerate(head.parts):
                link = links.get((row.seq, slot))
                if link is not None and name[0:1] == "m" and name[1:].isdecimal():
                    given[writer_id, int(name[1:])] = link[0]
            wanted.setdefault(row.tape_id, set()).update(head.refs, head.offers)
        # An event that gave a number may not be copied: it is another run's.
        for tape_id, numbers in wanted.items():
            writer_id = self.tape(tape_id)[0]
            for n, payload_id in self._theirs(
                """SELECT n, payload_id FROM refs JOIN payloads USING (payload_id) WHERE n IN (...)
                AND writer_id = (SELECT writer_id FROM tapes WHERE tape_id = ?)""",
                [n for n in numbers if (writer_id, n) not in given],
                (tape_id,),
            ):
                given[writer_id, n] = payload_id
        return given

    def _bodies(self, payload_ids: set[int]) -> dict[int, bytes]:
        return dict(
            self._theirs(
                "SELECT payload_id, CAST(body AS BLOB) FROM payloads WHERE payload_id IN (...)", payload_ids
            )
        )

    def _store_bodies(self, bodies: Mapping[int, bytes]) -> dict[int, int]:
        """Store texts of the source; give their payloads here by those in the source."""
        keys = {at: self._content_key(seal.content_digest(body)) for at, body in bodies.items()}
        ids = sealing.store_bodies(self._db, {keys[at]: body for at, body in bodies.items()})
        return {at: ids[key] for at, key in keys.items()}

    def _borrow(self, heads: Iterable[Head]) -> None:
        """Keep the messages that these steps go on from, where the step that has them is not here."""
        wanted: dict[tuple[str, int], int] = {}
        for head in heads:
            if head.base is not None and head.keep:
                key = (head.base, int(bool(head.base_output)))
                wanted[key] = max(head.keep, wanted.get(key, 0))
        bases = {step_id for step_id, _ in wanted}
        # A step whose messages were erased here has none: those that others go on from are new.
        there = {
            (step_id, direction)
            for step_id, *counts in self._ours(
                "SELECT step_id, in_count, out_count FROM t_steps WHERE step_id IN (...)", bases
            )
            for direction, count in enumerate(counts)
            if count is not None
        }
        for (step_id, direction), keep in wanted.items():
            if (step_id, direction) in there:
                continue
            listed = dict(_rows(self._source, LISTED, (step_id, direction, keep)))
            payloads = self._store_bodies(self._bodies({at for at in listed.values() if at is not None}))
            bulk.insert(
                self._db,
                "borrowed",
                ("step_id", "direction", "position", "payload_id"),
                [(step_id, direction, position, payloads.get(at)) for position, at in listed.items()],
                verb="INSERT OR IGNORE",
            )

    # -- what the source sealed

    def _claims(self, rows: Sequence[_Row], placed: Mapping[int, _Here]) -> Iterator[Claim]:
        """Give what the source, and those that it was copied from itself, say of these events."""
        leaves = {row.seq: row.leaf for row in rows}
        chains = {row.seq: row.chain for row in rows}
        ahead = [row.seq - 1 for row in rows if row.seq - 1 not in chains]
        for table in ("events", "pruned"):
            chains |= dict(self._theirs(f"SELECT seq, chain FROM {table} WHERE seq IN (...)", ahead))
        said: list[tuple[int, str, int, int, bytes, bytes | None, bytes]] = [
            (row.seq, self._store, 0, row.seq, row.chain, chains.get(row.seq - 1), leaves[row.seq])
            for row in rows
        ]
        said += [
            (seq, store, line, number, chain, before, leaf or leaves[seq])
            for seq, store, line, number, chain, before, leaf in self._theirs(
                """SELECT c.seq, store, c.source_id, c.source_seq, c.chain, coalesce(c.before, ahead.chain), c.leaf
                FROM copies c JOIN sources USING (source_id) LEFT JOIN copies ahead
                  ON ahead.source_id = c.source_id AND ahead.source_seq = c.source_seq - 1
                WHERE c.seq IN (...)""",
                leaves,
            )
        ]
        # Events that began here and come back need no note.
        numbers = [number for _, store, _, number, *_ in said if store == self._own]
        own = dict(self._ours("SELECT seq, chain FROM events WHERE seq IN (...)", numbers))
        for seq, store, line, number, chain, before, leaf in said:
            here = placed.get(seq)
            if here is not None and not (store == self._own and own.get(number) == chain):
                other = None if leaf == here.leaf and not here.pruned else leaf
                yield Claim(store, line, number, here.seq, chain, before, other)
