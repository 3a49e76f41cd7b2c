"""The rules of `docs/outcomes/rules.yaml`, deployed beside a stack: what a user's own code gets."""

import json

from samtranslator.yaml_helper import yaml_parse

from infra.local.deploy import deploy
from infra.local.processes import ROOT
from infra.local.stack import Stack, messages_in
from infra.local.stand_in import StandIn
from infra.local.watch import Outcome
from tests import schemas
from tests.batches import finish, handled, new_batch
from tests.waiting import stays, wait_until

RULES = ROOT / "docs" / "outcomes" / "rules.yaml"


def test_a_rule_takes_the_outcomes_it_asks_for_into_a_queue(stack: Stack, openai: StandIn) -> None:
    # The emulator knows no API destinations, so there is none here.
    parameters = {
        "BusName": stack.outputs["BusName"],
        "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
    }
    template = yaml_parse(RULES.read_text())
    outputs = deploy(stack.emulator, f"{stack.name}-rules", parameters, template=template)

    def results() -> list[Outcome]:
        messages = messages_in(stack.emulator, outputs["BatchResultsUrl"])
        envelopes = [json.loads(message.body) for message in messages]
        return [Outcome(event["source"], event["detail-type"], event["detail"]) for event in envelopes]

    asked_for, other = new_batch(openai, metadata={"team": "search"}), new_batch(openai, metadata={"team": "ads"})
    for batch_id in (other, asked_for):
        handled(stack, finish(openai, batch_id))

    (outcome,) = wait_until("the batch of the search team is in the queue", results)
    assert outcome.detail["object_id"] == asked_for
    assert schemas.faults(outcome) == []
    stays("no other batch comes", lambda: len(results()) == 1)
