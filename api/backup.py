"""Backups: a folder that opens as this very network, ledger and chain at one moment."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from api.network import Network
from ledger_service.errors import LedgerError

FILES = ("service.json", "members.json")


class FolderNotEmpty(LedgerError):
    """A backup goes into a new or an empty folder, so that none is ever written over."""


class FolderInside(LedgerError):
    """A backup inside the network's own folder would be lost with it."""


class CannotWrite(LedgerError):
    """The folder cannot be made or written; the message has the system's reason."""


def back_up(network: Network, folder: Path) -> int:
    """Copy the network into `folder` and give back how many statements it holds; raises FolderNotEmpty or
    FolderInside.

    Nothing is registered, published or relayed meanwhile. `network.json` is written last: a folder without it is no
    network, so a backup that was interrupted is never taken for one.
    """
    from ledger_service.chain.embedded import EmbeddedChain

    if network.folder.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise FolderInside(f"{folder} is inside the network's own folder and would be lost with it: name another")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FolderNotEmpty(f"{folder} is not empty: name another folder")
    ledger = network.ledger
    with network.relaying.paused(), ledger.paused():
        ledger.store.snapshot(folder / "ledger.sqlite")
        chain = ledger.anchoring.chain
        if isinstance(chain, EmbeddedChain):
            chain.snapshot(folder / "chain.sqlite")
        for name in FILES:
            if (network.folder / name).exists():
                shutil.copy2(network.folder / name, folder / name)
        if (network.folder / "custodial").is_dir():
            _copy_custodial(network.folder / "custodial", folder / "custodial")
        size = ledger.size
    shutil.copy2(network.folder / "network.json", folder / "network.json")
    return size


def _copy_custodial(source: Path, target: Path) -> None:
    """Key files as they are; databases as one consistent copy each, whoever writes to them."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.sqlite*"))
    for path in source.glob("*.sqlite"):
        with closing(sqlite3.connect(path)) as read, closing(sqlite3.connect(target / path.name)) as written:
            read.backup(written)
