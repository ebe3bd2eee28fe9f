"""`python -m benchmarks [names] [--quick] [--json FILE]`."""

import argparse
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from time import perf_counter

import orjson

from benchmarks.figures import Figure, machine

NAMES = ("ingest", "single", "finality", "memory", "receipts", "verify", "member", "anchors", "relay", "trails", "risk")


def main() -> int:
    """Run the benchmarks asked for; 0 unless one could not be run. A missed goal is a finding and no failure."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="Each figure beside the limit measured bare.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(NAMES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a fifth of the work: to see that it runs, not how fast")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    # Told to stop, it stops its server and takes its folders away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    where = machine()
    print(where, flush=True)
    found: dict[str, list[Figure]] = {}
    failed = 0
    for name in options.names or NAMES:
        start = perf_counter()
        print(f"\n{name}", flush=True)
        found[name] = []
        try:
            for figure in import_module(f"benchmarks.{name}").run(quick=options.quick):
                found[name].append(figure)
                print(figure.text, flush=True)
        except Exception:  # noqa: BLE001 - the other benchmarks are still wanted
            failed += 1
            traceback.print_exc()
        print(f"  ({perf_counter() - start:.0f} s)", flush=True)
    missed = [one.what for figures in found.values() for one in figures if not all(map(one.is_met, one.goals))]
    print(f"\nmissed: {'; '.join(missed)}" if missed else "\nall goals are met", flush=True)
    if options.json is not None:
        figures = {name: [one.as_json() for one in some] for name, some in found.items()}
        value = {"machine": where, "quick": options.quick, "figures": figures}
        options.json.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
