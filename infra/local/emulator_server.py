"""Starts ministack in this process, with these corrections: `python -m infra.local.emulator_server`.

- Without Nagle's algorithm. Its Runtime API answers in two small writes, and the second would wait 40 ms for an
  acknowledgement at every invocation.
- Every request counts as sent over TLS. It is plain HTTP on the loopback device, which the bucket's TLS-only policy
  would otherwise refuse.
- A concurrency limit that comes from a template's parameter is a number. It arrives as text, and the poller of event
  sources stops at comparing it.
- The URL of an HTTP API is one that this machine reaches. Its own names the API in the host's name, before an address.
- Parameters below a path are read by permission for that path, as at AWS, and not for everything.
- An alarm on an expression is kept, with its metrics. Nobody evaluates it.
- An alarm on a metric heeds its dimensions. An error of any function would set off the alarm of each.
- A request for one item of a table carries the condition key `dynamodb:LeadingKeys`.
- A function that is invoked by an alias is told so, by the ARN in its context.
- A function that CloudFormation deletes takes its processes along. Hundreds of them would wait for work.
- A wildcard of a policy stands for any characters, line breaks among them.
- An origin of CloudFront that is a domain before an HTTP API is reached here, without TLS.
"""

import functools
import json
import os
import re
import socketserver
from collections.abc import Callable
from types import FunctionType
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import apigateway_v1, cloudfront, cloudwatch, lambda_svc
from ministack.services.cloudformation import provisioners

_EXPRESSION = {"Namespace": "expression", "MetricName": "expression"}
"""What an alarm on an expression has in the place of a metric: nobody sends it."""


def main() -> None:
    """Serve until killed."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True

    pin_request_origin = app.pin_request_origin
    app.pin_request_origin = lambda address, _over_tls: pin_request_origin(address, True)

    concurrency = lambda_svc._sqs_esm_concurrency
    lambda_svc._sqs_esm_concurrency = lambda *args, **kwargs: int(concurrency(*args, **kwargs))

    resource = iam_actions.extract_resource_arn
    iam_actions.extract_resource_arn = lambda *request: _parameters(*request) or resource(*request)

    functions = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    functions["delete"] = _with_its_processes(functions["delete"])
    apis = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
    apis["create"] = _reachable(apis["create"])
    alarm = provisioners._cw_metric_alarm_record
    provisioners._cw_metric_alarm_record = lambda name, properties: (
        {**alarm(name, _EXPRESSION | properties | {"Metrics": None}), "Metrics": properties["Metrics"]}
        if properties.get("Metrics")
        else alarm(name, properties)
    )

    cloudwatch._evaluate_alarm = _by_dimensions(cloudwatch._evaluate_alarm)

    context = iam_actions.dynamodb_service_context
    iam_actions.dynamodb_service_context = lambda body: {**context(body), **_leading_keys(body)}

    record = lambda_svc._effective_func_record_for_qualifier
    lambda_svc._effective_func_record_for_qualifier = lambda func, qualifier: _by_alias(
        *record(func, qualifier), alias=qualifier if func and qualifier in func.get("aliases", {}) else None
    )

    pattern = iam_evaluator._fnmatch_compile

    @functools.cache
    def any_character(text: str, ignore_case: bool) -> re.Pattern[str]:
        compiled = pattern(text, ignore_case)
        return re.compile(compiled.pattern, compiled.flags | re.DOTALL)

    iam_evaluator._fnmatch_compile = any_character

    target = cloudfront._origin_connect_target

    def reached_here(origin: dict[str, Any], over_tls: bool) -> tuple[str, int, bool]:
        if origin["domain_name"] in apigateway_v1._domain_names:
            return "127.0.0.1", int(os.environ["GATEWAY_PORT"]), False
        return target(origin, over_tls)

    cloudfront._origin_connect_target = reached_here

    app.main()


def _with_its_processes(delete: Any) -> Any:
    """The function that deletes functions, with their processes."""

    def deleted(name: str, *rest: Any) -> Any:
        answer = delete(name, *rest)
        lambda_svc.invalidate_worker(name)
        return answer

    return deleted


def _by_dimensions(evaluate: FunctionType) -> Callable[[Any], None]:
    """The function that evaluates an alarm, for which there are the metrics of the alarm's own dimensions alone."""

    def evaluated(alarm: Any) -> None:
        wanted = cloudwatch._dims_key({it["Name"]: it["Value"] for it in alarm.get("Dimensions", [])})
        own = {key: points for key, points in cloudwatch._metrics.items() if key[2] == wanted}
        FunctionType(evaluate.__code__, {**evaluate.__globals__, "_metrics": own})(alarm)

    return evaluated


def _reachable(create: Any) -> Any:
    """The function that creates HTTP APIs, which then have a URL of this machine."""

    def created(*request: Any) -> Any:
        api_id, attributes = create(*request)
        url = f"{os.environ['AWS_ENDPOINT_URL']}/_aws/execute-api/{api_id}"
        provisioners._apigw_v2._apis[api_id]["apiEndpoint"] = url
        return api_id, attributes | {"ApiEndpoint": url}

    return created


def _by_alias(func: Any, config: Any, *, alias: str | None) -> tuple[Any, Any]:
    """A function and its configuration, with the alias that it was found by in the ARN."""
    return func, config | {"FunctionArn": f"{config['FunctionArn']}:{alias}"} if config and alias else config


def _parameters(
    service: str, _method: str, _path: str, headers: Any, body: bytes, _query: Any, region: str, account: str
) -> str | None:
    """The resource of a request for the parameters below a path."""
    if service != "ssm" or not str(headers.get("x-amz-target", "")).endswith(".GetParametersByPath"):
        return None
    return f"arn:aws:ssm:{region}:{account}:parameter{json.loads(body)['Path']}"


def _leading_keys(body: bytes) -> dict[str, list[str]]:
    """Partition key of the one item that a request is about."""
    request = json.loads(body or b"{}")
    item = request.get("Key") or request.get("Item") or {}
    return {"dynamodb:leadingkeys": list(item.get("pk", {}).values())} if item else {}


if __name__ == "__main__":
    main()
