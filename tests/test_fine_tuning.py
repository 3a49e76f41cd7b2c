"""Fine-tuned models: recorded, tested, and promoted when they answer."""

import json
from typing import Any

import pytest

from infra.local.stack import Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.batches import given_up, handled, of_age, tried
from tests.waiting import stays, wait_until

MODEL = "gpt-4.1-nano-2025-04-14"
ENDING_MODEL = "gpt-4.1-mini-2025-04-14"
ASK = "POST /v1/responses"


def new_job(openai: StandIn, model: str = MODEL, **options: Any) -> str:
    """Create a job and return its id."""
    sdk = openai.sdk()
    examples = sdk.files.create(file=("examples.jsonl", b'{"messages": []}\n'), purpose="fine-tune")
    return sdk.fine_tuning.jobs.create(model=model, training_file=examples.id, **options).id


def ended(openai: StandIn, status: str = "succeeded", created: Json | None = None, **options: Any) -> tuple[str, Json]:
    """End a new job and return its id and the delivery of its webhook."""
    job_id = new_job(openai, **({"metadata": {"alias": "support"}} if created is None else created))
    (delivery,) = openai.finish_fine_tuning(job_id, status, **options)["deliveries"]
    return job_id, delivery


def model_of(openai: StandIn, job_id: str) -> str | None:
    """The fine-tuned model of a job."""
    return openai.sdk().fine_tuning.jobs.retrieve(job_id).fine_tuned_model


def promoted(stack: Stack, alias: str = "support") -> list[str]:
    """Every value that the alias has had, the current one last."""
    ssm = stack.emulator.client("ssm")
    try:
        found = ssm.get_parameter_history(Name=f"/{stack.name}/models/{alias}")["Parameters"]
    except ssm.exceptions.ParameterNotFound:
        return []
    return [version["Value"] for version in found]


def parameters(stack: Stack) -> dict[str, str]:
    """The promoted models by parameter."""
    found = stack.emulator.client("ssm").get_parameters_by_path(Path=f"/{stack.name}/models", Recursive=True)
    return {parameter["Name"]: parameter["Value"] for parameter in found["Parameters"]}


def recorded(stack: Stack, job_id: str) -> Json:
    """The ledger's record of a job."""
    job = stack.job("fine-tuning", job_id)
    assert job is not None
    return job


def stored(stack: Stack, job_id: str, name: str) -> Json:
    """An artifact of a job."""
    found = stack.artifact(f"fine-tuning/{job_id}/{name}")
    assert found is not None, f"{name} is not among {list(stack.artifacts())}"
    return json.loads(found)


def test_a_model_that_answers_is_promoted_and_the_previous_one_recorded(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    first, delivery = ended(openai)
    handled(stack, delivery)
    job_id, delivery = ended(openai, says="At your service.", checkpoints=4)

    event = handled(stack, delivery)

    models = [model_of(openai, first), model_of(openai, job_id)]
    parameter = f"/{stack.name}/models/support"
    assert promoted(stack) == models
    assert stack.emulator.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"] == models[1]
    names = ["job.json", "checkpoints.json", "events.json", "smoke-test.json", "promotion.json"]
    keys = [f"fine-tuning/{job_id}/{name}" for name in names]
    assert event["outcome"]["artifacts"] == keys
    promotion = {
        "parameter": parameter,
        "model": models[1],
        "shutdown_date": None,
        "promoted": True,
        "version": 2,
        "previous": models[0],
    }
    assert stored(stack, job_id, "promotion.json") == promotion
    test = stored(stack, job_id, "smoke-test.json")
    assert (test["model"], test["prompt"]) == (models[1], "Say hello in one short sentence.")
    assert (test["passed"], test["reply"], test["response"]["model"]) == (True, "At your service.", models[1])
    assert stored(stack, job_id, "job.json")["fine_tuned_model"] == models[1]
    assert [checkpoint["step_number"] for checkpoint in stored(stack, job_id, "checkpoints.json")["data"]] == [
        400,
        300,
        200,
        100,
    ]
    assert stored(stack, job_id, "events.json")["data"][0]["message"] == "The job has successfully completed"
    job = recorded(stack, job_id)
    assert (job["status"], job["terminal"], job["counts"]) == (
        "succeeded",
        1,
        {"trained_tokens": 5768, "checkpoints": 4},
    )
    assert sorted(job["times"]) == ["created_at", "finished_at"]
    assert (job["summary"]["model"], job["summary"]["fine_tuned_model"]) == (MODEL, models[1])
    assert (job["summary"]["method"], job["summary"]["alias"]) == ("supervised", "support")
    assert (job["summary"]["metadata"], job["summary"]["promotion"]) == ({"alias": "support"}, promotion)
    assert (job["summary"]["smoke_test"]["passed"], job["summary"]["smoke_test"]["reply"]) == (
        True,
        "At your service.",
    )
    outcomes = wait_until("both outcomes are published", lambda: watch.outcomes("fine_tuning.job.succeeded")[1:])
    assert (outcomes[0].detail["object_id"], outcomes[0].detail["summary"]["promotion"]) == (job_id, promotion)
    assert watch.alerts() == []


@pytest.mark.parametrize("known_of", ["the model", "its base model"])
def test_the_end_of_a_promoted_model_is_kept_and_told(
    stack: Stack, openai: StandIn, watch: Watch, known_of: str
) -> None:
    job_id = new_job(openai, ENDING_MODEL, metadata={"alias": "support"})
    if known_of == "its base model":
        openai.fault("GET /v1/models/{model}", "status", times=1, status=404)
    (delivery,) = openai.finish_fine_tuning(job_id)["deliveries"]

    handled(stack, delivery)

    assert promoted(stack) == [model_of(openai, job_id)]
    assert recorded(stack, job_id)["summary"]["promotion"]["shutdown_date"] == "2027-01-14"
    history = stack.emulator.client("ssm").get_parameter_history(Name=f"/{stack.name}/models/support")
    assert history["Parameters"][0]["Description"].endswith(" shutdown_date=2027-01-14")
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("fine_tuning.job.succeeded"))
    assert outcome.detail["summary"]["promotion"]["shutdown_date"] == "2027-01-14"
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == f"The model of {job_id} ends on 2027-01-14"


def test_a_model_is_promoted_though_its_end_cannot_be_read(stack: Stack, openai: StandIn, watch: Watch) -> None:
    openai.fault("GET /v1/models/{model}", "status", status=500)
    job_id, delivery = ended(openai)

    handled(stack, delivery)

    assert promoted(stack) == [model_of(openai, job_id)]
    assert recorded(stack, job_id)["summary"]["promotion"]["shutdown_date"] is None
    assert watch.alerts() == []


def test_a_model_without_a_text_is_not_promoted_and_people_are_alerted(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    job_id, delivery = ended(openai, says=None)

    event = handled(stack, delivery)

    assert promoted(stack) == []
    assert event["attempts"] == 1
    summary = recorded(stack, job_id)["summary"]
    assert summary["smoke_test"]["reason"] == "the model answered without text (completed)"
    assert summary["promotion"]["reason"] == "it failed its smoke test"
    assert stored(stack, job_id, "smoke-test.json")["passed"] is False
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("fine_tuning.job.succeeded"))
    assert outcome.detail["note"].endswith("was not promoted: it failed its smoke test")
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == f"The model of {job_id} failed its smoke test"
    assert alert.attributes["severity"] == "warning"
    for words in (
        f"What   {model_of(openai, job_id)}\n",
        "Why    the model answered without text (completed)\n",
        f"The parameter /{stack.name}/models/support is unchanged",
        f"s3://{stack.outputs['BucketName']}/fine-tuning/{job_id}/smoke-test.json\n",
    ):
        assert words in alert.message


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "insufficient_quota"}, "429 insufficient_quota"),
        ({"kind": "status", "status": 403}, "403 missing_scope"),
    ],
    ids=["quota", "permission"],
)
def test_a_model_that_may_not_be_asked_fails_at_once(
    stack: Stack, openai: StandIn, watch: Watch, fault: Json, reason: str
) -> None:
    openai.fault(ASK, **fault)
    job_id, delivery = ended(openai)

    event = handled(stack, delivery)

    assert (event["attempts"], promoted(stack)) == (1, [])
    assert reason in recorded(stack, job_id)["summary"]["smoke_test"]["reason"]
    assert [alert.subject for alert in wait_until("people are alerted", watch.alerts)] == [
        f"The model of {job_id} failed its smoke test"
    ]


@pytest.mark.parametrize("status", [404, 503])
def test_a_model_that_is_not_ready_yet_is_asked_again(stack: Stack, openai: StandIn, watch: Watch, status: int) -> None:
    openai.fault(ASK, "status", times=1, status=status)
    job_id, delivery = ended(openai)

    assert f"OpenAI answered {status}" in tried(stack, delivery)["error"]["message"]
    assert promoted(stack) == []
    event = handled(stack, delivery)

    assert event["attempts"] == 2
    assert promoted(stack) == [model_of(openai, job_id)]
    assert watch.alerts() == []


def test_a_model_that_never_gets_ready_fails(stack: Stack, openai: StandIn, watch: Watch) -> None:
    openai.fault(ASK, "status", status=404)
    job_id = new_job(openai)
    openai.finish_fine_tuning(job_id, deliver=False)
    # The event came eleven minutes ago.
    attributes = {
        "webhook-id": f"wh_{job_id}",
        "webhook-timestamp": str(of_age()),
        "endpoint": "project",
        "event-type": "fine_tuning.job.succeeded",
        "received-at": str(of_age() * 1000),
        "source": "openai",
    }
    body = {"id": "evt_1", "created_at": of_age(), "type": "fine_tuning.job.succeeded", "data": {"id": job_id}}
    stack.send("fine-tuning", json.dumps(body), attributes)

    event = handled(stack, {"webhook_id": f"wh_{job_id}", "endpoint": "project"})

    assert (event["attempts"], promoted(stack)) == (2, []), "an attempt at which the model was not asked does not count"
    assert "OpenAI answered 404" in recorded(stack, job_id)["summary"]["smoke_test"]["reason"]
    assert len(wait_until("people are alerted", watch.alerts)) == 1


@pytest.mark.stack(PromoteModels="false")
def test_with_promotion_turned_off_the_model_is_still_tested(stack: Stack, openai: StandIn, watch: Watch) -> None:
    job_id, delivery = ended(openai)

    handled(stack, delivery)

    assert parameters(stack) == {}
    assert stored(stack, job_id, "smoke-test.json")["reply"] == "Hello!"
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("fine_tuning.job.succeeded"))
    assert outcome.detail["note"].endswith("was not promoted: PROMOTE_MODELS is false")
    assert watch.alerts() == []


def test_an_older_jobs_late_event_does_not_replace_a_newer_model(stack: Stack, openai: StandIn, watch: Watch) -> None:
    older = new_job(openai, metadata={"alias": "support"})
    openai.finish_fine_tuning(older, deliver=False, fields={"finished_at": 1_795_000_000})
    newer, delivery = ended(openai, fields={"finished_at": 1_795_000_060})
    handled(stack, delivery)

    (late,) = openai.deliver("fine_tuning.job.succeeded", {"id": older})
    handled(stack, late)

    assert promoted(stack) == [model_of(openai, newer)]
    reason = f"the model of job {newer}, which finished later, at 2026-11-18T11:07:40Z, was promoted already"
    assert recorded(stack, older)["summary"]["promotion"]["reason"] == reason
    # A repeated event of the newer job does not undo a rollback.
    name = f"/{stack.name}/models/support"
    stack.emulator.client("ssm").put_parameter(Name=name, Value="ft:by-hand", Type="String", Overwrite=True)
    (again,) = openai.deliver("fine_tuning.job.repeated", {"id": newer})
    handled(stack, again)
    assert promoted(stack) == [model_of(openai, newer), "ft:by-hand"]
    assert recorded(stack, newer)["summary"]["promotion"]["version"] == 1
    assert watch.alerts() == []


def test_five_deliveries_promote_once(stack: Stack, openai: StandIn, watch: Watch) -> None:
    stack.set_timeouts("fine-tuning", seconds=12, visibility=20)
    job_id = new_job(openai, metadata={"alias": "support"})
    openai.finish_fine_tuning(job_id, deliver=False)

    deliveries = openai.deliver("fine_tuning.job.succeeded", {"id": job_id}, copies=5, wait=True)

    handled(stack, deliveries[0], timeout=60)
    wait_until("every copy has been acknowledged", lambda: stack.messages("fine-tuning") == [], timeout=60)
    assert promoted(stack) == [model_of(openai, job_id)]
    assert openai.calls("POST", "/v1/responses") == 1
    assert len(watch.outcomes()) == 1


def test_a_consumer_that_dies_while_the_model_answers_promotes_once(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    stack.set_timeouts("fine-tuning", seconds=12, visibility=15)
    openai.fault(ASK, "stall", times=1)
    job_id, delivery = ended(openai)
    wait_until("the model is asked", lambda: stack.artifact(f"fine-tuning/{job_id}/events.json"))
    assert stack.kill("fine-tuning") == 1
    assert promoted(stack) == []

    event = handled(stack, delivery, timeout=60)

    assert event["attempts"] == 2
    assert promoted(stack) == [model_of(openai, job_id)]
    # Handled again, as after a crash behind the promotion, the version is the same.
    (again,) = openai.deliver("fine_tuning.job.repeated", {"id": job_id})
    handled(stack, again)
    assert promoted(stack) == [model_of(openai, job_id)]
    assert recorded(stack, job_id)["summary"]["promotion"]["version"] == 1
    assert watch.alerts() == []


@pytest.mark.parametrize(
    ("created", "alias"),
    [
        ({"metadata": {"alias": "Night shift/Küche"}, "suffix": "unused"}, "Night-shift-K-che"),
        ({"metadata": {"alias": "///"}, "suffix": "support bot"}, "support-bot"),
        ({}, MODEL),
    ],
    ids=["weird", "suffix", "unset"],
)
def test_the_alias_is_always_a_valid_name_of_a_parameter(
    stack: Stack, openai: StandIn, created: Json, alias: str
) -> None:
    job_id, delivery = ended(openai, created=created)

    handled(stack, delivery)

    assert parameters(stack) == {f"/{stack.name}/models/{alias}": model_of(openai, job_id)}
    assert recorded(stack, job_id)["summary"]["alias"] == alias


def test_a_failed_job_has_its_reason_and_people_are_alerted(stack: Stack, openai: StandIn, watch: Watch) -> None:
    job_id, delivery = ended(openai, "failed", error={"code": "invalid_training_file", "message": "Line 3."})

    event = handled(stack, delivery)

    names = ["job.json", "checkpoints.json", "events.json"]
    assert event["outcome"]["artifacts"] == [f"fine-tuning/{job_id}/{name}" for name in names]
    job = recorded(stack, job_id)
    assert (job["status"], job["error"]) == ("failed", "invalid_training_file: Line 3.")
    assert job["summary"]["error"]["code"] == "invalid_training_file"
    (alert,) = wait_until("people are alerted", watch.alerts)
    assert alert.subject == f"Fine-tuning job {job_id} failed"
    assert f"a model based on {MODEL}\n" in alert.message
    assert "Why    invalid_training_file: Line 3.\n" in alert.message
    assert openai.calls("POST", "/v1/responses") == 0


def test_a_cancelled_job_is_recorded_and_nobody_is_alerted(stack: Stack, openai: StandIn, watch: Watch) -> None:
    job_id = new_job(openai)
    openai.sdk().fine_tuning.jobs.cancel(job_id)
    (delivery,) = openai.deliveries(type="fine_tuning.job.cancelled")

    handled(stack, delivery)

    assert (recorded(stack, job_id)["status"], recorded(stack, job_id)["terminal"]) == ("cancelled", 1)
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)
    assert (parameters(stack), openai.calls("POST", "/v1/responses")) == ({}, 0)


@pytest.mark.parametrize("event_type", ["fine_tune.succeeded", "fine_tuning.job.renamed"])
def test_the_status_of_the_job_decides_for_any_event_type(stack: Stack, openai: StandIn, event_type: str) -> None:
    job_id = new_job(openai, suffix="support")
    openai.finish_fine_tuning(job_id, deliver=False)
    (delivery,) = openai.deliver(event_type, {"id": job_id})

    handled(stack, delivery)

    assert promoted(stack) == [model_of(openai, job_id)]


def test_an_event_that_is_ahead_of_the_job_is_retried(stack: Stack, openai: StandIn) -> None:
    job_id = new_job(openai, suffix="support")
    openai.finish_fine_tuning(job_id, "running")
    (progress,) = openai.deliver("fine_tuning.job.progress", {"id": job_id})
    handled(stack, progress)
    assert (recorded(stack, job_id)["status"], recorded(stack, job_id)["terminal"]) == ("running", 0)
    (delivery,) = openai.deliver("fine_tuning.job.succeeded", {"id": job_id})

    assert "still running" in tried(stack, delivery)["error"]["message"]
    openai.finish_fine_tuning(job_id, deliver=False)
    handled(stack, delivery)

    assert promoted(stack) == [model_of(openai, job_id)]


def test_a_test_delivery_ends_as_not_found(stack: Stack, openai: StandIn, watch: Watch) -> None:
    (delivery,) = openai.deliver("fine_tuning.job.succeeded", {"id": "ftjob-abc123"}, created_at=of_age())

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "not_found"
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("fine_tuning.job.succeeded"))
    assert "a test delivery" in outcome.detail["note"]
    assert stack.artifacts("fine-tuning/") == {}
    assert len(wait_until("people are told", watch.alerts)) == 1


def test_the_key_of_another_project_is_not_taken_for_a_missing_job(stack: Stack, openai: StandIn) -> None:
    openai.fault("GET /v1/fine_tuning/jobs/{id}", "status", status=401)
    (delivery,) = openai.deliver("fine_tuning.job.succeeded", {"id": "ftjob-1"})

    assert given_up(stack, delivery)["error"]["reason"] == "unauthorized"
