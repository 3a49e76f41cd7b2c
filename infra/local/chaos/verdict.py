"""What must be true after a campaign, whatever happened in it."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from infra.local.chaos.happenings import ACTIONS, Happening
from infra.local.chaos.plan import Plan
from infra.local.chaos.sender import Sent
from infra.local.chaos.trouble import command
from infra.local.stack import Item, Stack
from infra.local.stand_in import Json, StandIn
from infra.local.watch import Outcome, Watch

_SAMPLE = 300
"""Number of artifacts that are compared with OpenAI's byte for byte. The others must exist."""
_REACHED = (200, 409)
"""Statuses of a request that acted on a call, or came after one that did."""
_ENDED = ("completed", "not_found")


@dataclass
class Verdict:
    """Result of a campaign."""

    wrong: list[str] = field(default_factory=list)
    """What is not as it must be, one sentence each, with all there is to say of it."""
    known: list[str] = field(default_factory=list)
    """What is not as it must be and is listed in docs/reliability.md as known."""
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Evidence:
    """What is there after a campaign, read once."""

    deliveries: list[Sent]
    events: dict[tuple[str, str], Item]
    """Events in the ledger, by endpoint and webhook id."""
    records: dict[str, Item]
    """Idempotency records, by key."""
    outcomes: dict[str, list[Outcome]]
    """Outcomes on the bus, by idempotency key."""
    requests: dict[str, list[int]]
    """Statuses of the requests at OpenAI that act on calls, by path."""

    @classmethod
    def read(cls, stack: Stack, openai: StandIn, watch: Watch, sent: list[Sent]) -> "Evidence":
        """Read everything."""
        outcomes = defaultdict(list)
        for outcome in watch.outcomes():
            outcomes[outcome.detail["idempotency_key"]].append(outcome)
        return cls(
            deliveries=sent,
            events={
                (endpoint, webhook_id): event
                for event in stack.ledger("event")
                for _, endpoint, webhook_id in [event["pk"].split("#", 2)]
            },
            records={item["pk"].removeprefix("idempotency#"): item for item in stack.ledger("record")},
            outcomes=outcomes,
            requests={r["path"]: r["statuses"] for r in openai.requests() if "/calls/" in r["path"]},
        )

    def history(self, happening: Happening) -> list[Json]:
        """Attempts of all its events."""
        events = [self.events.get((event.endpoint, event.webhook_id)) for event in happening.events]
        return [attempt for event in events if event for attempt in event["history"]]


def judge(stack: Stack, openai: StandIn, watch: Watch, plan: Plan, sent: list[Sent]) -> Verdict:
    """Compare all that is there with all that happened and was sent."""
    evidence = Evidence.read(stack, openai, watch, sent)
    verdict = Verdict()
    verdict.wrong += _deliveries(evidence, verdict.counts)
    for happening in plan.happenings:
        if happening.object_id is None:
            continue
        verdict.counts["happenings"] += 1
        found = [
            *_record(happening, evidence),
            *_ends(happening, evidence),
            *_outcomes(happening, evidence, verdict.counts),
            *(_call(happening, evidence, openai, verdict) if happening.kind.name == "call" else ()),
        ]
        told = f"{happening.described()}; record {evidence.records.get(happening.key)}"
        verdict.wrong += [f"{happening.key}: {fault}. {told}" for fault in found]
    verdict.wrong += _strangers(evidence, plan)
    verdict.wrong += _audit(stack)
    verdict.wrong += _artifacts(stack, openai, plan)
    return verdict


def _audit(stack: Stack) -> Iterator[str]:
    """The books close: ledger, queues, dead letters and bucket fit together."""
    audit = command(stack, "audit", "--json")
    if audit.returncode != 0:
        yield f"`openai-webhooks audit` ends with {audit.returncode}: {audit.stdout.decode()} {audit.stderr.decode()}"


def _deliveries(evidence: Evidence, counts: Counter[str]) -> Iterator[str]:
    """Whatever was accepted is in the ledger and has ended; what was forged was refused."""
    told = set()
    for delivery in evidence.deliveries:
        webhook_id = delivery.webhook_id
        counts["deliveries"] += 1
        counts["attempts to deliver"] += len(delivery.answers)
        event = evidence.events.get((delivery.endpoint, webhook_id))
        if delivery.forged:
            counts["forged"] += 1
            if delivery.is_accepted or event is not None:
                yield f"{webhook_id} is forged, and was answered {delivery.answers}: {event}"
        elif not delivery.is_accepted:
            yield f"{webhook_id} was not accepted: {delivery.answers}"
        elif event is None:
            yield f"{webhook_id} was accepted, and is not in the ledger"
        elif event["state"] not in _ENDED and webhook_id not in told:
            told.add(webhook_id)
            yield f"{webhook_id} is {event['state']}: {event}"


def _record(happening: Happening, evidence: Evidence) -> Iterator[str]:
    """Its idempotency record has ended as it must."""
    record = evidence.records.get(happening.key)
    if record is None:
        yield "it has no record"
    elif record["status"] != happening.kind.state:
        yield f"its record is {record['status']}, and must be {happening.kind.state}"


def _ends(happening: Happening, evidence: Evidence) -> Iterator[str]:
    """At most one attempt completed it. Only what a person replayed is completed again.

    An object that was missing is looked for again by every event that tells of it.
    """
    unended = ("retry", "failed", "interrupted", "duplicate", "kept", "not_found")
    attempts = [attempt for attempt in evidence.history(happening) if attempt["source"] != "replay"]
    if happening.kind.state == "completed":
        # Of an object that ended as failed the result is its status too, without a reason.
        ends = [a for a in attempts if a["result"] not in unended or (a["result"] == "failed" and "reason" not in a)]
        if len(ends) > 1:
            yield f"it was completed {len(ends)} times: {ends}"


def _outcomes(happening: Happening, evidence: Evidence, counts: Counter[str]) -> Iterator[str]:
    """Its outcome was announced."""
    outcomes = evidence.outcomes.get(happening.key, [])
    first = [outcome for outcome in outcomes if outcome.detail.get("source") != "replay"]
    counts["outcomes"] += len(outcomes)
    counts["outcomes of replays"] += len(outcomes) - len(first)
    counts["happenings announced again"] += len(first) > 1
    if not outcomes:
        yield "no outcome was announced"


def _call(happening: Happening, evidence: Evidence, openai: StandIn, verdict: Verdict) -> Iterator[str]:
    """It was answered as the policy says, and recorded so.

    OpenAI takes one answer to a call; the stand-in refuses a second one with 409. Each attempt may send one request
    that gets that far, and one more for each answer of OpenAI that was cut. There is a second attempt only if an
    earlier one did not reach its end: its process died, or AWS did not take the job or the outcome.
    """
    counts = verdict.counts
    call = openai.call(happening.object_id or "")
    record = evidence.records.get(happening.key, {})
    recorded = record.get("outcome", {}).get("status")
    answered = call["state"] if call["state"] != "ringing" else None
    counts[f"calls {call['state']}"] += 1
    if answered not in (None, happening.call_state):
        yield f"the call is {answered}, and the policy says {happening.call_state}"
    # A call that rings and was not found may have been announced before it was there. One that waited too long is over.
    if (recorded in ACTIONS) != (answered is not None) or (answered is None and recorded == "not_found"):
        fault = f"the call is {call['state']} at OpenAI, and recorded as {recorded}"
        if answered is None and record.get("claims", 0) > 1:
            verdict.known.append(f"{happening.key}: {fault}, after an attempt without an end")
        else:
            yield fault
    path = f"/v1/realtime/calls/{happening.object_id}/{happening.action}"
    reached = sum(status in _REACHED for status in evidence.requests.get(path, []))
    counts["calls asked for again after an attempt without an end"] += reached > 1
    cut = sum(fault["kind"] == "cut" for fault in happening.faults)
    if reached > record.get("claims", 0) + cut:
        yield f"{reached} requests acted on it in {record.get('claims')} attempts: {evidence.requests[path]}, {cut} cut"


def _strangers(evidence: Evidence, plan: Plan) -> Iterator[str]:
    """Nothing was acted on but what happened, and nothing under two keys."""
    keys = {happening.key: happening for happening in plan.happenings if happening.object_id is not None}
    for key, outcomes in evidence.outcomes.items():
        happening = keys.get(key)
        if happening is None:
            yield f"{key} was announced, and never happened: {outcomes[0]}"
        elif strange := [o for o in outcomes if o.detail_type != happening.event_type]:
            yield f"{key} was announced as {strange[0].detail_type}"
    for key in evidence.records.keys() - keys.keys():
        yield f"{key} has a record, and never happened"


def _artifacts(stack: Stack, openai: StandIn, plan: Plan) -> Iterator[str]:
    """Responses are kept byte for byte, and batches' files too."""
    sdk = openai.sdk()
    kept = [h for h in plan.happenings if h.kind.name in ("batch", "response") and h.object_id is not None]
    for happening in random.Random(plan.seed).sample(kept, min(_SAMPLE, len(kept))):
        object_id = str(happening.object_id)
        if happening.kind.name == "response":
            offered = {f"response/{object_id}.json": sdk.responses.with_raw_response.retrieve(object_id).content}
        else:
            batch = sdk.batches.retrieve(object_id)
            files = {"output.jsonl": batch.output_file_id, "errors.jsonl": batch.error_file_id}
            offered = {f"batch/{object_id}/{n}": sdk.files.content(id).read() for n, id in files.items() if id}
        for key, content in offered.items():
            if stack.artifact(key) != content:
                yield f"{key} is not what OpenAI offers"
