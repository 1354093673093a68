"""Whatever OpenAPI allows, and much that it does not: no fault of the service, no answer that
breaks its own schema.

Unmarked: a few hundred cases; `-m slow`: thousands.
"""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

schemathesis = pytest.importorskip("schemathesis")
pytest.importorskip("fastapi")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
)

from metarec.app.service.application import create_app  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from served_model import saved_model  # noqa: E402

ALWAYS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SAYS_MORE_THAN_ITS_SCHEMA = {
    "POST /v1/events",
    "POST /v1/experiments",
    "POST /v1/experiments/{experiment}/promote",
    "POST /v1/experiments/{experiment}/roll-back",
    "POST /v1/experiments/{experiment}/stop",
    "POST /v1/explanations",
    "POST /v1/recommendations",
    "POST /v1/recommendations/batch",
    "POST /v1/users/{user_id}/merge",
    "PUT /v1/users/{user_id}/friends",
    "PATCH /v1/items/{item_id}",
    "PUT /v1/items/{item_id}",
    "GET /v1/items",
    "GET /v1/items/newest",
    "GET /v1/items/popular",
    "GET /v1/items/trending",
    "GET /v1/items/{item_id}",
    "GET /v1/items/{item_id}/similar",
    "GET /v1/onboarding",
}
"""A filter, a field, an item's year, a time in the far future, an attribute without its `NAME=`, a
circumstance or a user who would be their own friend may be of the right type and still wrong, which
only the catalog, the model, the clock and the policy can say; of experiments, what else runs.
"""
NO_JSON = {"PUT /v1/items"}
"""A feed, a JSON object a line, which cases are not made for here."""
ABOUT_ITEMS = {
    "POST /v1/explanations",
    "GET /v1/items/{item_id}",
    "GET /v1/items/{item_id}/similar",
}
"""Also asked about items that are there."""
READS_ANY_TEXT = {"GET /v1/onboarding"}
"""In a query every number is a text too."""


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    model = shutil.copytree(saved_model(), tmp_path_factory.mktemp("api") / "model")
    app = create_app(
        ServiceSettings(model=str(model), requests_per_second=0, hosts=("testserver",))
    )
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    app.state.service.scorer.close()
    app.state.service.store.close()


def judge(case, name):
    answer = case.call(timeout=120)  # a busy machine is no fault of the service
    checks = [*ALWAYS]
    if (
        answer.status_code != 413
    ):  # a body beyond the limit is refused before anyone reads whether it was valid
        checks += [positive_data_acceptance] * (name not in SAYS_MORE_THAN_ITS_SCHEMA)
        checks += [negative_data_rejection] * (name not in READS_ANY_TEXT)
    case.validate_response(answer, checks=checks)
    if answer.status_code >= 400:
        assert list(answer.json()) == ["error"]
        assert "\n" not in answer.json()["error"]
    return answer.status_code


def of_known_items(case):
    """The same case about items that are there: strange ids alone would not get beyond "there is no
    such item".
    """
    if isinstance(case.body, dict):
        events = [{"item_id": f"s{number:02d}"} for number in range(6)][
            : len(case.body.get("history", ()))
        ]
        case.body = {**case.body, "item_id": "g01", "history": events}
    if "item_id" in (case.path_parameters or {}):
        case.path_parameters = {**case.path_parameters, "item_id": "g02"}
    return case


def try_one(strategy, name, cases):
    answers = Counter()

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
        ],
    )
    @given(case=strategy)
    def run(case):
        answers[judge(case, name)] += 1

    run()
    return answers


def try_all(api, cases):
    """Every operation with valid and with invalid data; gives how often each kind of answer
    came.
    """
    answers = Counter()
    for found in api.get_all_operations():
        operation = found.ok()
        name = f"{operation.method.upper()} {operation.path}"
        if name in NO_JSON:
            continue
        if name in ABOUT_ITEMS:
            answers += try_one(
                operation.as_strategy(generation_mode=GenerationMode.POSITIVE).map(of_known_items),
                name,
                cases,
            )
        modes = [GenerationMode.POSITIVE] + [GenerationMode.NEGATIVE] * bool(
            operation.body or operation.query or operation.path_parameters
        )
        for mode in modes:
            answers += try_one(operation.as_strategy(generation_mode=mode), name, cases)
    return answers


def test_a_few_hundred_cases(api):
    answers = try_all(api, 8)
    assert answers.total() > 150
    assert answers[200] > 50
    assert answers[422] > 30


@pytest.mark.slow
def test_thousands_of_cases(api):
    assert try_all(api, 250).total() > 5_000
