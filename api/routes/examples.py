"""What the documentation shows: one small consortium, whose numbers stand for no network that ever was."""

MEMBER = "0x6f1c5a0f7f5d3c1b9e2a4d6c8b0a1f3e5d7c9b8a6f4e2d1c0b9a8f7e6d5c4b3a"
PARTNER = "0x94d1f5c0b3a29188776655443322110f0e0d0c0b0a09080706050403020100ff"
STREAM = "0x0d9c4b7a61524334251607f8e9dacbbcad9e8f70615243342516070819202122"
DIGEST = "0x2f7be0c1d2a3948576675849302112f3e4d5c6b7a8990a1b2c3d4e5f60718293"
ROOT = "0xb1946ac92492d2347c6235b4d2611184b1946ac92492d2347c6235b4d2611184"
SECRET = "0x" + "5c" * 32
KEY = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
SIGNATURE = "0x" + "3a" * 64 + "1b"
ORIGIN = "ledger.example.org/demo"
CURSOR = "q0V1b5l0bXk1c2VjcmV0LXBsYWNlLWluLXRoZS1sb2c"
TIME = 1_790_000_000_000

HEADER = {
    "contentRoot": ROOT,
    "issuedAt": TIME - 60_000,
    "issuer": MEMBER,
    "kind": "epcis-event",
    "sequence": 1,
    "stream": STREAM,
}
EVENT = {
    "type": "ObjectEvent",
    "action": "OBSERVE",
    "bizStep": "shipping",
    "epcList": ["urn:epc:id:sscc:9521000.4000000001"],
    "eventTime": "2026-09-18T14:10:00Z",
    "eventTimeZoneOffset": "+02:00",
}
CONTEXT = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"]
ENVELOPE = {
    "content": {"context": CONTEXT, "event": EVENT, "to": [PARTNER]},
    "header": HEADER,
    "secret": SECRET,
    "signature": SIGNATURE,
}
NOTE = f"{ORIGIN}\n128\nuZRqySSS0jR8YjW00mERhLGUaskkktI0fGI1tNJhEYQ=\n\n— {ORIGIN} Zm9yIHRoZSBleGFtcGxlIG9ubHkgLi4u\n"
PROMISE = f"tallystick.promise/v1\n{ORIGIN}\n{TIME}\n1\nuZRqySSS0jR8YjW00mERhLGUaskkktI0fGI1tNJhEYQ=\n\n— {ORIGIN} Zm9yIHRoZSBleGFtcGxlIG9ubHkgLi4u\n"  # noqa: E501
REGISTERED = {"digest": DIGEST, "isNew": True, "promise": PROMISE, "registeredAt": TIME, "state": "registered"}
STATEMENT = {
    "anchoredAt": TIME + 1000,
    "block": 42,
    "content": ENVELOPE["content"],
    "digest": DIGEST,
    "erasedAt": None,
    "header": HEADER,
    "registeredAt": TIME,
    "secret": SECRET,
    "signature": SIGNATURE,
    "state": "anchored",
    "times": {
        "anchored": "2026-09-21T14:13:21.000Z",
        "issued": "2026-09-21T14:12:20.000Z",
        "registered": "2026-09-21T14:13:20.000Z",
    },
    "void": None,
}
STREAM_VIEW = {
    "audience": [PARTNER],
    "highest": 7,
    "holes": [{"first": 3, "last": 4, "since": TIME}],
    "issuer": MEMBER,
    "registered": 5,
    "stream": STREAM,
}
RECEIPT = {
    "anchors": [],
    "changes": [],
    "format": "tallystick-receipt/1",
    "head": NOTE,
    "headers": [],
    "statements": [],
    "streams": [],
}
WEBHOOK = {
    "disabledAt": None,
    "failingSince": None,
    "id": "5f1c9a7e2b3d4c5e6f708192",
    "kinds": ["offer-made", "overdue"],
    "madeAt": TIME,
    "setAside": 0,
    "trouble": None,
    "url": "https://erp.example.org/tallystick",
}
WEBHOOK_SECRET = "whsec_ZXhhbXBsZSBvbmx5LCBuZXZlciBhIHNlY3JldCE="  # noqa: S105 - it is none
NOTICE = {
    "at": TIME,
    "body": {
        "issuer": MEMBER,
        "sequence": 7,
        "statement": DIGEST,
        "stream": STREAM,
        "taker": PARTNER,
    },
    "kind": "offer-made",
}
MEMBER_VIEW = {
    "did": "did:web:duero.example.org",
    "id": MEMBER,
    "identifiers": ["GLN:9521000000005"],
    "keys": [
        {"address": KEY, "custodial": False, "from": 1, "purposes": ["events", "agreements", "login"], "until": None}
    ],
    "name": "Duero Castings (DEMO)",
    "state": "active",
    "voting": True,
}
UNIT = "0x11c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e9fa0"
UNIT_OFFER = {
    "deadline": 1_790_812_800,
    "from": "0x52908400098527886e0f7030069857d2e4169ee7",
    "sequence": 1,
    "signature": SIGNATURE,
    "to": "0x8617e340b3d01fa5f11f306f4090fd50e238070d",
    "unit": UNIT,
}
OFFER = {
    "answers": [
        {"answeredAt": TIME + 3_600_000, "outcome": "accepted", "place": 0, "receipt": "0x" + "4e" * 32},
    ],
    "deadline": TIME + 86_400_000,
    "despatch": DIGEST,
    "giver": MEMBER,
    "madeAt": TIME,
    "replacedBy": None,
    "state": "answered",
    "taker": PARTNER,
    "unanswered": 0,
    "units": [UNIT_OFFER],
}
STEP = {
    "acceptance": "0x" + "4e" * 32,
    "deadline": 1_790_812_800,
    "from": UNIT_OFFER["from"],
    "giverSignature": SIGNATURE,
    "offer": DIGEST,
    "sequence": 1,
    "takerSignature": SIGNATURE,
    "to": UNIT_OFFER["to"],
    "type": "handoff",
    "unit": UNIT,
}
TAKEN_STEP = STEP | {"block": 57, "head": "0x" + "8f" * 32, "time": TIME // 1000 + 86_400}
EXPLAINED_STEP = {
    "releaseAt": TIME + 86_400_000,
    "sequence": 1,
    "state": "waiting",
    "unit": UNIT,
    "why": "it was drawn for 2026-09-22 00:00 UTC, so that its time tells nothing",
}
WAITING_STEP = {"item": 0, "releaseAt": TIME + 86_400_000, "sequence": 1, "state": "waiting", "unit": UNIT}
DISRUPTION_FORM = {
    "about": [{"identifier": "TC26-1", "sender": "weather.example.org"}],
    "from": "2026-10-12T06:00:00+08:00",
    "left": "0",
    "number": "YJ-2026-7",
    "status": "Exercise",
    "sure": "Observed",
    "until": "2026-11-24T06:00:00+08:00",
    "what": "typhoon",
    "where": {"sites": ["https://id.gs1.org/414/9521006000012"]},
}
DISRUPTION = {
    "action": "Alert",
    "areas": [{"site": "https://id.gs1.org/414/9521006000012"}],
    "cause": "other",
    "certainty": "Observed",
    "ends": "2026-11-24T06:00:00+08:00",
    "event": "typhoon",
    "format": "form",
    "identifier": "YJ-2026-7",
    "left": "0",
    "onset": "2026-10-12T06:00:00+08:00",
    "original": "{…}",
    "parts": [],
    "references": [{"identifier": "TC26-1", "sender": "weather.example.org"}],
    "sender": MEMBER,
    "sent": "2026-10-10T09:00:00+00:00",
    "severity": "Unknown",
    "status": "Exercise",
    "to": [PARTNER],
}
DISRUPTION_VIEW = {
    "certainty": "Observed",
    "ends": "2026-11-24T06:00:00+08:00",
    "event": "typhoon",
    "isCancelled": False,
    "isDisputed": False,
    "isOver": False,
    "key": f"{MEMBER}/YJ-2026-7",
    "onset": "2026-10-12T06:00:00+08:00",
    "reports": [
        {
            "issuer": MEMBER,
            "registered": "2026-10-10T09:00:01.000Z",
            "report": {name: one for name, one in DISRUPTION.items() if name not in ("to", "original")},
            "statement": DIGEST,
        }
    ],
    "severity": "Unknown",
    "sources": [MEMBER],
    "status": "Exercise",
}

_CHECKPOINT = "ledger.example.org 128 5f1c9a7e2b3d4c5e6f7081921a2b3c4d5f1c9a7e2b3d4c5e6f7081921a2b3c4d"
_SITE, _VEHICLE = "https://id.gs1.org/414/9521001000017", "https://id.gs1.org/01/09521001100014"
REPORT = {
    "content": {
        "alternatives": {"after": None, "refused": [], "rule": "pro-rata-to-need", "suggestions": []},
        "checkpoint": _CHECKPOINT,
        "confidence": {"coverage": "0.8", "needs": 5, "openRequests": 1, "stockDoubt": "0.05",
                       "probability": {"least": "0.42", "most": "0.62"}},
        "day": "2026-10-12",
        "effect": {"lost": {_VEHICLE: "15360"}, "revenueCents": 49_152_000_000, "stops": []},
        "names": {"parts": {_VEHICLE: "Vehicle"}, "sites": {_SITE: "Magdeburg"}},
        "places": {_SITE: {"latitude": "52.13", "locode": "DEMAG", "longitude": "11.62", "region": "Central Europe"}},
        "reader": MEMBER,
        "status": "Exercise",
        "view": "9f" * 32,
    },
    "digest": DIGEST,
    "number": 3,
    "registeredAt": TIME,
    "state": "registered",
}  # fmt: skip
REPORT_LINE = {name: value for name, value in REPORT.items() if name != "content"} | {
    "summary": {"checkpoint": _CHECKPOINT, "day": "2026-10-12", "first": "2026-12-08", "revenueCents": 49_152_000_000,
                "status": "Exercise", "stops": 2}
}  # fmt: skip
VIEW = {
    "checkpoint": _CHECKPOINT,
    "day": "2026-10-12",
    "reader": MEMBER,
    "seen": {"site-5f1c9a7e2b3d4c5e6f708192": {"is_own": False, "level": "tier", "region": "East Asia", "tier": 3}},
}
NETWORK_STANDING = {
    "aged": [{"days": 3, "kind": "stock", "statement": DIGEST}],
    "checkpoint": _CHECKPOINT,
    "coverage": {"needs": 5, "requests": 1, "share": "4/5"},
    "day": "2026-10-12",
    "inconsistencies": [{"about": f"stock {_SITE} {_VEHICLE}", "what": "is stated by somebody whose site it is not"}],
    "openRequests": 1,
    "sites": 2,
}
PLAN = {
    "agreed": [MEMBER],
    "exercises": [{"at": "2026-09-10T08:00:00+00:00", "outcome": "Call list out of date; corrected the same day."}],
    "inForce": True,
    "issuer": MEMBER,
    "key": DIGEST,
    "measures": [{"member": MEMBER, "what": "Books the airlift", "withinHours": 24}],
    "missing": [],
    "name": "Magnets from East Asia",
    "triggers": [{"kind": "region", "name": "East Asia"}],
    "until": "2027-08-31",
}
THRESHOLD = {
    "exercises": False,
    "remindAfterMinutes": 240,
    "revenueMinorUnits": 100_000_000,
    "standstillDays": 1,
    "summaryAt": "06:00+02:00",
}
ALERT = {
    "acknowledgedAt": None,
    "asks": True,
    "at": TIME,
    "number": 3,
    "report": DIGEST,
    "role": None,
    "status": "Actual",
    "toldAt": TIME,
    "urgency": "interrupt",
    "what": "alert",
}
STRESS = {
    "question": {
        "every": ["site"],
        "mitigations": [
            {
                "cost": {"centsAYear": 2_000_000, "currency": "EUR", "onceCents": 10_000_000, "years": 5},
                "days": 5,
                "kind": "stock",
                "name": "Five more days of shafts",
                "part": "https://id.gs1.org/01/09521004100011",
                "site": "https://id.gs1.org/414/9521002000016",
            }
        ],
        "name": "Circle 2026",
        "scenarios": [
            {
                "chanceAYear": "0.05",
                "days": {"least": 28, "likely": 42, "most": 63},
                "name": "Typhoon over Ningbo",
                "ports": ["CNNGB"],
                "regions": ["East Asia"],
            }
        ],
        "seed": 7,
        "version": "1",
    },
    "result": {
        "cleared": 3,
        "flagged": 9,
        "format": "tallystick-stress/1",
        "mitigations": [
            {
                "costCentsAYear": "4000000",
                "name": "Five more days of shafts",
                "paysForItself": True,
                "savedCentsAYear": "15360000",
                "scenariosWithoutChance": 8,
            }
        ],
        "scenarioSet": {"digest": "9f" * 32, "name": "Circle 2026", "version": "1"},
        "scenarios": [
            {
                "chanceAYear": "0.05",
                "effect": {"first": "2026-12-08", "last": "2027-01-07", "lost": {"vehicle": "15360"}},
                "name": "Typhoon over Ningbo",
            }
        ],
        "screened": 12,
        "seed": 7,
        "view": "5c" * 32,
    },
}
STRESS_REPORT = {
    "content": {
        **STRESS["result"],
        "digests": {"question": "9f" * 32, "result": "2c" * 32},
        "format": "tallystick-stress-report/1",
        "omitted": {},
        "question": STRESS["question"],
        "view": "5f" * 32,
    },
    "digest": DIGEST,
    "number": 1,
    "registeredAt": TIME,
    "state": "anchored",
}
STRESS_REPORTED = {**STRESS, **STRESS_REPORT}
STRESS_REPORT_LINE = {name: value for name, value in STRESS_REPORT.items() if name != "content"} | {
    "summary": {
        "checkpoint": _CHECKPOINT,
        "day": "2026-10-12",
        "flagged": 9,
        "mitigations": ["Five more days of shafts"],
        "screened": 12,
        "worst": {"name": "Typhoon over Ningbo", "revenueCents": 49_152_000_000, "where": None},
    }
}
EXPOSURE = {
    "essential": {"needs": 4, "replaceable": 1, "stated": 2},
    "commonUpstream": [
        {
            "common": {"region": "East Asia"},
            "customer": {"site": "https://id.gs1.org/414/9521002000016"},
            "part": "https://id.gs1.org/01/09521004100011",
            "shareAtRisk": "1",
            "suppliers": [{"site": "urn:epc:id:sgln:9521004.00001.0"}, {"site": "urn:epc:id:sgln:9521006.00001.0"}],
        }
    ],
    "format": "tallystick-exposure/1",
    "sites": [
        {
            "atRisk": {"lost": {"https://id.gs1.org/01/09521002000016": "15360"}, "revenueCents": 49_152_000_000},
            "exposureIndex": "1",
            "gapDays": None,
            "isCovered": False,
            "oneBucket": {"days": "41", "exposureIndex": "0", "isCovered": True, "isEndless": False},
            "recoverDays": None,
            "systemicRisk": "0.7667",
            "timeToSurvive": {"days": 10, "isAtLeast": False},
            "where": {"id": "site-04e3e2bed1b144f2e9aa79e3", "region": "East Asia", "tier": 3},
        }
    ],
}
