"""Every bundle that the tests of the first verifier make, on disk, for both of them."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ledger_service import canonical
from tests.api.test_cli_verify import Evidence, evidence
from tests.api.test_cli_verify_custody import Evidence as Records
from tests.api.test_cli_verify_custody import evidence as records
from tests.ledger_service.test_evidence import VALIDATORS, World, sealed, world
from tests.ledger_service.test_evidence_custody import small
from tests.story import PALLETS, STRAY

__all__ = ["evidence", "records", "small", "world"]


@dataclass(frozen=True)
class Files:
    """A folder of bundles, and by which trust file each is judged."""

    folder: Path
    trust_of: dict[str, str]

    def bundle(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def trust(self, name: str) -> Path:
        return self.folder / f"{self.trust_of[name]}.trust.json"

    def write(self, name: str, trust: str, data: bytes) -> None:
        self.bundle(name).write_bytes(data)
        self.trust_of[name] = trust

    def bent(self, name: str, data: bytes) -> Path:
        """A file of another content, to be judged by the trust file of `name`."""
        path = self.folder / "bent.json"
        path.write_bytes(data)
        return path


@pytest.fixture(scope="package")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("bundles"), {})


@pytest.fixture(scope="module")
def logs(files: Files, world: World, evidence: Evidence) -> Files:
    """Bundles of the log: every oddity, disclosed fields, pinned and sealed blocks, a hundred statements."""
    qbft = replace(world.trust, attestor=None, validators=tuple(one.address for one in VALIDATORS))
    trusts = {
        "world": world.trust,
        "pin": world.pin,
        "pin alone": replace(world.pin, attestor=None),
        "qbft": qbft,
        "nobody": replace(world.trust, attestor=None),
        "no witness": replace(world.trust, witnesses=()),
    }
    for name, trust in trusts.items():
        (files.folder / f"{name}.trust.json").write_bytes(canonical.dump(trust.as_json()))
    for name in ("whole", "plain", "receipt", "disclosed", "pinned"):
        files.write(name, "world", getattr(world, name))
    files.write("pinned, by the pin", "pin", world.pinned)
    files.write("pinned, by the pin alone", "pin alone", world.pinned)
    files.write("plain, by a pin elsewhere", "pin", world.plain)
    files.write("plain, by nobody", "nobody", world.plain)
    files.write("plain, without witnesses", "no witness", world.plain)
    for seals in (2, 3, 4):
        files.write(f"{seals} seals", "qbft", sealed(world.plain, seals))
    (files.folder / "evidence.trust.json").write_bytes((evidence.folder / "trust.json").read_bytes())
    for name in ("bundle", "overtaken"):
        files.write(name, "evidence", (evidence.folder / f"{name}.json").read_bytes())
    return files


@pytest.fixture(scope="module")
def custody(files: Files, records: Records, small: tuple[object, object]) -> Files:
    """Records of custody: the auditor's story shown in several ways, and one crate from its opening to its end."""
    house, said = records.house, records.said
    (files.folder / "story.trust.json").write_bytes((records.folder / "trust.json").read_bytes())
    hidden = {said["double-possession"], said["quantity-not-conserved"]}
    files.write("story", "story", house.bundle(PALLETS).data)
    files.write("story unexplained", "story", house.bundle(PALLETS, lambda one: one.digest not in hidden).data)
    files.write("story in fields", "story", house.bundle(PALLETS, lambda _: ["/to"]).data)
    files.write("story of one pallet", "story", house.bundle([STRAY]).data)
    bundle, trust = small
    (files.folder / "small.trust.json").write_bytes(canonical.dump(trust.as_json()))  # type: ignore[attr-defined]
    files.write("small", "small", canonical.dump(bundle))
    return files
