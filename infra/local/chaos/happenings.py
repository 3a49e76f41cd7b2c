"""What happens at OpenAI in a campaign, and the events that tell of it."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from openai import OpenAI

from infra.local.scenario import MODEL
from infra.local.stand_in import Json, StandIn

CALL_RULES: tuple[tuple[str, str, Json], ...] = (
    ("+49", "accepted", {"accept": {"session": {"model": "gpt-realtime-2.1", "instructions": "Say hello."}}}),
    ("+44", "rejected", {"reject": {"status_code": 486}}),
    ("+33", "referred", {"refer": {"target_uri": "tel:+14155550123"}}),
)
"""Prefix of the called number, what becomes of the call, and the rule of the policy that says so."""

CALL_POLICY: Json = {
    "answer_as": "realtime",
    "rules": [
        {"name": state, "when": [{"header": "To", "part": "user", "prefix": prefix}], "then": then}
        for prefix, state, then in CALL_RULES
    ],
    "default": {"reject": {"status_code": 404}},
}
ACTIONS = {"accepted": "accept", "rejected": "reject", "referred": "refer"}
"""Last part of the path of the request that leads to a call's state."""

_ALIASES = 8
_MISSING_AGE_SECONDS = 3600
"""Age of an event whose object is missing: a younger one would be looked for again for ten minutes."""


@dataclass(frozen=True)
class Event:
    """One event as OpenAI sends it to one endpoint: every delivery of it has the same id and body."""

    event_id: str
    webhook_id: str
    endpoint: str


@dataclass
class Happening:
    """Something that happened at OpenAI: one end of an object, one call, one notice."""

    number: int
    kind: "Kind"
    event_type: str
    events: list[Event]
    faults: list[Json]
    """Faults of the stand-in on the route of the object: kind, times and details."""
    age: int = 0
    """Seconds from its events' `created_at` until it is played."""
    is_lost: bool = False
    """Whether none of its deliveries arrives in time, so that only reconciliation finds it."""
    object_id: str | None = None
    data: Json = field(default_factory=dict)
    created_at: int = 0

    def begin(self, openai: StandIn, shared: "Shared") -> None:
        """Make it happen, without an event."""
        self.created_at = int(time.time()) - self.age
        self.object_id, self.data = self.kind.begin(self, openai, shared)
        for fault in self.faults:
            openai.fault(self.kind.route.format(id=self.object_id, action=self.action), **fault)

    def body(self, event: Event) -> str:
        """Body of an event."""
        envelope = {"id": event.event_id, "object": "event", "created_at": self.created_at, "type": self.event_type}
        return json.dumps({**envelope, "data": self.data})

    @property
    def key(self) -> str:
        """Idempotency key of its events."""
        match self.kind.key:
            case "end":
                return f"{self.event_type}/{self.object_id}"
            case "call":
                return f"call/{self.event_type.split('.')[0]}/{self.object_id}"
            case _:
                return f"event/{self.events[0].event_id}"

    @property
    def call_state(self) -> str:
        """What becomes of a call that is answered in time, by the policy."""
        return CALL_RULES[self.number % len(CALL_RULES)][1]

    @property
    def action(self) -> str:
        """Name of the request that a call is answered by."""
        return ACTIONS[self.call_state]

    def described(self) -> Json:
        """All of it, for a log."""
        events = [vars(event) for event in self.events]
        told = {"number": self.number, "kind": self.kind.name, "type": self.event_type, "age": self.age}
        return {**told, "object_id": self.object_id, "lost": self.is_lost, "faults": self.faults, "events": events}


@dataclass(frozen=True)
class Kind:
    """Kind of happening."""

    name: str
    category: str
    weight: int
    types: tuple[str, ...]
    key: str
    """What its events have in common: `end` (type and object), `call` (API and call) or `event` (the event's id)."""
    route: str
    """Route on which its object is retrieved or acted on; empty if it has none."""
    begin: Callable[[Happening, StandIn, "Shared"], tuple[str, Json]] = field(repr=False)
    """Makes it happen; returns the object's id and the events' `data`."""
    state: str = "completed"
    """Expected state of its idempotency record."""
    endpoints: tuple[str, ...] = ("project", "organization")


@dataclass(frozen=True)
class Shared:
    """What the happenings of a run have in common at OpenAI."""

    sdk: OpenAI
    requests: str
    """File with the requests of every batch."""
    examples: str
    """Training file of every fine-tuning job."""

    @classmethod
    def upload(cls, openai: StandIn) -> "Shared":
        """Upload the files."""
        sdk = openai.sdk()
        body = {"model": MODEL, "input": "Hello"}
        lines = [{"custom_id": f"r{n}", "method": "POST", "url": "/v1/responses", "body": body} for n in range(3)]
        content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        requests = sdk.files.create(file=("requests.jsonl", content), purpose="batch")
        examples = sdk.files.create(file=("examples.jsonl", b'{"messages": []}\n'), purpose="fine-tune")
        return cls(sdk, requests.id, examples.id)


def chosen(random: Random) -> tuple[Kind, str]:
    """A kind by its weight, and one of its types."""
    (kind,) = random.choices(KINDS, [kind.weight for kind in KINDS])
    return kind, random.choice(kind.types)


def _thin(object_id: str) -> tuple[str, Json]:
    return object_id, {"id": object_id}


def _batch(happening: Happening, openai: StandIn, shared: Shared) -> tuple[str, Json]:
    made = shared.sdk.batches.create(input_file_id=shared.requests, endpoint="/v1/responses", completion_window="24h")
    status = happening.event_type.split(".")[-1]
    plan = {"lines": {"r2": 500}} if happening.number % 3 == 0 else {}
    age = {"age_seconds": _MISSING_AGE_SECONDS} if happening.is_lost else {}
    openai.advance(made.id, status, plan=plan, deliver=False, **age)
    return _thin(made.id)


def _response(happening: Happening, openai: StandIn, shared: Shared) -> tuple[str, Json]:
    made = shared.sdk.responses.create(model=MODEL, input="Hello", background=True)
    openai.finish_response(made.id, happening.event_type.split(".")[-1], deliver=False)
    return _thin(made.id)


def _dropped_response(happening: Happening, openai: StandIn, shared: Shared) -> tuple[str, Json]:
    made = _response(happening, openai, shared)
    shared.sdk.responses.delete(made[0])
    return made


def _fine_tuning(happening: Happening, openai: StandIn, shared: Shared) -> tuple[str, Json]:
    made = shared.sdk.fine_tuning.jobs.create(
        model="gpt-4.1-mini-2025-04-14",
        training_file=shared.examples,
        metadata={"alias": f"alias-{happening.number % _ALIASES}"},
    )
    openai.finish_fine_tuning(made.id, happening.event_type.split(".")[-1], deliver=False)
    return _thin(made.id)


def _call(happening: Happening, openai: StandIn, _: Shared) -> tuple[str, Json]:
    call = openai.call_in(events=[])["call"]
    prefix = CALL_RULES[happening.number % len(CALL_RULES)][0]
    headers = [
        {"name": "From", "value": "<sip:+14255550123@sip.example.com>;tag=1"},
        {"name": "To", "value": f"<sip:{prefix}30123456@sip.api.openai.com>"},
        {"name": "Call-ID", "value": f"call-{happening.number}"},
    ]
    name, kind = ("call_id", {}) if happening.event_type.startswith("realtime") else ("session_id", {"type": "sip"})
    return call[name], {**kind, name: call[name], "sip_headers": headers}


def _session(happening: Happening, openai: StandIn, _: Shared) -> tuple[str, Json]:
    session_id = openai.agent_session(deliver=False)["session"]["id"]
    match happening.event_type.split(".")[-1]:
        case "action_required":
            call = {"type": "function_call", "call_id": "c1", "turn_id": "t1", "name": "pay", "arguments": {"sum": 3}}
            openai.move_agent_session(session_id, "requires_action", required_actions=[call], deliver=False)
        case "idle" | "failed" as status:
            openai.move_agent_session(session_id, status, deliver=False)
    return _thin(session_id)


def _environment(happening: Happening, openai: StandIn, _: Shared) -> tuple[str, Json]:
    made = openai.agent_environment(happening.event_type.split(".")[-1], deliver=False)
    return _thin(made["environment"]["id"])


def _alert(_: Happening, openai: StandIn, __: Shared) -> tuple[str, Json]:
    return _thin(openai.safety_alert(reason="Cyber.", deliver=False)["alert"]["id"])


def _blocked(happening: Happening, _: StandIn, __: Shared) -> tuple[str, Json]:
    data = {"safety_category": "bio", "safety_identifier": f"user_{happening.number}", "request_id": "req_1"}
    return data["safety_identifier"], data


def _file(_: Happening, openai: StandIn, __: Shared) -> tuple[str, Json]:
    return _thin(openai.put_file(text="Notes.\n", purpose="user_data", filename="notes.txt")["id"])


def _nothing(happening: Happening, _: StandIn, __: Shared) -> tuple[str, Json]:
    prefix = {"batch": "batch_", "fine_tuning": "ftjob-"}.get(happening.event_type.split(".")[0], "thing_")
    return _thin(f"{prefix}none{happening.number}")


_BATCH = "GET /v1/batches/{id}"
KINDS: tuple[Kind, ...] = (
    Kind(
        "batch",
        "batch",
        16,
        ("batch.completed", "batch.completed", "batch.failed", "batch.expired"),
        "end",
        _BATCH,
        _batch,
    ),
    Kind(
        "response",
        "response",
        20,
        ("response.completed", "response.failed", "response.incomplete"),
        "end",
        "GET /v1/responses/{id}",
        _response,
    ),
    Kind(
        "fine-tuning",
        "fine-tuning",
        8,
        ("fine_tuning.job.succeeded", "fine_tuning.job.failed", "fine_tuning.job.cancelled"),
        "end",
        "GET /v1/fine_tuning/jobs/{id}",
        _fine_tuning,
    ),
    Kind(
        "call",
        "realtime",
        16,
        ("realtime.call.incoming",),
        "call",
        "POST /v1/realtime/calls/{id}/{action}",
        _call,
    ),
    Kind("call of the other API", "realtime", 2, ("live.transport.incoming",), "call", "", _call),
    Kind(
        "session",
        "agent",
        8,
        ("agent.session.created", "agent.session.action_required", "agent.session.idle", "agent.session.failed"),
        "event",
        "GET /v1/agents/sessions/{id}",
        _session,
    ),
    Kind(
        "environment",
        "agent",
        4,
        ("agent.environment.ready", "agent.environment.failed"),
        "event",
        "GET /v1/agents/environments/{id}",
        _environment,
    ),
    Kind(
        "safety alert",
        "safety",
        6,
        ("safety.alert.created", "safety.org_alert.created"),
        "event",
        "GET /v1/safety/alerts/{id}",
        _alert,
    ),
    Kind("blocked identifier", "safety", 3, ("safety_identifier.blocked",), "event", "", _blocked),
    Kind("file", "file", 7, ("file.created", "file.processed"), "event", "GET /v1/files/{id}", _file),
    Kind(
        "unknown",
        "archive",
        7,
        ("video.completed", "eval.run.succeeded", "brand.new"),
        "event",
        "",
        _nothing,
    ),
    Kind(
        "dropped response",
        "response",
        2,
        ("response.completed",),
        "end",
        "",
        _dropped_response,
        state="not_found",
    ),
    Kind(
        "missing object",
        "batch",
        1,
        ("batch.completed", "batch.failed"),
        "end",
        "",
        _nothing,
        state="not_found",
    ),
)
"""Kinds of every category. Their weights are those of their share in a run."""

MISSING = ("dropped response", "missing object")


def age_of(kind: Kind, random: Random) -> int:
    """Age of a happening in seconds: mostly none, sometimes hours. A call that waits has nobody at its other end."""
    if kind.name in MISSING:
        return _MISSING_AGE_SECONDS
    if kind.key == "call":
        return 0
    return random.choices((0, random.randrange(60, 600), random.randrange(600, 200_000)), (8, 1, 1))[0]
