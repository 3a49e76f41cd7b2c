"""The official SDK manages the stand-in's webhook endpoints and unwraps their deliveries."""

import time
from collections.abc import Callable
from typing import get_args

import openai as sdk
import pytest
from openai import OpenAI
from openai.types.webhooks import WebhookEndpointWithSecret, WebhookTestParams
from typing_extensions import get_type_hints

from infra.local.stand_in import StandIn
from tests.openai_sdk.conftest import Delivery, Receiver
from tests.waiting import wait_until

URL = "https://example.com/webhooks/project"


def created(client: OpenAI, url: str = URL, **other: object) -> WebhookEndpointWithSecret:
    """Create an endpoint for two events of batches."""
    given = {"name": "Orders", "url": url, "event_types": ["batch.completed", "batch.failed"]}
    return client.webhooks.create(**{**given, **other})


def next_second() -> None:
    """Wait until the next second."""
    now = int(time.time())
    wait_until("the next second came", lambda: int(time.time()) > now)


def unwraps(client: OpenAI, delivery: Delivery, secret: str) -> bool:
    """Whether the delivery is signed with this secret."""
    try:
        client.webhooks.unwrap(delivery.body, delivery.headers, secret=secret)
    except sdk.InvalidWebhookSignatureError:
        return False
    return True


def test_an_endpoint_is_what_was_asked_for_and_its_secret_shows_once(client: OpenAI) -> None:
    endpoint = created(client)
    assert endpoint.id.startswith("whe_")
    assert (endpoint.object, endpoint.name, endpoint.url) == ("webhook_endpoint", "Orders", URL)
    assert endpoint.event_types == ["batch.completed", "batch.failed"]
    assert endpoint.updated_at == endpoint.created_at
    assert endpoint.signing_secret_hint is not None
    assert endpoint.signing_secret_hint[-4:] == endpoint.signing_secret[-4:]

    shown = endpoint.to_dict()
    assert shown.pop("signing_secret").startswith("whsec_")
    assert client.webhooks.retrieve(endpoint.id).to_dict() == shown
    assert [listed.to_dict() for listed in client.webhooks.list()] == [shown]
    assert client.webhooks.update(endpoint.id, name="Orders").to_dict() == shown


def test_endpoints_are_listed_newest_first_page_by_page(client: OpenAI) -> None:
    ids = [created(client, name=f"Number {number}").id for number in range(5)]
    assert [endpoint.id for endpoint in client.webhooks.list(limit=2)] == ids[::-1]
    page = client.webhooks.list(limit=2, after=ids[4])
    assert ([endpoint.id for endpoint in page.data], page.has_more) == ([ids[3], ids[2]], True)
    assert page.model_extra == {"object": "list", "first_id": ids[3], "last_id": ids[2]}
    assert not client.webhooks.list(limit=2, after=ids[2]).has_more


@pytest.mark.parametrize(
    "change", [{"name": "Bills"}, {"url": "https://example.com/elsewhere"}, {"event_types": ["response.failed"]}]
)
def test_an_update_changes_what_it_names_and_its_time(client: OpenAI, change: dict) -> None:
    endpoint = created(client)
    before = client.webhooks.retrieve(endpoint.id).to_dict()
    next_second()
    after = client.webhooks.update(endpoint.id, **change).to_dict()
    assert after.pop("updated_at") > before.pop("updated_at")
    assert after == {**before, **change}


def test_an_update_without_a_change_keeps_the_time(client: OpenAI, receiver: Receiver) -> None:
    endpoint = created(client, receiver.url)
    next_second()
    client.webhooks.test(endpoint.id, event_type="batch.failed")
    for same in ({}, {"name": "Orders"}, {"url": receiver.url}, {"event_types": ["batch.completed", "batch.failed"]}):
        assert client.webhooks.update(endpoint.id, **same).updated_at == endpoint.updated_at


def test_a_deleted_endpoint_is_gone_and_gets_nothing(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    endpoint = created(client, receiver.url)
    deleted = client.webhooks.delete(endpoint.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (endpoint.id, True, "webhook_endpoint.deleted")
    assert list(client.webhooks.list()) == []
    with pytest.raises(ValueError, match="no endpoint named project"):
        openai.deliver("batch.completed", {"id": "batch_1"})


@pytest.mark.parametrize(
    "call",
    [
        lambda webhooks: webhooks.retrieve("whe_none"),
        lambda webhooks: webhooks.update("whe_none", name="Orders"),
        lambda webhooks: webhooks.delete("whe_none"),
        lambda webhooks: webhooks.rotate_secret("whe_none"),
        lambda webhooks: webhooks.test("whe_none", event_type="batch.completed"),
        lambda webhooks: webhooks.list(after="whe_none"),
    ],
    ids=["retrieve", "update", "delete", "rotate_secret", "test", "list"],
)
def test_an_unknown_endpoint_is_not_found(client: OpenAI, call: Callable) -> None:
    with pytest.raises(sdk.NotFoundError):
        call(client.webhooks)


def test_the_event_types_are_those_of_the_sdk(client: OpenAI) -> None:
    known = get_args(get_type_hints(WebhookTestParams)["event_type"])
    assert client.webhooks.event_types.list().data == list(known)
    assert created(client, event_types=list(known)).event_types == list(known)


BAD = [
    ({"name": None}, "name", "missing_required_parameter"),
    ({"url": None}, "url", "missing_required_parameter"),
    ({"event_types": None}, "event_types", "missing_required_parameter"),
    ({"name": ""}, "name", "empty_string"),
    ({"name": "n" * 257}, "name", "string_above_max_length"),
    ({"name": 7}, "name", "invalid_type"),
    ({"url": "ftp://example.com/"}, "url", "invalid_value"),
    ({"url": "example.com/webhooks"}, "url", "invalid_value"),
    ({"url": "https://"}, "url", "invalid_value"),
    ({"url": f"https://example.com/{'u' * 2029}"}, "url", "string_above_max_length"),
    ({"url": ["https://example.com/"]}, "url", "invalid_type"),
    ({"event_types": []}, "event_types", "empty_array"),
    ({"event_types": "batch.completed"}, "event_types", "invalid_type"),
    ({"event_types": [7]}, "event_types", "invalid_type"),
    ({"event_types": ["batch.completed", "batch.completed"]}, "event_types", "invalid_value"),
    ({"event_types": ["batch.created"]}, "event_types", "invalid_value"),
    ({"event_types": ["live.transport.incoming"]}, "event_types", "invalid_value"),
    ({"event_types": ["safety.warning_issued"]}, "event_types", "invalid_value"),
]


@pytest.mark.parametrize(("given", "param", "code"), BAD)
def test_bad_input_is_refused_and_named(client: OpenAI, given: dict, param: str, code: str) -> None:
    good = {"name": "Orders", "url": URL, "event_types": ["batch.completed"]}
    body = {name: value for name, value in {**good, **given}.items() if value is not None}
    paths = ["/webhook_endpoints"]
    if code != "missing_required_parameter":
        paths.append(f"/webhook_endpoints/{created(client).id}")
    for path in paths:
        with pytest.raises(sdk.BadRequestError) as caught:
            client.post(path, body=body, cast_to=object)
        assert (caught.value.param, caught.value.code) == (param, code), path
        assert caught.value.type == "invalid_request_error"


def test_the_longest_name_and_url_are_taken(client: OpenAI) -> None:
    endpoint = created(client, f"https://example.com/{'u' * 2028}", name="\u00e4" * 256)
    assert (len(endpoint.url), len(endpoint.name)) == (2048, 256)


@pytest.mark.parametrize("limit", [0, 101])
def test_a_limit_out_of_range_is_refused(client: OpenAI, limit: int) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        client.webhooks.list(limit=limit)
    assert caught.value.param == "limit"


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        ("rotate_secret", {"keep_old_secret_active_for_24_hours": "yes"}, "keep_old_secret_active_for_24_hours", None),
        ("test", {}, "event_type", "missing_required_parameter"),
        ("test", {"event_type": "live.call.incoming"}, "event_type", "invalid_value"),
    ],
)
def test_bad_actions_are_refused(client: OpenAI, path: str, body: dict, param: str, code: str | None) -> None:
    endpoint = created(client)
    with pytest.raises(sdk.BadRequestError) as caught:
        client.post(f"/webhook_endpoints/{endpoint.id}/{path}", body=body, cast_to=object)
    assert (caught.value.param, caught.value.code) == (param, code or "invalid_type")


def test_an_endpoint_gets_the_events_that_it_subscribes_to(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    endpoint = created(client, receiver.url)
    openai.register(f"{receiver.url}?all", "whsec_c29tZXRoaW5nIGVsc2U=")
    openai.deliver("batch.expired", {"id": "batch_1"}, wait=True)
    openai.deliver("batch.completed", {"id": "batch_2"}, wait=True)
    assert [(delivery["url"], delivery["type"]) for delivery in openai.deliveries()] == [
        (f"{receiver.url}?all", "batch.expired"),
        (f"{receiver.url}?all", "batch.completed"),
        (receiver.url, "batch.completed"),
    ]
    signed = [unwraps(client, delivery, endpoint.signing_secret) for delivery in receiver.deliveries]
    assert sorted(signed) == [False, False, True]


def test_a_rotation_ends_the_old_secret_at_once_unless_told_otherwise(
    openai: StandIn, client: OpenAI, receiver: Receiver
) -> None:
    endpoint = created(client, receiver.url)
    next_second()
    rotated = client.webhooks.rotate_secret(endpoint.id)
    assert (rotated.id, rotated.created_at) == (endpoint.id, endpoint.created_at)
    assert rotated.signing_secret != endpoint.signing_secret
    assert rotated.signing_secret_hint != endpoint.signing_secret_hint
    assert (rotated.updated_at or 0) > (endpoint.updated_at or 0)
    openai.deliver("batch.completed", {"id": "batch_1"}, wait=True)
    [delivery] = receiver.deliveries
    assert len(delivery.headers["webhook-signature"].split()) == 1
    assert unwraps(client, delivery, rotated.signing_secret)
    assert not unwraps(client, delivery, endpoint.signing_secret)


def test_a_rotation_that_keeps_the_old_secret_signs_with_both_for_a_day(
    openai: StandIn, client: OpenAI, receiver: Receiver
) -> None:
    endpoint = created(client, receiver.url)
    first = endpoint.signing_secret
    second, third = (
        client.webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=True).signing_secret
        for _ in range(2)
    )
    assert openai.endpoints()[0]["signing_secrets"] == [third, second]
    openai.deliver("batch.completed", {"id": "batch_1"}, wait=True)
    assert len(receiver.deliveries[0].headers["webhook-signature"].split()) == 2
    assert [unwraps(client, receiver.deliveries[0], secret) for secret in (third, second, first)] == [True, True, False]

    openai.end_old_secret(endpoint.id)
    openai.deliver("batch.completed", {"id": "batch_1"}, wait=True)
    assert [unwraps(client, receiver.deliveries[1], secret) for secret in (third, second)] == [True, False]


def test_a_rotation_without_the_old_secret_ends_an_older_one_too(openai: StandIn, client: OpenAI) -> None:
    endpoint = created(client)
    client.webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=True)
    last = client.webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=False)
    assert openai.endpoints()[0]["signing_secrets"] == [last.signing_secret]


def test_a_sample_of_every_event_is_delivered_and_unwraps(client: OpenAI, receiver: Receiver) -> None:
    endpoint = created(client, receiver.url)
    for event_type in client.webhooks.event_types.list().data:
        result = client.webhooks.test(endpoint.id, event_type=event_type)
        assert (result.object, result.webhook_endpoint_id) == ("webhook_endpoint.test", endpoint.id)
        assert (result.event_type, result.status_code, result.success) == (event_type, 200, True)
        delivery = receiver.deliveries.pop()
        event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=endpoint.signing_secret)
        assert event.type == event_type
        assert receiver.deliveries == []


def test_a_test_is_answered_with_the_receiver_s_status_and_tried_once(client: OpenAI, receiver: Receiver) -> None:
    receiver.statuses = [503]
    endpoint = created(client, receiver.url)
    assert client.webhooks.test(endpoint.id, event_type="batch.completed").status_code == 503
    time.sleep(0.05)
    assert len(receiver.deliveries) == 1


def test_a_test_of_an_unreachable_receiver_is_refused(client: OpenAI) -> None:
    endpoint = created(client, "http://127.0.0.1:9/nobody")
    with pytest.raises(sdk.BadRequestError, match="did not complete") as caught:
        client.webhooks.test(endpoint.id, event_type="batch.completed")
    assert caught.value.code == "webhook_endpoint_unreachable"


def test_an_endpoint_can_be_created_without_an_answer_to_the_client(openai: StandIn, client: OpenAI) -> None:
    openai.fault("POST /v1/webhook_endpoints", "cut", times=1, after_bytes=0)
    with pytest.raises(sdk.APIConnectionError):
        created(client)
    assert [endpoint.name for endpoint in client.webhooks.list()] == ["Orders"]


@pytest.mark.parametrize(
    ("route", "call"),
    [
        ("POST /v1/webhook_endpoints", created),
        ("GET /v1/webhook_endpoints", lambda client: client.webhooks.list()),
        ("GET /v1/webhook_endpoints/{id}", lambda client: client.webhooks.retrieve("whe_1")),
        ("POST /v1/webhook_endpoints/{id}", lambda client: client.webhooks.update("whe_1", name="New")),
        ("DELETE /v1/webhook_endpoints/{id}", lambda client: client.webhooks.delete("whe_1")),
        ("POST /v1/webhook_endpoints/{id}/rotate_secret", lambda client: client.webhooks.rotate_secret("whe_1")),
        (
            "POST /v1/webhook_endpoints/{id}/test",
            lambda client: client.webhooks.test("whe_1", event_type="batch.failed"),
        ),
        ("GET /v1/webhook_event_types", lambda client: client.webhooks.event_types.list()),
    ],
)
def test_a_fault_applies_to_each_route(openai: StandIn, client: OpenAI, route: str, call: Callable) -> None:
    openai.fault(route, "status", times=1, status=503)
    with pytest.raises(sdk.InternalServerError):
        call(client)
    assert openai.endpoints() == []


WRITES: list[Callable] = [
    created,
    lambda client: client.webhooks.update("whe_1", name="New"),
    lambda client: client.webhooks.delete("whe_1"),
    lambda client: client.webhooks.rotate_secret("whe_1"),
    lambda client: client.webhooks.test("whe_1", event_type="batch.failed"),
]


def test_a_key_may_do_what_it_is_permitted(openai: StandIn) -> None:
    openai.restrict("sk-reader", "api.webhooks.read", "api.batches.read")
    reader = openai.sdk("sk-reader")
    assert list(reader.webhooks.list()) == []
    assert reader.webhooks.event_types.list().data
    assert list(reader.batches.list()) == []
    for call in [*WRITES, lambda client: client.files.list(), lambda client: client.batches.cancel("batch_1")]:
        with pytest.raises(sdk.PermissionDeniedError, match="Missing scopes: api") as caught:
            call(reader)
        assert caught.value.code == "missing_scope"


def test_the_usual_key_can_lose_permissions_and_get_them_back(openai: StandIn, client: OpenAI) -> None:
    openai.restrict(client.api_key, "api.webhooks.write")
    endpoint = created(client)
    with pytest.raises(sdk.PermissionDeniedError, match=r"api\.webhooks\.read"):
        client.webhooks.retrieve(endpoint.id)
    openai.clear_keys()
    assert client.webhooks.retrieve(endpoint.id).id == endpoint.id


def test_an_admin_key_is_refused(openai: StandIn) -> None:
    with pytest.raises(sdk.PermissionDeniedError, match="Admin"):
        openai.sdk("sk-admin-1").webhooks.list()
