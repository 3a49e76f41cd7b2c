"""The official SDK with the stand-in instead of OpenAI: files and batches."""

import json

import pytest
from openai import BadRequestError, OpenAI
from openai.types import Batch, FileObject

from infra.local.stand_in import StandIn


def upload(client: OpenAI, requests: int = 3) -> FileObject:
    lines = (
        {"custom_id": f"r{n}", "method": "POST", "url": "/v1/responses", "body": {"model": "gpt-6-luna", "input": "Hi"}}
        for n in range(requests)
    )
    jsonl = "\n".join(json.dumps(line) for line in lines).encode()
    return client.files.create(file=("input.jsonl", jsonl), purpose="batch")


def create(client: OpenAI, requests: int = 3) -> Batch:
    return client.batches.create(
        input_file_id=upload(client, requests).id,
        endpoint="/v1/responses",
        completion_window="24h",
        metadata={"team": "night shift"},
    )


def test_an_uploaded_file_is_read_listed_and_deleted(client: OpenAI) -> None:
    file = upload(client)
    assert client.files.retrieve(file.id) == file
    assert client.files.content(file.id).text.count("custom_id") == 3
    assert len(client.files.content(file.id).content) == file.bytes
    assert [listed.id for listed in client.files.list(purpose="batch")] == [file.id]
    assert client.files.delete(file.id).deleted
    assert client.files.list().data == []


def test_a_file_expires_when_asked_to(client: OpenAI) -> None:
    policy = {"anchor": "created_at", "seconds": 7200}
    file = client.files.create(file=b"x", purpose="user_data", expires_after=policy)
    assert file.expires_at == file.created_at + 7200


def test_a_batch_is_created_retrieved_and_completed(openai: StandIn, client: OpenAI) -> None:
    created = create(client)
    assert created.status == "validating"
    assert created.metadata == {"team": "night shift"}
    assert client.batches.retrieve(created.id) == created

    openai.advance(created.id, "completed", plan={"lines": {"r1": 429}})
    batch = client.batches.retrieve(created.id)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 3, "completed": 2, "failed": 1}
    assert batch.usage is not None
    assert batch.usage.total_tokens > 0
    # An unknown field would be an error of the stand-in.
    assert not batch.model_extra


def test_output_and_error_files_name_every_request_once(openai: StandIn, client: OpenAI) -> None:
    batch = create(client, requests=20)
    openai.advance(batch.id, "completed", plan={"lines": {"r3": 400, "r4": "batch_expired"}})
    batch = client.batches.retrieve(batch.id)
    assert batch.output_file_id is not None
    assert batch.error_file_id is not None

    output = [json.loads(line) for line in client.files.content(batch.output_file_id).iter_lines()]
    assert all(line["response"]["body"]["output"][0]["content"][0]["text"] for line in output)
    errors = {
        line["custom_id"]: line for line in map(json.loads, client.files.content(batch.error_file_id).iter_lines())
    }
    assert errors["r3"]["response"]["status_code"] == 400
    assert errors["r4"]["error"]["code"] == "batch_expired"
    assert {line["custom_id"] for line in output} | errors.keys() == {f"r{n}" for n in range(20)}


def test_lists_go_from_page_to_page(client: OpenAI) -> None:
    created = [create(client, requests=1).id for _ in range(5)]
    assert [batch.id for batch in client.batches.list(limit=2)] == created[::-1]


def test_a_cancelled_batch_is_cancelling_first(openai: StandIn, client: OpenAI) -> None:
    batch = create(client)
    assert client.batches.cancel(batch.id).status == "cancelling"
    openai.advance(batch.id, "cancelled", plan={"default": "batch_cancelled", "lines": {"r0": 200}})
    cancelled = client.batches.retrieve(batch.id)
    assert cancelled.status == "cancelled"
    assert cancelled.output_file_id is not None
    with pytest.raises(BadRequestError):
        client.batches.cancel(batch.id)


def test_a_failed_batch_says_why(openai: StandIn, client: OpenAI) -> None:
    batch = create(client)
    openai.advance(batch.id, "failed")
    errors = client.batches.retrieve(batch.id).errors
    assert errors is not None
    assert errors.data is not None
    assert [(error.code, error.line) for error in errors.data] == [("invalid_json_line", 1)]


def test_a_generated_file_streams(openai: StandIn, client: OpenAI) -> None:
    file = openai.put_file(line='{"custom_id": "r1"}', lines=1_000_000)
    with client.files.with_streaming_response.content(file["id"]) as response:
        size = sum(len(chunk) for chunk in response.iter_bytes())
    assert size == client.files.retrieve(file["id"]).bytes == 20_000_000
