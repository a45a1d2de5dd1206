"""What every adapter's tests share: a store of their own, and that none of our own errors was swallowed."""

import pytest

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
