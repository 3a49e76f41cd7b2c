"""Alerts of one kind: the first at once, the others together when their window is over."""

from infra.local.stack import Item, Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from tests.batches import given_up, handled
from tests.test_reconcile import expectations
from tests.waiting import stays, wait_until

FAILURES = 4


def waiting(stack: Stack) -> list[Item]:
    """Groups of alerts that nobody was told of yet."""
    return [group for group in stack.ledger("alerts") if group.get("count")]


def windows_end(stack: Stack) -> None:
    """Let the time pass until every window is over."""
    for group in stack.ledger("alerts"):
        stack.emulator.client("dynamodb").update_item(
            TableName=stack.outputs["TableName"],
            Key={"pk": {"S": group["pk"]}, "sk": {"S": "alerts"}},
            UpdateExpression="SET due_at = :past",
            ExpressionAttributeValues={":past": {"N": "1"}},
        )


def test_people_are_told_of_a_series_of_failures_twice_and_of_its_number(
    stack: Stack, openai: StandIn, watch: Watch
) -> None:
    openai.fault("GET /v1/files/{id}", "status", status=401)
    events = []
    for number in range(FAILURES):
        (delivery,) = openai.deliver("file.processed", {"id": f"file-{number}"}, wait=True)
        events.append(given_up(stack, delivery))

    (first,) = wait_until("people are told of the first one", watch.alerts)
    assert first.subject == "file.processed could not be handled: unauthorized"
    wait_until("the others are counted", lambda: [group["count"] for group in waiting(stack)] == [FAILURES - 1])
    expectations(stack)
    stays("nobody is told before the window is over", lambda: len(watch.alerts()) == 1, seconds=0.5)

    windows_end(stack)
    expectations(stack)

    (_, group) = wait_until("people are told of the others", lambda: len(told := watch.alerts()) == 2 and told)
    assert group.subject == f"{FAILURES - 1} alerts of file: unauthorized"
    assert group.attributes == {"category": "file", "event-type": "file.processed", "severity": "critical"}
    for event in events[1:]:
        assert event["event_id"] in group.message
    assert "openai-webhooks dlq list --category file" in group.message
    assert waiting(stack) == []
    expectations(stack)
    stays("they are told once", lambda: len(watch.alerts()) == 2, seconds=0.5)


def test_an_event_without_an_alert_leaves_none(stack: Stack, openai: StandIn, watch: Watch) -> None:
    (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)

    handled(stack, delivery)

    assert (stack.ledger("alerts"), watch.alerts()) == ([], [])
