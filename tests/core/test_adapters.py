"""What every adapter says of itself, and the manners that all of them share."""

import logging
import sys
from importlib import metadata

import pytest

from counterfoil import adapters
from counterfoil.adapters import UNNAMED, Adapter, exports, say_where, tidy, unsupported, warn_of_versions


def version(distribution):
    return metadata.version(distribution)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An adapter's package: its attaching module counts, its `__init__` gives names when they are asked for."""
    folder = tmp_path / "counterfoil_acme"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from counterfoil.adapters import exports\n"
        "__all__ = ['SUPPORTED', 'install']\n"
        "SUPPORTED = ()\n"
        "__getattr__, __dir__ = exports(__name__, {'install': 'attach'})\n"
    )
    (folder / "attach.py").write_text(
        "seen = []\n"
        "def install(db=None, **options): seen.append((db, options))\n"
        "def uninstall(): seen.clear()\n"
        "def installed(): return bool(seen)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "counterfoil_acme"
    for name in [name for name in sys.modules if name.startswith("counterfoil_acme")]:
        del sys.modules[name]


class TestAdapter:
    def test_it_attaches_and_lets_go_by_the_module_it_names(self, package):
        acme = Adapter(name="acme", requires=(), attach=f"{package}.attach")
        acme.install("x.db", quiet=True)
        assert sys.modules[acme.attach].seen == [("x.db", {"quiet": True})]
        assert acme.installed()
        acme.uninstall()
        assert not acme.installed()

    def test_to_ask_whether_it_is_attached_imports_nothing(self, package):
        assert not Adapter(name="acme", requires=(), attach=f"{package}.attach").installed()
        assert f"{package}.attach" not in sys.modules


class TestExports:
    def test_a_name_is_imported_when_it_is_first_needed(self, package):
        import counterfoil_acme

        assert f"{package}.attach" not in sys.modules
        assert counterfoil_acme.install is sys.modules[f"{package}.attach"].install

    def test_all_names_are_listed(self, package):
        import counterfoil_acme

        assert dir(counterfoil_acme) == ["SUPPORTED", "install"]

    def test_a_name_that_is_none_is_an_attribute_error(self, package):
        import counterfoil_acme

        with pytest.raises(AttributeError, match="module 'counterfoil_acme' has no attribute 'uninstal'"):
            _ = counterfoil_acme.uninstal

    def test_it_gives_the_two_functions_of_pep_562(self):
        get, names = exports("counterfoil", {"recorder_at": "recorder"})
        assert get("recorder_at") is sys.modules["counterfoil.recorder"].recorder_at
        assert "recorder_at" in names()


class TestVersions:
    @pytest.mark.parametrize(
        "requirement",
        [
            "click>=1,<1000",
            f"click>={version('click')},<1000",
            "no-such-distribution>=1,<2",
        ],
        ids=["within", "the first supported", "not installed"],
    )
    def test_what_is_supported_or_not_there_is_no_matter(self, requirement):
        assert unsupported((requirement,)) == ()

    @pytest.mark.parametrize(
        "requirement",
        ["click>=1000,<1001", "click>=0.1,<0.2", f"click>=0,<{version('click')}"],
        ids=["too old", "too new", "the first beyond"],
    )
    def test_a_version_not_supported_is_one_sentence(self, requirement):
        (sentence,) = unsupported((requirement, "msgspec>=0,<1000"))
        assert sentence == (
            f"click {version('click')} is installed, but this version of counterfoil was tested with {requirement}: "
            "what it records may be incomplete."
        )

    @pytest.mark.parametrize(
        "requirement", ["click", "click>=8", "click==8", "click>=8,<9; python_version>'3'"]
    )
    def test_a_requirement_of_another_form_is_the_adapter_s_mistake(self, requirement):
        with pytest.raises(ValueError, match=r"of the form name>=1\.2,<2"):
            unsupported((requirement,))

    def test_it_is_said_once_in_a_process(self, caplog):
        wrong = ("click>=1000,<1001", "msgspec>=1000,<1001")
        with caplog.at_level(logging.WARNING, "counterfoil"):
            warn_of_versions(wrong)
            warn_of_versions(wrong)
        assert [one.getMessage().split()[0] for one in caplog.records] == ["click", "msgspec"]


class TestWhere:
    @pytest.fixture(autouse=True)
    def loud(self, monkeypatch):
        monkeypatch.delenv("COUNTERFOIL_QUIET", raising=False)
        monkeypatch.setattr(adapters, "_said", set())

    def test_each_store_is_named_once_on_stderr(self, capsys):
        for path in ("/a.db", "/b.db", "/a.db"):
            say_where(path)
        assert capsys.readouterr() == ("", "counterfoil records to /a.db\ncounterfoil records to /b.db\n")

    def test_the_caller_may_want_it_quiet(self, capsys):
        say_where("/a.db", quiet=True)
        assert capsys.readouterr().err == ""

    def test_the_environment_may_want_it_quiet_and_the_caller_knows_better(self, capsys, monkeypatch):
        monkeypatch.setenv("COUNTERFOIL_QUIET", "1")
        say_where("/a.db")
        say_where("/b.db", quiet=False)
        assert capsys.readouterr().err == "counterfoil records to /b.db\n"


@pytest.mark.parametrize(
    ("name", "tidied"),
    [
        ("billing", "billing"),
        ("  Senior\n\t Analyst ", "Senior Analyst"),
        ("Straße", "Straße"),
        ("", UNNAMED),
        (" \n", UNNAMED),
    ],
)
def test_a_name_is_trimmed_and_its_case_kept(name, tidied):
    assert tidy(name) == tidied
