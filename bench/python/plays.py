"""One event of each category, for the benchmark of costs: what precedes it at OpenAI, and then its delivery."""

import json
from collections.abc import Callable, Mapping

from infra.local.stand_in import Json, StandIn

Deliver = Callable[[], list[Json]]
"""Lets OpenAI deliver the event, and returns the deliveries."""

CALL_POLICY = '{"answer_as": "realtime", "default": {"accept": {"session": {"model": "gpt-realtime-2.1"}}}}'

_MODEL = "gpt-6-luna"
_TEXT = "An answer as models give them: a sentence, and another one. " * 20


def _batch(openai: StandIn) -> Deliver:
    """Batch of 20 requests, one of which fails."""
    body = {"model": _MODEL, "input": "Hello"}
    requests = [
        {"custom_id": f"request-{number}", "method": "POST", "url": "/v1/responses", "body": body}
        for number in range(20)
    ]
    content = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
    sdk = openai.sdk()
    uploaded = sdk.files.create(file=("requests.jsonl", content), purpose="batch")
    made = sdk.batches.create(input_file_id=uploaded.id, endpoint="/v1/responses", completion_window="24h")
    plan = {"default": 200, "lines": {"request-0": 429}}
    return lambda: openai.advance(made.id, "completed", plan=plan)["deliveries"]


def _response(openai: StandIn) -> Deliver:
    made = openai.sdk().responses.create(model=_MODEL, input="Hello", background=True)
    return lambda: openai.finish_response(made.id, text=_TEXT)["deliveries"]


def _fine_tuning(openai: StandIn) -> Deliver:
    """Job whose model answers and is promoted."""
    sdk = openai.sdk()
    examples = sdk.files.create(file=("examples.jsonl", b'{"messages": []}\n'), purpose="fine-tune")
    made = sdk.fine_tuning.jobs.create(
        model="gpt-4.1-mini-2025-04-14", training_file=examples.id, metadata={"alias": "support"}
    )
    return lambda: openai.finish_fine_tuning(made.id, "succeeded")["deliveries"]


def _call(openai: StandIn) -> Deliver:
    """Phone call that is accepted."""
    return lambda: openai.call_in()["deliveries"]


def _agent(openai: StandIn) -> Deliver:
    """Session that waits for a function call."""
    session_id = openai.agent_session(deliver=False)["session"]["id"]
    call = {"type": "function_call", "call_id": "call_1", "turn_id": "turn_1", "name": "pay", "arguments": {}}
    return lambda: openai.move_agent_session(session_id, "requires_action", required_actions=[call])["deliveries"]


def _safety(openai: StandIn) -> Deliver:
    return lambda: openai.safety_case("warning", reason="Cyber.")["deliveries"]


def _file(openai: StandIn) -> Deliver:
    made = openai.sdk().files.create(file=("notes.txt", b"Notes."), purpose="user_data")
    return lambda: openai.deliver("file.processed", {"id": made.id})


def _archive(openai: StandIn) -> Deliver:
    return lambda: openai.deliver("brand.new", {"id": "thing_1"})


PLAYS: Mapping[str, tuple[str, Callable[[StandIn], Deliver]]] = {
    "batch": ("batch.completed", _batch),
    "response": ("response.completed", _response),
    "fine-tuning": ("fine_tuning.job.succeeded", _fine_tuning),
    "realtime": ("realtime.call.incoming", _call),
    "agent": ("agent.session.action_required", _agent),
    "safety": ("safety.warning_issued", _safety),
    "file": ("file.processed", _file),
    "archive": ("unknown type", _archive),
}
"""Event type and event of each category."""
