"""The exercise in the show: a warning of a typhoon, and what each member learns of it from its own report alone."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

from api.cli.terminal import say, table
from api.client import LedgerClient
from api.drawing.telling import Telling
from api.outbox import Draft
from api.pages.impact import page
from api.paper.impact import ImpactPaper
from demo.typhoon import Saying, alert, facts, form, part, plan, questions, scenarios
from ledger_service.errors import LedgerError
from ledger_service.keys import from_hex, to_hex
from risk.messages import content_of, read_alert, read_form
from risk.sharing import canonical

READERS = ("havelmark", "nordrand", "lariana", "vltava")
"""Whose reports are shown."""
STATUS = "Exercise"


class ExerciseFailed(LedgerError):
    """The exercise did not go as the story says."""


@dataclass(slots=True)
class Exercise:
    """Who takes part, and how the show is told: `step` is one step of it, `run` calls the program in a folder."""

    clients: Mapping[str, LedgerClient]
    ids: Mapping[str, bytes]
    names: Mapping[str, str]
    now: Callable[[], int]
    step: Callable[[int, str], AbstractContextManager[None]]
    run: Callable[[Path, Sequence[str]], tuple[int, str, float]]
    scenario_set: bytes = b""

    def play(self, results: Path, first_step: int) -> None:
        """All of it; `results` gets the reports, and the views that they are made of."""
        with self.step(first_step, "Each member states what it makes, has and waits for; nobody else reads it"):
            self._state()
        with self.step(first_step + 1, "An exercise: a weather service warns of a typhoon, and Yongjiang closes"):
            self._warn()
        with self.step(first_step + 2, "What it does to each of them, by what each may see"):
            reports = {company: self._assessed(company) for company in READERS}
            self._tell(reports)
        with self.step(first_step + 3, "What can be done"):
            self._advise(reports)
        with self.step(first_step + 4, "Havelmark keeps its report, makes it again from its view, and has it checked"):
            self._keep(results, reports)

    # -- what they say -------------------------------------------------------------------------------------------------

    def _state(self) -> None:
        asked = questions(self.ids)
        (agreed,) = plan(self.ids)
        tests = scenarios(self.ids)
        said = [*facts(), agreed, tests, *(one.saying for one in asked)]
        digests = self._say(said)
        self.scenario_set = _digest_of(digests, tests)
        question, parts = asked[0], (part("rotor"), part("magnet"))
        given = [
            digest
            for one, digest in digests
            if (one.company, one.kind) in {("lariana", "stock"), ("lariana", "supply-link")}
            and one.content["part"] in parts
        ]
        asker = self.ids[question.saying.company]
        told = [question.reply(asker, _digest_of(digests, question.saying), given)]
        self._say(told + plan(self.ids, agrees_to=_digest_of(digests, agreed)))
        kinds, members = len({one.kind for one in said}), len({one.company for one in said})
        say(f"   {len(digests)} statements of {kinds} kinds by {members} members; links have levels of sharing,")
        say("   from withheld to named, that each of them chose.")
        say("   Nordrand asked Lariana how long rotors would last, and was told; Yongjiang agreed to Lariana's plan.")
        standing = self.clients["havelmark"].risk_network()
        share = round(100 * Fraction(standing["coverage"]["share"]))
        say(f"   Havelmark has {standing['sites']} sites. Of {share} % of what it and those before it need it is known")
        say(f"   where it comes from; {standing['openRequests']} of its questions to suppliers is open.")

    def _warn(self) -> None:
        for company in READERS:
            self._client(company).threshold({"exercises": True, "standstillDays": 1})
        warning = read_alert(alert())
        now = datetime.fromtimestamp(self.now() // 1000, UTC)
        word = read_form(form(), to_hex(self.ids["yongjiang"]), now)
        # What it would count for is asked of the service; what is signed was read at home.
        self._client("circle").read_disruption("cap", alert())
        everybody = sorted(to_hex(one) for name, one in self.ids.items() if name != "circle")
        self._say(
            [
                Saying("circle", "disruption", {**content_of(warning), "to": everybody}),
                Saying("yongjiang", "disruption", {**content_of(word), "to": []}),
            ]
        )
        say(f"   CAP 1.2, status {warning.status}, passed on by the Circle: {warning.text}.")
        say(
            "   Yongjiang's plain form on the same storm: closes on Monday 12 October ahead of it, back on 24 November."
        )
        say("   One disruption of two sources. Ningbo and Zhoushan lie in its circle, Ganzhou does not.")
        alerted = {company: self._alert(company) for company in READERS if company != "vltava"}
        if len({one["toldAt"] for one in alerted.values()}) != 1 or list(self._client("vltava").alerts(is_open=True)):
            raise ExerciseFailed("not all concerned were alerted at the same moment, or one that is not")
        names = ", ".join(self.names[company] for company in alerted)
        say(f"   {names} are alerted at the same moment;", "bold")
        say("   Vltava has stock enough and is left in peace.")
        done = self._client("nordrand").acknowledge(alerted["nordrand"]["number"], "risk manager")
        say(f"   Nordrand's {done['role']} acknowledges.")

    def _alert(self, company: str) -> dict[str, Any]:
        """The newest open alert of a company, once it is there."""
        client = self._client(company)
        for _ in range(600):
            found = list(client.alerts(is_open=True))
            if found:
                newest: dict[str, Any] = found[-1]
                return newest
            time.sleep(0.05)
        raise ExerciseFailed(f"{company} was not alerted")

    def _client(self, company: str) -> LedgerClient:
        """A company's client, signed in as its program would be that morning."""
        client = self.clients[company]
        client.login()
        return client

    def _say(self, some: Sequence[Saying]) -> list[tuple[Saying, bytes]]:
        """Each company signs what it has to say, and sends it in one call; all at once. The ids of the statements."""
        ordered = sorted(some, key=lambda one: one.company)
        by_company = [(company, list(said)) for company, said in groupby(ordered, key=lambda one: one.company)]
        found: list[tuple[Saying, bytes]] = []
        with ThreadPoolExecutor(4) as members:
            signed = list(members.map(lambda one: self._sign(*one), by_company))
        for (company, said), digests in zip(by_company, signed, strict=True):
            self.clients[company].await_anchor(digests[-1], pause_seconds=0.03)
            found += zip(said, digests, strict=True)
        return found

    def _sign(self, company: str, said: Sequence[Saying]) -> list[bytes]:
        client = self._client(company)
        drafts = [Draft(dict(one.content), one.kind) for one in said]
        signed = client.outbox.sign(drafts, issuer=self.ids[company], signer=client.signer, domain=client.domain,
                                    now=self.now(), random=os.urandom, source="supply")  # fmt: skip
        done = client.submit()
        if done.refused or done.registered != len(said):
            raise ExerciseFailed(f"not all statements of {company} were registered: {done.refused[:1]}")
        return [one.header.digest(client.domain) for one in signed]

    # -- what they read ------------------------------------------------------------------------------------------------

    def _assessed(self, company: str) -> dict[str, Any]:
        told: dict[str, Any] = self._client(company).assess(status=STATUS)
        return told

    def _tell(self, reports: Mapping[str, Mapping[str, Any]]) -> None:
        rows = []
        for company, report in reports.items():
            content = report["content"]
            stops = content["effect"]["stops"]
            first, last = (bound(one[name] for one in stops) if stops else None
                           for bound, name in ((min, "first"), (max, "last")))  # fmt: skip
            lost = sum(int(one["shortfall"]) for one in stops)
            what = "nothing of its own" if first is None else f"{_day(first)} to {_day(str(last))}"
            rows.append((f"   {self.names[company]}", _origin(content), what, f"{lost:,}" if lost else ""))
        table(("   who", "sees that it begins at", "stops", "fewer"), rows)
        content = reports["havelmark"]["content"]
        weeks: dict[str, int] = {}
        for stop in content["effect"]["stops"]:
            for week in stop["byWeek"]:
                weeks[week["week"]] = weeks.get(week["week"], 0) + int(week["amount"])
        lost, cents, bucket = sum(weeks.values()), content["effect"]["revenueCents"], content["oneBucket"]
        by_week = ", ".join(f"W{date.fromisoformat(day).isocalendar().week} {one:,}" for day, one in weeks.items())
        covers, recovers = bucket["timeToSurviveDays"], bucket["timeToRecoverDays"]
        say(f"   The classic program, with one bucket of time, calls it safe: {covers} working days of cover,")
        say(f"   {recovers} to recover. Day by day Lecco runs dry on Mon 23 Nov, and the plants stop on Tue 8 Dec")
        say(f"   until 7 Jan: {lost:,} vehicles ({by_week}).", "bold")
        say(f"   EUR {cents / 1e8:,.2f} M of revenue: in Havelmark's report, and in nobody else's.", "bold")
        _expect((lost, cents, list(weeks.values())), (15_360, 49_152_000_000, [3840, 4800, 2880, 3840]))

    def _advise(self, reports: Mapping[str, Mapping[str, Any]]) -> None:
        lariana, havelmark = (reports[company]["content"] for company in ("lariana", "havelmark"))
        (more,) = lariana["oneMoreDay"]
        (saved,) = more["saves"].values()
        say(f"   One more day of magnets in Lecco would save {saved} vehicles.")
        names = lariana["names"]["sites"]
        for one in lariana["alternatives"]["suggestions"]:
            amount, covers = int(one["aWeek"]), round(100 * Fraction(one["covers"]))
            say(f"   {names[one['supplier']]}: {amount:,} magnets a week to Lecco from {_day(one['firstArrival'])},"
                f" {covers} % of the need.")  # fmt: skip
            if one["shared"]:
                say(f"      It shares with Ningbo: {', '.join(one['shared'])}; that counts against it.")
        for one in lariana["alternatives"]["refused"]:
            say(f"   {names[one['supplier']]}: {one['reason']}.")
        for one in lariana["alternatives"]["routes"]:
            amount, cents, first, last = int(one["amount"]), one["extraCents"], one["firstArrival"], one["lastArrival"]
            say(f"   An airlift of what is made again: {amount:,} magnets in {one['loads']} loads, at Lecco from"
                f" {_day(first)} to {_day(last)}, EUR {cents / 100:,.0f} more.")  # fmt: skip
        (agreed,) = lariana["plans"]
        within = [one["withinHours"] for one in agreed["yours"]]
        say(f"   By its plan with Yongjiang ({agreed['name']}) Lariana acts within {within[0]} and {within[1]} hours.")
        say("   What suppliers can spare is shared out once, over Lariana and Vltava by what each of them misses.")
        lost = {
            name: int(next(iter(havelmark["alternatives"][name]["lost"].values()), 0))
            for name in ("afterSuppliers", "after")
        }
        say(f"   With both of them Havelmark still loses {lost['afterSuppliers']} vehicles, with the airlift too"
            f" {lost['after']}.", "bold")  # fmt: skip
        _expect(lost, {"afterSuppliers": 800, "after": 0})
        self._stress()

    def _stress(self) -> None:
        """The Circle's set of scenarios, by what Havelmark may see."""
        told = self._client("havelmark").stress({"scenarioSet": to_hex(self.scenario_set), "days": 112})["result"]
        say(f"   What else could happen to Havelmark, of the {told['scenarioSet']['name']} set of scenarios:")
        rows = [
            (f"   {one['name']}", _day(one["effect"]["first"]), f"{int(next(iter(one['effect']['lost'].values()))):,}")
            for one in told["scenarios"]
        ]
        rows += [(f"   {one['name']}", "not for it to see", "") for one in told["notSeen"]]
        table(("   what", "stops on", "vehicles"), rows)

    def _keep(self, results: Path, reports: Mapping[str, Mapping[str, Any]]) -> None:
        for company in ("havelmark", "nordrand"):
            self._file(results, company, reports[company])
        client = self._client("havelmark")
        digest = from_hex(reports["havelmark"]["digest"], 32)
        client.await_anchor(digest, pause_seconds=0.03)
        header = client.checked_statement(digest).header
        span = {header.stream: (header.sequence, header.sequence)}
        (results / "impact-bundle.json").write_bytes(client.bundle(span).data)
        self._run(results, "risk", "recompute", "impact-havelmark-view.json", "impact-havelmark.json")
        self._run(results, "verify", "impact-bundle.json", "--trust", "trust.json", "--members", "members.json")

    def _file(self, results: Path, company: str, report: Mapping[str, Any]) -> None:
        """The report as JSON, page and paper, and the view that it is made of."""
        content, name = report["content"], f"impact-{company}"
        telling = Telling(content, self.names[company], report["digest"], is_demo=True)
        (results / f"{name}.json").write_bytes(canonical(content))
        (results / f"{name}-view.json").write_bytes(self._client(company).risk_view(status=STATUS))
        (results / f"{name}.html").write_text(page(telling), encoding="utf-8", newline="")
        (results / f"{name}.pdf").write_bytes(ImpactPaper(telling).pdf())
        say(f"   {results / name}.json, .html, .pdf and -view.json")

    def _run(self, folder: Path, *command: str) -> None:
        code, text, seconds = self.run(folder, command)
        say(f"   tallystick {' '.join(command)}    ({seconds:.2f} s, exit {code})")
        if code != 0:
            raise ExerciseFailed(text)
        for line in text.rstrip("\n").split("\n")[-2:]:
            say("   │ " + line, "green")


def _expect(found: object, wanted: object) -> None:
    if found != wanted:
        raise ExerciseFailed(f"the story says {wanted}, the report {found}")


def _digest_of(digests: Sequence[tuple[Saying, bytes]], saying: Saying) -> bytes:
    return next(digest for one, digest in digests if one is saying)


def _day(text: str) -> str:
    return f"{date.fromisoformat(text):%a %-d %b}"


def _origin(content: Mapping[str, Any]) -> str:
    """What a report says of where it began."""
    names = content["names"]["sites"]
    return "; ".join(
        str(names.get(one["site"], one["site"]))
        if "site" in one
        else f"tier {one['tier']}, {one['region']}, {one['cause']}"
        for one in content["origins"]
    )
