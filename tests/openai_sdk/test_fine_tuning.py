"""The official SDK with the stand-in instead of OpenAI: fine-tuning jobs."""

from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.fine_tuning import FineTuningJob
from openai.types.webhooks import FineTuningJobCancelledWebhookEvent, FineTuningJobSucceededWebhookEvent

from infra.local.stand_in import StandIn
from tests.openai_sdk.conftest import Receiver

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
MODEL = "gpt-4.1-mini-2025-04-14"


def create(client: OpenAI, **options: Any) -> FineTuningJob:
    examples = client.files.create(file=("examples.jsonl", b'{"messages": []}\n'), purpose="fine-tune")
    return client.fine_tuning.jobs.create(model=MODEL, training_file=examples.id, **options)


def test_a_job_is_created_retrieved_and_succeeds(openai: StandIn, client: OpenAI) -> None:
    created = create(client, suffix="support", seed=7, metadata={"alias": "support"})
    assert (created.status, created.fine_tuned_model, created.finished_at) == ("validating_files", None, None)
    assert (created.seed, created.metadata) == (7, {"alias": "support"})
    assert client.fine_tuning.jobs.retrieve(created.id) == created

    openai.finish_fine_tuning(created.id, checkpoints=2)
    job = client.fine_tuning.jobs.retrieve(created.id)
    assert (job.status, job.trained_tokens) == ("succeeded", 5768)
    assert job.fine_tuned_model is not None
    assert job.fine_tuned_model.startswith(f"ft:{MODEL}:local:support:")
    assert job.method is not None
    assert job.method.type == "supervised"
    # OpenAI answers the suffix, which the SDK's type lacks. Any other unknown field would be an error of the stand-in.
    assert job.model_extra == {"user_provided_suffix": "support"}


def test_checkpoints_and_events_are_listed_page_by_page(openai: StandIn, client: OpenAI) -> None:
    job_id = create(client).id
    openai.finish_fine_tuning(job_id, checkpoints=5)
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job_id, limit=2))
    assert [checkpoint.step_number for checkpoint in checkpoints] == [500, 400, 300, 200, 100]
    assert (checkpoints[0].fine_tuning_job_id, checkpoints[0].model_extra) == (job_id, {})
    events = list(client.fine_tuning.jobs.list_events(job_id, limit=3))
    assert len(events) == 7
    assert (events[0].message, events[0].level, events[0].model_extra) == (
        "The job has successfully completed",
        "info",
        {},
    )


def test_jobs_are_listed_page_by_page_and_by_metadata(client: OpenAI) -> None:
    ids = [create(client, metadata={"team": f"team {number % 2}"}).id for number in range(4)]
    assert [job.id for job in client.fine_tuning.jobs.list(limit=3)] == ids[::-1]
    assert [job.id for job in client.fine_tuning.jobs.list(metadata={"team": "team 1"})] == [ids[3], ids[1]]


def test_a_failed_job_says_why(openai: StandIn, client: OpenAI) -> None:
    created = create(client)
    openai.finish_fine_tuning(created.id, "failed", error={"code": "invalid_training_file", "message": "Line 3."})
    job = client.fine_tuning.jobs.retrieve(created.id)
    assert job.error is not None
    assert (job.status, job.error.code, job.error.message) == ("failed", "invalid_training_file", "Line 3.")


def test_the_new_model_answers(openai: StandIn, client: OpenAI) -> None:
    job = openai.finish_fine_tuning(create(client).id, says="At your service.")["job"]
    assert client.responses.create(model=job["fine_tuned_model"], input="Hi").output_text == "At your service."


def test_a_job_needs_a_file_of_its_purpose(client: OpenAI) -> None:
    for_a_batch = client.files.create(file=("input.jsonl", b"{}\n"), purpose="batch")
    with pytest.raises(BadRequestError) as refused:
        client.fine_tuning.jobs.create(model=MODEL, training_file=for_a_batch.id)
    assert refused.value.param == "training_file"


def test_an_unknown_job_is_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="Could not find fine tune: ftjob-1"):
        client.fine_tuning.jobs.retrieve("ftjob-1")


@pytest.mark.parametrize("end", ["succeeded", "cancelled"])
def test_a_final_status_delivers_an_event_that_unwraps(
    openai: StandIn, client: OpenAI, receiver: Receiver, end: str
) -> None:
    openai.register(receiver.url, SECRET)
    created = create(client)
    if end == "cancelled":
        assert client.fine_tuning.jobs.cancel(created.id).status == "cancelled"
    else:
        openai.finish_fine_tuning(created.id, end)
    [delivery] = receiver.wait_for(1)
    event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
    assert isinstance(event, FineTuningJobCancelledWebhookEvent | FineTuningJobSucceededWebhookEvent)
    assert (event.type, event.data.id) == (f"fine_tuning.job.{end}", created.id)
