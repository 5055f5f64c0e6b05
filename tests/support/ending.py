"""Ending a process that a test or a measurement started: asked first, made to afterwards."""

from __future__ import annotations

import subprocess

PATIENCE_S = 20.0


def end(process: subprocess.Popen[bytes] | None) -> None:
    """SIGTERM, patience, SIGKILL; one that has ended already, or was never started, is left alone."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=5)
