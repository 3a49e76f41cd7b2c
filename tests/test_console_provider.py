"""Sign-in to the console with a team's own identity provider, which a test plays."""

from collections.abc import Iterator
from urllib.parse import urlencode, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from infra.local.stack import Stack
from tests.conftest import MakeStack
from tests.identity_provider import CLIENT_ID, Claims, IdentityProvider
from tests.test_console_deployed import COOKIE, link
from tests.visitor import Page, Visitor


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """The team's provider."""
    with IdentityProvider() as started:
        yield started


@pytest.fixture
def trusting(make_stack: MakeStack, provider: IdentityProvider) -> Stack:
    """A stack whose console trusts the provider."""
    return make_stack(fill_secrets=False, **provider.parameters())


def sign_in(stack: Stack, visitor: Visitor) -> Page:
    """Sign in as a browser does: to the provider, and back from there."""
    start = visitor.get("/console/sign-in")
    assert start.status == 303, start.text
    back = Visitor("").get(start.headers["Location"]).headers["Location"]
    assert back.startswith(f"{stack.outputs['ConsoleUrl']}/signed-in?")
    return visitor.get(back)


def test_groups_make_operators_and_viewers_and_nobody_else_comes_in(
    trusting: Stack, provider: IdentityProvider
) -> None:
    stranger = Visitor(trusting.base_url())
    assert 'href="/console/sign-in"' in stranger.get("/console").text

    operator = Visitor(trusting.base_url())
    assert sign_in(trusting, operator).status == 200
    assert "ada@example.com" in operator.get("/console/help").text
    assert operator.act("/console/alerts/test").status == 200
    [asked] = provider.asked
    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"

    provider.claims = {"preferred_username": "bob", "groups": "developers"}
    viewer = Visitor(trusting.base_url())
    assert sign_in(trusting, viewer).status == 200
    assert viewer.act("/console/alerts/test").reason() == "read_only"

    provider.claims = {"email": "eve@example.com", "groups": ["sales"]}
    refused = sign_in(trusting, Visitor(trusting.base_url()))
    assert (refused.status, refused.reason()) == (403, "no_group")
    assert COOKIE not in (refused.headers["Set-Cookie"] or "")
    log = "\n".join(trusting.logs("console"))
    assert "signed in by identity provider" in log
    assert '"who":"ada@example.com"' in log


def test_a_token_that_proves_nothing_is_refused(trusting: Stack, provider: IdentityProvider) -> None:
    def wrong(name: str, value: object) -> None:
        def change(claims: Claims) -> None:
            claims[name] = value

        provider.change = change

    cases = {
        "nonce": lambda: wrong("nonce", "another"),
        "no nonce": lambda: wrong("nonce", None),
        "audience": lambda: wrong("aud", "another-client"),
        "two audiences": lambda: wrong("aud", [CLIENT_ID, "another-client"]),
        "issuer": lambda: wrong("iss", "https://evil.example"),
        "expired": lambda: wrong("exp", 1_700_000_000),
        "signature": lambda: setattr(provider, "signs_with", rsa.generate_private_key(65537, 2048)),
        "alg none": lambda: setattr(provider, "algorithm", "none"),
        "alg of the client's secret": lambda: setattr(provider, "algorithm", "HS256"),
    }
    refused = {}
    for name, spoil in cases.items():
        provider.change, provider.algorithm, provider.signs_with = lambda _: None, "RS256", provider.key
        spoil()
        page = sign_in(trusting, Visitor(trusting.base_url()))
        refused[name] = (page.status, page.reason())
    assert refused == dict.fromkeys(cases, (401, "sign_in_refused"))
    assert [it for it in trusting.ledger() if it["pk"].startswith("console#session#")] == []
    log = "\n".join(trusting.logs("console"))
    assert log.count("sign-in refused") == len(cases)


def test_a_code_is_good_for_the_browser_that_asked(trusting: Stack, provider: IdentityProvider) -> None:
    visitor, thief = Visitor(trusting.base_url()), Visitor(trusting.base_url())
    start = visitor.get("/console/sign-in")
    [cookie] = start.headers.get_all("Set-Cookie") or []
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    back = Visitor("").get(start.headers["Location"]).headers["Location"]

    assert thief.get(back).reason() == "sign_in_refused", "without the cookie"
    thief.get("/console/sign-in")
    assert thief.get(back).reason() == "sign_in_refused", "with the cookie of another try"
    guessed = urlencode({"code": "guessed", "state": provider.asked[0]["state"]})
    other = urlsplit(back)._replace(query=guessed).geturl()
    assert visitor.get(other).reason() == "sign_in_refused", "with a code that the provider did not give"
    assert visitor.get(back).status == 200
    assert visitor.get(back).reason() == "sign_in_refused", "a code is good once"


def test_a_confidential_client_proves_itself_and_a_provider_out_of_reach_takes_nobody_along(
    make_stack: MakeStack, provider: IdentityProvider
) -> None:
    provider.client_secret = "client-secret-of-the-console"
    stack = make_stack(fill_secrets=False)
    secrets = stack.emulator.client("secretsmanager")
    arn = secrets.create_secret(Name=f"{stack.name}-oidc", SecretString=provider.client_secret)["ARN"]
    stack = make_stack(fill_secrets=False, **provider.parameters(), OidcClientSecretArn=arn)

    assert sign_in(stack, Visitor(stack.base_url())).status == 200
    provider.stop()
    failed = Visitor(stack.base_url()).get("/console/sign-in")
    assert (failed.status, failed.reason()) == (424, "service_unavailable")
    by_link = Visitor(stack.base_url())
    assert by_link.get(link(stack)).status == 200
    log = "\n".join(stack.logs("console"))
    assert provider.client_secret not in log
