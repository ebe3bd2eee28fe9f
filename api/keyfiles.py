"""Secrets in files: Web3 Secret Storage (version 3), whole or not at all, readable by their owner only."""

import os
from pathlib import Path
from typing import Any

import orjson

from ledger_service.errors import LedgerError, MalformedInput

SCRYPT_COST = 1 << 17


class NoKeyFile(LedgerError):
    """There is no such key file."""


class WrongPassphrase(LedgerError):
    """The key file does not open with this passphrase."""


def write_key_file(
    path: Path, secret: bytes, passphrase: bytes, scrypt_cost: int = SCRYPT_COST, about: dict[str, Any] | None = None
) -> None:
    """Write a 32-byte secret, encrypted (scrypt, AES-128-CTR); `about` is kept in the clear beside it."""
    from eth_keyfile import create_keyfile_json

    document = create_keyfile_json(secret, passphrase, kdf="scrypt", iterations=scrypt_cost)
    value = {**document, **({} if about is None else {"tallystick": about})}
    write_file(path, orjson.dumps(value, option=orjson.OPT_INDENT_2))


def read_key_file(path: Path, passphrase: bytes) -> bytes:
    """The 32-byte secret in a key file; raises NoKeyFile, WrongPassphrase or MalformedInput."""
    from eth_keyfile import decode_keyfile_json

    try:
        document = orjson.loads(path.read_bytes())
        secret: bytes = decode_keyfile_json(document, passphrase)
    except FileNotFoundError as error:
        raise NoKeyFile(f"there is no key file {path}") from error
    except (orjson.JSONDecodeError, KeyError, TypeError, NotImplementedError) as error:  # the last: an unknown KDF
        raise MalformedInput(f"{path} is not a Web3 key file: {error}") from error
    except ValueError as error:
        raise WrongPassphrase(f"{path} does not open with this passphrase") from error
    return secret


def write_file(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
