"""Evals at OpenAI as a test wants them."""

from typing import Any

from openai import OpenAI
from openai.types.evals import RunCreateResponse

from infra.local.stand_in import StandIn


def new_eval(openai: StandIn, name: str = "Capitals") -> str:
    """An eval with one grader, `exact`. Answers its id."""
    return openai.sdk().evals.create(**eval_request(name)).id


def new_run(openai: StandIn, eval_id: str, name: str = "Nightly") -> str:
    """A run that waits to be begun. Answers its id."""
    return create_run(openai.sdk(), eval_id, name).id


def eval_request(name: str) -> dict[str, Any]:
    """What an eval is created with."""
    schema = {"type": "object", "properties": {"country": {"type": "string"}}, "required": ["country"]}
    grader = {
        "type": "string_check",
        "name": "exact",
        "input": "{{sample.output_text}}",
        "operation": "eq",
        "reference": "{{item.capital}}",
    }
    return {
        "name": name,
        "data_source_config": {"type": "custom", "item_schema": schema, "include_sample_schema": True},
        "testing_criteria": [grader],
        "metadata": {"team": "night shift"},
    }


def create_run(client: OpenAI, eval_id: str, name: str = "Nightly") -> RunCreateResponse:
    """A run of the model over a file."""
    source: Any = {"type": "completions", "model": "gpt-6-luna", "source": {"type": "file_id", "id": "file-1"}}
    return client.evals.runs.create(eval_id, name=name, data_source=source, metadata={"job": "nightly"})
