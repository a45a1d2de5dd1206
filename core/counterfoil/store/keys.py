"""The key that checkpoints are signed with: Ed25519, in a file of its owner's, outside of the store.

Written as Go's `sumdb/note` writes keys, so that its tools read ours: `PRIVATE+KEY+name+id+base64(0x01 seed)`, and for
everybody to see `name+id+base64(0x01 public key)`. https://c2sp.org/signed-note
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from counterfoil.store.errors import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519

__all__ = ["PublicKey", "Signer", "load", "make", "parse_public", "path_of"]

_ED25519: Final = b"\x01"
_PRIVATE: Final = "PRIVATE+KEY+"
_KEY: Final = 32


class PublicKey(NamedTuple):
    """Who signed: the key's name, and its 32 bytes. `str()` gives it as others take it."""

    name: str
    raw: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that a signature line begins with."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.raw).decode()}"

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Tell whether `signature` (64 bytes) is this key's under `text`. Raises StoreError without `cryptography`."""
        ed25519 = _ed25519()
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # an extra

        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer(NamedTuple):
    """A private key, ready to sign, and the file that it came from."""

    public: PublicKey
    key: ed25519.Ed25519PrivateKey
    path: str

    def sign(self, text: bytes) -> bytes:
        """Give the signature under `text`, 64 bytes."""
        return self.key.sign(text)


def path_of(store_id: str) -> str:
    """Give where the key of a store is looked for: `$COUNTERFOIL_KEY`, else a file in the user's own configuration."""
    named = os.environ.get("COUNTERFOIL_KEY")
    if named:
        return os.path.realpath(named)
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(config, "counterfoil", f"{store_id}.key")


def load(path: str) -> Signer | None:
    """Give the key in the file `path`; None where there is none.

    Raises StoreError with one sentence for a file that is no key, or that others may read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            mode, text = os.fstat(file.fileno()).st_mode, file.read(1_000).strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(
            f"the key {path} cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise StoreError(
            f"the key {path} may be read by others; make it its owner's alone (chmod 600), or make a new one."
        )
    if not text.startswith(_PRIVATE):
        raise StoreError(f"{path} is no key; name another file with $COUNTERFOIL_KEY.")
    name, raw = _parts(text.removeprefix(_PRIVATE), path)
    return _signer(name, raw, path)


def make(path: str, name: str) -> Signer:
    """Make a key called `name` in the file `path`, 0600, which must not exist. Raises StoreError with one sentence."""
    key = _ed25519().Ed25519PrivateKey.generate()
    raw = key.private_bytes_raw()
    signer = _signer(name, raw, path)
    text = f"{_PRIVATE}{name}+{signer.public.id.hex()}+{base64.b64encode(_ED25519 + raw).decode()}\n"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
    except OSError as error:
        raise StoreError(f"the key {path} cannot be written: {error.strerror}.") from None
    return signer


def parse_public(text: str) -> PublicKey:
    """Give the public key that `text` writes. Raises StoreError with one sentence."""
    name, raw = _parts(text.strip(), "what was given as the key")
    public = PublicKey(name, raw)
    if text.strip() != str(public):
        raise StoreError("what was given as the key is no public key: its parts do not fit together.")
    return public


def _parts(text: str, where: str) -> tuple[str, bytes]:
    try:
        name, _, encoded = text.split("+", 2)
        data = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise StoreError(f"{where} is no key: it should read name+id+base64.") from None
    if data[:1] != _ED25519 or len(data) != _KEY + 1 or not name:
        raise StoreError(f"{where} is no Ed25519 key.")
    return name, data[1:]


def _signer(name: str, raw: bytes, path: str) -> Signer:
    key = _ed25519().Ed25519PrivateKey.from_private_bytes(raw)
    return Signer(PublicKey(name, key.public_key().public_bytes_raw()), key, path)


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415  # an extra, and 50 ms
    except ImportError:
        raise StoreError(
            "signatures need the package cryptography; install counterfoil with the extra audit."
        ) from None
    return ed25519
