"""The small template that puts CloudFront and a firewall before the API's domain."""

import http.client
import json
import uuid

import pytest
from botocore.exceptions import ClientError, WaiterError

from infra.local.emulator import Emulator
from infra.local.processes import ROOT
from infra.local.stack import new_signing_secret, unhandled
from tests.conftest import MakeStack
from tests.deliveries import Answer, Headers, signed
from tests.test_custom_domain import DOMAIN, put_domain

CERTIFICATE = "arn:aws:acm:us-east-1:000000000000:certificate/12345678-1234-1234-1234-123456789012"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"


def put_front(emulator: Emulator, name: str, **parameters: str) -> dict[str, str]:
    cloudformation = emulator.client("cloudformation")
    given = {
        "OriginDomain": "origin.example.com",
        "DomainName": "webhooks.example.com",
        "CertificateArn": CERTIFICATE,
        **parameters,
    }
    cloudformation.create_stack(
        StackName=name,
        TemplateBody=(ROOT / "infra/front.yaml").read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    (found,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def test_cloudfront_is_told_to_pass_deliveries_unchanged_and_the_firewall_to_stop_a_flood(emulator: Emulator) -> None:
    outputs = put_front(emulator, "t-front")

    distributions = emulator.client("cloudfront").list_distributions()["DistributionList"]["Items"]
    (made,) = [it for it in distributions if it["DomainName"] == outputs["Target"]]
    config = emulator.client("cloudfront").get_distribution_config(Id=made["Id"])["DistributionConfig"]
    behavior = config["DefaultCacheBehavior"]
    assert (behavior["CachePolicyId"], behavior["OriginRequestPolicyId"]) == (CACHING_DISABLED, ALL_VIEWER_EXCEPT_HOST)
    assert behavior["Compress"] is False
    assert "POST" in behavior["AllowedMethods"]["Items"]
    assert config["Origins"]["Items"][0]["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    waf = emulator.client("wafv2")
    (acl,) = [it for it in waf.list_web_acls(Scope="CLOUDFRONT")["WebACLs"] if it["Name"] == "t-front"]
    (rule,) = waf.get_web_acl(Name="t-front", Scope="CLOUDFRONT", Id=acl["Id"])["WebACL"]["Rules"]
    assert int(rule["Statement"]["RateBasedStatement"]["Limit"]) == 2000
    # Neither what OpenAI's own addresses are on, nor what reads bodies.
    assert config["WebACLId"] == acl["ARN"]
    assert "ManagedRuleGroupStatement" not in str(rule)


def through(emulator: Emulator, host: str, path: str, body: bytes, headers: Headers) -> Answer:
    """Send a request to a distribution over TLS, as far as the emulator knows."""
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=30)
    connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
    sent = [("Host", host), ("X-Forwarded-Proto", "https"), ("Content-Length", str(len(body))), *headers]
    for name, value in sent:
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    answered = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, answered, response.read())


def test_a_delivery_passes_the_whole_recipe_unchanged(make_stack: MakeStack, emulator: Emulator) -> None:
    front = f"front-{uuid.uuid4().hex[:8]}.example.com"
    stack = make_stack(
        fill_secrets=False,
        DisableExecuteApiEndpoint="true",
        WebhookBaseUrl=f"https://{front}",
        **unhandled("batch"),
    )
    stack.fill_secrets()
    assert stack.outputs["ProjectWebhookUrl"] == f"https://{front}/webhooks/project"
    put_domain(stack, CertificateArn=CERTIFICATE)
    target = put_front(emulator, f"{stack.name}-front", OriginDomain=DOMAIN, DomainName=front)["Target"]
    secret = stack.signing_secrets["project"]
    head = b'{"id":"evt_1","object":"event","created_at":1,"type":"batch.completed","data":{"id":"batch_1","note":"'
    for kind, note in {"text": "ä \u202e ".encode(), "spaces": b"  \\n ", "large": b"x" * 200_000}.items():
        body = head + note + b'"}}'
        # A name in another case, a query, and headers that CloudFront might add to or take away.
        headers = [(name.title(), value) for name, value in signed(secret, body)]
        headers += [("Content-Type", "application/json"), ("User-Agent", "OpenAI"), ("Accept-Encoding", "gzip, br")]

        answer = through(emulator, target, "/webhooks/project?a=b%20c", body, headers)

        assert (answer.status, answer.json()) == (200, {"received": True}), kind
        assert stack.messages("batch")[-1].body == body.decode(), kind

    body = head + b'"}}'
    forged = through(emulator, target, "/webhooks/project", body, signed(new_signing_secret(), body))
    assert (forged.status, json.loads(forged.body)["reason"]) == (401, "no_matching_signature")
    assert through(emulator, target, "/webhooks/other", body, signed(secret, body)).status == 404
    assert through(emulator, target, "/", body, []).status == 404
    assert len(stack.messages("batch")) == 3


def test_a_certificate_of_another_region_is_refused(emulator: Emulator) -> None:
    with pytest.raises((ClientError, WaiterError)):
        put_front(emulator, "t-front-region", CertificateArn=CERTIFICATE.replace("us-east-1", "eu-west-1"))
