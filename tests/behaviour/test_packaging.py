"""One wheel carries the Python package, the dataplane and the migrations: installed into an empty environment elsewhere, it serves."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.node import TOKEN, Node

ROOT = Path(__file__).resolve().parents[2]
ZONE = "'': {type: NS, values: [ns1.example.com.]}\nns1: {type: A, value: 192.0.2.53}\nwww: {type: A, value: 192.0.2.10}\n"


class InstalledNode(Node):
    """A node that is run by the `geodns` command of another environment, with nothing of the checkout in reach."""

    def __init__(self, directory: Path, environment: Path) -> None:
        super().__init__(directory, zones={"example.com.yaml": ZONE})
        self._installed = environment

    @property
    def environment(self) -> dict[str, str]:
        """Without the variables that point into the checkout."""
        return {
            key: value
            for key, value in super().environment.items()
            if key not in {"GEODNS_DATAPLANE_BINARY", "PYTHONPATH", "VIRTUAL_ENV"} and not key.startswith("COV_")
        }

    def spawn(self) -> None:
        """`geodns serve` as a user types it, in a directory of its own."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self._installed / "bin" / "geodns", "serve"],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
            )


@pytest.mark.timeout(900)
def test_the_wheel_alone_serves(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", wheels, ROOT], check=True, timeout=600)
    (wheel,) = wheels.glob("geodns-*.whl")
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    subprocess.run([environment / "bin" / "pip", "install", "--quiet", wheel], check=True, timeout=600, env=clean, cwd=tmp_path)
    node = InstalledNode(tmp_path / "node", environment)
    try:
        node.start()
        assert node.dig("www.example.com").values == ["192.0.2.10"]
        assert node.request("GET", "/api/v1/zones", token=TOKEN).status == 200
        (dataplane,) = node.dataplanes()
        assert dataplane.exe().startswith(str(environment)), "the dataplane of the wheel"
    finally:
        node.stop()
