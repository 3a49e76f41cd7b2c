"""Alerts of one kind: the first at once, the others together when their window is over."""

import json
from typing import Any

from infra.local.stack import Item, Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch
from infra.local.web_server import DONE, Answer, Request, WebServer
from tests.batches import given_up, handled
from tests.cli import Cli
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


def test_a_chat_gets_what_it_renders_and_a_mailbox_gets_text(stack: Stack, openai: StandIn, watch: Watch) -> None:
    topic, sns = stack.outputs["AlertsTopicArn"], stack.emulator.client("sns")
    posts: list[dict[str, Any]] = []

    def take(request: Request) -> Answer:
        posts.append(json.loads(request.body))
        return DONE

    chat_endpoint = WebServer(take)
    # As Amazon Q Developer in chat applications subscribes; here without TLS.
    sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=f"{chat_endpoint.url}/")
    (asked,) = wait_until("it is asked to confirm", lambda: posts)
    sns.confirm_subscription(TopicArn=topic, Token=asked["Token"])

    openai.fault("GET /v1/files/{id}", "status", status=401)
    (delivery,) = openai.deliver("file.processed", {"id": "file-1"}, wait=True)
    event = given_up(stack, delivery)

    (mail,) = wait_until("people are told", watch.alerts)
    (_, post) = wait_until("the chat is told", lambda: len(posts) == 2 and posts)
    chat_endpoint.stop()
    assert mail.message.startswith("file.processed could not be handled")
    chat = json.loads(post["Message"])
    assert (chat["version"], chat["source"]) == ("1.0", "custom")
    content, metadata = chat["content"], chat["metadata"]
    assert (content["title"], content["textType"]) == (mail.subject, "client-markdown")
    assert "What   " in content["description"]
    (step,) = content["nextSteps"]
    assert step.startswith("Remove the cause, then redrive")
    assert content["keywords"] == ["critical", "file", "unauthorized"]
    assert metadata["threadId"] == "file/unauthorized/critical"
    assert metadata["relatedResources"] == [event["event_id"]]

    sent = Cli(stack).ok("alerts", "test", "--severity", "warning", "--yes")
    assert sent["subscribers"] == 2


def test_an_event_without_an_alert_leaves_none(stack: Stack, openai: StandIn, watch: Watch) -> None:
    (delivery,) = openai.deliver("file.processed", {"id": openai.put_file(text="four")["id"]}, wait=True)

    handled(stack, delivery)

    assert (stack.ledger("alerts"), watch.alerts()) == ([], [])
