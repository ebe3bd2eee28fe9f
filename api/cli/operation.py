"""The operator's commands: `init`, `serve`, `check`, `backup`, `restore`, `bench`; and `demo`.

They work on the network's folder. Where a service runs on it, `check` and `backup` go through the service.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.terminal import REFUSED, USAGE, WrongUsage, bar, complain, note, say, say_json

if TYPE_CHECKING:
    from api.network import Network, Plan
    from api.settings import Settings
    from ledger_service.invariants import Violation

Data = Annotated[Path | None, typer.Option(help="Folder of the network; else TALLYSTICK_DATA, else `data`.")]
Json = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
FIRST_MEMBER = "first-member"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (init, serve, check, backup, restore, demo):
        app.command()(command)
    app.command(context_settings={"ignore_unknown_options": True})(bench)
    custodial = typer.Typer(help="Members whose key the service keeps.", no_args_is_help=True)
    custodial.command("new")(new_custodial)
    app.add_typer(custodial, name="custodial")


def init(
    plan: Annotated[
        Path | None, typer.Option(help="A JSON file with origin, members and witnesses (docs/operating.md).")
    ] = None,
    member: Annotated[
        list[Path] | None, typer.Option(help="A founder's member.json, as `keys new` writes it; may be repeated.")
    ] = None,
    origin: Annotated[
        str, typer.Option(help="The log's name for ever, such as ledger.example.org/circle.")
    ] = "localhost/trial",
    chain_id: Annotated[int, typer.Option(min=1, help="Number of the embedded chain.")] = 131_277,
    rpc_url: Annotated[
        str | None, typer.Option(help="A JSON-RPC node to found it on, instead of the embedded chain.")
    ] = None,
    data: Data = None,
) -> None:
    """Found a network: its folder, its chain, its contracts, its service keys.

    Without --plan and --member a first member is made with it, whose keys open with the service's passphrase.
    """
    from api.network import Network, Plan, read_passphrase

    settings = settings_of(data)
    passphrase = read_passphrase(settings)
    if plan is not None:
        planned = read_plan(plan)
    else:
        founders = [_json_file(path) for path in member or ()]
        if not founders:
            founders = [_first_member(settings.data / FIRST_MEMBER, passphrase)]
        planned = Plan.of(
            {"origin": origin, "chainId": chain_id, "rpcUrl": rpc_url, "members": founders}, random=os.urandom
        )
    with bar("deploying the contracts", None):
        Network.found(settings, planned, secret=os.urandom(32))
        network = Network.open(settings)
    try:
        trusted = network.trust()
    finally:
        network.close()
    say(f"founded {planned.origin} with {len(planned.founders)} members in {settings.data}")
    say("fingerprint of its trust file, to be compared by every member:")
    say("    " + trusted.fingerprint, "bold")
    note("start it by `serve`; members then run `trust fetch` against its address")


def _first_member(folder: Path, passphrase: bytes) -> dict[str, Any]:
    from api.cli import keystore
    from ledger_service import keys

    if (folder / "member.json").exists():
        return _json_file(folder / "member.json")
    made = keystore.make_keys(
        folder,
        name="First member",
        did="did:web:first.example.org",
        identifiers=(),
        purposes=keys.EVENTS | keys.AGREEMENTS | keys.LOGIN,
        is_witness=True,
        passphrase=passphrase,
        random=os.urandom,
    )
    note(f"made a first member's keys in {folder}")
    return made


def read_plan(path: Path) -> "Plan":
    """The plan in a JSON file; raises WrongUsage, naming the place."""
    from api.network import Plan

    return Plan.of(_json_file(path), random=os.urandom)


def serve(
    data: Data = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; else TALLYSTICK_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; else TALLYSTICK_PORT, else 8440; 0 takes a free one.")
    ] = None,
) -> None:
    """Run the service until it is stopped: API, examination, anchoring."""
    from api.cli.serving import Serving
    from api.network import Network

    settings = settings_of(data, host=host, port=port)
    network = Network.open(settings)
    try:
        serving = Serving(network, settings, network.now)
        size = network.ledger.size
        say(f"{network.ledger.origin}: {size} statements" + (", DEMO" if network.is_demo else ""))
        say(f"service      {serving.url}")
        say(f"API docs     {serving.url}/docs")
        say(f"fingerprint  {network.trust().fingerprint}")
        note("Ctrl-C stops it")
        # uvicorn ends its work and then raises the signal again, which must not skip what is below.
        signal.signal(signal.SIGTERM, _interrupt)
        with suppress(KeyboardInterrupt):
            serving.run()
    finally:
        network.close()


def check(data: Data = None, as_json: Json = False) -> None:
    """Walk every invariant of ledger and chain. Exit 0: all hold; 1: each that does not is named."""
    from api.network import Network
    from ledger_service import invariants
    from ledger_service.chain.errors import ChainFileInUse

    settings = settings_of(data)
    try:
        network = Network.open(settings)
    except ChainFileInUse:
        answer = ask_service(settings, "GET", "/v1/operator/check")
        found, place = [str(one) for one in answer["violations"]], "the running service"
    else:
        try:
            found, place = [str(one) for one in _walk(network, invariants.check)], str(settings.data)
        finally:
            network.close()
    if as_json:
        say_json({"isClean": not found, "violations": found})
    else:
        for line in found:
            complain(line)
        if not found:
            say(f"every invariant of {place} holds", "green")
    if found:
        raise typer.Exit(REFUSED)


def _walk(network: "Network", walk: Callable[..., list["Violation"]]) -> list["Violation"]:
    with bar("checking", network.ledger.size) as progress:
        return walk(network.ledger, progress.reach, relaying=network.relaying)


def backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder for the copy.")],
    data: Data = None,
) -> None:
    """Copy ledger and chain as one consistent pair, with keys and directory, while the service runs or not."""
    from api.backup import back_up
    from api.network import Network
    from ledger_service.chain.errors import ChainFileInUse

    settings = settings_of(data)
    whole = folder.absolute()
    try:
        network = Network.open(settings)
    except ChainFileInUse:
        size = int(ask_service(settings, "POST", "/v1/operator/backup", {"folder": str(whole)})["size"])
    else:
        try:
            size = back_up(network, whole)
        finally:
            network.close()
    say(f"{size} statements with their chain are in {whole}")
    note("its service.json opens with the passphrase of today: keep that too, elsewhere")


def new_custodial(
    member: Annotated[str, typer.Argument(help="Who asked for it: its name, DID, identifier or id.")],
    data: Data = None,
) -> None:
    """Make a key for a member that has none of its own to sign with, encrypted with the service's passphrase.

    It counts once the member has entrusted it with its root key. Its custody seed comes from the service's secret.
    """
    from api.cli.keystore import new_secret
    from api.keyfiles import read_key_file, write_key_file
    from api.network import Directory, read_description, read_passphrase
    from ledger_service.keys import LocalKey, to_hex

    settings = settings_of(data)
    folder = settings.data
    read_description(folder)
    found = Directory.read(folder / "members.json").find(member)
    path = folder / "custodial" / f"{to_hex(found)}.json"
    if path.exists():
        raise WrongUsage(f"{path} exists already: the member would lose the key that is there")
    passphrase = read_passphrase(settings)
    # With another passphrase the service could open the one file and not the other.
    read_key_file(folder / "service.json", passphrase)
    secret = new_secret(os.urandom)
    address = to_hex(LocalKey.from_bytes(secret).address)
    write_key_file(path, secret, passphrase, about={"use": "custodial", "public": address, "purposes": ["events"]})
    say(f"{address} is in {path}")
    note(f"the member runs `tallystick keys entrust {address}`; start the service again, which then signs for it")


def restore(
    folder: Annotated[Path, typer.Argument(help="The folder a backup was made into.")],
    data: Data = None,
) -> None:
    """Put a backup into a new or empty folder, open it, and walk every invariant before it is called good."""
    from api.backup import FolderNotEmpty
    from api.network import Network, read_description
    from ledger_service import invariants

    settings = settings_of(data)
    read_description(folder)
    target = settings.data
    if target.exists() and any(target.iterdir()):
        raise FolderNotEmpty(f"{target} is not empty: nothing is ever restored over a ledger")
    target.parent.mkdir(parents=True, exist_ok=True)
    trial = target.with_name(f".{target.name}.restoring")
    if trial.exists():
        shutil.rmtree(trial)  # of a restore that was interrupted
    shutil.copytree(folder, trial, ignore=shutil.ignore_patterns("serving.json"))
    try:
        network = Network.open(settings.model_copy(update={"data": trial}))
        try:
            size = network.ledger.size
            found = _walk(network, invariants.check)
        finally:
            network.close()
        if found:
            for one in found:
                complain(str(one))
            complain(f"the backup in {folder} is not whole; nothing was restored")
            raise typer.Exit(REFUSED)
        if target.exists():
            target.rmdir()
        trial.replace(target)
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    say(f"{size} statements with their chain are in {target}, and every invariant holds")
    note("whatever was registered after the backup is not in it: docs/operating.md says what to do about that")


def bench(arguments: Annotated[list[str] | None, typer.Argument(help="What the benchmarks take.")] = None) -> None:
    """Measure this machine: each figure beside the limit measured bare in the same run."""
    import runpy
    from importlib.util import find_spec

    if find_spec("benchmarks") is None:
        raise WrongUsage("the benchmarks are not installed with this copy: run it from the project's own folder")
    sys.argv = ["tallystick bench", *(arguments or ())]
    runpy.run_module("benchmarks", run_name="__main__", alter_sys=False)


def demo(
    once: Annotated[bool, typer.Option(help="Do not serve at the end.")] = False,
    out: Annotated[Path | None, typer.Option(help="Leave bundle.json and trust.json in this folder.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder for the demo's network; a fresh temporary one otherwise.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = None,
) -> None:
    """Play September of the E-Axle Circle: keys, events, anchors, witnesses, a bundle, and its check offline. DEMO."""
    from demo.show import CheckFailed, play

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        play(once=once, out=out, data=data, port=port)
    except CheckFailed as problem:
        complain(str(problem))
        raise typer.Exit(REFUSED) from None


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


# -- the folder --------------------------------------------------------------------------------------------------------


def settings_of(data: Path | None, **others: Any) -> "Settings":
    from pydantic import ValidationError

    from api.settings import Settings

    given = {name: value for name, value in {"data": data, **others}.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise WrongUsage(f"TALLYSTICK_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}") from None


def ask_service(settings: "Settings", method: str, path: str, value: Any = None) -> dict[str, Any]:
    """The running service's answer to its operator."""
    import httpx

    from api.cli.serving import PLACE
    from api.client import open_http
    from api.keyfiles import read_key_file
    from api.network import ServiceKeys, read_passphrase

    place = settings.data / PLACE
    if not place.exists():
        raise WrongUsage(f"another process holds {settings.data}, and it is no service of ours: end it first")
    url = str(_json_file(place)["url"])
    keys = ServiceKeys(read_key_file(settings.data / "service.json", read_passphrase(settings)))
    headers = {"authorization": f"Bearer {keys.derive('operator api').hex()}"}
    try:
        with open_http(url, 3600.0) as http:
            answer = http.request(method, path, json=value, headers=headers)
    except httpx.TransportError as error:
        raise WrongUsage(f"the service at {url} does not answer ({error})") from error
    try:
        told: dict[str, Any] = answer.json()
    except ValueError:
        raise WrongUsage(f"what answers at {url} is no Tallystick service") from None
    if answer.status_code >= 400:
        complain(str(told.get("detail") or told.get("title")))
        raise typer.Exit(REFUSED if answer.status_code != 422 else USAGE)
    return told


def _json_file(path: Path) -> dict[str, Any]:
    from ledger_service import canonical
    from ledger_service.errors import MalformedInput

    try:
        value = canonical.parse(path.read_bytes())
    except MalformedInput as problem:
        raise WrongUsage(f"{path}: {problem}") from None
    if not isinstance(value, dict):
        raise WrongUsage(f"{path} is no JSON object")
    return value
