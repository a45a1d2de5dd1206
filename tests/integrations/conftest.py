"""What every adapter's tests share: a store of their own, and that none of our own errors was swallowed."""

from contextlib import ExitStack

import pytest

import crewai_home  # noqa: F401  # tests import CrewAI when they are collected
from counterfoil import guard


@pytest.fixture
def db(tmp_path, monkeypatch):
    """The path of a store that nobody drains in the background: it is drained when a test opens it."""
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    before = guard.counted()
    yield tmp_path / "counterfoil.db"
    assert guard.counted() == before


@pytest.fixture
def config(db):
    """What a LangChain user passes to record one call."""
    from counterfoil_langchain import CounterfoilHandler

    return {"callbacks": [CounterfoilHandler(db)]}


@pytest.fixture
def installed(db):
    """LangChain's adapter, attached to the whole process for one test."""
    import counterfoil_langchain

    counterfoil_langchain.install(db, quiet=True)
    yield counterfoil_langchain
    counterfoil_langchain.uninstall()


@pytest.fixture
def listening(db):
    """CrewAI's adapter, attached to the whole process for one test."""
    from counterfoil_crewai import CounterfoilListener

    listener = CounterfoilListener(db)
    yield listener
    listener.close()


@pytest.fixture
async def llama_index(db):
    """LlamaIndex's adapter, attached to the whole process for one test."""
    import counterfoil_llama_index
    from llama_index_apps import close_models

    counterfoil_llama_index.install(db, quiet=True)
    yield counterfoil_llama_index
    counterfoil_llama_index.uninstall()
    await close_models()


@pytest.fixture
def autogen(db):
    """AutoGen's adapter, attached to the whole process for one test."""
    import counterfoil_autogen

    counterfoil_autogen.install(db, quiet=True)
    yield counterfoil_autogen
    counterfoil_autogen.uninstall()


@pytest.fixture
async def client(serve):
    """A function that gives AutoGen's own client of an endpoint, or of a script, until the test ends."""
    from autogen_apps import model
    from support_desk.endpoint import Endpoint

    made = []

    def give(endpoint, **options):
        made.append(model(endpoint if isinstance(endpoint, Endpoint) else serve(endpoint), **options))
        return made[-1]

    yield give
    for one in made:
        await one.close()


@pytest.fixture
def told_late(monkeypatch):
    """CrewAI as a version whose bus has no method that every event passes through on its sender's thread."""
    from counterfoil_crewai import delivery

    monkeypatch.setattr(delivery, "has_point", lambda: False)


@pytest.fixture
def serve():
    """A function that starts an endpoint which follows a script, until the test ends."""
    from support_desk.endpoint import Endpoint

    with ExitStack() as stack:
        yield lambda script, **options: stack.enter_context(Endpoint(script, **options))


@pytest.fixture(scope="session")
def nursery():
    """Where programs run in processes of their own, with the frameworks imported already."""
    from nursery import Nursery

    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def child(nursery, tmp_path):
    """A function that runs programs in a process that must end well; they record to `counterfoil.db`."""

    def run(*programs, **environment):
        ours = {"COUNTERFOIL_DB": str(tmp_path / "counterfoil.db"), "COUNTERFOIL_DRAIN": "on"}
        done = nursery.run(*programs, folder=tmp_path, **(ours | environment))
        assert done.status == 0, done.stderr
        return done

    return run
