"""A team's identity provider (OpenID Connect) on this machine. A test decides about the person and the token."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from infra.local.web_server import Answer, Request, WebServer

Claims = dict[str, Any]

CLIENT_ID = "console"


class IdentityProvider(WebServer):
    """The provider. It lets everybody in at once who comes to its page, as `claims` says."""

    def __init__(self) -> None:
        """Start it, with a key of its own."""
        self.claims: Claims = {"email": "ada@example.com", "groups": ["oncall"]}
        self.change: Callable[[Claims], None] = lambda _: None
        """Changes the claims of a token right before it is signed."""
        self.algorithm = "RS256"
        self.client_secret: str | None = None
        self.key = rsa.generate_private_key(65537, 2048)
        self.signs_with = self.key
        self.asked: list[dict[str, str]] = []
        """What the sign-in pages were asked for."""
        self._codes: dict[str, dict[str, str]] = {}
        super().__init__(self._answer)
        self.issuer = self.url

    def parameters(self) -> dict[str, str]:
        """Parameters of a stack whose console trusts it."""
        groups = {"OidcOperatorGroup": "oncall", "OidcViewerGroup": "developers"}
        return {"OidcIssuer": self.issuer, "OidcClientId": CLIENT_ID, **groups}

    def _answer(self, request: Request) -> Answer:
        status, headers, content = self._decide(request)
        return status, {"Content-Type": "application/json", **headers}.items(), json.dumps(content).encode()

    def _decide(self, request: Request) -> tuple[int, dict[str, str], Any]:
        """Status, headers and content of an answer."""
        place = urlsplit(request.path)
        fields = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        match request.method, place.path:
            case "GET", "/.well-known/openid-configuration":
                return 200, {}, self._metadata()
            case "GET", "/keys":
                return 200, {}, {"keys": [_public(self.key)]}
            case "GET", "/authorize":
                asked = {name: values[0] for name, values in parse_qs(place.query).items()}
                self.asked.append(asked)
                code = secrets.token_urlsafe(16)
                self._codes[code] = asked
                back = urlencode({"code": code, "state": asked["state"]})
                return 302, {"Location": f"{asked['redirect_uri']}?{back}"}, None
            case "POST", "/token":
                return self._token(fields, request.headers["Authorization"])
            case _:
                return 404, {}, None

    def _metadata(self) -> Claims:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "none", "HS256"],
        }

    def _token(self, fields: dict[str, str], authorization: str | None) -> tuple[int, dict[str, str], Any]:
        asked = self._codes.pop(fields.get("code", ""), None)
        if self.client_secret is None:
            known = fields.get("client_id") == CLIENT_ID
        else:
            pair = base64.b64encode(f"{CLIENT_ID}:{self.client_secret}".encode()).decode()
            known = authorization == f"Basic {pair}"
        verifier = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        if asked is None or not known or asked.get("code_challenge") != _text(verifier):
            return 400, {}, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "sub": "u-1", "iat": now, "exp": now + 300}
        claims |= {"nonce": asked["nonce"], **self.claims}
        self.change(claims)
        return 200, {}, {"access_token": "at", "token_type": "Bearer", "id_token": self._signed(claims)}

    def _signed(self, claims: Claims) -> str:
        head = {"alg": self.algorithm, "typ": "JWT", "kid": "1"}
        text = f"{_text(json.dumps(head).encode())}.{_text(json.dumps(claims).encode())}"
        if self.algorithm == "none":
            return f"{text}."
        return f"{text}.{_text(self.signs_with.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _public(key: rsa.RSAPrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    whole = {"n": _text(numbers.n.to_bytes(256, "big")), "e": _text(numbers.e.to_bytes(3, "big"))}
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", **whole}


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
