"""The command line. Its modules import little at the top, so that `verify` starts fast and knows no chain, store or
web.
"""

import io
import sys


def main() -> None:
    """Run the command in `sys.argv` and end the process: 0 all is well, 1 refused or not proven, 2 wrong usage.

    What it says is UTF-8, whatever the locale: names have accents, and JSON knows no other encoding.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")

    from api.cli.program import run

    sys.exit(run(sys.argv[1:]))
