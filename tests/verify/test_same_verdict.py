"""Two verifiers, one verdict: whatever is put before `tallystick verify` and `tallystick-verify`, both say the same.

The second was written from docs/formats.md alone. Where they part, one of three is wrong: the first, the second or the
page.
"""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from api.cli.program import run
from ledger_service import canonical
from tests.api import test_cli_verify
from tests.ledger_service.test_evidence import FAILS, others, scalars, with_value
from tests.verify.conftest import Files
from tests.verify.second import answers, essence, second

LOGS = (
    "whole",
    "plain",
    "receipt",
    "disclosed",
    "pinned",
    "pinned, by the pin",
    "pinned, by the pin alone",
    "plain, by a pin elsewhere",
    "plain, by nobody",
    "plain, without witnesses",
    "2 seals",
    "3 seals",
    "4 seals",
    "bundle",
    "overtaken",
)
CUSTODY = ("story", "story unexplained", "story in fields", "story of one pallet", "small")


def agree(files: Files, name: str, capsys: pytest.CaptureFixture[str], data: bytes | None = None, *options: str) -> int:
    """The exit code on which both verifiers agree, with all that they say apart from words."""
    path = files.bundle(name) if data is None else files.bent(name, data)
    (code, said), (other_code, other_said) = answers(path, files.trust(name), capsys, *options)
    assert (other_code, essence(other_said)) == (code, essence(said)), f"first: {said}\nsecond: {other_said}"
    return code


# -- good bundles, by every kind of trust --


@pytest.mark.parametrize("name", LOGS)
def test_bundles_of_the_log(logs: Files, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused = name in {"plain, by nobody", "2 seals"}
    assert agree(logs, name, capsys) == int(refused)
    agree(logs, name, capsys, None, "--min-witnesses", "2")


@pytest.mark.parametrize("name", CUSTODY)
def test_records_of_custody(custody: Files, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert agree(custody, name, capsys) == (3 if name in {"story unexplained", "story in fields"} else 0)


# -- bent in every way that we can name --


@pytest.mark.parametrize("case", FAILS)
def test_a_bundle_bent_in_a_named_way(logs: Files, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    change, _, _ = FAILS[case]
    bundle = json.loads(logs.bundle("plain").read_bytes())
    change(bundle)
    assert agree(logs, "plain", capsys, canonical.dump(bundle)) == 1


@pytest.mark.parametrize("case", test_cli_verify.REFUSED)
def test_a_bundle_bent_on_the_command_line(logs: Files, case: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, change, _, _ = test_cli_verify.REFUSED[case]
    bundle = json.loads(logs.bundle(name).read_bytes())
    change(bundle)
    assert agree(logs, name, capsys, canonical.dump(bundle)) == 1


def pairs(seed: int, count: int) -> list[tuple[str, str]]:
    return [(a, b) for a, b in (Random(seed).sample(list(FAILS), 2) for _ in range(count))]


def both_bent(logs: Files, pair: tuple[str, str]) -> bytes | None:
    """None where the first change leaves nothing for the second."""
    bundle = json.loads(logs.bundle("plain").read_bytes())
    try:
        for case in pair:
            FAILS[case][0](bundle)
    except (KeyError, IndexError, ValueError):
        return None
    return canonical.dump(bundle)


def test_bundles_bent_in_two_ways_at_once(logs: Files, capsys: pytest.CaptureFixture[str]) -> None:
    for pair in pairs(1, 15):
        data = both_bent(logs, pair)
        if data is not None:
            agree(logs, "plain", capsys, data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 40,
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"format": "tallystick-bundle/1", "format": "tallystick-bundle/1"}',
        b'{"format": 1.0}',
        b'{"format": 9007199254740992}',
        b'{"format": "\\ud800"}',
        b'{"f\xc3\xb6rmat": 1}',
        b'{"format": NaN}',
        b'{"format": "tallystick-bundle/2"}',
    ],
)
def test_what_is_no_bundle(logs: Files, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    assert agree(logs, "plain", capsys, data) == 1


# -- bent at random --


def containers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        yield path
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from containers(item, (*path, name))


def rearranged(value: Any, random: Random) -> None:
    """Drop, repeat, exchange, shuffle or retype something anywhere in `value`."""
    at = value
    for step in random.choice(list(containers(value))):
        at = at[step]
    places = list(at) if isinstance(at, dict) else list(range(len(at)))
    if not places:
        return
    one, other = random.choice(places), random.choice(places)
    match random.randrange(5):
        case 0:
            del at[one]
        case 1 if isinstance(at, list):
            at.insert(random.randrange(len(at) + 1), at[one])
        case 2:
            at[one], at[other] = at[other], at[one]
        case 3:
            at[one] = random.choice([None, True, 0, -1, 1, "", [], {}, "0x", "0x00"])
        case _ if isinstance(at, list):
            random.shuffle(at)
        case _:
            at[f"{one}x"] = at[one]


def bendings(data: bytes, section: str | None, seed: int, count: int) -> Iterator[bytes]:
    """Copies of a bundle with a byte, a value or an order changed; half of them in one section, where one is named."""
    random = Random(seed)
    for _ in range(count):
        value = json.loads(data)
        within = section is not None and random.random() < 0.6
        match random.randrange(3):
            case 0:
                at = random.randrange(len(data))
                yield data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]
            case 1:
                path = random.choice([one for one in scalars(value) if not within or one[0] == section])
                at = value
                for step in path:
                    at = at[step]
                yield with_value(data, path, random.choice(others(at, random)))
            case _:
                for _ in range(random.choice([1, 1, 2])):
                    rearranged(value[section] if within and section in value else value, random)
                yield json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", ["whole", "disclosed", "pinned, by the pin", "3 seals"])
def test_bundles_bent_at_random(logs: Files, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for data in bendings(logs.bundle(name).read_bytes(), None, 1, 12):
        agree(logs, name, capsys, data)


@pytest.mark.parametrize("name", ["small", "story of one pallet"])
def test_records_bent_at_random(custody: Files, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for data in bendings(custody.bundle(name).read_bytes(), "custody", 2, 12):
        agree(custody, name, capsys, data)


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["whole", "plain", "receipt", "disclosed", "pinned, by the pin", "3 seals"])
def test_many_bundles_bent_at_random(logs: Files, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for data in bendings(logs.bundle(name).read_bytes(), None, 3, 200):
        agree(logs, name, capsys, data)


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["small", "story of one pallet", "story in fields"])
def test_many_records_bent_at_random(custody: Files, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for data in bendings(custody.bundle(name).read_bytes(), "custody", 4, 200):
        agree(custody, name, capsys, data)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_every_two_ways_of_bending_at_once(logs: Files, capsys: pytest.CaptureFixture[str]) -> None:
    for pair in ((a, b) for a in FAILS for b in FAILS if a != b):
        data = both_bent(logs, pair)
        if data is not None:
            agree(logs, "plain", capsys, data)


def heads(bundle: dict[str, Any], random: Random, count: int) -> Iterator[str]:
    """Notes with lines repeated, left out, exchanged, misspelt or added, in the text and among the signatures."""
    for _ in range(count):
        text, _, signed = bundle["head"].partition("\n\n")
        lines, signatures = text.split("\n"), signed.split("\n")[:-1]
        at = random.randrange(len(signatures))
        match random.randrange(8):
            case 0:
                signatures.insert(at, random.choice(signatures))
            case 1:
                signatures.pop(at)
            case 2:
                random.shuffle(signatures)
            case 3:
                added = random.choice(["AAAA", "AAAAAAAA", "AAAAAAA=", "AAAAAAB=", "", "xxxxxxxx"])
                signatures.append(f"— stranger.example.org {added}")
            case 4:
                place = random.randrange(len(signatures[at]))
                put = random.choice(" +\u00a0A\t-—")
                signatures[at] = signatures[at][:place] + put + signatures[at][place + 1 :]
            case 5:
                signatures *= 30
            case 6:
                lines[random.randrange(len(lines))] = random.choice(["", "011", "+11", "11 ", "registry 1 x"])
            case _:
                lines.insert(random.randrange(len(lines) + 1), random.choice(["", "extension"]))
        yield "\n".join(lines) + "\n\n" + "\n".join(signatures) + random.choice(["\n", "\n", "\n", "", "\n\n"])


def test_heads_bent_at_random(logs: Files, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = json.loads(logs.bundle("plain").read_bytes())
    for head in heads(bundle, Random(6), 12):
        agree(logs, "plain", capsys, canonical.dump({**bundle, "head": head}))


# -- trust files --


def test_a_trust_file_changed_in_any_value_is_read_by_both_or_by_none(
    logs: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    data = logs.trust("whole").read_bytes()
    random = Random(5)
    path = logs.folder / "changed.trust.json"
    cases = [
        (place, other) for place in scalars(json.loads(data)) for other in others(_at(json.loads(data), place), random)
    ]
    for place, other in random.sample(cases, 25):
        path.write_bytes(with_value(data, place, other))
        codes = _codes(logs, path, capsys)
        assert codes[0] == codes[1], (place, other, codes)


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _codes(files: Files, trust: Any, capsys: pytest.CaptureFixture[str]) -> tuple[int, int]:
    """Exit codes with a trust file that may be none, in which case nothing is answered as JSON."""
    arguments = [str(files.bundle("plain")), "--trust", str(trust), "--json"]
    first = run(["verify", *arguments])
    try:
        other = second().main(arguments)
    except SystemExit as ended:
        other = int(str(ended.code))
    capsys.readouterr()
    return first, other
