"""The command line. Its modules import little at the top, so that `verify` starts fast and knows no chain, store or
web.
"""

import sys


def main() -> None:
    """Run the command in `sys.argv` and end the process: 0 all is well, 1 refused or not proven, 2 wrong usage."""
    from api.cli.program import run

    sys.exit(run(sys.argv[1:]))
