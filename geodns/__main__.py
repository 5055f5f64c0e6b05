"""The console script, and `python -m geodns`: the command, and silence for a Ctrl-C while its libraries are being loaded."""

import signal
import sys


def main() -> None:
    """Ends the process with the exit code of one command line."""
    try:
        from geodns.cli.main import run

        code = run()
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    sys.exit(code)


if __name__ == "__main__":
    main()
