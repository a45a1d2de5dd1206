"""Agents of several frameworks that ask each other are one run: each stands in the tool call by which it was asked."""

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import permutations

import pytest

import counterfoil
import counterfoil_autogen
import counterfoil_llama_index
from counterfoil_crewai import CounterfoilListener
from counterfoil_langchain import CounterfoilHandler
from four_floors import FORMS, FRAMEWORKS, expected, expected_handoffs, house, says
from ledger import agree
from outline import outline

pytestmark = pytest.mark.slow

PAIRS = list(permutations(FRAMEWORKS, 2))
#: Every framework outside once, and every one innermost once.
FOURS = [(*FRAMEWORKS[at:], *FRAMEWORKS[:at]) for at in range(4)]
#: LangChain takes the run in its context for the parent, whatever was called in between.
AROUND = [("langchain", other, "langchain") for other in FRAMEWORKS if other != "langchain"]


@pytest.fixture(autouse=True)
def installed(db):
    """Every framework of this environment, attached by the one line."""
    counterfoil.install(db, quiet=True)
    yield
    counterfoil.uninstall()


def asked(frameworks, endpoint, form):
    ask = house(frameworks, endpoint, form)
    return asyncio.run(ask("tea")) if form == "asyncio" else ask("tea")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frameworks", [*PAIRS, *AROUND, *FOURS], ids=" > ".join)
def test_is_one_run(db, serve, frameworks, form):
    endpoint = serve(says)
    assert asked(frameworks, endpoint, form) == f"{frameworks[0]} knows"
    with counterfoil.open(db) as store:
        (run,) = store.runs(all=True)
        assert outline(store, run) == f"{expected(frameworks)}\n{expected_handoffs(frameworks)}"
        assert len(agree(store, endpoint, beside=False)) == 2 * len(frameworks) - 1
        assert run.escalations == len(frameworks) - 1


def test_the_outline_of_a_house_reads_so():
    assert (
        expected(FRAMEWORKS) + "\n" + expected_handoffs(FRAMEWORKS)
        == """\
agent langchain
  llm ChatOpenAI [langchain]
  tool ask_crewai [langchain]
    workflow office [langchain]
      task task [langchain]
        agent crewai
          llm OpenAICompletion [crewai]
          tool ask_llama_index [crewai]
            agent llama_index
              llm OpenAI [llama_index]
              tool ask_autogen [llama_index]
                workflow office [llama_index]
                  agent autogen
                    llm OpenAIChatCompletionClient [autogen]
              llm OpenAI [llama_index]
          llm OpenAICompletion [crewai]
  llm ChatOpenAI [langchain]
langchain -> office escalation returned inferred to a workflow: tea
crewai -> llama_index escalation returned inferred: tea
llama_index -> office escalation returned inferred to a workflow: tea\
"""
    )


class TestManyAtOnce:
    @pytest.mark.parametrize("form", ["plain", "thread"])
    def test_in_threads_are_kept_apart(self, db, serve, form):
        endpoint = serve(says)
        with ThreadPoolExecutor(8) as pool:
            work = [
                pool.submit(contextvars.Context().run, house(frameworks, endpoint, form), "tea")
                for frameworks in FOURS * 2
            ]
            assert [one.result() for one in work] == [f"{frameworks[0]} knows" for frameworks in FOURS * 2]
        self.assert_kept_apart(db, endpoint)

    def test_in_asyncio_are_kept_apart(self, db, serve):
        endpoint = serve(says)

        async def all_at_once():
            await asyncio.gather(*(house(frameworks, endpoint, "asyncio")("tea") for frameworks in FOURS * 2))

        asyncio.run(all_at_once())
        self.assert_kept_apart(db, endpoint)

    def assert_kept_apart(self, db, endpoint):
        with counterfoil.open(db) as store:
            found = sorted(outline(store, run) for run in store.runs(all=True))
            wanted = (f"{expected(frameworks)}\n{expected_handoffs(frameworks)}" for frameworks in FOURS * 2)
            assert found == sorted(wanted)
            assert len(agree(store, endpoint, beside=False)) == 8 * 7


@contextmanager
def attached_as_users_do(db):
    """Each framework's own way to record to `db`; give what a house takes to do so."""
    listener = CounterfoilListener(db)
    with counterfoil_llama_index.record(db):
        config = {"callbacks": [CounterfoilHandler(db)]}
        yield {"config": config, "attend": lambda team: counterfoil_autogen.record(team, db)}
    listener.close()


class TestAttachedTwice:
    def test_install_and_each_frameworks_own_way_record_once(self, db, serve):
        endpoint = serve(says)
        with attached_as_users_do(db) as options:
            house(FRAMEWORKS, endpoint, "plain", **options)("tea")
        self.assert_recorded_once(db, endpoint)

    def test_install_called_again_records_once(self, db, serve):
        counterfoil.install(db, quiet=True)
        endpoint = serve(says)
        house(FRAMEWORKS, endpoint, "plain")("tea")
        self.assert_recorded_once(db, endpoint)

    def test_two_stores_have_the_whole_run_each(self, db, serve, tmp_path):
        endpoint = serve(says)
        with attached_as_users_do(tmp_path / "other.db") as options:
            house(FRAMEWORKS, endpoint, "plain", **options)("tea")
        for path in (db, tmp_path / "other.db"):
            self.assert_recorded_once(path, endpoint)

    def assert_recorded_once(self, path, endpoint):
        with counterfoil.open(path) as store:
            (run,) = store.runs(all=True)
            assert outline(store, run) == f"{expected(FRAMEWORKS)}\n{expected_handoffs(FRAMEWORKS)}"
            agree(store, endpoint, beside=False)
