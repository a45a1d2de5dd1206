"""What the tests of plain Python agents share: a host process whose default store is its own."""

import pytest

from counterfoil import context, guard, recorder


@pytest.fixture
def default_db(tmp_path, monkeypatch):
    """The default store, which nobody drains; an error of our own fails the test."""
    path = tmp_path / "x.db"
    monkeypatch.setenv("COUNTERFOIL_DB", str(path))
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    monkeypatch.setattr(recorder, "_recorders", {})
    monkeypatch.setattr(guard, "_counts", counts := {})
    yield path
    assert counts == {}
    assert context.stack() == ()


@pytest.fixture
def troubled(tmp_path, monkeypatch):
    """As `db`, where our own errors are what is looked for: their places."""
    monkeypatch.setenv("COUNTERFOIL_DB", str(tmp_path / "x.db"))
    monkeypatch.setenv("COUNTERFOIL_DRAIN", "off")
    monkeypatch.setattr(recorder, "_recorders", {})
    monkeypatch.setattr(guard, "_counts", counts := {})
    return counts
