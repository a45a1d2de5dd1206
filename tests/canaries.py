"""Secrets of realistic shapes, each planted at one place, and the search for the least piece of them in raw bytes."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from pathlib import Path
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from typing import Any

__all__ = ["Canaries", "PlainWords", "files_of"]

#: So much of a secret in a row counts as a leak.
PIECE = 10


class Canaries:
    """Gives texts and fields full of secrets, and knows which secret was planted where."""

    def __init__(self) -> None:
        self._random = random.Random(2718)
        self._planted: dict[bytes, tuple[str, str]] = {}  # each piece of each secret: place, shape
        self._secrets: dict[str, list[str]] = {}  # by place

    @property
    def places(self) -> set[str]:
        """Every place that something was planted at."""
        return set(self._secrets)

    def text(self, place: str) -> str:
        """Give a text with a secret of every shape."""
        return "\n".join(self._shapes(place))

    def line(self, place: str) -> str:
        """Give the same without a line break, for names."""
        return "; ".join(shape.replace("\n", " ") for shape in self._shapes(place))

    def _shapes(self, place: str) -> Iterable[str]:
        def new(shape: str, length: int = 24, letters: str = ascii_letters + digits) -> str:
            return self._plant(place, shape, length, letters)

        yield f"the key is sk-proj-{new('OpenAI', 48)}"
        yield f"or sk-ant-api03-{new('Anthropic', 40)}AA"
        yield f"push with ghp_{new('GitHub', 36)}"
        yield f"AKIA{new('AWS', 16, ascii_uppercase + digits)} is the id"
        yield f"aws_secret_access_key = {new('AWS secret', 40)}"
        yield f"xoxb-{new('Slack', 12, digits)}-{new('Slack', 24)}"
        yield f"curl -H 'Authorization: Bearer {new('bearer', 32)}' https://example.com"
        yield f"https://reader:{new('URL')}@db.example.com:5432/app?ssl=1"
        yield f"eyJhbGciOiJIUzI1NiJ9.eyJ{new('JWT', 40)}.{new('JWT', 43)}"
        yield json.dumps({"user": "ada", "password": new("JSON password")})
        yield json.dumps({"outer": json.dumps({"client_secret": new("JSON in JSON")})})
        yield f"export API_KEY={new('assigned')}"
        yield f"-----BEGIN PRIVATE KEY-----\n{new('PEM', 64)}\n{new('PEM', 64)}\n-----END PRIVATE KEY-----"

    def fields(self, place: str) -> dict[str, Any]:
        """Give a dict whose keys say that the values are secret."""
        return {
            "user": "ada",
            "password": self._plant(place, "password field"),
            "inner": {
                "api_key": self._plant(place, "key field"),
                "list": [{"token": self._plant(place, "token field")}],
            },
        }

    def bare(self, place: str) -> str:
        """Give a secret alone, with nothing that tells what it is."""
        return self._plant(place, "bare")

    def _plant(self, place: str, shape: str, length: int = 24, letters: str = ascii_letters + digits) -> str:
        secret = "".join(self._random.choices(letters, k=length))
        self._secrets.setdefault(place, []).append(secret)
        for start in range(length - PIECE + 1):
            self._planted[secret[start : start + PIECE].encode()] = place, shape
        return secret

    def found_in(self, data: bytes) -> set[tuple[str, str]]:
        """Give place and shape of every secret of which a piece stands in `data`."""
        return {
            self._planted[word[start : start + PIECE]]
            for word in re.findall(rb"[A-Za-z0-9]{%d,}" % PIECE, data)
            for start in range(len(word) - PIECE + 1)
            if word[start : start + PIECE] in self._planted
        }

    def all_in(self, place: str, text: str) -> bool:
        """Tell whether `text` holds every secret of `place`, as it was."""
        return all(secret in text for secret in self._secrets[place])


class PlainWords(Canaries):
    """The same places with ordinary words: no rule takes them out."""

    def _shapes(self, place: str) -> Iterable[str]:
        yield f"a word like {self._plant(place, 'word', letters=ascii_lowercase)}"
        yield f"another, {self._plant(place, 'word', letters=ascii_lowercase)}, and no more"

    def fields(self, place: str) -> dict[str, Any]:
        return {
            "colour": self._plant(place, "field", letters=ascii_lowercase),
            "inner": {"list": [{"size": self._plant(place, "field", letters=ascii_lowercase)}]},
        }


def files_of(store: Path) -> dict[str, bytes]:
    """Give the raw bytes of the store, what SQLite keeps beside it, and its tapes, by name."""
    files = [*store.parent.glob(store.name + "*"), *store.with_name(store.name + ".tape").glob("*")]
    return {file.name: file.read_bytes() for file in files if file.is_file()}
