"""Continuity plans on the command line: agreed to, tried, and listed."""

import json

from api.cli.gateway import Gateway
from tests.api import test_cli_impact
from tests.api.test_cli_impact import Site, state

folder, site = test_cli_impact.folder, test_cli_impact.site
"""The service and its two members, one of whom casts for the other."""


def test_a_plan_is_agreed_to_tried_and_listed(site: Site) -> None:
    ids = {}
    for who in ("Duero", "Nordrand"):
        with Gateway(site.folder / who).client() as client:
            ids[who] = f"0x{client.member.hex()}"
    plan = {
        "measures": [
            {"member": ids["Nordrand"], "what": "Calls the second foundry", "withinHours": 4},
            {"member": ids["Duero"], "what": "Sends patterns", "withinHours": 24},
        ],
        "name": "Castings",
        "to": [ids["Duero"]],
        "triggers": [{"kind": "region", "name": "Iberia"}],
        "until": "2030-01-01",
    }
    state(site.folder, "Nordrand", [("continuity-plan", plan)])
    said = site.run("Duero", "risk", "plans", "list")
    assert "1 to agree" in said
    assert "Sends patterns within 24 h" in said
    assert "never tried" in said
    (one,) = json.loads(site.run("Duero", "risk", "plans", "list", "--json"))
    tried = ("--at", "2026-01-10T10:00:00+01:00", "--outcome", "Done in 3 hours")
    for who, command in (("Duero", ("agree",)), ("Nordrand", ("exercise", *tried))):
        name, *options = command
        statement = json.loads(site.run(who, "risk", "plans", name, one["key"][:10], *options, "--json"))["statement"]
        with Gateway(site.folder / who).client() as client:
            client.await_anchor(bytes.fromhex(statement[2:]))
    (after,) = json.loads(site.run("Duero", "risk", "plans", "list", "--json"))
    assert (after["inForce"], after["missing"]) == (True, [])
    assert after["exercises"] == [{"at": "2026-01-10T09:00:00+00:00", "outcome": "Done in 3 hours"}]
    assert "in force" in site.run("Duero", "risk", "plans", "list")
    assert "0 plans begin with 0xff" in site.run("Duero", "risk", "plans", "agree", "0xff", expect=2)
