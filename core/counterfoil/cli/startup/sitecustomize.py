"""Python imports this at its start where `counterfoil run` has put its folder in front of `PYTHONPATH`."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys


def _user_s_own() -> None:
    """Run the `sitecustomize` that this one stands in front of, if there is one."""
    here = os.path.dirname(os.path.abspath(__file__))
    others = [one for one in sys.path if os.path.abspath(one or os.curdir) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _attach() -> None:
    try:
        from counterfoil.frameworks import install  # noqa: PLC0415  # this interpreter may have none

        only = os.environ.get("COUNTERFOIL_ONLY")
        install(
            only=[one.strip() for one in only.split(",") if one.strip()] if only else None,
            capture=os.environ.get("COUNTERFOIL_CAPTURE") or None,
        )
    except Exception as error:  # whatever it is, the program is to run
        sys.stderr.write(f"counterfoil: {sys.executable} is not recorded: {error}\n")


_user_s_own()
_attach()
