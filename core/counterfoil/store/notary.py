"""Checkpoints against the events that they speak of: those that the store keeps, and those of an anchor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from counterfoil.store import checkpoints, keys, proof
from counterfoil.store.check import Check
from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from counterfoil.store.chain import Walked
    from counterfoil.store.check import Level
    from counterfoil.store.checkpoints import Note
    from counterfoil.store.keys import PublicKey

__all__ = ["Notary"]

#: Anchors that are said to have had more checkpoints than were made: they would not be given those to come.
_ANCHORED: Final = """SELECT substr(key, 10) FROM meta WHERE key LIKE 'anchored:%'
  AND (typeof(value) <> 'integer' OR value > ?) ORDER BY key"""


class Notary:
    """The checkpoints of the store `store_id`, those that an anchor kept of it (None: no anchor), and the key to trust."""

    def __init__(
        self, db: sqlite3.Connection, store_id: str, kept: Sequence[Note] | None, key: PublicKey | None
    ) -> None:
        self._db = db
        self._store_id = store_id
        self.has_anchor = kept is not None
        self._foreign = any(note.store != store_id for note in kept or ())
        self.kept = [note for note in kept or () if note.store == store_id]
        self.stored = [
            (checkpoint_id, size, _of_then(checkpoints.parse(note), at_ns))
            for checkpoint_id, size, at_ns, note in db.execute(
                "SELECT checkpoint_id, size, at_ns, note FROM checkpoints ORDER BY checkpoint_id"
            )
        ]
        self.troubles: list[Check] = []
        self.key, self.whose = (key, "the key that you named") if key is not None else self._own()
        #: An anchor agrees.
        self.anchored = False

    @property
    def sizes(self) -> set[int]:
        """How many events each note speaks of."""
        return {size for _, size, _ in self.stored} | {note.size for note in self.kept}

    def before(self, when_ns: int) -> Note | None:
        """Give the last of the store's notes that was signed before then."""
        found = [note for _, _, note in self.stored if note is not None and note.time_ns < when_ns]
        return found[-1] if found else None

    def _own(self) -> tuple[PublicKey | None, str]:
        """Give the user's own key, else the one that the store names."""
        named = own = None
        try:
            named = checkpoints.public_key(self._db)
        except StoreError:
            self.troubles.append(Check("key", "broken", "What the store names as its key is none."))
        try:
            found = keys.load(keys.path_of(self._store_id))
            own = found.public if found is not None else None
        except StoreError as error:
            self.troubles.append(Check("key", "open", f"Your own key was not used: {error}"))
        if own is None:
            return (
                named,
                "the key that the store itself names: whoever can write the file can put another there",
            )
        if named is not None and named != own:
            self.troubles.append(
                Check("key", "broken", f"The store names another key than your own: {named}.")
            )
        return own, "your own key"

    # -- the store's own

    def own_notes(self, walked: Walked, after: int) -> Iterator[Check]:
        """Check the notes that the store keeps; those of the first `after` events without their roots."""
        yield from self.troubles
        row = self._db.execute("SELECT seq FROM store.sqlite_sequence WHERE name = 'checkpoints'").fetchone()
        made = int(row[0]) if row is not None else 0
        for (anchor,) in self._db.execute(_ANCHORED, (made,)):
            says = f"The store says that the anchor {anchor} has had checkpoints which were never made, or are not there."
            yield Check("checkpoints", "broken", says)
        if not self.stored:
            if made:
                yield Check("checkpoints", "broken", f"{made:,} checkpoints were there and are not.")
            elif walked.size:
                says = "Nothing is signed: whoever can write the file can seal all of it anew. `counterfoil checkpoint` signs."
                yield Check("checkpoints", "open", says)
            return
        if self.key is None:
            yield Check(
                "checkpoints", "broken", "There are checkpoints, and no key is known that signed them."
            )
            return
        previous, last = checkpoints.NOTHING_BEFORE, 0
        for number, (checkpoint_id, size, note) in enumerate(self.stored, 1):
            seq: int | None = None
            if note is None or note.store != self._store_id or note.size != size:
                trouble: str | None = "is no note of this store's"
            elif checkpoint_id != number or note.previous != previous:
                trouble = "does not follow the one before it: checkpoints were removed or changed"
            elif not note.is_by(self.key):
                trouble = f"is not signed by {self.key}"
            elif size < last:
                trouble = "speaks of fewer events than the one before it"
            else:
                trouble, seq = _disagreement(note, walked, after, last)
                previous, last = note.digest, size
            if trouble is not None:
                yield Check("checkpoints", "broken", f"checkpoint {number} {trouble}.", seq)
                return
        if made > len(self.stored):
            says = f"the last {made - len(self.stored):,} checkpoints were there and are not."
            yield Check("checkpoints", "broken", says)
            return
        many = "1 checkpoint agrees" if len(self.stored) == 1 else f"{len(self.stored):,} checkpoints agree"
        yield Check("checkpoints", "ok", f"{many} with the events, signed by {self.key}, {self.whose}.")
        newest = self.stored[-1][2]
        if newest is not None:
            left = walked.size - newest.size
            if left:
                says = f"The newest is of {newest.time}; {_since(left)} not signed yet."
                yield Check("unsigned", "open", says)
            else:
                yield Check("unsigned", "ok", f"The newest is of {newest.time}, over all events.")

    # -- elsewhere

    def anchor(self, walked: Walked, after: int) -> Iterator[Check]:
        """Check the notes that the anchor kept."""
        if not self.has_anchor:
            says = "No anchor was given: that this is not an older copy, or sealed and signed anew, only one can tell."
            yield Check("anchor", "open", says)
            return
        if not self.kept:
            level: Level = "broken" if self._foreign else "open"
            yield Check("anchor", level, "The anchor holds no checkpoint of this store.")
            return
        here = {note.note for _, _, note in self.stored if note is not None}
        agreed = 0
        for number, note in enumerate(self.kept, 1):
            trouble, seq = _disagreement(note, walked, after, agreed)
            if trouble is None and note.note not in here:
                trouble = f"of {note.time} is not in the store: it was removed there, or changed"
            if self.key is None or not note.is_by(self.key):
                trouble = (
                    f"is not signed by {self.key}"
                    if self.key
                    else "is signed by a key that is not known here"
                )
            if trouble is not None:
                yield Check("anchor", "broken", f"checkpoint {number} in the anchor {trouble}.", seq)
                return
            agreed = max(agreed, note.size)
        newest = max(self.kept, key=lambda note: note.size)
        self.anchored = walked.bad is None and newest.size >= after and bool(self.stored)
        left = walked.size - newest.size
        since = f"; {_since(left)} not in it yet" if left else ", all that there are"
        yield Check(
            "anchor", "ok", f"The anchor agrees, over {newest.size:,} events of {newest.time}{since}."
        )

    # -- one run

    def over_run(self, run: str) -> Iterator[Check]:
        """Check that the events of `run` are under the newest root that was signed: an anchor's, if there is one."""
        yield from self.troubles
        key = self.key
        stored = [note for *_, note in self.stored if note is not None]
        signed = [note for note in self.kept or stored if key is not None and note.is_by(key)]
        if not signed:
            yield Check("events", "open", "No checkpoint that the key signed stands over these events.")
            return
        newest = max(signed, key=lambda note: note.size)
        unproven = list(proof.unproven(self._db, run, newest))
        if unproven:
            # A proof stands on its neighbours too: it is they that may have been changed.
            bad = next((seq for seq in unproven if not proof.is_as_sealed(self._db, seq)), None)
            says = (
                "nothing shows that these are what was signed, as others are not: `verify` of all tells which."
                if bad is None
                else f"event {bad} is not what was signed at {newest.time}."
            )
            yield Check("events", "broken", says, bad)
            return
        (later,) = self._db.execute(
            "SELECT count(*) FROM events WHERE run_id = ? AND seq > ?", (run, newest.size)
        ).fetchone()
        self.anchored = bool(self.kept) and not later
        whose = "the anchor's checkpoint" if self.kept else "the checkpoint"
        since = f"; {later:,} came after it." if later else "."
        says = f"They are under {whose} of {newest.time}, signed by {key}, {self.whose}{since}"
        yield Check("events", "open" if later else "ok", says)


def _since(left: int) -> str:
    return "1 event since is" if left == 1 else f"{left:,} events since are"


def _of_then(note: Note | None, at_ns: int) -> Note | None:
    """Give the note, if it was signed when the store says: by that the next one is due."""
    return note if note is not None and note.time_ns == at_ns - at_ns % checkpoints.SECOND else None


def _disagreement(note: Note, walked: Walked, after: int, agreed: int) -> tuple[str | None, int | None]:
    """Tell what in `note` is not as it is here, and the first event that is missing; `agreed` events are as they were."""
    if note.size > walked.size:
        if walked.bad is not None and walked.bad <= note.size:
            return None, None  # what is wrong with the events has been said
        return f"speaks of {note.size:,} events, of which {walked.size:,} are there", walked.size + 1
    if note.size >= after and walked.roots.get(note.size) != note.root:
        # A root stands for all of them: which one it is, it does not tell.
        says = f"of {note.time} says otherwise of what is among the events {max(agreed, after) + 1:,} to {note.size:,}"
        return says, None
    return None, None
