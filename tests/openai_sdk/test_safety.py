"""The official SDK with the stand-in instead of OpenAI: safety notices."""

import json

import pytest
from openai import NotFoundError, OpenAI
from openai.types.webhooks import (
    SafetyAlertCreatedWebhookEvent,
    SafetyDeactivationIssuedWebhookEvent,
    SafetyIdentifierBlockedWebhookEvent,
    SafetyOrgAlertCreatedWebhookEvent,
    SafetyWarningIssuedWebhookEvent,
)

from infra.local.stand_in import StandIn
from tests.openai_sdk.conftest import Receiver

SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="


def test_an_alert_is_read_in_full(openai: StandIn, client: OpenAI) -> None:
    raised = openai.safety_alert(
        error_type="potentially_unintended_data_access",
        request_paused=True,
        reason="Mail was read.",
        detailed_explanation="All of it.",
    )["alert"]
    alert = client.safety.alerts.retrieve(raised["id"])
    assert (alert.error_type, alert.request_paused) == ("potentially_unintended_data_access", True)
    assert (alert.reason, alert.detailed_explanation) == ("Mail was read.", "All of it.")
    assert alert.request_id.startswith("req_")
    assert alert.response_id.startswith("resp_")
    assert alert.model_extra == {}


def test_an_alert_may_lack_its_explanation(openai: StandIn, client: OpenAI) -> None:
    alert = client.safety.alerts.retrieve(openai.safety_alert()["alert"]["id"])
    assert (alert.reason, alert.detailed_explanation) == (None, None)


def test_a_case_is_read_in_full(openai: StandIn, client: OpenAI) -> None:
    case = client.safety.cases.retrieve(openai.safety_case("warning", reason="Cyber.")["case"]["id"])
    assert (case.notice.type, case.reason, case.entity_identifier) == ("warning", "Cyber.", "user_04f8996da763b7a9")
    assert case.model_extra == {}


def test_an_unknown_id_is_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError):
        client.safety.alerts.retrieve("alert_0")
    with pytest.raises(NotFoundError):
        client.safety.cases.retrieve("C-0")


def test_each_notice_unwraps(openai: StandIn, client: OpenAI, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)
    openai.register(receiver.url.replace("project", "organization"), SECRET, "organization")
    kinds = []
    for raise_notice in (
        openai.safety_alert,
        lambda: openai.safety_alert(workspace=True),
        lambda: openai.safety_case("warning"),
        lambda: openai.safety_case("deactivation"),
    ):
        raise_notice()
        delivery = receiver.wait_for(len(kinds) + 1)[-1]
        kinds.append(type(client.webhooks.unwrap(delivery.body, delivery.headers, secret=SECRET)))
    assert kinds == [
        SafetyAlertCreatedWebhookEvent,
        SafetyOrgAlertCreatedWebhookEvent,
        SafetyWarningIssuedWebhookEvent,
        SafetyDeactivationIssuedWebhookEvent,
    ]


def test_a_blocked_identifier_has_an_event_and_no_object(openai: StandIn, receiver: Receiver) -> None:
    openai.register(receiver.url, SECRET)
    openai.block_identifier("cyber", model="gpt-6-astra")
    body = json.loads(receiver.wait_for(1)[0].body)
    event = SafetyIdentifierBlockedWebhookEvent.model_validate(body)
    assert (event.data.safety_category, event.data.model, event.data.project_id) == ("cyber", "gpt-6-astra", None)
    assert event.data.safety_identifier == "user_04f8996da763b7a9"
