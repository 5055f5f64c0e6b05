"""The fake dataplane as a process of its own, for tests of the supervisor: `python -m tests.support.fake_dataplane_program SOCKET [how]`.

`how` is a JSON object: digest (hex), version, ownership, refuse (a sentence: print it and exit 1), die_after_s.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from geodns.publish.frames import Ownership
from tests.support.fake_dataplane import FakeDataplane


async def main(socket: Path, how: dict[str, object]) -> None:
    if "refuse" in how:
        print(how["refuse"], file=sys.stderr)
        raise SystemExit(1)
    plane = FakeDataplane(
        socket,
        pid=os.getpid(),
        digest=bytes.fromhex(str(how.get("digest", "00" * 32))),
        version=int(str(how.get("version", 1))),
        ownership=Ownership(int(str(how.get("ownership", 0)))),
    )
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with plane.running():
        print("listening", file=sys.stderr, flush=True)
        if "die_after_s" in how:
            await asyncio.sleep(float(str(how["die_after_s"])))
            os._exit(101)
        await ended.wait()


if __name__ == "__main__":
    Path(sys.argv[1]).unlink(missing_ok=True)
    asyncio.run(main(Path(sys.argv[1]), json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}))
