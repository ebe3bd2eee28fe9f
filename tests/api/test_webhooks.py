"""Webhooks: whatever a receiver does, each message reaches it in the end, signed, in order, and holds nobody up."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.courier import Courier
from api.notices import Notices, Told
from api.webhooks import MAX_EACH, PAUSES, TRIES_IN_LINE, Message, Outcome, Webhook, Webhooks, outcome_of
from ledger_service.keys import to_hex
from ledger_service.store import Store
from tests.api.house import House, house
from tests.api.receiver import Receiver, receiver
from tests.consortium import NOON, Clock, member_id

DAY = 86_400_000
ME, OTHER = b"\x01" * 32, b"\x02" * 32


class Post:
    """Notices and webhooks over a store of their own, without a ledger."""

    def __init__(self, path: Path, *allowed: str) -> None:
        self.clock = Clock()
        self.store = Store.open(path)
        self.notices = Notices(self.store)
        self._drawn = 0
        self.webhooks = Webhooks(
            self.store,
            b"k" * 32,
            randomness=self._randomness,
            draw=lambda: 0.5,
            give_up_after=5 * DAY,
            allowed=frozenset(allowed),
        )

    def _randomness(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count)

    def tell(self, count: int, *, member: bytes = ME, kind: Told = Told.OFFER_MADE) -> None:
        start = self.notices.last(member)
        for number in range(start, start + count):
            self.notices.tell([member], kind, {"statement": f"0x{number:064x}"}, self.clock.now, f"{kind} {number}")

    def add(self, url: str, *, member: bytes = ME, kinds: list[str] | None = None) -> Webhook:
        return self.webhooks.add(member, url, kinds, self.clock.now)

    def step(self, one: Webhook, outcome: Outcome) -> list[str]:
        """One visit of the courier, with this outcome for all it brings; the ids of what it brought."""
        messages = self.webhooks.next(one.id, self.clock.now)
        for message in messages:
            self.webhooks.record(message, outcome, None, self.clock.now)
        return [message.id for message in messages]

    def now(self, one: Webhook) -> Webhook:
        return self.webhooks.of(one.member, one.id)


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    made = Post(tmp_path / "ledger.sqlite", "127.0.0.1:9")
    yield made
    made.store.close()


HOOK = "http://127.0.0.1:9/"


def test_a_webhook_gets_what_is_told_after_it_was_made_in_order_and_once(post: Post) -> None:
    post.tell(2)
    one = post.add(HOOK)
    assert post.webhooks.due(post.clock.now) == []
    post.tell(3)
    assert post.webhooks.due(post.clock.now) == [one.id]
    ids = [post.step(one, Outcome.TAKEN) for _ in range(4)]
    assert [len(some) for some in ids] == [1, 1, 1, 0]
    assert len({some[0] for some in ids if some}) == 3


def test_a_message_has_one_id_and_one_body_however_often_it_is_sent(post: Post) -> None:
    one = post.add(HOOK)
    post.tell(1)
    first = post.webhooks.next(one.id, post.clock.now)[0]
    post.step(one, Outcome.DOWN)
    post.clock.forward(1000)
    (second,) = post.webhooks.next(one.id, post.clock.now)
    assert (second.id, second.body) == (first.id, first.body)
    assert Message(post.add(HOOK), first.notice).id != first.id


def test_pauses_grow_and_what_waits_stays_in_order(post: Post) -> None:
    one = post.add(HOOK)
    post.tell(2)
    first = post.webhooks.next(one.id, post.clock.now)[0].id
    for seconds in (*PAUSES, PAUSES[-1], PAUSES[-1]):
        assert post.step(one, Outcome.DOWN) == [first]
        post.clock.forward(seconds - 1)
        assert post.webhooks.due(post.clock.now) == []
        assert post.webhooks.next(one.id, post.clock.now) == []
        post.clock.forward(1)
    assert post.step(one, Outcome.TAKEN) == [first]
    assert post.now(one).failing_since is None
    assert len(post.step(one, Outcome.TAKEN)) == 1


def test_a_receiver_that_is_down_for_days_is_disabled_and_its_member_is_told(post: Post) -> None:
    one = post.add(HOOK)
    post.tell(2)
    while post.now(one).disabled_at is None:
        post.step(one, Outcome.DOWN)
        post.clock.forward(PAUSES[-1])
    assert 5 * DAY <= post.clock.now - NOON <= 6 * DAY
    assert post.webhooks.due(post.clock.now) == []
    told = post.notices.page(ME, 2, 10)
    assert [(notice.kind, notice.body["webhook"]) for notice in told] == [(Told.WEBHOOK_DISABLED, one.id)]
    post.webhooks.enable(ME, one.id, post.clock.now)
    assert [len(post.step(one, Outcome.TAKEN)) for _ in range(4)] == [1, 1, 1, 0], "nothing is lost by it"


def test_410_disables_at_once(post: Post) -> None:
    one = post.add(HOOK)
    post.tell(1)
    post.step(one, Outcome.GONE)
    assert post.now(one).disabled_at == NOON
    assert [notice.kind for notice in post.notices.page(ME, 1, 10)] == [Told.WEBHOOK_DISABLED]


def test_a_message_that_is_refused_is_set_aside_and_comes_again_by_itself(post: Post) -> None:
    one = post.add(HOOK)
    post.tell(2)
    (refused,) = post.step(one, Outcome.REFUSED)
    (second,) = post.step(one, Outcome.TAKEN)
    assert second != refused
    assert post.now(one).set_aside == 1
    assert post.step(one, Outcome.TAKEN) == []
    post.clock.forward(PAUSES[0])
    assert post.webhooks.due(post.clock.now) == [one.id]
    assert post.step(one, Outcome.TAKEN) == [refused]
    assert post.now(one).set_aside == 0


def test_a_message_that_breaks_its_receiver_stands_in_the_way_of_others_for_a_while_only(post: Post) -> None:
    one = post.add(HOOK)
    post.tell(2)
    poison = post.webhooks.next(one.id, post.clock.now)[0].id
    for _ in range(TRIES_IN_LINE):
        assert post.step(one, Outcome.FAILED) == [poison]
        post.clock.forward(PAUSES[-1])
    (next_message, _) = post.step(one, Outcome.TAKEN)
    assert next_message != poison


def test_what_one_receiver_never_takes_is_given_up_after_days_and_the_member_is_told_once(post: Post) -> None:
    one = post.add(HOOK)
    post.tell(1)
    (refused,) = post.step(one, Outcome.REFUSED)
    for _ in range(30):
        post.clock.forward(PAUSES[-1])
        post.tell(1)  # it goes on taking others
        for message in post.webhooks.next(one.id, post.clock.now):
            outcome = Outcome.REFUSED if message.id == refused else Outcome.TAKEN
            post.webhooks.record(message, outcome, None, post.clock.now)
    told = [notice for notice in post.notices.page(ME, 0, 100) if notice.kind is Told.WEBHOOK_GAVE_UP]
    assert [notice.body["message"] for notice in told] == [refused]
    assert post.now(one).disabled_at is None


def test_kinds_that_are_not_wanted_are_passed_over(post: Post) -> None:
    one = post.add(HOOK, kinds=["overdue"])
    post.tell(3)
    post.tell(1, kind=Told.OVERDUE)
    post.tell(2)
    assert len(post.step(one, Outcome.TAKEN)) == 1
    assert post.step(one, Outcome.TAKEN) == []
    assert post.webhooks.due(post.clock.now) == []


def test_a_new_secret_signs_beside_the_old_one_for_a_day(post: Post) -> None:
    one = post.add(HOOK)
    before = post.webhooks.secret(one)
    post.tell(1)
    rotated = post.webhooks.rotate(ME, one.id, post.clock.now)
    after = post.webhooks.secret(rotated)
    assert before != after
    (message,) = post.webhooks.next(one.id, post.clock.now)
    assert len(post.webhooks.headers(message, post.clock.now)["webhook-signature"].split(" ")) == 2
    assert len(post.webhooks.headers(message, post.clock.now + DAY)["webhook-signature"].split(" ")) == 1


def test_secrets_of_two_webhooks_differ_and_stand_in_no_table(post: Post) -> None:
    secrets = {post.webhooks.secret(post.add(HOOK)) for _ in range(3)}
    assert len(secrets) == 3
    with post.store.read() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM webhook").all())
    assert not any(one in rows or one.removeprefix("whsec_") in rows for one in secrets)


STATUSES = {
    200: Outcome.TAKEN, 204: Outcome.TAKEN, 299: Outcome.TAKEN, 301: Outcome.FAILED, 307: Outcome.FAILED,
    400: Outcome.REFUSED, 401: Outcome.REFUSED, 404: Outcome.REFUSED, 408: Outcome.DOWN, 410: Outcome.GONE,
    429: Outcome.DOWN, 500: Outcome.FAILED, 502: Outcome.DOWN, 503: Outcome.DOWN, 504: Outcome.DOWN,
    100: Outcome.FAILED,
}  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
def test_what_a_status_means(status: int) -> None:
    assert outcome_of(status) is STATUSES[status]


# The courier


@contextmanager
def courier(post: Post, **changes: Any) -> Iterator[Courier]:
    values: dict[str, Any] = {"seconds": 0.5, "idle_seconds": 0.05} | changes
    made = Courier(post.webhooks, lambda: post.clock.now, **values)
    made.start()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def street(tmp_path: Path, count: int = 1) -> Iterator[tuple[Post, list[Receiver]]]:
    """A post and receivers that it may call."""
    with ExitStack() as stack:
        receivers = [stack.enter_context(receiver()) for _ in range(count)]
        post = Post(tmp_path / "ledger.sqlite", *(one.host for one in receivers))
        stack.callback(post.store.close)
        yield post, receivers


def test_messages_arrive_in_order_signed_and_once(tmp_path: Path) -> None:
    with street(tmp_path) as (post, [place]):
        one = post.add(place.url)
        post.tell(20)
        with courier(post):
            place.wait(20)
            time.sleep(0.2)
        assert len(place.ids) == len(set(place.ids)) == 20
        numbers = [int(delivery.body.split(b"0x")[1][:64], 16) for delivery in place.heard]
        assert numbers == list(range(20))
        assert all(delivery.is_signed(post.webhooks.secret(one)) for delivery in place.heard)
        assert not place.heard[0].is_signed(post.webhooks.secret(post.add(place.url)))


def test_a_receiver_that_answers_500_gets_it_again(tmp_path: Path) -> None:
    with street(tmp_path) as (post, [place]):
        answers = [500, 503]
        place.answers = lambda _: answers.pop(0) if answers else 204
        post.add(place.url)
        post.tell(2)
        with courier(post):
            for count in (1, 2):
                place.wait(count)
                time.sleep(0.2)
                assert len(place.heard) == count, "it waits"
                post.clock.forward(PAUSES[count - 1])
            place.wait(4)
        assert len(set(place.ids)) == 2
        assert place.ids[0] == place.ids[1] == place.ids[2]


def test_a_receiver_that_takes_it_and_hangs_up_gets_it_twice(tmp_path: Path) -> None:
    with street(tmp_path) as (post, [place]):
        answers: list[int | None] = [None]
        place.answers = lambda _: answers.pop(0) if answers else 204
        post.add(place.url)
        post.tell(1)
        with courier(post):
            place.wait(1)
            time.sleep(0.2)
            post.clock.forward(PAUSES[0])
            place.wait(2)
        assert place.ids[0] == place.ids[1]


def test_slow_receivers_hold_up_nobody_else(tmp_path: Path) -> None:
    with street(tmp_path, 5) as (post, [*slow, quick]):
        for place in slow:
            place.pause = 60
            post.add(place.url)
        post.add(quick.url)
        post.tell(30)
        # All but one place are taken until the end of the test, so that every call of the quick one went past them.
        with courier(post, at_once=5, seconds=60):
            quick.wait(30)
            for place in slow:
                place.wait(1)
        assert all(len(place.heard) == 1 for place in slow)


def test_killed_between_delivery_and_note_it_is_sent_again_with_the_same_id(tmp_path: Path) -> None:
    with street(tmp_path) as (post, [place]):
        place.pause = 0.3
        post.add(place.url)
        post.tell(1)
        with courier(post):
            place.wait(1)  # it is there, and its answer has not come: the courier goes down
        place.pause = 0
        with courier(post):
            place.wait(2)
            time.sleep(0.2)
        assert len(place.heard) == 2
        assert place.ids[0] == place.ids[1]


def test_a_member_that_is_suspended_is_sent_nothing(tmp_path: Path) -> None:
    post = Post(tmp_path / "ledger.sqlite", "127.0.0.1:9")
    try:
        webhooks = Webhooks(
            post.store, b"k" * 32, randomness=lambda n: b"\x01" * n, draw=lambda: 0.5, give_up_after=DAY,
            allowed=frozenset({"127.0.0.1:9"}), is_active=lambda member: member != ME,
        )  # fmt: skip
        one = webhooks.add(ME, HOOK, None, NOON)
        post.tell(1)
        assert webhooks.due(NOON) == []
        assert webhooks.next(one.id, NOON) == []
    finally:
        post.store.close()


# Over HTTP


def test_a_webhook_over_http_from_its_making_to_its_end(tmp_path: Path) -> None:
    with receiver() as place, house(tmp_path, webhook_allowed_hosts=(place.host,)) as running:
        made = running.post("nordrand", "/v1/webhooks", json={"url": place.url, "kinds": ["offer-made", "test"]})
        assert made.status_code == 201, made.text
        hook, secret = made.json()["id"], made.json()["secret"]
        assert "secret" not in running.get("nordrand", "/v1/webhooks").json()["items"][0]
        tried = running.post("nordrand", f"/v1/webhooks/{hook}/test")
        assert tried.json() == {"status": 204, "trouble": None}
        offer = offered(running)
        place.wait(2)
        assert [one.kind for one in place.heard] == ["test", "offer-made"]
        assert offer.encode() in place.heard[1].body
        assert all(one.is_signed(secret) for one in place.heard)
        rotated = running.post("nordrand", f"/v1/webhooks/{hook}/secret").json()["secret"]
        running.post("nordrand", f"/v1/webhooks/{hook}/test")
        assert place.heard[2].is_signed(secret)
        assert place.heard[2].is_signed(rotated)
        gone = running.anyone.delete(f"/v1/webhooks/{hook}", headers=running.headers("nordrand"))
        assert gone.status_code == 204
        assert running.get("nordrand", "/v1/webhooks").json()["items"] == []
        assert running.post("nordrand", f"/v1/webhooks/{hook}/test").status_code == 404


def offered(running: House) -> str:
    """A despatch from duero to nordrand; its id."""
    content: dict[str, Any] = {
        "document": {"type": "delivery-note", "number": f"N-{len(running._sequences)}"},
        "taker": to_hex(member_id("nordrand")),
        "despatchedAt": "2026-09-21T13:00:00Z",
        "deadline": "2026-09-22T13:00:00Z",
        "units": [{"id": "(00)395210040009260175"}],
    }
    answer = running.send("duero", running.envelope(content=content, kind="despatch").data)
    assert answer.status_code == 201, answer.text
    digest: str = answer.json()["digest"]
    return digest


BAD: dict[str, tuple[dict[str, Any], int]] = {
    "a private address": ({"url": "https://10.0.0.1/"}, 422),
    "plain http": ({"url": "http://erp.example.org/"}, 422),
    "no URL": ({"url": 7}, 400),
    "nothing": ({}, 400),
    "an unknown kind": ({"url": HOOK, "kinds": ["everything"]}, 400),
    "no kind": ({"url": HOOK, "kinds": []}, 400),
    "more than it takes": ({"url": HOOK, "secret": "mine"}, 400),
}


def test_bad_webhooks_are_refused(tmp_path: Path) -> None:
    with house(tmp_path, webhook_allowed_hosts=("127.0.0.1:9",)) as running:
        for name, (body, status) in BAD.items():
            answer = running.post("duero", "/v1/webhooks", json=body)
            assert answer.status_code == status, f"{name}: {answer.text}"
        for _ in range(MAX_EACH):
            assert running.post("duero", "/v1/webhooks", json={"url": HOOK}).status_code == 201
        assert running.post("duero", "/v1/webhooks", json={"url": HOOK}).status_code == 409
        assert running.post("nordrand", "/v1/webhooks", json={"url": HOOK}).status_code == 201
        tried = running.post(
            "duero", f"/v1/webhooks/{running.get('duero', '/v1/webhooks').json()['items'][0]['id']}/test"
        )
        assert tried.json()["status"] is None
