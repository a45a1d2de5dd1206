"""Verifying a store: what it holds against what was sealed and signed, and against what others kept of it.

All in one reading of one moment, in a database of its own: nothing is written to the store.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from counterfoil.store import anchors, chain, comparison, read, schema, sources, texts, undrained, unsealed
from counterfoil.store.check import Check
from counterfoil.store.errors import StoreError
from counterfoil.store.notary import Notary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from counterfoil.store.keys import PublicKey

__all__ = ["Verified", "verify"]


class Verified(NamedTuple):
    """What was found of the store at `path`. `anchored`: an anchor outside of it agrees."""

    path: str
    events: int
    checks: tuple[Check, ...]
    anchored: bool

    @property
    def broken(self) -> tuple[Check, ...]:
        """What is not as it was sealed."""
        return tuple(check for check in self.checks if check.level == "broken")


def verify(
    path: str | os.PathLike[str],
    *,
    anchor: str | os.PathLike[str] | None = None,
    key: PublicKey | None = None,
    run: str | None = None,
    since_ns: int | None = None,
) -> Verified:
    """Check all that the store at `path` holds, as it is now: nothing is drained, nothing written.

    `anchor` is a file of checkpoints kept elsewhere, `key` the one that must have signed them (default: the user's own,
    else the one that the store names). With `run` (a whole id) what belongs to that run, with `since_ns` what was stored
    after the last checkpoint before then. Raises StoreError with one sentence where it cannot be read.
    """
    path = os.path.realpath(os.fspath(path))
    kept, rest = anchors.read(os.fspath(anchor)) if anchor is not None else (None, False)
    with _opened(path) as db:
        notary = Notary(db, sources.store_id(db), kept, key)
        if run is not None:
            return _one(db, path, notary, run)
        return _whole(db, path, notary, since_ns, rest=rest)


@contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    """Give a database with empty built tables, and beside it all other tables of the store at `path`, only to be read."""
    if not os.path.exists(path):
        raise StoreError(f"{path}: nothing has been recorded here; name another file with --db.")
    if not os.path.isfile(path):
        raise StoreError(f"{path} is not a file; name another with --db.")
    with tempfile.TemporaryDirectory(prefix="counterfoil-verify.") as folder:
        try:
            db = sqlite3.connect(f"file:{folder}/built.db", uri=True, isolation_level=None)
        except sqlite3.Error as error:
            raise schema.explain(folder, error) from None
        try:
            db.execute("PRAGMA journal_mode=OFF")
            db.execute("PRAGMA synchronous=OFF")
            _attach(db, path)
            for name, sql in db.execute(
                "SELECT tbl_name, sql FROM store.sqlite_schema WHERE sql IS NOT NULL AND type IN ('table', 'index') ORDER BY type DESC"
            ).fetchall():
                if name in schema.BUILT:
                    db.execute(sql)
            db.execute("BEGIN")
            yield db
        except sqlite3.Error as error:
            raise schema.explain(path, error) from None
        finally:
            db.close()


def _attach(db: sqlite3.Connection, path: str) -> None:
    *others, last = read.addresses(path, writable=read.may_write(path))
    for address in others:
        try:
            db.execute("ATTACH ? AS store", (address,))
            schema.check(db, path, "store")
        except sqlite3.OperationalError:
            with suppress(sqlite3.OperationalError):
                db.execute("DETACH store")
        else:
            break
    else:
        db.execute("ATTACH ? AS store", (last,))
    version = schema.check(db, path, "store")
    if version < schema.VERSION:
        raise StoreError(f"{path} is of an older Counterfoil; `counterfoil drain` brings it up to date.")


def _whole(
    db: sqlite3.Connection, path: str, notary: Notary, since_ns: int | None, *, rest: bool
) -> Verified:
    """Look at everything; with `since_ns` at what came after the last checkpoint before then."""
    base = None if since_ns is None else notary.before(since_ns)
    if base is not None and not base.size:
        base = None
    after = 0 if base is None else base.size
    walked = chain.walk(db, notary.sizes, base)
    checks = [*walked.checks, chain.at_the_end(db, walked)]
    runs: list[str] | None = None
    if base is not None:
        says = f"Only what came after the {base.size:,} events of {base.time} was looked at."
        checks.insert(0, Check("since", "open", says))
        found = db.execute(
            "SELECT DISTINCT run_id FROM events WHERE seq > ? AND run_id IS NOT NULL", (after,)
        )
        runs = [run for (run,) in found]
    checks.append(texts.against_seals(db) if base is None else texts.against_seals(db, "seq > ?", (after,)))
    checks += _unsealed(db)
    checks += notary.own_notes(walked, after)
    checks += notary.anchor(walked, after)
    checks.append(_file(db))
    if rest:
        checks.append(Check("anchor", "open", "The anchor holds something else too, which is no checkpoint."))
    if walked.bad is None:
        checks.append(_built(db, path, runs))
    else:
        checks.append(Check("tables", "open", "Tables were not compared, as events are not what was sealed."))
    checks += _sources(db)
    checks += undrained.on_tapes(db, path)
    return Verified(path, walked.size, tuple(checks), notary.anchored)


def _one(db: sqlite3.Connection, path: str, notary: Notary, run: str) -> Verified:
    """Look at what belongs to one run."""
    (count,) = db.execute("SELECT count(*) FROM events WHERE run_id = ?", (run,)).fetchone()
    if not count:
        raise StoreError(f"{path}: there is no run {run}.")
    says = f"Only the {count:,} events of run {run} were looked at: that none is missing, `verify` of all can tell."
    checks = [
        Check("since", "open", says),
        *notary.over_run(run),
        texts.against_seals(db, "run_id = ?", (run,)),
        _built(db, path, [run]),
    ]
    return Verified(path, count, tuple(checks), notary.anchored)


def _file(db: sqlite3.Connection) -> Check:
    """Check the file's own structure: an index that lacks rows hides them, and every seal holds."""
    (found,) = db.execute("PRAGMA store.integrity_check(1)").fetchone()
    if found != "ok":
        return Check("file", "broken", f"SQLite says of the file: {found}.")
    return Check("file", "ok", "Every index holds the rows of its table.")


def _unsealed(db: sqlite3.Connection) -> Iterator[Check]:
    """Check what no leaf commits to."""
    found = {
        "messages": unsealed.numbers(db),
        "lines": unsealed.lines(db),
        "definitions": unsealed.definitions(db, "store"),
    }
    for name, wrong in found.items():
        if wrong is not None:
            yield Check(name, "broken", f"{wrong.says}.", wrong.seq)
    if not any(found.values()):
        yield Check(
            "unsealed",
            "ok",
            "Where lines came from, what numbers mean, how tables are made: as the events say.",
        )
    lent = unsealed.uncommitted(db)
    if lent:
        says = f"{lent:,} messages are shown whose own events are gone: nothing commits to them."
        yield Check("messages", "open", says)


def _built(db: sqlite3.Connection, path: str, runs: Collection[str] | None) -> Check:
    """Compare the built rows, or those of `runs` and of what they belong together with."""
    if runs:
        runs = comparison.related(db, runs)
    changed = list(comparison.changed_rows(db, path, runs))
    if changed:
        says = f"Rows are not what the events say ({'; '.join(changed)}). `counterfoil rebuild` mends them."
        return Check("tables", "broken", says)
    if runs is None:
        return Check("tables", "ok", "The built tables are what the events say.")
    many = "1 run are" if len(runs) == 1 else f"{len(runs):,} runs are"
    return Check("tables", "ok", f"The built rows of {many} what the events say.")


def _sources(db: sqlite3.Connection) -> Iterator[Check]:
    found = sources.verify_sources(db)
    for store, bad in found.items():
        if bad is not None:
            says = f"Event {bad} of the source {store} is not what that one had sealed."
            yield Check("sources", "broken", says)
    if found and not any(found.values()):
        many = "another store" if len(found) == 1 else f"{len(found):,} other stores"
        yield Check("sources", "ok", f"What came from {many} is what was sealed there.")
