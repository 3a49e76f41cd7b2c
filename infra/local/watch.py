"""Collects a stack's outcomes on its bus and alerts of its topic."""

import json
from dataclasses import dataclass
from typing import Any

from infra.local.stack import Stack, messages_in


@dataclass(frozen=True)
class Outcome:
    """Event on the stack's bus."""

    source: str
    detail_type: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class Alert:
    """Message of the stack's topic."""

    subject: str
    message: str
    attributes: dict[str, str]


class Watch:
    """Two queues behind the stack's bus and topic. Create it right after the deployment, so that it misses nothing."""

    def __init__(self, stack: Stack) -> None:
        """Create the queues, with a rule for all outcomes and a subscription for all alerts."""
        self._emulator = stack.emulator
        self._outcomes = self._queue(f"{stack.name}-watched-outcomes")
        self._alerts = self._queue(f"{stack.name}-watched-alerts")
        bus = stack.outputs["BusName"]
        events = self._emulator.client("events")
        events.put_rule(Name="watch", EventBusName=bus, EventPattern=json.dumps({"source": [{"prefix": ""}]}))
        target = {"Id": "watch", "Arn": self._arn(self._outcomes)}
        events.put_targets(Rule="watch", EventBusName=bus, Targets=[target])
        self._emulator.client("sns").subscribe(
            TopicArn=stack.outputs["AlertsTopicArn"], Protocol="sqs", Endpoint=self._arn(self._alerts)
        )

    def outcomes(self, detail_type: str | None = None) -> list[Outcome]:
        """Outcomes so far, in the order of arrival, all or of one event type."""
        envelopes = [message.json() for message in messages_in(self._emulator, self._outcomes)]
        found = [Outcome(event["source"], event["detail-type"], event["detail"]) for event in envelopes]
        return [outcome for outcome in found if detail_type in (None, outcome.detail_type)]

    def alerts(self) -> list[Alert]:
        """Alerts so far, in the order of arrival."""
        envelopes = [message.json() for message in messages_in(self._emulator, self._alerts)]
        return [
            Alert(
                subject=envelope.get("Subject", ""),
                message=envelope["Message"],
                attributes={name: value["Value"] for name, value in envelope.get("MessageAttributes", {}).items()},
            )
            for envelope in envelopes
        ]

    def _queue(self, name: str) -> str:
        sqs = self._emulator.client("sqs")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        allow = {
            "Effect": "Allow",
            "Principal": {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]},
            "Action": "sqs:SendMessage",
            "Resource": self._arn(url),
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        return url

    def _arn(self, queue_url: str) -> str:
        sqs = self._emulator.client("sqs")
        return sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
