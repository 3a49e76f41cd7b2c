"""File events, in case OpenAI sends them."""

from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import given_up, handled
from tests.waiting import stays, wait_until


def test_a_file_is_recorded_with_its_metadata(stack: Stack, openai: StandIn, watch: Watch) -> None:
    file = openai.put_file(text="four", filename="a" * 400 + ".jsonl", purpose="batch_output")
    (delivery,) = openai.deliver("file.processed", {"id": file["id"]})

    event = handled(stack, delivery)

    assert event["outcome"]["status"] == "processed"
    job = stack.job("file", file["id"])
    assert job is not None
    assert (job["status"], job["terminal"]) == ("processed", 1)
    assert job["summary"] == {"filename": "a" * 300 + "…", "purpose": "batch_output", "bytes": 4}
    assert job["times"] == {name: file[name] for name in ("created_at", "expires_at")}
    (outcome,) = wait_until("the outcome is published", lambda: watch.outcomes("file.processed"))
    assert outcome.detail["summary"] == job["summary"]
    assert outcome.detail["artifacts"] == []
    assert openai.calls("GET", f"/v1/files/{file['id']}/content") == 0


def test_the_record_of_a_deleted_file_stays(stack: Stack, openai: StandIn, watch: Watch) -> None:
    file_id = openai.put_file(text="four")["id"]
    (created,) = openai.deliver("file.created", {"id": file_id})
    handled(stack, created)
    openai.sdk().files.delete(file_id)
    (deleted,) = openai.deliver("file.deleted", {"id": file_id})

    outcome = handled(stack, deleted)["outcome"]

    assert outcome["status"] == "not_found"
    assert outcome["note"] == f"OpenAI has no file {file_id} any more, as the event says"
    job = stack.job("file", file_id)
    assert job is not None
    assert job["status"] == "processed"
    stays("nobody is alerted", lambda: watch.alerts() == [], seconds=0.3)


def test_the_key_of_another_project_is_not_taken_for_a_missing_file(stack: Stack, openai: StandIn) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=401)
    (delivery,) = openai.deliver("file.deleted", {"id": "file-1"})

    event = given_up(stack, delivery)

    assert event["error"]["reason"] == "unauthorized"


def test_five_simultaneous_deliveries_are_handled_once(stack: Stack, openai: StandIn, watch: Watch) -> None:
    stack.set_timeouts("file", seconds=12, visibility=20)
    path = f"/v1/files/{openai.put_file(text='four')['id']}"
    openai.fault(f"GET {path}", "stall", times=1, milliseconds=1000)

    deliveries = openai.deliver("file.processed", {"id": path.rsplit("/", 1)[-1]}, copies=5, wait=True)

    assert handled(stack, deliveries[0])["attempts"] == 1
    wait_until("every copy is acknowledged", lambda: stack.messages("file") == [], timeout=60)
    assert openai.calls("GET", path) == 1
    assert len(watch.outcomes()) == 1
