"""Who calls: challenges are answered once and to the letter, and a token ends with its key or its member."""

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from eth_abi.abi import encode

from api.identity import ALGORITHM, AUDIENCE
from ledger_service.keys import keccak, to_hex
from ledger_service.statements import Domain
from tests.api.house import ORIGIN, House, login, sign_message
from tests.consortium import key, member_id


def challenge(house: House, name: str) -> str:
    answer = house.anyone.post("/v1/auth/challenge", json={"address": to_hex(key(name).address)})
    message: str = answer.json()["message"]
    return message


def answer(house: House, message: str, signature: str) -> Any:
    return house.anyone.post("/v1/auth/token", json={"message": message, "signature": signature})


def test_a_challenge_names_service_chain_and_end_and_is_used_once(service: House) -> None:
    message = challenge(service, "duero")
    assert message.startswith("127.0.0.1:8440 wants you to sign in with your Ethereum account:\n0x")
    assert f"\nChain ID: {service.domain.chain_id}\n" in message
    signature = sign_message(key("duero"), message)
    first = answer(service, message, signature)
    assert (first.status_code, first.json()["member"]) == (200, to_hex(member_id("duero")))
    assert first.json()["expiresIn"] <= 900
    again = answer(service, message, signature)
    assert (again.status_code, again.json()["type"].rpartition("/")[2]) == (401, "login-refused")
    assert "before" in again.json()["detail"]


# name: (how the message is bent, who signs)
BENT: dict[str, tuple[Callable[[str], str], str]] = {
    "signed by another": (lambda m: m, "nordrand"),
    "another chain": (lambda m: m.replace("Chain ID: 131277", "Chain ID: 1"), "duero"),
    "another domain": (lambda m: m.replace("127.0.0.1:8440 wants", "evil.example wants"), "duero"),
    "a later end": (lambda m: m.replace("Expiration Time: 2026", "Expiration Time: 2036"), "duero"),
    "another issue": (lambda m: m.replace("Issued At: 2026-09-21T14:13", "Issued At: 2026-09-21T14:14"), "duero"),
    "another nonce": (lambda m: m.replace("Nonce: ", "Nonce: 00")[:-2], "duero"),
    "a space more": (lambda m: m + " ", "duero"),
    "a line more": (lambda m: m + "\nResources:", "duero"),
    "nothing": (lambda _: "", "duero"),
    "half a surrogate": (lambda m: m[:-1] + "\u0000", "duero"),
}


@pytest.mark.parametrize("name", BENT)
def test_a_challenge_is_answered_to_the_letter_and_by_its_key(service: House, name: str) -> None:
    bend, signer = BENT[name]
    message = bend(challenge(service, "duero"))
    refused = answer(service, message, sign_message(key(signer), message))
    assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (401, "login-refused")


def test_a_challenge_for_a_key_without_the_purpose_or_of_nobody_gives_no_token(service: House) -> None:
    for name in ("kept", "nobody"):
        message = challenge(service, name)
        assert answer(service, message, sign_message(key(name), message)).status_code == 401


def test_a_challenge_expires(service: House) -> None:
    message = challenge(service, "duero")
    service.clock.forward(301)
    late = answer(service, message, sign_message(key("duero"), message))
    assert (late.status_code, "expired" in late.json()["detail"]) == (401, True)


def test_a_token_expires_and_is_not_taken_in_another_form(service: House) -> None:
    token = login(service.anyone, key("oderland"))
    secret = service.network.service.derive("token")
    claims = jwt.decode(token, secret, [ALGORITHM], audience=AUDIENCE, options={"verify_exp": False})

    def status(offered: str, scheme: str = "Bearer") -> int:
        return int(service.anyone.get("/v1/streams", headers={"Authorization": f"{scheme} {offered}"}).status_code)

    assert status(token) == 200
    forged = {
        "no algorithm": jwt.encode(claims, "", algorithm="none"),
        "another algorithm": jwt.encode(claims, secret * 2, algorithm="HS512"),
        "another secret": jwt.encode(claims, b"x" * 32, algorithm="HS256"),
        "another audience": jwt.encode(claims | {"aud": "x"}, secret, algorithm="HS256"),
        "another issuer": jwt.encode(claims | {"iss": "x"}, secret, algorithm="HS256"),
        "another member": jwt.encode(claims | {"sub": to_hex(member_id("duero"))}, secret, algorithm="HS256"),
        "no member": jwt.encode({k: v for k, v in claims.items() if k != "sub"}, secret, algorithm="HS256"),
        "bent": token[:-4] + "AAAA",
        "empty": "",
        "not a token": "hello",
    }
    assert {name: status(one) for name, one in forged.items()} == dict.fromkeys(forged, 401)
    assert claims["iss"] == ORIGIN
    assert status(token, "Basic") == 401
    service.clock.forward(15 * 60 + 1)
    assert status(token) == 401


def digest(domain: Domain, kind: str, types: list[str], values: list[Any]) -> bytes:
    struct = keccak(encode(["bytes32", *types], [keccak(kind.encode()), *values]))
    return keccak(b"\x19\x01" + domain.separator + struct)


def test_a_token_ends_with_its_key_the_moment_the_change_is_relayed(fresh: House) -> None:
    token = fresh.token("duero")
    member, address = member_id("duero"), key("duero").address
    since, deadline = fresh.clock.seconds() - 60, fresh.clock.seconds() + 3600
    signed = key("duero root").sign(
        digest(
            fresh.domain,
            "RevokeKey(bytes32 member,address key,uint64 compromisedSince,uint64 nonce,uint64 deadline)",
            ["bytes32", "bytes32", "uint256", "uint256", "uint256"],
            [member, address.rjust(32, b"\0"), since, 0, deadline],
        )
    )
    arguments = [to_hex(member), to_hex(address), since, [0, deadline, to_hex(signed)]]
    change = {"function": "revokeKey", "arguments": arguments}
    digest_of = fresh.send("duero", fresh.envelope().data).json()["digest"]
    wrong = fresh.post(
        "nordrand", "/v1/members/changes", json=change | {"arguments": [*arguments[:2], since + 1, arguments[3]]}
    )
    assert (wrong.status_code, wrong.json()["reason"]) == (409, "NotRootKey")
    fresh.anchor()
    assert fresh.anyone.get("/v1/streams", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert fresh.post("nordrand", "/v1/members/changes", json=change).status_code == 200
    gone = fresh.anyone.get("/v1/streams", headers={"Authorization": f"Bearer {token}"})
    assert (gone.status_code, "revoked" in gone.json()["detail"]) == (401, True)
    keys = fresh.get("nordrand", f"/v1/members/{to_hex(member)}").json()["keys"]
    assert keys[0]["until"] is not None
    assert fresh.get("nordrand", f"/v1/statements/{digest_of}").json()["void"] is None
