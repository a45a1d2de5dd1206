"""What redaction costs an event: microseconds of thread CPU a payload, beside all patterns in turn.

    python benchmarks/redact.py

The payloads differ from one call to the next. The same one again and again would be flattered two times
and more: the processor learns which way each branch of a search goes.
"""

import argparse
import asyncio
import decimal
import fractions
import http.client
import inspect
import logging
import pathlib
import random
import re
import statistics
import subprocess
import time
import zoneinfo
from collections.abc import Callable

from counterfoil.events import encode, message, text_part
from counterfoil.redact import DEFAULT_RULES, build

ROUNDS = 7
SECRETS = (
    "sk-proj-4f9aK2mQ7xV1bN8cR5tY",
    "Authorization: Bearer 4f9aK2mQ7xV1bN8cR5tY",
    "postgres://app:4f9aK2mQ7xV1@db.internal/orders",
    '{"client_secret": "4f9aK2mQ7xV1bN8cR5tY"}',
    "ghp_4f9aK2mQ7xV1bN8cR5tY4f9aK2mQ7xV1bN8c",
)


def prose() -> str:
    """Give some hundred kilobytes of English about code: docstrings of the standard library."""
    modules = (
        argparse,
        asyncio,
        zoneinfo,
        decimal,
        fractions,
        http.client,
        inspect,
        logging,
        pathlib,
        subprocess,
    )
    texts = (
        inspect.getdoc(thing) or ""
        for module in modules
        for _, member in inspect.getmembers(module)
        for _, thing in [("", member), *(inspect.getmembers(member) if inspect.isclass(member) else [])]
    )
    return "\n\n".join(dict.fromkeys(texts))


def payloads(text: str, size: int, secrets: tuple[str, ...] = ()) -> list[bytes]:
    made = []
    for at in range(0, len(text) - size, size):
        words = text[at : at + size - sum(map(len, secrets))].split(" ")
        for number, secret in enumerate(secrets):
            words.insert(number * len(words) // len(secrets), secret)
        made.append(encode(message("user", [text_part(" ".join(words))])))
    return made


def in_turn() -> Callable[[bytes], bytes]:
    patterns = [
        (re.compile(rule.pattern.encode()), rule.keep.replace("{}", f"[redacted:{rule.name}]").encode())
        for rule in DEFAULT_RULES
    ]

    def redact(part: bytes) -> bytes:
        for pattern, keep in patterns:
            part = pattern.sub(keep, part)
        return part

    return redact


def cost(redact: Callable[[bytes], bytes], parts: list[bytes]) -> float:
    began = time.thread_time_ns()
    for part in parts:
        redact(part)
    return (time.thread_time_ns() - began) / len(parts) / 1000


def main() -> None:
    text = prose()
    slow, fast, nothing = in_turn(), build(), build([])
    cases = {
        "clean, 1 KB": [one for one in payloads(text, 1_000) if slow(one) == one][:200],
        "clean, 20 KB": [one for one in payloads(text, 20_000) if slow(one) == one][:20],
        "five secrets in 1 KB": payloads(text, 1_000, SECRETS)[:200],
    }
    print(f"{'us per payload':22}{'redact':>9}{'in turn':>9}{'ratio':>8}   {'no rule':>8}")
    for name, parts in cases.items():
        ways = {"redact": fast, "in turn": slow, "no rule": nothing}
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way in random.sample(list(ways), len(ways)):
                taken[way].append(cost(ways[way], parts))
        mid = {way: statistics.median(times) for way, times in taken.items()}
        ratio = mid["redact"] / mid["in turn"]
        print(f"{name:22}{mid['redact']:9.1f}{mid['in turn']:9.1f}{ratio:8.3f}{mid['no rule']:11.1f}")


if __name__ == "__main__":
    main()
