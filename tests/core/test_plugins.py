"""The guarded loader: plugins are real distributions, and a broken one is reported while the others load."""

import json
import os
import re
import sys
import sysconfig
import threading
import venv
from pathlib import Path
from textwrap import dedent

import pytest

import child
import counterfoil
from counterfoil import guard, hookspecs, plugins
from counterfoil.adapters import Adapter
from tape_reading import lines

PAGE = (child.ROOT / "docs" / "plugins.md").read_text()

REDACTING = """
    import counterfoil

    @counterfoil.hookimpl
    def register_redactors():
        return [counterfoil.Rule("acme", "ACME-[0-9]+", needles=("ACME-",))]
"""


def distribution(folder, name, code, *, module=None, entry=None):
    """Lay a distribution into `folder` as pip does: a module and its `.dist-info`."""
    module = module or f"{name}_plugin"
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(dedent(code))
    info = folder / f"{name}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[counterfoil]\n{name} = {entry or module}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions; the plugins are looked for anew. Those of this environment are out."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("COUNTERFOIL_PLUGINS", raising=False)
    modules = set(sys.modules)
    plugins.reset()
    yield folder
    plugins.reset()
    for name in set(sys.modules) - modules:
        if name.endswith("_plugin"):
            del sys.modules[name]


@pytest.fixture
def troubles(monkeypatch):
    monkeypatch.setattr(guard, "_counts", counts := {})
    return counts


def ours():
    """Give the plugins that a test has laid out, by name: error or None."""
    return {one.name: one.error for one in plugins.listed() if one.version == "1.5"}


def searched(site):
    """Give the module search path of this process with `site` on it."""
    return os.pathsep.join([str(child.ROOT / "core"), str(site), *filter(None, sys.path)])


def redact_all(text):
    """Give what the loaded plugins' rules leave of `text`."""
    from counterfoil import redact

    return redact.build(plugins.collect_redactors())(json.dumps(text).encode()).decode()


def test_a_plugin_is_listed_with_its_distribution_and_hooks(site, troubles):
    distribution(site, "acme", REDACTING)
    (found,) = (one for one in plugins.listed() if one.name == "acme")
    assert found == plugins.Plugin(
        name="acme", module="acme_plugin", distribution="acme", version="1.5", hooks=("register_redactors",)
    )
    assert [one.name for one in plugins.collect_redactors()] == ["acme"]
    assert troubles == {}


BROKEN = {
    "cannot be imported": "import a_module_that_is_not_there",
    "raises at import": "1 / 0",
    "ends the process at import": "raise SystemExit(3)",
    "is no Python": "def (:",
    "has a misspelt hook": "import counterfoil\n@counterfoil.hookimpl\ndef register_redactor():\n    return []\n",
    "has other arguments": "import counterfoil\n@counterfoil.hookimpl\ndef register_redactors(cli):\n    return []\n",
    "is a wrapper": (
        "import counterfoil\n@counterfoil.hookimpl(wrapper=True)\ndef register_redactors():\n    return (yield)\n"
    ),
}


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
def test_a_plugin_that_is_broken_is_reported_and_the_others_load(site, troubles, code):
    distribution(site, "before", REDACTING)
    distribution(site, "middle", code)
    distribution(site, "zebra", REDACTING.replace('"acme"', '"zebra"'))
    found = ours()
    assert found["middle"]
    assert {found["before"], found["zebra"]} == {None}
    assert {one.name for one in plugins.collect_redactors()} == {"acme", "zebra"}
    assert troubles == {"plugin middle": 1}


def test_a_misspelt_hook_is_named(site):
    distribution(site, "acme", BROKEN["has a misspelt hook"])
    assert ours()["acme"] == "LookupError: there is no hook 'register_redactor'"


def test_an_entry_point_to_what_is_not_there_is_reported(site, troubles):
    distribution(site, "acme", "", entry="acme_plugin:nothing")
    assert "nothing" in ours()["acme"]
    assert troubles == {"plugin acme": 1}


def test_two_plugins_of_one_module_are_one_and_the_second_is_said(site, troubles):
    distribution(site, "first", REDACTING, module="shared_plugin")
    distribution(site, "second", REDACTING, module="shared_plugin")
    assert sorted(map(bool, ours().values())) == [False, True]
    assert [one.name for one in plugins.collect_redactors()] == ["acme"]
    assert len(troubles) == 1


RAISING = """
    import counterfoil

    @counterfoil.hookimpl
    def register_redactors():
        {}
"""


@pytest.mark.parametrize("body", ["raise ValueError('no')", "raise SystemExit", "return 5"])
def test_a_hook_that_fails_is_reported_and_the_others_are_called(site, troubles, body):
    distribution(site, "acme", REDACTING)
    distribution(site, "failing", RAISING.format(body))
    assert [one.name for one in plugins.collect_redactors()] == ["acme"]
    assert troubles == {"plugin failing: register_redactors": 1}


def test_what_is_no_redactor_is_left_out_of_those_that_are(site, troubles):
    distribution(site, "acme", RAISING.format("return [5, str.upper, 'x']"))
    assert plugins.collect_redactors() == (str.upper,)
    assert troubles == {"plugin acme: register_redactors": 2}


def test_a_hook_that_gives_nothing_gives_none(site, troubles):
    distribution(site, "acme", RAISING.format("return None"))
    assert plugins.collect_redactors() == ()
    assert troubles == {}


@pytest.mark.parametrize(
    ("wanted", "found"), [("", set()), ("acme", {"acme"}), (" zebra , other", {"zebra"})]
)
def test_the_environment_says_which_plugins_are_wanted(site, monkeypatch, wanted, found):
    distribution(site, "acme", REDACTING)
    distribution(site, "zebra", REDACTING)
    monkeypatch.setenv("COUNTERFOIL_PLUGINS", wanted)
    assert set(ours()) == found


def test_plugins_are_looked_for_once(site):
    distribution(site, "acme", REDACTING)
    assert set(ours()) == {"acme"}
    distribution(site, "zebra", REDACTING)
    assert set(ours()) == {"acme"}
    plugins.reset()
    assert set(ours()) == {"acme", "zebra"}


def test_threads_that_come_at_once_load_a_plugin_once(site):
    distribution(
        site,
        "acme",
        REDACTING
        + "\n    import counterfoil\n    counterfoil.loaded = getattr(counterfoil, 'loaded', 0) + 1",
    )
    barrier = threading.Barrier(8)
    found = []

    def look():
        barrier.wait()
        found.append(plugins.collect_redactors())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert counterfoil.loaded == 1
    del counterfoil.loaded
    assert set(map(len, found)) == {1}


# -- in a process of its own


def test_a_plugin_installed_in_an_environment_of_its_own_takes_its_secrets_out(tmp_path):
    where = tmp_path / "venv"
    venv.create(where, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    distribution(where / "lib" / version / "site-packages", "acme", REDACTING)
    db = tmp_path / "x.db"
    # What Counterfoil itself needs is borrowed from our environment.
    path = os.pathsep.join([str(child.ROOT / "core"), sysconfig.get_path("purelib")])
    code = "import counterfoil\nwith counterfoil.run('desk', input='ACME-123456 asks'): pass"
    child.run(code, db=db, python=where / "bin" / "python", PYTHONPATH=path, COUNTERFOIL_PLUGINS="acme")
    (start,) = lines(db, "start")
    assert start.parts == {"input": "[redacted:acme] asks"}


def test_a_plugin_that_records_while_it_is_imported_is_no_endless_story(tmp_path):
    site = tmp_path / "site"
    distribution(site, "acme", REDACTING + "\n    with counterfoil.run('at import', input='ACME-1'): pass")
    db = tmp_path / "x.db"
    code = "import counterfoil\nwith counterfoil.run('desk', input='ACME-1'): pass"
    path = searched(site)
    child.run(code, db=db, PYTHONPATH=path, COUNTERFOIL_PLUGINS="acme")
    assert {one.text.name: one.parts["input"] for one in lines(db, "start")}["desk"] == "[redacted:acme]"


def test_a_broken_plugin_is_told_in_the_store_and_the_application_goes_on(tmp_path):
    site = tmp_path / "site"
    distribution(site, "acme", "1 / 0")
    db = tmp_path / "x.db"
    path = searched(site)
    code = "import counterfoil\nwith counterfoil.run('desk'): pass"
    child.run(code, db=db, PYTHONPATH=path, COUNTERFOIL_PLUGINS="acme")
    (trouble,) = lines(db, "trouble")
    assert (trouble.text.place, trouble.head.count) == ("plugin acme", 1)
    assert "ZeroDivisionError" in trouble.text.error_message
    assert {one.text.name for one in lines(db, "start")} == {"desk"}


# -- the page


def section(hook):
    """Give the signature and the example that the page has of a hook."""
    text = re.search(rf"^## {hook}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    signature, example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return signature.strip(), example


HOOKS = [name for name in hookspecs.__all__ if name not in {"hookimpl", "hookspec"}]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_on_the_page_with_its_signature(hook):
    source = Path(hookspecs.__file__).read_text()
    signature = re.search(rf"^(def {hook}\(.*?\) -> .*?):(?:  # .*)?$", source, re.MULTILINE)[1]
    assert section(hook)[0] == signature


def test_the_page_tells_of_no_other_hook():
    assert re.findall(r"^## (\w+)$", PAGE, re.MULTILINE) == sorted(HOOKS, key=PAGE.index)


def test_the_pages_redactor_takes_its_secret_out(site, troubles):
    distribution(site, "acme", section("register_redactors")[1])
    assert redact_all("from ACME-123456") == '"from [redacted:acme-customer]"'
    assert troubles == {}


def test_the_pages_adapter_attaches_and_lets_go(site, monkeypatch, tmp_path):
    (site / "acme_agents.py").write_text("on_event = None\n")
    distribution(site, "acme", section("register_adapters")[1])
    (adapter,) = (one for one in plugins.collect_adapters() if one.name == "acme")
    assert isinstance(adapter, Adapter)
    assert "acme_agents" not in sys.modules
    adapter.install(tmp_path / "x.db")
    assert adapter.installed()
    adapter.uninstall()
    assert not adapter.installed()
    del sys.modules["acme_agents"]


@pytest.mark.slow
def test_the_pages_command_is_a_command(tmp_path):
    site = tmp_path / "site"
    distribution(site, "acme", section("register_commands")[1])
    db = tmp_path / "x.db"
    code = "import counterfoil\ncounterfoil.agent(owner='support')(lambda: 1)()"
    child.run(code, db=db)
    path = searched(site)
    command = "import sys; from counterfoil.cli import main; sys.argv[1:1] = ['owners', '--db']; main()"
    printed = child.run(command, db, PYTHONPATH=path, COUNTERFOIL_PLUGINS="acme")
    assert printed == "<lambda>: support\n"
