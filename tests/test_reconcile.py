"""Webhooks that never came, and that reconciliation makes up for: each once, whatever else happens."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.local.stack import FunctionError, Item, Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Watch
from tests.batches import finish, given_up, handled, new_batch
from tests.conftest import MakeStack
from tests.test_fine_tuning import new_job
from tests.waiting import stays, wait_until

HOUR = 3600


def reconcile(stack: Stack) -> Json:
    """Look through OpenAI's lists. Answers what came of each."""
    return stack.invoke("reconcile", {"task": "reconcile"})["lists"]


def expectations(stack: Stack) -> Json:
    """Look after what is expected."""
    return stack.invoke("reconcile", {"task": "expectations"})


def sent(lists: Json) -> dict[str, int]:
    """How many events were sent, by list."""
    return {name: found["sent"] for name, found in lists.items()}


NOTHING = {"batches": 0, "fine_tuning_jobs": 0, "agent_sessions": 0}


def ago(seconds: int) -> int:
    """A moment in the past, in Unix seconds."""
    return int(time.time()) - seconds


def lost_batch(openai: StandIn, age: int = HOUR, status: str = "completed") -> str:
    """A batch that ended without a webhook. Answers its id."""
    batch_id = new_batch(openai)
    assert openai.advance(batch_id, status, deliver=False, age_seconds=age)["deliveries"] == []
    return batch_id


def lost_job(openai: StandIn, age: int = HOUR) -> str:
    """A fine-tuning job that ended without a webhook."""
    job_id = new_job(openai)
    openai.finish_fine_tuning(job_id, "failed", deliver=False, fields={"finished_at": ago(age)})
    return job_id


def lost_session(openai: StandIn, status: str = "idle", age: int = HOUR, **options: Any) -> str:
    """An agent's session that came to rest without a webhook."""
    session_id = openai.agent_session(deliver=False)["session"]["id"]
    openai.move_agent_session(session_id, status, deliver=False, fields={"last_active_at": ago(age)}, **options)
    return session_id


def background_response(openai: StandIn) -> str:
    """A response that OpenAI works on."""
    return openai.sdk().responses.create(model="gpt-6-luna", input="Hello", background=True).id


def lost_response(stack: Stack, openai: StandIn, **attributes: Any) -> str:
    """An expected response that ended without a webhook."""
    response_id = background_response(openai)
    stack.expect("response", response_id, **{"due_in": HOUR, "age": HOUR, **attributes})
    openai.finish_response(response_id, deliver=False)
    return response_id


def caught(stack: Stack, event_type: str, object_id: str) -> Item:
    """Wait until the event that reconciliation made is done, and answer its record."""

    def done() -> Item | None:
        made = [item for item in stack.ledger("event") if (item["event_type"], item.get("object_id")) == wanted]
        return made[0] if made and made[0]["state"] == "completed" else None

    wanted = (event_type, object_id)
    return wait_until(f"{event_type} of {object_id} is handled", done)


def test_a_lost_webhook_is_caught_once_whatever_else_happens(stack: Stack, openai: StandIn, watch: Watch) -> None:
    response_id = lost_response(stack, openai, context='{"order": 7}')
    lost = {
        ("batch.completed", lost_batch(openai)),
        ("batch.failed", lost_batch(openai, status="failed")),
        ("fine_tuning.job.failed", lost_job(openai)),
        ("agent.session.idle", lost_session(openai)),
        ("agent.session.failed", lost_session(openai, "failed")),
        ("response.completed", response_id),
    }

    assert sent(reconcile(stack)) == {"batches": 2, "fine_tuning_jobs": 1, "agent_sessions": 2}
    assert expectations(stack)["sent"] == 1
    events = {event["event_type"]: event for event in (caught(stack, *one) for one in lost)}

    assert {event["source"] for event in events.values()} == {"reconcile"}
    assert {(it.detail_type, it.detail["object_id"]) for it in watch.outcomes()} == lost
    assert {it.detail["source"] for it in watch.outcomes()} == {"reconcile"}
    (of_response,) = watch.outcomes("response.completed")
    assert of_response.detail["context"] == {"order": 7}
    assert "waiting" not in (stack.job("response", response_id) or {"waiting": "no item"})

    # Again, twice at once, and then what was thought lost comes after all.
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: reconcile(stack), range(2)))
        also = list(pool.map(lambda _: expectations(stack), range(2)))
    assert [sent(lists) for lists in again] == [NOTHING, NOTHING]
    assert [result["sent"] for result in also] == [0, 0]
    for event_type, object_id in lost:
        if not event_type.startswith("agent."):
            (delivery,) = openai.deliver(event_type, {"id": object_id})
            late = handled(stack, delivery)
            assert late["duplicate_of"] == f"project#{events[event_type]['event_id']}"
    stays("nothing is announced twice", lambda: len(watch.outcomes()) == len(lost))


def test_runs_at_the_same_time_make_one_effect(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batches = {lost_batch(openai) for _ in range(5)}

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _: sent(reconcile(stack))["batches"], range(3)))

    for batch_id in batches:
        caught(stack, "batch.completed", batch_id)
    assert 5 <= sum(results) <= 15
    # A copy that came while the first one was handled waits until its lease would have ended.
    stays("each is announced once", lambda: len(watch.outcomes()) == len(batches))
    assert {it.detail["object_id"] for it in watch.outcomes()} == batches


def test_what_a_run_that_died_has_not_found_the_next_one_finds(stack: Stack, openai: StandIn, watch: Watch) -> None:
    batch_id, job_id = lost_batch(openai), lost_job(openai)
    openai.fault("GET /v1/fine_tuning/jobs", "stall", times=1)

    with ThreadPoolExecutor(1) as pool:
        died = pool.submit(reconcile, stack)
        caught(stack, "batch.completed", batch_id)
        assert stack.kill("reconcile") == 1
        assert died.exception(timeout=60) is not None

    assert sent(reconcile(stack)) == {**NOTHING, "fine_tuning_jobs": 1}
    caught(stack, "fine_tuning.job.failed", job_id)
    stays("each is announced once", lambda: {it.detail["object_id"] for it in watch.outcomes()} == {batch_id, job_id})
    assert len(watch.outcomes()) == 2


def test_what_was_handled_or_has_failed_is_left_alone(stack: Stack, openai: StandIn) -> None:
    handled_id, failed_id = new_batch(openai), new_batch(openai)
    handled(stack, finish(openai, handled_id, age_seconds=HOUR))
    openai.fault(f"GET /v1/batches/{failed_id}", "status", status=403)
    given_up(stack, finish(openai, failed_id, age_seconds=HOUR))
    session_id = openai.agent_session()["session"]["id"]
    moved = openai.move_agent_session(session_id, "idle", fields={"last_active_at": ago(HOUR)})
    handled(stack, moved["deliveries"][0])

    lists = reconcile(stack)

    assert sent(lists) == NOTHING
    assert (lists["batches"]["entries"], lists["agent_sessions"]["entries"]) == (2, 1)
    assert len(stack.dead_letters("batch")) == 1


def test_what_may_still_come_and_what_ended_before_the_stack_was_there_are_left_alone(
    stack: Stack, openai: StandIn
) -> None:
    lost_batch(openai, age=10 * 60)
    lost_batch(openai, age=25 * HOUR)
    lost_job(openai, age=10 * 60)
    lost_session(openai, age=10 * 60)
    lost_session(openai, age=25 * HOUR)
    openai.agent_session(deliver=False, fields={"last_active_at": ago(HOUR), "status": "in_progress"})
    response_id = background_response(openai)
    stack.expect("response", response_id, due_in=HOUR, age=10 * 60)
    openai.finish_response(response_id, deliver=False)

    assert sent(reconcile(stack)) == NOTHING
    result = expectations(stack)
    assert (result["looked_up"], result["sent"]) == (0, 0)


def test_a_session_that_rests_again_is_caught_again(stack: Stack, openai: StandIn) -> None:
    session_id = lost_session(openai, age=3 * HOUR)
    reconcile(stack)
    caught(stack, "agent.session.idle", session_id)
    key = {"pk": {"S": f"job#agent#{session_id}"}, "sk": {"S": "job"}}
    # It was looked at two hours ago, and has rested again since.
    stack.emulator.client("dynamodb").update_item(
        TableName=stack.outputs["TableName"],
        Key=key,
        UpdateExpression="SET as_of = :as_of",
        ExpressionAttributeValues={":as_of": {"N": str(ago(2 * HOUR) * 1000)}},
    )
    openai.move_agent_session(session_id, "idle", deliver=False, fields={"last_active_at": ago(HOUR)})

    assert sent(reconcile(stack))["agent_sessions"] == 1
    wait_until("it is looked at anew", lambda: (stack.job("agent", session_id) or {})["as_of"] > ago(HOUR) * 1000)
    assert sent(reconcile(stack)) == NOTHING


def test_a_session_that_waits_for_an_action_is_announced_with_it(stack: Stack, openai: StandIn, watch: Watch) -> None:
    action = {"type": "function_call", "call_id": "call_1", "turn_id": "turn_1", "name": "pay", "arguments": {}}
    session_id = lost_session(openai, "requires_action", required_actions=[action])

    reconcile(stack)

    caught(stack, "agent.session.action_required", session_id)
    (outcome,) = watch.outcomes()
    assert outcome.detail["summary"]["required_actions"] == [action]
    assert "note" not in outcome.detail


def test_a_key_that_must_not_read_one_list_keeps_the_others_going(stack: Stack, openai: StandIn) -> None:
    batch_id = lost_batch(openai)
    openai.fault("GET /v1/agents/sessions", "status", status=403)

    lists = reconcile(stack)

    caught(stack, "batch.completed", batch_id)
    assert "list agent sessions: OpenAI answered 403" in lists["agent_sessions"]["skipped"]
    assert "skipped" not in lists["batches"]


def test_an_error_of_one_list_fails_the_run_and_keeps_the_others_going(stack: Stack, openai: StandIn) -> None:
    batch_id, session_id = lost_batch(openai), lost_session(openai)
    openai.fault("GET /v1/batches", "status", times=1, status=500)

    with pytest.raises(FunctionError, match=r"^batches: list batches: OpenAI answered 500"):
        reconcile(stack)

    caught(stack, "agent.session.idle", session_id)
    assert sent(reconcile(stack))["batches"] == 1
    caught(stack, "batch.completed", batch_id)


def test_people_are_told_of_a_list_that_keeps_failing(stack: Stack, openai: StandIn, watch: Watch) -> None:
    session_id = lost_session(openai)
    openai.fault("GET /v1/batches", "status", times=6, status=500)

    for _ in range(6):
        with pytest.raises(FunctionError, match="OpenAI answered 500"):
            reconcile(stack)
        # A scan that comes before the event is handled finds it lost once more.
        caught(stack, "agent.session.idle", session_id)

    lost, alert = wait_until("people are told", lambda: len(told := watch.alerts()) == 2 and told)
    assert lost.subject == "Webhooks were lost: agent_sessions 1"
    assert alert.subject == "OpenAI's list of batches cannot be read"
    assert "6 times in a row" in alert.message
    assert "OpenAI answered 500" in alert.message
    assert reconcile(stack)["batches"]["finished"]
    stays("people are told once", lambda: len(watch.alerts()) == 2, seconds=0.3)


def promoted(stack: Stack, alias: str, model: str, days: int) -> str:
    """A promoted model that ends at midnight, so many days after the last one. Answers the parameter's name."""
    name, date = f"/{stack.name}/models/{alias}", time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * 24 * HOUR))
    description = f"Fine-tuned model, promoted by openai-webhooks: job=ftjob-1 finished_at=1 shutdown_date={date}"
    stack.emulator.client("ssm").put_parameter(
        Name=name, Value=model, Description=description, Type="String", Overwrite=True
    )
    return name


def test_people_are_told_before_a_model_that_production_uses_ends(stack: Stack, watch: Watch) -> None:
    soon = promoted(stack, "soon", "ft:gpt-4.1-mini:acme:soon:B1", 25)
    promoted(stack, "later", "ft:gpt-4.1-mini:acme:later:B1", 40)
    for _ in range(2):
        reconcile(stack)
    (alert,) = wait_until("people are told", watch.alerts)
    assert alert.subject == "The model that production uses ends in 25 days"
    assert "ft:gpt-4.1-mini:acme:soon:B1" in alert.message
    assert soon in alert.message
    assert alert.attributes["event-type"] == "model.shutdown"

    promoted(stack, "soon", "ft:gpt-4.1-mini:acme:soon:B1", 6)
    for _ in range(2):
        reconcile(stack)
    wait_until("people are told again", lambda: len(watch.alerts()) == 2)
    assert watch.alerts()[1].subject == "The model that production uses ends in 6 days"

    # Replaced by hand, which leaves the description as it was.
    stack.emulator.client("ssm").put_parameter(Name=soon, Value="gpt-6-luna", Type="String", Overwrite=True)
    reconcile(stack)
    stays("nobody is told of the new model", lambda: len(watch.alerts()) == 2, seconds=0.3)


def test_without_an_api_key_nothing_is_looked_at_and_the_result_says_so(make_stack: MakeStack) -> None:
    stack = make_stack(fill_secrets=False)

    result = stack.invoke("reconcile", {"task": "reconcile"})

    assert result["task"] == "reconcile"
    assert "the OpenAI API key is not set" in result["skipped"]
    assert expectations(stack) == {"task": "expectations", "looked_up": 0, "sent": 0, "overdue": 0}


@pytest.mark.parametrize("payload", [{}, [], {"task": "other"}, {"task": 7}])
def test_a_task_that_is_none_is_refused(stack: Stack, payload: Any) -> None:
    with pytest.raises(FunctionError, match=r"task|struct"):
        stack.invoke("reconcile", payload)
