"""`tallystick verify` on records of custody: what one comes to, and each part of it bent, by command and exit code."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.cli.program import run
from ledger_service import blocks, canonical
from ledger_service.bundle import audit_bundle
from ledger_service.handoffs import NO_HEAD, CustodyDomain, HandOff, TakenStep, next_head
from ledger_service.keys import keccak, to_hex
from ledger_service.ledger import Record
from tests.consortium import member_id
from tests.custody_chain import House
from tests.story import BEFORE, DUERO, MEMBERS, NORDRAND, PALLETS, RHEINKNOTEN, STRAY, at, tell

OTHER = "licence-plate:UN049505160P00001"
CLOSED = "licence-plate:UN049505160P00002"
UNOPENED = "licence-plate:UN049505160P00003"
NAMES = {name: name.title() for name in MEMBERS}


@dataclass(frozen=True)
class Evidence:
    """A folder with the story's bundle and others like it, and the house they come from."""

    folder: Path
    house: House
    said: dict[str, bytes]

    def path(self, name: str) -> str:
        return str(self.folder / f"{name}.json")

    def write(self, name: str, data: bytes) -> None:
        (self.folder / f"{name}.json").write_bytes(data)

    def bent(self, name: str, change: Callable[[Any], object]) -> str:
        value = json.loads((self.folder / f"{name}.json").read_bytes())
        change(value)
        self.write("bent", canonical.dump(value))
        return self.path("bent")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    folder = tmp_path_factory.mktemp("evidence")
    house = House(tmp_path_factory.mktemp("story"), BEFORE, MEMBERS)
    said = tell(house)
    made = Evidence(folder, house, said)
    made.write("story", house.bundle(PALLETS).data)
    made.write("trust", canonical.dump(house.consortium.trust.as_json()))
    directory = [{"id": to_hex(member_id(name)), "name": called} for name, called in NAMES.items()]
    made.write("members", canonical.dump(directory))
    yield made
    house.close()


def verify(evidence: Evidence, path: str, *options: str) -> int:
    return run(["verify", path, "--trust", evidence.path("trust"), *options])


def judged(evidence: Evidence, path: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    assert verify(evidence, path, "--json") == code
    return json.loads(capsys.readouterr().out)


# -- what a record comes to --------------------------------------------------------------------------------------------


def test_the_story_is_told_with_findings_first_then_the_answer_then_the_legs(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    code = verify(evidence, evidence.path("story"), "--min-witnesses", "2", "--members", evidence.path("members"))
    assert code == 0
    said = capsys.readouterr().out
    places = [
        said.index(words)
        for words in (
            "4 findings about",
            "double possession (needs explaining, explained): a second member had it in hand",
            "explained by 0x",
            "late registration (for information): registered 26 h after it happened",
            "quantity not conserved (needs explaining, explained)",
            "unsigned leg (for information)",
            "The record is whole with reservations.",
            "held by Nordrand",
            "It holds:",
            "strength        witnessed",
            "does not prove  that the thing in the box",
            "does not prove  that a stream ends where it ends here",
        )
    ]
    assert places == sorted(places)
    assert "both, on chain" in said
    assert "(00)395210040009260175" in said
    assert "Rheinknoten" in said
    assert "2026-09-22 04:21Z" in said


def test_a_program_gets_the_record_as_json(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    custody = judged(evidence, evidence.path("story"), capsys)["custody"]
    assert custody["answer"] == "whole with reservations"
    assert sorted(one["finding"] for one in custody["findings"]) == [
        "double-possession",
        "late-registration",
        "quantity-not-conserved",
        "unsigned-leg",
    ]
    (stray,) = [one for one in custody["units"] if one["id"] == STRAY]
    assert stray["custodian"] == to_hex(member_id(NORDRAND))
    assert [one["state"] for one in stray["legs"]] == ["handed over"] * 3
    assert custody["policy"] == to_hex(evidence.said["policy"])
    assert len(custody["chain"]) == 16
    late = to_hex(evidence.said["late"])
    clocks = custody["clocks"][late]
    assert clocks["registered"] - clocks["stated"] == 26 * 3_600_000
    assert custody["signers"][late]["member"] == to_hex(member_id(RHEINKNOTEN))


def test_a_record_that_nobody_explained_holds_and_is_broken(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    """The explanations are there and withheld: what they say is not judged."""
    hidden = {evidence.said["double-possession"], evidence.said["quantity-not-conserved"]}
    evidence.write("unexplained", evidence.house.bundle(PALLETS, lambda one: one.digest not in hidden).data)
    verdict = judged(evidence, evidence.path("unexplained"), capsys, 3)
    assert (verdict["verdict"], verdict["custody"]["answer"], verdict["custody"]["unseen"]) == ("holds", "broken", 2)
    assert verify(evidence, evidence.path("unexplained")) == 3
    assert "The record is broken." in capsys.readouterr().out


def test_a_bundle_that_shows_only_granted_fields_verifies_and_says_that_nobody_can_tell(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence.write("fields", evidence.house.bundle(PALLETS, lambda _: ["/to"]).data)
    verdict = judged(evidence, evidence.path("fields"), capsys, 3)
    assert (verdict["verdict"], verdict["custody"]["answer"]) == ("holds", "cannot be told")
    assert verdict["custody"]["untold"] == PALLETS
    assert verdict["custody"]["unseen"] == verdict["statements"]
    assert verify(evidence, evidence.path("fields")) == 3
    assert "It cannot be told." in capsys.readouterr().out


def test_contents_shown_in_part_are_proven_and_count_as_withheld(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    def showing(record: Record) -> bool | list[str]:
        return ["/despatchedAt", "/units"] if record.header.kind == "despatch" else True

    evidence.write("part", evidence.house.bundle(PALLETS, showing).data)
    custody = judged(evidence, evidence.path("part"), capsys)["custody"]
    assert {leg["state"] for unit in custody["units"] for leg in unit["legs"]} == {"content withheld"}
    assert custody["unseen"] == 3


def test_a_unit_that_was_closed_one_never_opened_and_one_with_a_single_step_are_certified(
    evidence: Evidence, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = House(tmp_path, BEFORE, MEMBERS)
    opening = house.open(DUERO, [OTHER, CLOSED], at("18T14:00"))
    house.end(DUERO, CLOSED, opening)
    house.units[UNOPENED] = keccak(b"never opened")
    house.offer(DUERO, NORDRAND, [UNOPENED], at("18T15:00"))
    house.publish()
    path = tmp_path / "bundle.json"
    path.write_bytes(house.bundle([OTHER, CLOSED, UNOPENED]).data)
    (tmp_path / "trust.json").write_bytes(canonical.dump(house.consortium.trust.as_json()))
    house.close()
    assert run(["verify", str(path), "--trust", str(tmp_path / "trust.json"), "--json"]) == 0
    chain = {one["thing"]: one for one in json.loads(capsys.readouterr().out)["custody"]["chain"]}
    assert [(chain[one]["steps"], chain[one]["closed"]) for one in (OTHER, CLOSED, UNOPENED)] == [
        (0, False),
        (1, True),
        (0, False),
    ]
    assert chain[UNOPENED]["custodian"] is None


def test_erasing_a_payload_leaves_every_proof_of_the_others_standing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = House(tmp_path, BEFORE, MEMBERS)
    house.open(DUERO, [OTHER], at("18T14:00"))
    house.hand_over(DUERO, NORDRAND, [OTHER], at("18T16:00"), at("18T17:00"))
    scan = house.scan(NORDRAND, [OTHER], at("18T18:00"))
    house.publish()
    house.consortium.ledger.erase(scan, house.consortium.clock.now)
    path = tmp_path / "bundle.json"
    path.write_bytes(house.bundle([OTHER]).data)
    (tmp_path / "trust.json").write_bytes(canonical.dump(house.consortium.trust.as_json()))
    house.close()
    assert run(["verify", str(path), "--trust", str(tmp_path / "trust.json"), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert (verdict["custody"]["answer"], verdict["custody"]["unseen"]) == ("whole", 1)
    assert any(one["what"].startswith("content erased") for one in verdict["findings"])


def test_steps_that_the_chain_took_after_the_newest_anchor_are_proven_and_not_yet_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = House(tmp_path, BEFORE, MEMBERS)
    house.open(DUERO, [OTHER], at("18T14:00"))
    offer = house.offer(DUERO, NORDRAND, [OTHER], at("18T16:00"))
    acceptance = house.receipt(NORDRAND, offer, [OTHER], at("18T17:00"))
    steps = house.handoffs(NORDRAND, offer, acceptance, [OTHER])
    house.publish()
    house.consortium.clock.forward(3600)
    house.take(steps)
    path = tmp_path / "bundle.json"
    path.write_bytes(house.bundle([OTHER]).data)
    (tmp_path / "trust.json").write_bytes(canonical.dump(house.consortium.trust.as_json()))
    house.close()
    assert run(["verify", str(path), "--trust", str(tmp_path / "trust.json"), "--json"]) == 0
    custody = json.loads(capsys.readouterr().out)["custody"]
    assert [leg["state"] for leg in custody["units"][0]["legs"]] == ["pending"]
    assert custody["chain"][0]["steps"] == 1


# -- what was bent -----------------------------------------------------------------------------------------------------


def _steps(bundle: Any, thing: str = PALLETS[0]) -> Any:
    """The steps of a pallet's unit; pallets are opened in the order of their numbers."""
    opening = next(one for one in bundle["statements"] if one["header"]["kind"] == "opening")
    (unit,) = [one["chain"] for one in opening["content"]["units"] if one["id"] == thing]
    return next(one for one in bundle["custody"]["units"] if one["unit"] == unit)["steps"]


def _step(number: int, **changes: Any) -> Callable[[Any], None]:
    def change(bundle: Any) -> None:
        _steps(bundle)[number].update(changes)

    return change


def _swapped_sides(bundle: Any) -> None:
    step = _steps(bundle)[2]
    step["giverSignature"], step["takerSignature"] = step["takerSignature"], step["giverSignature"]


def _signature_of_another_unit(name: str) -> Callable[[Any], None]:
    def change(bundle: Any) -> None:
        _steps(bundle)[3][name] = _steps(bundle, PALLETS[1])[3][name]

    return change


def _high_s(bundle: Any) -> None:
    step = _steps(bundle)[0]
    raw = bytes.fromhex(step["signature"][2:])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    step["signature"] = to_hex(raw[:32] + (order - int.from_bytes(raw[32:64])).to_bytes(32) + bytes([55 - raw[64]]))


def _dropped(number: int) -> Callable[[Any], None]:
    def change(bundle: Any) -> None:
        del _steps(bundle)[number]

    return change


def _two_in_another_order(bundle: Any) -> None:
    steps = _steps(bundle)
    steps[1], steps[2] = steps[2], steps[1]


def _step_twice(bundle: Any) -> None:
    steps = _steps(bundle)
    steps.insert(2, steps[2])


def _steps_of_another_unit(bundle: Any) -> None:
    one, other = bundle["custody"]["units"][:2]
    one["steps"], other["steps"] = other["steps"], one["steps"]


def _no_steps(bundle: Any) -> None:
    _steps(bundle).clear()


def _duplicate_unit(bundle: Any) -> None:
    bundle["custody"]["units"].append(bundle["custody"]["units"][0])


def _dropped_unit(bundle: Any) -> None:
    del bundle["custody"]["units"][0]


def _unit_uncertified(bundle: Any) -> None:
    del bundle["custody"]["certificates"][0]["units"][0]


def _unit_left_out(bundle: Any) -> None:
    """The unit and all mention of it in the certificate: only the statements name it."""
    del bundle["custody"]["units"][0]
    del bundle["custody"]["certificates"][0]["units"][0]


def _no_custody_units(bundle: Any) -> None:
    bundle["custody"]["units"] = []
    bundle["custody"]["certificates"] = []


def _certified_twice(bundle: Any) -> None:
    bundle["custody"]["certificates"].append(bundle["custody"]["certificates"][0])


def _certificate_without_units(bundle: Any) -> None:
    bundle["custody"]["certificates"][0]["units"] = []


def _certificate_of_a_unit_it_does_not_name(bundle: Any) -> None:
    bundle["custody"]["certificates"][0]["units"][0] = "0x" + "17" * 32


def _certificate(**changes: Any) -> Callable[[Any], None]:
    def change(bundle: Any) -> None:
        bundle["custody"]["certificates"][0].update(changes)

    return change


def _certificate_is_an_anchor(bundle: Any) -> None:
    anchor = bundle["anchors"][-1]
    names = ("header", "receiptIndex", "receiptProof", "attestation", "transaction")
    bundle["custody"]["certificates"][0].update({name: anchor[name] for name in names})


def _forged_certificate(bundle: Any) -> None:
    """Another head in a receipt of one's own, in a block of one's own, under the attestation of the true one."""
    proof = bundle["custody"]["certificates"][0]
    leaf: Any = blocks.decode_rlp(bytes.fromhex(proof["receiptProof"][-1][2:]))
    node = blocks.encode_rlp((*leaf[:-1], leaf[-1][:-1] + bytes([leaf[-1][-1] ^ 1])))
    fields: list[Any] = list(blocks.decode_rlp(bytes.fromhex(proof["header"][2:])))
    fields[5] = keccak(node)
    proof["receiptProof"] = [to_hex(node)]
    proof["header"] = to_hex(blocks.encode_rlp(tuple(fields)))


def _certificate_block_time(bundle: Any) -> None:
    proof = bundle["custody"]["certificates"][0]
    fields: list[Any] = list(blocks.decode_rlp(bytes.fromhex(proof["header"][2:])))
    fields[11] = blocks.encode_integer(1_800_000_000)
    proof["header"] = to_hex(blocks.encode_rlp(tuple(fields)))


def _refolded(change: Callable[[Any], None]) -> Callable[[Any], None]:
    """The change, with all heads after it made to fold: only the certificate can tell."""

    def bend(bundle: Any) -> None:
        change(bundle)
        steps, head = _steps(bundle), NO_HEAD
        for step in steps:
            taken = TakenStep.read(step)
            head = next_head(head, taken.struct_hash, taken.block, taken.time)
            step["head"] = to_hex(head)

    return bend


def _thing_nobody_names(bundle: Any) -> None:
    bundle["custody"]["things"] = sorted([*bundle["custody"]["things"], "https://id.gs1.org/00/095210000000000018x"])


def _unsorted_things(bundle: Any) -> None:
    bundle["custody"]["things"].reverse()


def _misspelt(bundle: Any) -> None:
    bundle["custody"]["step"] = []


def _receipt_with_custody(bundle: Any) -> None:
    bundle["format"] = "tallystick-receipt/1"
    bundle["streams"] = []
    del bundle["statements"][1:]


FIRST_STEP, THIRD_STEP = "step 0 of unit 0x", "step 3 of unit 0x"
REFUSED: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "giver's and taker's signatures swapped": (_swapped_sides, "step 2 of unit 0x", "the giver's signature is not by"),
    "the giver's signature of another unit": (
        _signature_of_another_unit("giverSignature"),
        THIRD_STEP,
        "the giver's signature is not by",
    ),
    "the taker's signature of another unit": (
        _signature_of_another_unit("takerSignature"),
        THIRD_STEP,
        "the taker's signature is not by",
    ),
    "an opening's signature in its other form": (_high_s, FIRST_STEP, "the custodian's signature is not by"),
    "a changed offer": (_step(1, offer="0x" + "11" * 32), "step 1 of unit 0x", "the giver's signature is not by"),
    "a changed acceptance": (
        _step(3, acceptance="0x" + "11" * 32),
        THIRD_STEP,
        "the taker's signature is not by",
    ),
    "another taker": (_step(1, to="0x" + "11" * 20), "step 2 of unit 0x", "had the unit, and"),
    "another giver": (_step(1, **{"from": "0x" + "11" * 20}), "step 1 of unit 0x", "had the unit, and 0x1111"),
    "another commitment": (_step(0, commitment="0x" + "11" * 32), FIRST_STEP, "stands in its place"),
    "a dropped opening": (_dropped(0), FIRST_STEP, "step 1 stands in its place: steps are missing"),
    "a dropped step": (_dropped(2), "step 2 of unit 0x", "step 3 stands in its place: steps are missing"),
    "a dropped last step": (_dropped(3), "unit 0x", "certifies step 3 as its last, the steps here end with 2"),
    "no steps": (_no_steps, "unit 0x", "certifies 3 steps after its opening, and there is none here"),
    "two steps in another order": (_two_in_another_order, "step 1 of unit 0x", "step 2 stands in its place"),
    "a step twice": (_step_twice, THIRD_STEP, "step 2 stands in its place"),
    "a changed block time": (_step(1, time=1_789_740_500), "step 1 of unit 0x", "its block time were changed"),
    "a block time after the deadline": (
        _step(1, time=1_900_000_000),
        "step 1 of unit 0x",
        "and its deadline was",
    ),
    "a block time before the step before": (
        _step(2, time=1_700_000_000),
        "step 2 of unit 0x",
        "before the step before it",
    ),
    "a changed block": (_step(3, block=10_000), THIRD_STEP, "its words, its block or its block time were changed"),
    "a changed head": (_step(3, head="0x" + "11" * 32), THIRD_STEP, "the head after it would be"),
    "a changed block time with all heads refolded": (
        _refolded(_step(3, time=1_790_060_000)),
        "unit 0x",
        "and the chain certifies 0x",
    ),
    "the steps of another unit": (_steps_of_another_unit, FIRST_STEP, "stands in its place"),
    "a unit that comes twice": (_duplicate_unit, "unit 0x", "it comes twice"),
    "a certified unit without its steps": (_dropped_unit, "unit 0x", "it is certified, and its steps are not here"),
    "a unit that no certificate names": (_unit_uncertified, "unit 0x", "no certificate says where it stands"),
    "a unit left out of both": (_unit_left_out, "unit 0x", "is this unit of the chain, and its steps are not here"),
    "all units left out": (_no_custody_units, "unit 0x", "is this unit of the chain, and its steps are not here"),
    "a certificate that comes twice": (_certified_twice, "certificate 2", "has been certified before it"),
    "a certificate of no unit": (_certificate_without_units, "certificate 1", "it is of no unit"),
    "a certificate of a unit that it does not name": (
        _certificate_of_a_unit_it_does_not_name,
        "certificate 1",
        "the receipt has 0 certificates of the unit",
    ),
    "an anchor in place of a certificate": (_certificate_is_an_anchor, "certificate 1", "the receipt has 0 cert"),
    "a certificate that nobody attested": (_certificate(attestation=None), "certificate 1", "no signature of the"),
    "a certificate of another place in its block": (_certificate(receiptIndex=1), "certificate 1", "lead"),
    "a forged certificate": (_forged_certificate, "certificate 1", "not to the attestor"),
    "a certificate whose block time was changed": (_certificate_block_time, "certificate 1", "not to the attestor"),
    "a thing in no known spelling": (_thing_nobody_names, "file", "/custody/things"),
    "things out of order": (_unsorted_things, "file", "sorted, each once"),
    "a member that means nothing": (_misspelt, "file", "step means nothing here"),
    "a step of no known type": (_step(1, type="gift"), "file", "a step is of type opening, handoff or closing"),
    "a step with a member too many": (_step(1, note="hello"), "file", "a step of type handoff has exactly"),
    "a signature that is too short": (_step(1, takerSignature="0x11"), "file", "/takerSignature"),
    "a negative block": (_step(1, block=-1), "file", "/block"),
    "a receipt with a custody section": (_receipt_with_custody, "receipt", "says nothing of custody"),
}


@pytest.mark.parametrize(("change", "record", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_was_bent_is_refused_by_record_and_reason(
    evidence: Evidence,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Any], None],
    record: str,
    reason: str,
) -> None:
    path = evidence.bent("story", change)
    failures = judged(evidence, path, capsys, 1)["failures"]
    assert any(one["record"].startswith(record) and reason in one["reason"] for one in failures), failures
    assert verify(evidence, path) == 1
    said = capsys.readouterr()
    assert "does not hold" in said.err
    assert any(record in line and reason in line for line in said.err.splitlines()), said.err
    assert not said.out


def test_one_changed_step_is_named_and_no_other(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    path = evidence.bent("story", _signature_of_another_unit("takerSignature"))
    (failure,) = judged(evidence, path, capsys, 1)["failures"]
    step = _steps(json.loads(Path(path).read_bytes()))[3]
    assert failure["record"] == f"step 3 of unit {step['unit'][:10]}…"
    assert failure["reason"].startswith(f"the taker's signature is not by {step['to']}: it is by 0x")


def test_an_older_certificate_could_hide_steps_and_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = House(tmp_path, BEFORE, MEMBERS)
    house.open(DUERO, [OTHER], at("18T14:00"))
    house.publish()
    early = house.certify(house.units[OTHER])
    known = list(house.taken[house.units[OTHER]])
    house.hand_over(DUERO, NORDRAND, [OTHER], at("18T16:00"), at("18T17:00"))
    house.publish()
    made = house.bundle([OTHER], certificates=[early])
    assert made.custody is not None
    assert list(made.custody.units[0].steps) == known  # the handoff is left out, and all else fits
    path = tmp_path / "bundle.json"
    path.write_bytes(made.data)
    (tmp_path / "trust.json").write_bytes(canonical.dump(house.consortium.trust.as_json()))
    house.close()
    assert run(["verify", str(path), "--trust", str(tmp_path / "trust.json"), "--json"]) == 1
    (failure,) = json.loads(capsys.readouterr().out)["failures"]
    assert failure["record"] == "certificate 1"
    assert "steps that the chain took in between could be missing" in failure["reason"]


def test_steps_signed_for_another_contract_are_no_steps_of_this_one(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    trust = json.loads(Path(evidence.path("trust")).read_bytes())
    trust["contracts"]["CustodyLedger"]["address"] = "0x" + "17" * 20
    evidence.write("elsewhere", canonical.dump(trust))
    assert run(["verify", evidence.path("story"), "--trust", evidence.path("elsewhere"), "--json"]) == 1
    failures = json.loads(capsys.readouterr().out)["failures"]
    wrong = [one for one in failures if "signature is not by" in one["reason"]]
    assert len(wrong) == 16 * (1 + 3 * 2)
    assert any("the receipt has 0 certificates" in one["reason"] for one in failures)


def test_handoffs_signed_for_another_chain_are_refused(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    """The same keys, the same words, another domain."""
    house = evidence.house
    elsewhere = CustodyDomain(house.domain.chain_id + 1, house.domain.contract)
    taken = house.taken[house.units[PALLETS[0]]][1]
    assert isinstance(taken.step, HandOff)
    seed = house.custodians[DUERO].seed
    giver = seed.key(house.domain, 0)
    assert giver.address == taken.step.offer.giver
    signature = taken.step.offer.sign(giver, elsewhere)
    path = evidence.bent("story", _step(1, giverSignature=to_hex(signature)))
    (failure,) = judged(evidence, path, capsys, 1)["failures"]
    assert "the giver's signature is not by" in failure["reason"]


def test_a_policy_that_was_voted_and_left_out_is_a_finding(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without it the unsigned leg breaks the record."""
    hidden = evidence.said["policy"]
    evidence.write("lawless", evidence.house.bundle(PALLETS, lambda one: one.digest != hidden).data)
    verdict = judged(evidence, evidence.path("lawless"), capsys, 3)
    assert (verdict["custody"]["policy"], verdict["custody"]["answer"]) == (None, "broken")
    assert any(to_hex(hidden) in one["what"] for one in verdict["findings"])


def test_a_stream_that_begins_late_is_a_gap(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    stream = to_hex(evidence.house.stream("vltava"))

    def behead(bundle: Any) -> None:
        bundle["statements"] = [
            one for one in bundle["statements"] if one["header"]["stream"] != stream or one["header"]["sequence"] > 1
        ]
        for span in bundle["streams"]:
            if span["stream"] == stream:
                span["first"] = 2

    house = evidence.house
    assert sum(one.header.stream == house.stream("nordrand") for one in house.records.values()) > 1
    stream = to_hex(house.stream("nordrand"))
    verdict = judged(evidence, evidence.bent("story", behead), capsys, 3)
    assert any(one["what"] == "gap: number 1 is not in this bundle" for one in verdict["findings"])
    assert "stream-hole" in {one["finding"] for one in verdict["custody"]["findings"]}


def test_a_bundle_without_the_section_is_no_record_and_holds(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    streams = {evidence.house.stream(DUERO): (1, None)}
    evidence.write("plain", audit_bundle(evidence.house.consortium.ledger, streams).data)
    assert "custody" not in judged(evidence, evidence.path("plain"), capsys)


def test_a_directory_that_is_none_is_wrong_usage(evidence: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    for directory, reason in (("absent", "there is no directory"), ("trust", "is no directory of members")):
        assert verify(evidence, evidence.path("story"), "--members", evidence.path(directory)) == 2
        assert reason in capsys.readouterr().err
