"""What a module logs, as values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict


@contextmanager
def logged_by(module: ModuleType) -> Iterator[list[EventDict]]:
    """The entries that `module.log` writes within the block.

    By a logger of its own: one that has written since a command of this test process configured the logs keeps that configuration, and
    capturing would miss it.
    """
    with pytest.MonkeyPatch.context() as patch, capture_logs() as logs:
        patch.setattr(module, "log", structlog.get_logger())
        yield logs
