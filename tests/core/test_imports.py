"""Something is called when a module is first imported; nothing is imported for it, and nothing about the import changes."""

import importlib
import inspect
import sys

import pytest

from counterfoil import guard
from counterfoil.imports import forget, when_imported


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that can be imported, and is not yet."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "acme_module.py").write_text("VALUE = 1\n")
    (tmp_path / "acme_package").mkdir()
    (tmp_path / "acme_package" / "__init__.py").write_text("")
    (tmp_path / "acme_package" / "inside.py").write_text("VALUE = 2\n")
    yield "acme_module"
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


@pytest.fixture
def calls():
    return []


def test_it_is_called_after_the_module_was_executed_and_once(module, calls):
    when_imported(module, lambda: calls.append(sys.modules[module].VALUE))
    assert module not in sys.modules
    importlib.import_module(module)
    importlib.reload(sys.modules[module])
    assert calls == [1]


def test_it_is_called_at_once_where_the_module_is_there(module, calls):
    importlib.import_module(module)
    when_imported(module, lambda: calls.append("now"))
    assert calls == ["now"]


def test_a_module_inside_a_package_may_be_waited_for(module, calls):
    when_imported("acme_package.inside", lambda: calls.append("inside"))
    importlib.import_module("acme_package")
    assert calls == []
    importlib.import_module("acme_package.inside")
    assert calls == ["inside"]


def test_several_may_wait_for_one_module(module, calls):
    when_imported(module, lambda: calls.append(1))
    when_imported(module, lambda: calls.append(2))
    importlib.import_module(module)
    assert calls == [1, 2]


def test_who_forgets_is_not_called_and_leaves_nothing_in_the_import_system(module, calls):
    before = list(sys.meta_path)
    call = lambda: calls.append(1)  # noqa: E731  # it is named, to be forgotten
    when_imported(module, call)
    forget(call)
    importlib.import_module(module)
    assert calls == []
    assert sys.meta_path == before


def test_the_module_is_as_it_would_be(module, calls):
    when_imported(module, lambda: calls.append(1))
    found = importlib.import_module(module)
    assert inspect.getsource(found) == "VALUE = 1\n"
    assert type(found.__loader__).__name__ == type(found.__spec__.loader).__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(found.__loader__)


def test_a_module_that_fails_is_tried_again(module, calls, tmp_path):
    (tmp_path / "acme_broken.py").write_text("import acme_no_such_module\n")
    when_imported("acme_broken", lambda: calls.append("there"))
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("acme_broken")
    (tmp_path / "acme_broken.py").write_text("HERE = True\n")
    importlib.invalidate_caches()
    importlib.import_module("acme_broken")
    assert calls == ["there"]


def test_a_module_that_does_not_exist_stays_unknown(calls):
    call = lambda: calls.append(1)  # noqa: E731  # as above
    when_imported("acme_nowhere", call)
    with pytest.raises(ModuleNotFoundError, match="acme_nowhere"):
        importlib.import_module("acme_nowhere")
    forget(call)


def test_what_fails_in_the_call_is_reported_and_the_import_goes_on(module, monkeypatch):
    told = []
    monkeypatch.setattr(guard, "_listeners", [lambda place, error, count: told.append((place, str(error)))])
    monkeypatch.setattr(guard, "_counts", {})
    when_imported(module, lambda: 1 / 0)
    assert importlib.import_module(module).VALUE == 1
    assert told == [("attaching at the import of acme_module", "division by zero")]
