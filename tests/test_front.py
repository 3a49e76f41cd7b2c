"""The small template that puts CloudFront and a firewall before the API's domain."""

import pytest
from botocore.exceptions import ClientError, WaiterError

from infra.local.emulator import Emulator
from infra.local.processes import ROOT

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


def test_a_certificate_of_another_region_is_refused(emulator: Emulator) -> None:
    with pytest.raises((ClientError, WaiterError)):
        put_front(emulator, "t-front-region", CertificateArn=CERTIFICATE.replace("us-east-1", "eu-west-1"))
