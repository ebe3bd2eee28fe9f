"""The documentation: complete, with examples, and readable without a network."""

import re

from api.problems import KINDS
from tests.api.house import House


def test_every_operation_has_an_example_and_says_its_problems(service: House) -> None:
    schema = service.anyone.get("/openapi.json").json()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            place = f"{method} {path}"
            good = {status: one for status, one in operation["responses"].items() if status < "300"}
            assert good, place
            for status, answer in good.items():
                if status != "204":
                    assert all("example" in one for one in answer["content"].values()), place
            for status, answer in operation["responses"].items():
                if status >= "400" and path != "/health/ready":
                    examples = answer["content"]["application/problem+json"]["examples"]
                    assert all(one["value"]["status"] == int(status) for one in examples.values()), place
            if method == "post" and "requestBody" in operation:
                assert all("example" in one for one in operation["requestBody"]["content"].values()), place
            if path.startswith("/v1/") and not re.match("/v1/(auth|network)", path):
                assert operation["security"] == [{"token": []}], place
                assert "401" in operation["responses"], place


def test_the_page_needs_nothing_from_anywhere_and_names_every_route_and_problem(service: House) -> None:
    answer = service.anyone.get("/docs")
    assert answer.status_code == 200
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(", answer.text)
    for path in service.app.openapi()["paths"]:
        assert path in answer.text
    for kind in KINDS.values():
        assert kind.type in answer.text


def test_kinds_of_problems_have_one_status_each() -> None:
    statuses: dict[str, set[int]] = {}
    for kind in KINDS.values():
        statuses.setdefault(kind.name, set()).add(kind.status)
    assert all(len(one) == 1 for one in statuses.values())
