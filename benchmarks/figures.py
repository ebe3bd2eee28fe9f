"""What a benchmark found: a figure, the limit beside it, and whether the goal is met."""

import math
import os
import platform
import resource
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that was promised. `at_least` or `at_most`, in the unit of the figure or, with `of_bare`, as a share."""

    at_least: float | None = None
    at_most: float | None = None
    of_bare: bool = False

    def holds(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def text(self, unit: str) -> str:
        bound = f"≥ {self.at_least:,.10g}" if self.at_least is not None else f"≤ {self.at_most:,.10g}"
        if self.of_bare:
            share = self.at_least if self.at_least is not None else self.at_most
            assert share is not None
            return f"{'≥' if self.at_least is not None else '≤'} {share:.0%} of bare"
        return f"{bound} {unit}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement. `bare` is the limit it stands beside, in the same unit, and `bare_is` says what that is.

    A figure without goals is for information.
    """

    what: str
    value: float
    unit: str
    goals: tuple[Goal, ...] = ()
    bare: float | None = None
    bare_is: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The figure as a share of the bare limit."""
        return self.value / self.bare if self.bare else None

    def is_met(self, goal: Goal) -> bool:
        if not goal.of_bare:
            return goal.holds(self.value)
        return self.ratio is not None and goal.holds(self.ratio)

    @property
    def text(self) -> str:
        lines = [f"  {self.what:<58} {_number(self.value):>9} {self.unit}"]
        if self.bare is not None and self.ratio is not None:
            lines.append(f"    {_number(self.ratio)} of bare: {self.bare_is} {_number(self.bare)} {self.unit}")
        lines += [f"    goal {goal.text(self.unit)}: {'met' if self.is_met(goal) else 'MISSED'}" for goal in self.goals]
        lines += [f"    {line}" for line in self.note.splitlines()]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        value = {name: one for name, one in asdict(self).items() if name != "goals"}
        goals = [{"goal": goal.text(self.unit), "met": self.is_met(goal)} for goal in self.goals]
        return value | {"goals": goals, "ratio": self.ratio}


def machine() -> str:
    """One line about where this was measured, the load of others included."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    return (
        f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, {platform.system()} "
        f"{platform.release()}, load average before {load}"
    )


def rate(work: Callable[[], object], count: int, rounds: int = 3) -> float:
    """The best of `rounds` rates, per second, at which `work` does `count` things."""
    best = math.inf
    for _ in range(rounds):
        start = perf_counter()
        work()
        best = min(best, perf_counter() - start)
    return count / best


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def own_cpu_seconds() -> float:
    """Processor time this process has used, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def busy_seconds() -> float:
    """Processor time that all processes of this machine have used since it started; 0 where there is no /proc."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"
