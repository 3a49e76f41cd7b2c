"""The small template that puts a domain of one's own before the HTTP API."""

import pytest
from botocore.exceptions import ClientError, WaiterError

from infra.local.processes import ROOT
from infra.local.stack import Stack

DOMAIN = "webhooks.example.com"
CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/12345678-1234-1234-1234-123456789012"


def put_domain(stack: Stack, **parameters: str) -> dict[str, str]:
    """Deploy the template beside `stack` and answer its outputs."""
    cloudformation, name = stack.emulator.client("cloudformation"), f"{stack.name}-domain"
    given = {"ApiId": stack.outputs["ApiId"], "DomainName": DOMAIN, **parameters}
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=(ROOT / "infra/custom-domain.yaml").read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def test_a_domain_leads_to_the_api(stack: Stack) -> None:
    outputs = put_domain(stack, CertificateArn=CERTIFICATE)

    assert outputs["WebhookBaseUrl"] == f"https://{DOMAIN}"
    (mapping,) = stack.emulator.client("apigatewayv2").get_api_mappings(DomainName=DOMAIN)["Items"]
    assert (mapping["ApiId"], mapping["Stage"]) == (stack.outputs["ApiId"], "$default")


def test_a_domain_without_a_zone_needs_a_certificate(stack: Stack) -> None:
    with pytest.raises((ClientError, WaiterError), match="Give HostedZoneId, or CertificateArn"):
        put_domain(stack)
