"""The official SDK does with the stand-in what it does with OpenAI: evals and their runs."""

import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI
from openai.types.eval_custom_data_source_config import EvalCustomDataSourceConfig
from openai.types.graders import StringCheckGrader
from openai.types.webhooks import (
    EvalRunCanceledWebhookEvent,
    EvalRunFailedWebhookEvent,
    EvalRunSucceededWebhookEvent,
)

from infra.local.stand_in import StandIn
from tests.evals import create_run, eval_request, new_eval, new_run
from tests.openai_sdk.conftest import Receiver

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="


def test_an_eval_is_created_and_retrieved(client: OpenAI) -> None:
    created = client.evals.create(**eval_request("Capitals"))
    assert (created.object, created.name, created.metadata) == ("eval", "Capitals", {"team": "night shift"})
    assert isinstance(created.data_source_config, EvalCustomDataSourceConfig)
    assert created.data_source_config.schema_["required"] == ["item"]
    [grader] = created.testing_criteria
    assert isinstance(grader, StringCheckGrader)
    assert grader.name == "exact"
    retrieved = client.evals.retrieve(created.id)
    assert retrieved.to_dict() == created.to_dict()
    assert retrieved.model_extra == {}
    with pytest.raises(NotFoundError):
        client.evals.retrieve("eval_none")


def test_evals_come_in_pages(openai: StandIn, client: OpenAI) -> None:
    ids = [new_eval(openai) for _ in range(5)]
    assert [found.id for found in client.evals.list(limit=2)] == ids
    newest_first = client.evals.list(limit=2, order="desc", order_by="updated_at")
    assert newest_first.has_next_page()
    assert [found.id for found in newest_first] == ids[::-1]
    assert [found.id for found in client.evals.list(after=ids[1], limit=2).data] == ids[2:4]
    with pytest.raises(BadRequestError):
        client.evals.list(limit=101)


def test_a_run_is_created_finished_and_retrieved(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)
    eval_id = new_eval(openai)
    created = create_run(client, eval_id)
    assert (created.object, created.status, created.eval_id) == ("eval.run", "queued", eval_id)
    assert (created.name, created.model, created.metadata) == ("Nightly", "gpt-6-luna", {"job": "nightly"})

    openai.finish_eval_run(eval_id, created.id, passed=2, failed=1)

    run = client.evals.runs.retrieve(created.id, eval_id=eval_id)
    counts = run.result_counts
    assert (run.status, counts.total, counts.passed, counts.failed, counts.errored) == ("completed", 3, 2, 1, 0)
    [result] = run.per_testing_criteria_results
    assert (result.testing_criteria, result.passed, result.failed) == ("exact", 2, 1)
    assert run.report_url.endswith(f"{eval_id}?run_id={created.id}")
    assert run.model_extra == {}
    [delivery] = receiver.wait_for(1)
    event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
    assert isinstance(event, EvalRunSucceededWebhookEvent)
    assert event.data.to_dict() == {"id": created.id}
    with pytest.raises(NotFoundError):
        client.evals.runs.retrieve(created.id, eval_id=new_eval(openai))


def test_a_failed_run_says_why(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)
    eval_id = new_eval(openai)
    run_id = new_run(openai, eval_id)
    openai.finish_eval_run(eval_id, run_id, "failed", error={"code": "invalid_file", "message": "No such file."})
    run = client.evals.runs.retrieve(run_id, eval_id=eval_id)
    assert (run.status, run.error.code, run.error.message) == ("failed", "invalid_file", "No such file.")
    [delivery] = receiver.wait_for(1)
    event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
    assert isinstance(event, EvalRunFailedWebhookEvent)


def test_a_run_is_cancelled_once(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)
    eval_id = new_eval(openai)
    run_id, other = new_run(openai, eval_id), new_run(openai, eval_id)
    assert client.evals.runs.cancel(run_id, eval_id=eval_id).status == "canceled"
    with pytest.raises(BadRequestError, match="canceled"):
        client.evals.runs.cancel(run_id, eval_id=eval_id)
    [delivery] = receiver.wait_for(1)
    event = client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)
    assert isinstance(event, EvalRunCanceledWebhookEvent)
    runs = client.evals.runs
    assert [run.id for run in runs.list(eval_id, order="desc")] == [other, run_id]
    assert [run.id for run in runs.list(eval_id, status="canceled")] == [run_id]


@pytest.mark.parametrize("status", [404, 410])
def test_the_api_ends(openai: StandIn, client: OpenAI, status: int) -> None:
    eval_id = new_eval(openai)
    openai.end_evals(status)
    with pytest.raises(APIStatusError) as refused:
        client.evals.list()
    assert refused.value.status_code == status
    with pytest.raises(APIStatusError) as refused:
        client.evals.runs.retrieve("evalrun_1", eval_id=eval_id)
    assert refused.value.status_code == status
