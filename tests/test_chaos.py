"""A short campaign of `make chaos`: nothing is lost and nothing is acted on twice, whatever fails meanwhile."""

import pytest

from infra.local.chaos.campaign import PARAMETERS, Campaign
from infra.local.chaos.plan import make
from infra.local.chaos.verdict import judge
from infra.local.stack import Stack
from infra.local.stand_in import StandIn
from infra.local.watch import Watch

DELIVERIES = 1_000


@pytest.mark.stack(**PARAMETERS)
def test_nothing_is_lost_or_acted_on_twice_whatever_fails(stack: Stack, openai: StandIn, watch: Watch) -> None:
    plan = make(seed=1, deliveries=DELIVERIES)
    campaign = Campaign(stack, openai, plan)

    campaign.play(lambda _: None)
    campaign.settle(lambda _: None)
    verdict = judge(stack, openai, watch, plan, campaign.sent)

    assert verdict.wrong == []
    assert verdict.counts["deliveries"] == DELIVERIES
    # The trouble was real.
    assert campaign.trouble.counts["processes killed"] > 0
    assert campaign.trouble.weather.counts["answer lost"] > 0
