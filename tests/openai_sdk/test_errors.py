"""The stand-in's refusals and faults are the official SDK's own exceptions."""

import openai as sdk
import pytest
from openai import OpenAI

from infra.local.stand_in import StandIn


def test_a_wrong_key_is_an_authentication_error(client: OpenAI) -> None:
    with pytest.raises(sdk.AuthenticationError) as caught:
        client.with_options(api_key="sk-other").files.list()
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("kind", ["files", "batches"])
def test_an_unknown_id_is_not_found_and_has_a_request_id(client: OpenAI, kind: str) -> None:
    with pytest.raises(sdk.NotFoundError) as caught:
        getattr(client, kind).retrieve("none_1")
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")


def test_content_of_an_unknown_file_is_not_found(client: OpenAI) -> None:
    with pytest.raises(sdk.NotFoundError):
        client.files.content("file-none")


def test_a_batch_of_an_unknown_file_is_a_bad_request_that_names_it(client: OpenAI) -> None:
    with pytest.raises(sdk.BadRequestError) as caught:
        client.batches.create(input_file_id="file-none", endpoint="/v1/responses", completion_window="24h")
    assert caught.value.param == "input_file_id"


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        ({"kind": "rate_limit", "retry_after": 3}, sdk.RateLimitError, "rate_limit_exceeded"),
        ({"kind": "insufficient_quota"}, sdk.RateLimitError, "insufficient_quota"),
        ({"kind": "status", "status": 401}, sdk.AuthenticationError, "invalid_api_key"),
        ({"kind": "status", "status": 403}, sdk.PermissionDeniedError, "missing_scope"),
        ({"kind": "status", "status": 404}, sdk.NotFoundError, None),
        ({"kind": "status", "status": 409}, sdk.ConflictError, None),
        ({"kind": "status", "status": 500}, sdk.InternalServerError, None),
        ({"kind": "status", "status": 502, "body": "<html>not JSON</html>"}, sdk.InternalServerError, None),
    ],
)
def test_a_fault_is_the_exception_of_its_status(
    openai: StandIn, client: OpenAI, fault: dict, expected: type[sdk.APIStatusError], code: str | None
) -> None:
    openai.fault("GET /v1/batches", **fault)
    with pytest.raises(expected) as caught:
        client.batches.list()
    assert caught.value.code == code


def test_the_sdk_waits_out_a_rate_limit(openai: StandIn, client: OpenAI) -> None:
    openai.fault("GET /v1/batches", "rate_limit", times=1, retry_after=0)
    assert client.with_options(max_retries=1).batches.list().data == []
    assert openai.requests() == [{"method": "GET", "path": "/v1/batches", "count": 2, "statuses": [429, 200]}]


def test_a_cut_download_is_a_connection_error(openai: StandIn, client: OpenAI) -> None:
    file = openai.put_file(line="x" * 99, lines=1000)
    openai.fault("GET /v1/files/{id}/content", "cut", after_bytes=5000)
    with pytest.raises(sdk.APIConnectionError):
        client.files.content(file["id"]).read()


def test_a_truncated_download_looks_whole_and_is_short(openai: StandIn, client: OpenAI) -> None:
    file = openai.put_file(line="x" * 99, lines=1000)
    openai.fault("GET /v1/files/{id}/content", "truncate", after_bytes=5000)
    assert len(client.files.content(file["id"]).read()) == 5000
    assert client.files.retrieve(file["id"]).bytes == 100_000


def test_a_stalled_answer_times_out(openai: StandIn, client: OpenAI) -> None:
    openai.fault("GET /v1/batches", "stall")
    with pytest.raises(sdk.APITimeoutError):
        client.with_options(timeout=0.2).batches.list()
