"""Checkpoints: signed notes that say how many events there were by then, and the root of the tree over them.

    counterfoil/<store id>          where it comes from
    <how many events>
    <root of the tree, base64>
    time <when it was signed, ISO 8601>
    previous <sha256 of the note before, base64>

    — <name of the key> <key id and signature, base64>

C2SP's form (https://c2sp.org/tlog-checkpoint), with two lines more, which it allows: the store's own word for when
nothing more was there, and the order of the notes, so that none can be taken out of the middle.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from counterfoil.ids import now_ns
from counterfoil.store import keys, tree
from counterfoil.store.errors import StoreError
from counterfoil.store.exclusive import transaction

if TYPE_CHECKING:
    import sqlite3

    from counterfoil.store.keys import PublicKey, Signer

__all__ = [
    "Note", "begin", "has_key", "is_due", "is_on", "make", "notes", "parse", "parse_all", "public_key", "sign", "signer",
]  # fmt: skip

SECOND: Final = 1_000_000_000
#: Not more often: while runs go on, when all have ended, when a drainer ends, while nothing comes.
BUSY_NS: Final = 60 * SECOND
CALM_NS: Final = 10 * SECOND
ENDED_NS: Final = 1 * SECOND
IDLE_NS: Final = 3_600 * SECOND

_KEY: Final = "audit_key"
_FORM: Final = re.compile(
    r"(?P<text>counterfoil/(?P<store>[0-9a-f]{32})\n(?P<size>0|[1-9][0-9]*)\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"time (?P<time>[0-9TZ:.\-]+)\nprevious (?P<previous>[A-Za-z0-9+/]{43}=)\n)\n"
    r"— (?P<name>[^+\s]+) (?P<signature>[A-Za-z0-9+/=]+)\n"
)
NOTHING_BEFORE: Final = b"\0" * 32


class Note(NamedTuple):
    """A checkpoint, read: of which store, how many events, the tree's root over them, when, and what came before.

    `note` is its whole text, `text` what was signed, `signature` 64 bytes by the key called `name` with `key_id`.
    """

    note: str
    text: bytes
    store: str
    size: int
    root: bytes
    time: str
    previous: bytes
    name: str
    key_id: bytes
    signature: bytes

    @property
    def time_ns(self) -> int:
        """When it was signed, in nanoseconds since the epoch."""
        return int(datetime.fromisoformat(self.time).timestamp()) * SECOND

    @property
    def digest(self) -> bytes:
        """What the next note calls this one."""
        return sha256(self.note.encode()).digest()

    def is_by(self, key: PublicKey) -> bool:
        """Tell whether `key` signed this. Raises StoreError without `cryptography`."""
        return (self.name, self.key_id) == (key.name, key.id) and key.verifies(self.text, self.signature)


def parse(note: str) -> Note | None:
    """Give what `note` says; None for what is no checkpoint."""
    found = _FORM.fullmatch(note)
    return None if found is None else _note(found)


def parse_all(text: str) -> tuple[list[Note], bool]:
    """Give the checkpoints in `text`, and whether anything else stands between them."""
    found = [_note(one) for one in _FORM.finditer(text)]
    return [one for one in found if one is not None], bool(_FORM.sub("", text).strip())


def _note(found: re.Match[str]) -> Note | None:
    try:
        signature = base64.b64decode(found["signature"], validate=True)
    except binascii.Error:
        return None
    return Note(
        found[0],
        found["text"].encode(),
        found["store"],
        int(found["size"]),
        base64.b64decode(found["root"]),
        found["time"],
        base64.b64decode(found["previous"]),
        found["name"],
        signature[:4],
        signature[4:],
    )


def notes(db: sqlite3.Connection, after: int = 0) -> list[tuple[int, str]]:
    """Give id and text of the checkpoints after that with the id `after`, the oldest first."""
    return db.execute(
        "SELECT checkpoint_id, note FROM checkpoints WHERE checkpoint_id > ? ORDER BY checkpoint_id", (after,)
    ).fetchall()


def is_on(db: sqlite3.Connection) -> bool:
    """Tell whether this store's checkpoints are signed as it is drained."""
    return db.execute("SELECT 1 FROM meta WHERE key = ?", (_KEY,)).fetchone() is not None


def has_key(db: sqlite3.Connection) -> bool:
    """Tell whether there is a file where this user's key for the store would be."""
    return os.path.exists(keys.path_of(_store_id(db)))


def public_key(db: sqlite3.Connection) -> PublicKey | None:
    """Give the key that the store itself says its checkpoints are signed with. Raises StoreError where it is none."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
    return None if row is None else keys.parse_public(str(row[0]))


def begin(db: sqlite3.Connection) -> tuple[Signer, bool]:
    """Give the store's key, made if there is none yet, and whether it was; from then on each drain signs.

    Raises StoreError with one sentence.
    """
    store_id = _store_id(db)
    path = keys.path_of(store_id)
    found = keys.load(path)
    known = public_key(db)
    if found is None and known is not None:
        raise StoreError(
            f"the key that this store is signed with is not in {path}; put it there, or name it with $COUNTERFOIL_KEY."
        )
    one = found or keys.make(path, f"counterfoil/{store_id}")
    if known is not None and known != one.public:
        raise StoreError(f"{path} is not the key that this store is signed with, which is {known}.")
    with transaction(db):
        db.execute("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", (_KEY, str(one.public)))
    return one, found is None


def signer(db: sqlite3.Connection) -> Signer:
    """Give the key that the store is signed with. Raises StoreError with one sentence where it is not here."""
    if not is_on(db):
        raise StoreError("this store has no key to sign with yet; `counterfoil checkpoint` makes one.")
    return begin(db)[0]


def is_due(db: sqlite3.Connection, *, ends: bool, now: int | None = None) -> bool:
    """Tell whether it is time for a checkpoint; `ends`: the drainer will not come again soon."""
    last = db.execute("SELECT at_ns, size FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1").fetchone()
    if last is None:
        return True
    at_ns, size = last
    since = (now_ns() if now is None else now) - int(at_ns)
    if since < 0:  # the clock went back
        return True
    if _tip(db) == size:
        return since >= IDLE_NS
    if ends:
        return since >= ENDED_NS
    return since >= (BUSY_NS if _is_under_way(db) else CALM_NS)


def _is_under_way(db: sqlite3.Connection) -> bool:
    found = db.execute("SELECT 1 FROM t_steps INDEXED BY t_steps_open WHERE end_rank = 0 LIMIT 1")
    return found.fetchone() is not None


def make(db: sqlite3.Connection, key: Signer) -> str:
    """Sign what the store holds, keep the note, and give it. Outside of a transaction, with the drain lock.

    Raises tree.MissingError where an event is not there.
    """
    size = _tip(db)
    tree.extend(db, size)
    root = tree.Tree(db).root(size)
    with transaction(db):
        row = db.execute("SELECT note FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1").fetchone()
        previous = sha256(str(row[0]).encode()).digest() if row is not None else NOTHING_BEFORE
        at = now_ns()
        (time,) = db.execute(
            "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', ? / 1000000000, 'unixepoch')", (at,)
        ).fetchone()
        lines = (
            f"counterfoil/{_store_id(db)}",
            str(size),
            _base64(root),
            f"time {time}",
            f"previous {_base64(previous)}",
        )
        text = "".join(f"{line}\n" for line in lines)
        signature = key.public.id + key.sign(text.encode())
        note = f"{text}\n— {key.public.name} {_base64(signature)}\n"
        db.execute("INSERT INTO checkpoints(size, at_ns, note) VALUES (?, ?, ?)", (size, at, note))
    return note


def sign(db: sqlite3.Connection, *, ends: bool, at_once: bool = False) -> bool:
    """Make a checkpoint if it is time for one, or `at_once`, and the key is here; tell whether it was made.

    Raises what stands in the way.
    """
    if not is_on(db) or not (at_once or is_due(db, ends=ends)):
        return False
    key = keys.load(keys.path_of(_store_id(db)))
    if key is None or key.public != public_key(db):
        return False
    make(db, key)
    return True


def _tip(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0])


def _store_id(db: sqlite3.Connection) -> str:
    return str(db.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()[0])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
