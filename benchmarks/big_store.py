"""Make a store of many events: support desks in four frameworks, over thirty days, by several processes.

    python benchmarks/big_store.py big.db --events 1000000

Each process records to a tape of its own through the recorder that adapters use, on a clock that runs through the
thirty days; meanwhile this one drains and prices. The same `--events`, `--writers` and `--seed` give the same runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from counterfoil import ids
from counterfoil.events import Item, Usage, encode, message, text_part, tool_call_part, tool_response_part
from counterfoil.recorder import recorder_at
from counterfoil.snapshot import Taken
from counterfoil.store import ingest

if TYPE_CHECKING:
    from counterfoil.recorder import Recorder, Step

DAYS = 30
FIRST_NS = 1_790_000_000_000_000_000
FRAMEWORKS = ("langchain", "crewai", "llama_index", "autogen")
TASKS = ("refund", "delivery", "invoice", "complaint", "address")
AGENTS = ("triage", "billing", "logistics", "writer", "reviewer")
TOOLS = ("look_up_order", "search_policy", "issue_refund", "track_parcel", "send_mail")
# The last one is in no table of prices.
MODELS = (
    ("openai", "gpt-4.1"),
    ("openai", "gpt-4.1-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-pro"),
    ("inhouse", "desk-7b"),
)
MODEL_WEIGHTS = (4, 8, 5, 2, 1)
WORDS = [
    "the",
    "customer",
    "order",
    "was",
    "paid",
    "on",
    "invoice",
    "and",
    "refund",
    "policy",
    "says",
    "that",
    "this",
    "amount",
    "please",
    "check",
    "status",
    "again",
    "parcel",
    "left",
    "warehouse",
    "but",
    "never",
    "arrived",
    "according",
    "to",
    "carrier",
    "address",
    "changed",
    "last",
    "week",
    "thank",
    "you",
]
SYSTEM = Taken(encode(message("system", [text_part("You work at a support desk. Be brief. " * 20)])))
OFFERS = [{"name": name, "description": f"{name} " * 10, "parameters": {"type": "object"}} for name in TOOLS]


class Clock:
    """Nanoseconds since the epoch, which pass when somebody looks or `pass_by` is called."""

    def __init__(self, ns: int) -> None:
        self.ns = ns

    def __call__(self) -> int:
        self.ns += 20_000
        return self.ns

    def pass_by(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.ns += int(seconds * 1e9)


class Desk:
    """Records made-up runs; `random` and `clock` say what happens and when."""

    def __init__(self, recorder: Recorder, chance: random.Random, clock: Clock) -> None:
        self._recorder = recorder
        self._chance = chance
        self._clock = clock

    def run(self, n: int) -> None:
        """Record run `n`: one in ten a bare model call, the others of one to four agents."""
        chance, recorder = self._chance, self._recorder
        framework = FRAMEWORKS[n % len(FRAMEWORKS)]
        if chance.random() < 0.1:
            self._call(framework, None, self._asked(n), None)
            return
        root = recorder.start(
            "workflow",
            f"{framework} desk",
            framework=framework,
            task=chance.choice(TASKS),
            session=f"conversation-{n // 3}",
            labels={"tier": chance.choice(("free", "gold")), "region": chance.choice(("eu", "us", "apac"))},
            input={"order": n, "text": self._text(20)},
        )
        said = self._asked(n)
        agents = chance.sample(AGENTS, chance.choice((1, 2, 2, 3, 4)))
        status = "ok"
        for at, name in enumerate(agents):
            agent = recorder.start(
                "agent", name, framework=framework, parent=root, version="2.1", owner="support"
            )
            after = agents[at + 1] if at + 1 < len(agents) else None
            status = self._turn(framework, agent, said, after)
            recorder.end(agent, status, output=self._text(30))
            if status == "error":
                break
        if chance.random() < 0.05:
            question = recorder.ask(root, "May this be paid?", approval=("issue_refund", {"order": n}))
            self._clock.pass_by(60)
            recorder.answered(question, "yes", approval="approved", by="lead")
        recorder.end(root, status, output={"answer": self._text(30)})

    def _asked(self, n: int) -> list[Taken]:
        return [SYSTEM, Taken(encode(message("user", [text_part(f"Order {n}: {self._text(60)}")])))]

    def _turn(self, framework: str, agent: Step, said: list[Taken], after: str | None) -> str:
        """Record one agent's turn: model, tool, model; with a handoff to the agent `after`; give its status."""
        chance, recorder = self._chance, self._recorder
        calls = chance.choices((1, 2, 8), weights=(5, 4, 1))[0]
        for _ in range(calls):
            tool = chance.choice(TOOLS)
            call_id = f"call_{chance.getrandbits(48):x}"
            self._call(framework, agent, said, (call_id, tool))
            step = recorder.start(
                "tool",
                tool,
                framework=framework,
                parent=agent,
                call_id=call_id,
                input={"order": chance.getrandbits(30)},
            )
            if tool == "search_policy":
                items = [Item(f"policy-{chance.randrange(500)}", chance.random()) for _ in range(4)]
                recorder.access(step, "policies", query=self._text(4), items=items)
            self._clock.pass_by(0.2)
            if chance.random() < 0.02:
                recorder.fail(step, TimeoutError("the order system did not answer"))
                return "error"
            found = self._text(40)
            recorder.end(step, output={"found": found})
            said.append(Taken(encode(message("tool", [tool_response_part(call_id, found)]))))
        if after is not None:
            recorder.handoff("transfer", target=after, step=agent, reason=self._text(8))
        else:
            self._call(framework, agent, said, None)
        return "ok"

    def _call(
        self, framework: str, agent: Step | None, said: list[Taken], chosen: tuple[str, str] | None
    ) -> None:
        """Record a model call that has `said` for its input, and add its answer."""
        chance, recorder = self._chance, self._recorder
        provider, model = chance.choices(MODELS, weights=MODEL_WEIGHTS)[0]
        step = recorder.start(
            "llm",
            "chat",
            framework=framework,
            parent=agent,
            messages=said,
            offers=OFFERS,
            provider=provider,
            request_model=model,
        )
        self._clock.pass_by(chance.uniform(0.4, 4))
        part = text_part(self._text(40))
        if chosen is not None:
            part = tool_call_part(*chosen, {"order": chance.getrandbits(30)})
        answer = Taken(encode(message("assistant", [part])))
        recorder.end(
            step,
            messages=[answer],
            usage=Usage(250 + 90 * len(said), chance.randint(10, 400), source="provider"),
            model=model,
            response_id=f"resp_{chance.getrandbits(80):x}",
            finish_reason="stop" if chosen is None else "tool_calls",
        )
        said.append(answer)

    def _text(self, words: int) -> str:
        return " ".join(self._chance.choices(WORDS, k=words))


def record(path: str, number: int, writers: int, events: int, seed: int) -> None:
    """Record `events` events, as the process `number` of `writers`."""
    os.environ["COUNTERFOIL_DRAIN"] = "off"
    clock = Clock(FIRST_NS + number)
    ids.now_ns = clock
    recorder = recorder_at(path)
    desk = Desk(recorder, random.Random(seed * 1_000 + number), clock)
    n = 0
    while recorder.events < events:
        desk.run(n * writers + number)
        n += 1
        # On to the day that these events have come to.
        clock.ns = max(clock.ns, FIRST_NS + number + int(DAYS * 86_400e9 * recorder.events / events))


def make(path: str, *, events: int, writers: int, seed: int = 1) -> None:
    """Make the store at `path`, or add to it, with about `events` recorded events, and the prices on top."""
    context = multiprocessing.get_context("spawn")
    waiting = [
        context.Process(target=record, args=(path, number, writers, events // writers, seed))
        for number in range(writers)
    ]
    Path(ingest.tapes.folder_of(path)).mkdir(mode=0o700, exist_ok=True)
    alive: list[multiprocessing.process.BaseProcess] = []
    with ingest.Drainer(path) as drainer:
        while waiting or alive:
            while waiting and len(alive) < 2:
                alive.append(waiting.pop(0))
                alive[-1].start()
            drainer.drain(wait=60)
            time.sleep(0.2)
            alive = [one for one in alive if one.is_alive()]
        while drainer.drain(wait=60).left_bytes:
            pass
        before = -1
        while (now := _priced(drainer)) != before:
            before = now


def _priced(drainer: ingest.Drainer) -> int:
    drainer.drain(wait=60, price=True)
    assert drainer.db is not None
    row = drainer.db.execute("SELECT seq FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return int(row[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began, used = time.monotonic(), time.process_time()
    make(options.path, events=options.events, writers=options.writers, seed=options.seed)
    size = os.stat(options.path).st_size
    print(
        f"{options.events:,} events and their prices: {time.monotonic() - began:.0f} s, of which "
        f"{time.process_time() - used:.0f} s CPU of the drainer; {size / 1e6:,.0f} MB; load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
