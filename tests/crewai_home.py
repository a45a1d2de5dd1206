"""What CrewAI reads from the environment when it is imported: import this before it.

It sends nothing and asks nothing, and what it writes goes to a folder that is removed at the end.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

__all__ = ["HOME"]

HOME = tempfile.mkdtemp(prefix="counterfoil-crewai-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ |= {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_TESTING": "true",
    "CREWAI_STORAGE_DIR": HOME,
    "HOME": HOME,
}
