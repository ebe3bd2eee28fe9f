"""The C2SP texts: notes of others' programs verify, parsing and printing are inverses, and nothing else is read."""

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_service.checkpoint import (
    LOG_KEY,
    WITNESS_KEY,
    Checkpoint,
    LogProof,
    MalformedNote,
    Note,
    NoteKey,
    NoteSignature,
    UnverifiedNote,
    VerifierKey,
    add_checkpoint_body,
    check_name,
    from_base64,
    promise_text,
    to_base64,
)

# The example of the package documentation of golang.org/x/mod/sumdb/note (BSD-3-Clause).
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_NOTE = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""
OTHER_KEYS = (
    "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",  # sumdb/note/note_test.go
    "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6",  # transparency-dev/formats note_cosigv1_test.go
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",  # C2SP signed-note
)
# A checkpoint as a certificate transparency log published it in May 2026, with cosignatures of three public witnesses.
# Two of its lines are of kinds that we do not make: RFC 6962's own ECDSA signature is one.
CT_NOTE = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""  # noqa: E501 - as published
CT_LOG = "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
CT_WITNESSES = (
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
)
COSIGNED_AT = 0x6A122120

LOG = NoteKey("ledger.example.org/test", LOG_KEY, sha256(b"log").digest())
WITNESS = NoteKey("witness.example.org", WITNESS_KEY, sha256(b"witness").digest())
CHECKPOINT = Checkpoint(LOG.name, 7, sha256(b"root").digest())
NOTE = Note(CHECKPOINT.text, (LOG.sign(CHECKPOINT.text), WITNESS.sign(CHECKPOINT.text, 1_790_000_000)))

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z", "C"], exclude_characters="+"), min_size=1, max_size=20
)
HASHES = st.binary(min_size=32, max_size=32)
SIGNATURES = st.builds(NoteSignature, NAMES, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=100))
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20), min_size=1, max_size=5).map(
    lambda lines: "".join(line + "\n" for line in lines)
)
NOTES = st.builds(Note, TEXTS, st.lists(SIGNATURES, min_size=1, max_size=4).map(tuple))


def test_a_note_made_by_go_verifies_and_is_made_again_byte_for_byte() -> None:
    key = VerifierKey.parse(GO_KEY)
    note = Note.parse(GO_NOTE)
    assert key.verify(note) is None
    assert str(note) == GO_NOTE
    mine = NoteKey("PeterNeumann", LOG_KEY, b64decode(GO_SECRET)[1:])
    assert mine.verifier == key
    assert str(Note(note.text, (mine.sign(note.text),))) == GO_NOTE


@pytest.mark.parametrize("text", [GO_KEY, *OTHER_KEYS, CT_LOG, *CT_WITNESSES])
def test_keys_of_others_are_read_and_printed_the_same(text: str) -> None:
    assert VerifierKey.parse(text).text == text


@pytest.mark.parametrize("text", CT_WITNESSES)
def test_cosignatures_of_public_witnesses_verify_and_state_their_time(text: str) -> None:
    note = Note.parse(CT_NOTE)
    assert str(note) == CT_NOTE
    assert VerifierKey.parse(text).verify(note) == COSIGNED_AT
    with pytest.raises(UnverifiedNote, match="does not fit"):
        VerifierKey.parse(text).verify(Note(note.text.replace("1432088532", "1432088533"), note.signatures))


def test_a_public_logs_checkpoint_verifies() -> None:
    note = Note.parse(CT_NOTE)
    assert VerifierKey.parse(CT_LOG).verify(note) is None
    assert Checkpoint.parse(note.text).size == 1_432_088_532


@given(NAMES, st.integers(0, 2**63 - 1), HASHES)
def test_a_checkpoint_is_read_as_it_was_written(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert Checkpoint.parse(checkpoint.text) == checkpoint


@given(NOTES)
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    assert Note.parse(str(note)) == note


@given(NAMES, st.sampled_from([LOG_KEY, WITNESS_KEY]), HASHES)
def test_a_key_is_read_as_it_was_written(name: str, kind: int, seed: bytes) -> None:
    key = NoteKey(name, kind, seed).verifier
    assert VerifierKey.parse(key.text) == key


@given(st.integers(0, 2**63 - 1), st.lists(HASHES, max_size=5).map(tuple), NOTES)
def test_a_proof_is_read_as_it_was_written(index: int, path: tuple[bytes, ...], note: Note) -> None:
    proof = LogProof(index, path, note)
    assert LogProof.parse(proof.text) == proof


@given(st.text(max_size=80) | st.text(st.sampled_from("—\n +=Aa0/"), max_size=40))
def test_whatever_the_text_it_is_read_or_refused_as_malformed(text: str) -> None:
    for form in (Checkpoint, Note, VerifierKey, LogProof, NoteSignature):
        try:
            parsed = form.parse(text)
        except MalformedNote:
            continue
        printed = getattr(parsed, "line", None) or getattr(parsed, "text", None)
        assert text in {printed, str(parsed)}


def test_a_proof_reads_as_c2sp_has_it() -> None:
    proof = LogProof(5, (bytes(32), b"\1" * 32), NOTE)
    head, _, note = proof.text.partition("\n\n")
    assert head.split("\n") == [
        "c2sp.org/tlog-proof@v1",
        "index 5",
        b64encode(bytes(32)).decode(),
        b64encode(b"\1" * 32).decode(),
    ]
    assert note == str(NOTE)


def test_the_request_to_a_witness_reads_as_c2sp_has_it() -> None:
    body = add_checkpoint_body(3, [bytes(32)], NOTE)
    assert body == f"old 3\n{b64encode(bytes(32)).decode()}\n\n{NOTE}"


def test_a_promise_never_reads_as_a_checkpoint() -> None:
    text = promise_text(LOG.name, 1_790_000_000_000, 3, bytes(32))
    with pytest.raises(MalformedNote):
        Checkpoint.parse(text)


ROOT = to_base64(bytes(32))
MALFORMED_CHECKPOINTS = {
    "empty": "",
    "two lines": f"a\n{ROOT}\n",
    "no newline at the end": f"a\n1\n{ROOT}",
    "a blank line at the end": f"a\n1\n{ROOT}\n\n",
    "an extension line": f"a\n1\n{ROOT}\nmore\n",
    "no origin": f"\n1\n{ROOT}\n",
    "a blank in the origin": f"a b\n1\n{ROOT}\n",
    "a plus in the origin": f"a+b\n1\n{ROOT}\n",
    "a control character in the origin": f"a\x07\n1\n{ROOT}\n",
    "no size": f"a\n\n{ROOT}\n",
    "a size with a leading zero": f"a\n01\n{ROOT}\n",
    "a negative size": f"a\n-1\n{ROOT}\n",
    "a size with a plus": f"a\n+1\n{ROOT}\n",
    "a size with an underscore": f"a\n1_0\n{ROOT}\n",
    "a size in other digits": f"a\n١\n{ROOT}\n",
    "a size of 2^63": f"a\n{2**63}\n{ROOT}\n",
    "a size of a thousand digits": f"a\n{'9' * 1000}\n{ROOT}\n",
    "carriage returns": f"a\r\n1\r\n{ROOT}\r\n",
    "a root of 31 bytes": f"a\n1\n{to_base64(bytes(31))}\n",
    "a root of 33 bytes": f"a\n1\n{to_base64(bytes(33))}\n",
    "a root without padding": f"a\n1\n{ROOT[:-1]}\n",
    "a root with stray bits": f"a\n1\n{ROOT[:-2]}B=\n",
    "a root in URL-safe Base64": f"a\n1\n{to_base64(bytes([255] * 32)).replace('/', '_')}\n",
    "a root with a blank": f"a\n1\n {ROOT}\n",
}


@pytest.mark.parametrize("text", MALFORMED_CHECKPOINTS.values(), ids=MALFORMED_CHECKPOINTS.keys())
def test_a_checkpoint_has_one_form(text: str) -> None:
    with pytest.raises(MalformedNote):
        Checkpoint.parse(text)


LINE = f"— name {to_base64(bytes(68))}\n"
MALFORMED_NOTES = {
    "empty": "",
    "only a text": "text\n",
    "no blank line": f"text\n{LINE}",
    "no signatures": "text\n\n",
    "no newline at the end": f"text\n\n{LINE[:-1]}",
    "a blank line at the end": f"text\n\n{LINE}\n",
    "a line that is no signature": f"text\n\n{LINE}hello\n",
    "a hyphen for the dash": f"text\n\n{LINE.replace('—', '-')}",
    "two blanks": f"text\n\n{LINE.replace('— ', '—  ')}",
    "a name with a plus": f"text\n\n{LINE.replace('name', 'na+me')}",
    "a signature of four bytes": f"text\n\n— name {to_base64(bytes(4))}\n",
    "a signature that is not Base64": "text\n\n— name ????\n",
    "a tab in the text": f"te\txt\n\n{LINE}",
    "a NUL in the text": f"te\0xt\n\n{LINE}",
    "a carriage return": f"text\r\n\n{LINE}",
    "65 signatures": f"text\n\n{LINE * 65}",
    "70,000 characters": f"{'x' * 70_000}\n\n{LINE}",
}


@pytest.mark.parametrize("text", MALFORMED_NOTES.values(), ids=MALFORMED_NOTES.keys())
def test_a_note_has_one_form(text: str) -> None:
    with pytest.raises(MalformedNote):
        Note.parse(text)


MALFORMED_KEYS = {
    "empty": "",
    "a name": "name",
    "no key": "name+c74f20a3",
    "another name": GO_KEY.replace("PeterNeumann", "PaulNeumann"),
    "another id": GO_KEY.replace("c74f20a3", "c74f20a4"),
    "an id in capitals": GO_KEY.replace("c74f20a3", "C74F20A3"),
    "another type": "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    "a longer key": "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
    "a blank at the end": GO_KEY + " ",
    "no name": GO_KEY.removeprefix("PeterNeumann"),
}


@pytest.mark.parametrize("text", MALFORMED_KEYS.values(), ids=MALFORMED_KEYS.keys())
def test_a_key_has_one_form(text: str) -> None:
    with pytest.raises(MalformedNote):
        VerifierKey.parse(text)


def test_no_part_of_a_key_is_a_key() -> None:
    for start in range(len(GO_KEY)):
        for end in range(start + 1, len(GO_KEY) + 1):
            if end - start < len(GO_KEY):
                with pytest.raises(MalformedNote):
                    VerifierKey.parse(GO_KEY[start:end])


PROOF = LogProof(5, (bytes(32),), NOTE).text
MALFORMED_PROOFS = {
    "empty": "",
    "another version": PROOF.replace("@v1", "@v2"),
    "no index": PROOF.replace("index 5\n", ""),
    "a negative index": PROOF.replace("index 5", "index -5"),
    "an index with a leading zero": PROOF.replace("index 5", "index 05"),
    "an index of a thousand digits": PROOF.replace("index 5", "index " + "5" * 1000),
    "a short hash": PROOF.replace(to_base64(bytes(32)), to_base64(bytes(31))),
    "no note": PROOF.partition("\n\n")[0] + "\n",
    "extra data, which this log never has": PROOF.replace("index", "extra AAAA\nindex"),
}


@pytest.mark.parametrize("text", MALFORMED_PROOFS.values(), ids=MALFORMED_PROOFS.keys())
def test_a_proof_has_one_form(text: str) -> None:
    with pytest.raises(MalformedNote):
        LogProof.parse(text)


def test_a_witness_states_when_it_signed_and_is_held_to_it() -> None:
    assert WITNESS.verifier.verify(NOTE) == 1_790_000_000
    earlier = (1_789_999_999).to_bytes(8)
    signature = NOTE.signatures[1]
    bent = NoteSignature(signature.name, signature.key_id, earlier + signature.signature[8:])
    with pytest.raises(UnverifiedNote, match="does not fit"):
        WITNESS.verifier.verify(Note(NOTE.text, (bent,)))
    with pytest.raises(ValueError, match="states its time"):
        WITNESS.sign(NOTE.text)


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 71, 73])
def test_a_cosignature_of_another_length_is_none(cut: int) -> None:
    signature = NOTE.signatures[1]
    bent = NoteSignature(signature.name, signature.key_id, (signature.signature + b"\0")[:cut])
    with pytest.raises(UnverifiedNote, match="is not a time"):
        WITNESS.verifier.verify(Note(NOTE.text, (bent,)))


def test_a_bad_signature_under_a_known_name_is_no_unknown_one() -> None:
    good, stranger = NOTE.signatures[0], NoteKey("stranger", LOG_KEY, bytes(32)).sign("else\n")
    LOG.verifier.verify(Note(NOTE.text, (stranger, good)))
    bad = NoteSignature(good.name, good.key_id, bytes(64))
    for signatures in [(good, bad), (bad, good), (bad,)]:
        with pytest.raises(UnverifiedNote, match="does not fit"):
            LOG.verifier.verify(Note(NOTE.text, signatures))
    with pytest.raises(UnverifiedNote, match="no signature by"):
        LOG.verifier.verify(Note(NOTE.text, (stranger,)))


def test_a_cosignature_is_no_log_signature_even_by_the_same_secret() -> None:
    twin = NoteKey(LOG.name, WITNESS_KEY, LOG.seed)
    note = Note(NOTE.text, (twin.sign(NOTE.text, 1),))
    with pytest.raises(UnverifiedNote):
        LOG.verifier.verify(note)


def test_a_signature_is_kept_once() -> None:
    assert NOTE.with_signatures(NOTE.signatures) == NOTE
    assert NOTE.with_signatures([WITNESS.sign(NOTE.text, 5)]).signatures[2:] == (WITNESS.sign(NOTE.text, 5),)


def test_a_secret_key_does_not_show_its_seed() -> None:
    assert repr(LOG.seed) not in repr(LOG)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\u00a0b", "a\u2003b", "a\x7f", "a\n", "\u200b"])
def test_a_name_has_no_blank_no_plus_and_nothing_unseen(name: str) -> None:
    with pytest.raises(MalformedNote):
        check_name(name)


@given(st.binary(max_size=70))
def test_base64_is_read_as_it_was_written(value: bytes) -> None:
    assert from_base64(to_base64(value)) == value


@pytest.mark.parametrize(
    "text", ["A", "AA", "AAA", "AB==", "AAB=", "AA=A", "AA==AA==", "AAAA\n", "A A=", "-_==", "ÄÄÄ=", "=AAA"]
)
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(MalformedNote):
        from_base64(text)
