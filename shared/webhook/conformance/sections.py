"""The vectors of the conformance corpus: one function for each decision."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from signing import (
    BODY,
    FOREIGN_KEY,
    ID,
    KEY,
    LEGACY_SECRET,
    MAX_BODY,
    NOW,
    OLD_KEY,
    WINDOW,
    Headers,
    Vector,
    headers,
    mac,
    padded,
    secret,
    signed,
    v1,
    vector,
)


def official() -> list[Vector]:
    """Deliveries that others signed."""
    body = (
        '{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, '
        '"type": "response.completed", "data": {"id": "resp_123"}}'
    )
    at = 1_750_861_210
    given = headers(
        "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=",
        webhook_id="wh_685c059ae39c8190af8c71ed1022a24d",
        timestamp=at,
    )
    secrets = ["whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="]
    standard = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    message = headers(
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
    )
    return [
        vector("openai: test delivery", "accepted", given, secrets=secrets, body=body, now=at),
        vector(
            "openai: test delivery, 301 s late", "timestamp_too_old", given, secrets=secrets, body=body, now=at + 301
        ),
        vector(
            "openai: test delivery, one byte more",
            "no_matching_signature",
            given,
            secrets=secrets,
            body=body + "\n",
            now=at,
        ),
        # Signed like an event but none of OpenAI's: the body has no `type` and no `id`.
        vector(
            "standard webhooks: example message",
            "malformed_body",
            message,
            secrets=[standard],
            body='{"test": 2432232314}',
            now=1614265330,
        ),
    ]


def order() -> list[Vector]:
    """What is looked at first."""
    large = {"padded_to": MAX_BODY + 1}
    forged = headers(v1(FOREIGN_KEY))
    return padded(
        [
            signed("everything right"),
            signed("everything right, at the largest size", padded_to=MAX_BODY),
            vector("size comes before headers", "body_too_large", [], **large),
            vector("size comes before the signature", "body_too_large", forged, **large),
            vector("headers come before the timestamp", "missing_header", headers(None, timestamp="soon")),
            vector(
                "a second line comes before the timestamp",
                "duplicate_header",
                [*headers(v1(), timestamp="soon"), ["webhook-id", ID]],
            ),
            vector("the timestamp's form comes before its time", "malformed_timestamp", headers(v1(), timestamp="1x")),
            vector(
                "the timestamp comes before the signature",
                "timestamp_too_old",
                headers(v1(FOREIGN_KEY), timestamp=NOW - 301),
            ),
            vector("the signature comes before the body", "no_matching_signature", forged, body="no event at all"),
            vector("an unsigned body is not parsed", "no_matching_signature", forged, body="{"),
        ]
    )


def header_lines() -> list[Vector]:
    """Which headers, and how many of each."""
    all_three = headers(v1())
    upper = [[name.upper(), value] for name, value in all_three]
    twice = "duplicate_header"
    return [
        vector("exactly the three", "accepted", all_three),
        vector("in capital letters", "accepted", upper),
        vector(
            "in another order, among others", "accepted", [["host", "a"], *reversed(all_three), ["x-webhook-id", "b"]]
        ),
        vector(
            "other headers may come twice", "accepted", [*all_three, ["x-forwarded-for", "a"], ["x-forwarded-for", "b"]]
        ),
        vector("no headers", "missing_header", []),
        vector("no id", "missing_header", headers(v1(), webhook_id=None)),
        vector("no timestamp", "missing_header", headers(v1(), timestamp=None)),
        vector("no signature", "missing_header", headers(None)),
        vector("empty id", "missing_header", headers(v1(webhook_id=""), webhook_id="")),
        vector("empty timestamp", "missing_header", headers(v1(timestamp=""), timestamp="")),
        vector("empty signature", "missing_header", headers("")),
        vector(
            "names of another sender",
            "missing_header",
            [[name.replace("webhook", "svix"), value] for name, value in all_three],
        ),
        vector("two ids, the right one first", twice, [*all_three, ["webhook-id", "wh_other"]]),
        vector("two ids, the right one last", twice, [["webhook-id", "wh_other"], *all_three]),
        vector("the same id twice", twice, [*all_three, ["webhook-id", ID]]),
        vector("two timestamps", twice, [["webhook-timestamp", str(NOW)], *all_three]),
        vector("a second timestamp that is empty", twice, [*all_three, ["webhook-timestamp", ""]]),
        vector("two signature lines, the right one first", twice, [*all_three, ["webhook-signature", v1(FOREIGN_KEY)]]),
        vector("two signature lines, the right one last", twice, [["webhook-signature", v1(FOREIGN_KEY)], *all_three]),
        vector("a second line in another case", twice, [*all_three, ["Webhook-Id", ID]]),
    ]


def timestamp() -> list[Vector]:
    """What a timestamp may look like."""
    bad = "malformed_timestamp"
    reprinted = headers(v1(), timestamp=f"000{NOW}")
    return [
        signed("as usual"),
        signed("leading zeros are signed as they are", timestamp=f"000{NOW}"),
        signed("forty leading zeros", timestamp="0" * 40 + str(NOW)),
        vector("leading zeros, signed without them", "no_matching_signature", reprinted),
        signed("a sign before it", bad, timestamp=f"+{NOW}"),
        signed("negative", bad, timestamp=f"-{NOW}"),
        signed("a space inside", bad, timestamp="17952 19200"),
        signed("underscores", bad, timestamp="1_795_219_200"),
        signed("thousands", bad, timestamp="1.795.219.200"),
        signed("a fraction", bad, timestamp=f"{NOW}.0"),
        signed("an exponent", bad, timestamp="1795219200e0"),
        signed("hexadecimal", bad, timestamp=hex(NOW)),
        signed("a date", bad, timestamp="2026-11-21T00:00:00Z"),
        signed("non-ASCII digits", bad, timestamp="١٧٩٥٢١٩٢٠٠"),
        signed("the least i64", bad, timestamp=str(-(2**63))),
        signed("zero", "timestamp_too_old", timestamp=0),
        signed("the greatest i64", "timestamp_too_new", timestamp=2**63 - 1),
        signed("one more than the greatest i64", "timestamp_too_new", timestamp=2**63),
        signed("the greatest u64", "timestamp_too_new", timestamp=2**64 - 1),
        signed("one more than the greatest u64", "timestamp_too_new", timestamp=2**64),
        signed("a number that overflows to now", "timestamp_too_new", timestamp=2**64 + NOW),
        signed("a thousand digits", "timestamp_too_new", timestamp="9" * 1000),
        signed("a thousand digits and a letter", bad, timestamp="9" * 1000 + "x"),
        signed("milliseconds", "timestamp_too_new", timestamp=NOW * 1000),
    ]


def window() -> list[Vector]:
    """How old or new it may be."""
    return [
        signed("300 s old", timestamp=NOW - WINDOW),
        signed("301 s old", "timestamp_too_old", timestamp=NOW - WINDOW - 1),
        signed("300 s ahead", timestamp=NOW + WINDOW),
        signed("301 s ahead", "timestamp_too_new", timestamp=NOW + WINDOW + 1),
        signed("a year old", "timestamp_too_old", timestamp=NOW - 31_536_000),
        signed("a year ahead", "timestamp_too_new", timestamp=NOW + 31_536_000),
        signed("a clock near its beginning", timestamp=0, now=WINDOW),
        signed("a clock near its beginning, too late", "timestamp_too_old", timestamp=0, now=WINDOW + 1),
    ]


def signatures() -> list[Vector]:
    """How signatures stand in their header."""
    none = "no_matching_signature"
    right, wrong = v1(), v1(FOREIGN_KEY)
    of_other_version = v1(version="v1a")

    def holding(name: str, signature: str, verdict: str = "accepted") -> Vector:
        return vector(name, verdict, headers(signature))

    return [
        holding("one", right),
        holding("two, the right one first", f"{right} {wrong}"),
        holding("two, the right one last", f"{wrong} {right}"),
        holding("the right one twice", f"{right} {right}"),
        holding("two wrong ones", f"{wrong} {v1(OLD_KEY)}", none),
        holding("fifty, the right one last", " ".join([wrong] * 49 + [right])),
        holding("fifty wrong ones", " ".join([wrong] * 50), none),
        holding("tabs and several spaces between", f"{wrong}\t \t{right}"),
        holding("a tab only", f"{wrong}\t{right}"),
        holding("unknown versions beside it", f"v2,AAAA {of_other_version} v1b,=,= {right}"),
        holding("an unknown version with the right bytes", of_other_version, none),
        holding("no version", right.removeprefix("v1,"), none),
        holding("no version and a comma", right.removeprefix("v1"), none),
        holding("a version in capital letters", right.replace("v1,", "V1,"), none),
        holding("another mark after the version", right.replace("v1,", "v1="), none),
        holding("no space between two", f"{wrong}{right}", none),
        holding("a comma between two", f"{wrong},{right}", none),
        holding("a version alone", "v1,", none),
        holding("a version alone beside the right one", f"v1, {right}"),
        holding("garbage beside the right one", f"v1,!! ,, v1 {right} ="),
    ]


def compare() -> list[Vector]:
    """What one signature must be."""
    none = "no_matching_signature"
    encoded = v1().removeprefix("v1,")
    tag = base64.b64decode(encoded)
    # The last character before the padding carries two bits that belong to no byte.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    stray = encoded[:42] + alphabet[alphabet.index(encoded[42]) + 1] + "="
    url = next(
        (name, base64.b64encode(mac(KEY, name, str(NOW), BODY)).decode())
        for name in (f"wh_{number}" for number in range(100))
        if {"+", "/"} & set(base64.b64encode(mac(KEY, name, str(NOW), BODY)).decode())
    )
    swapped = url[1].replace("+", "-").replace("/", "_")

    def given(name: str, text: str, verdict: str = none) -> Vector:
        return vector(name, verdict, headers(f"v1,{text}"))

    return [
        given("all 32 bytes", encoded, "accepted"),
        vector("with + or / in it", "accepted", headers(f"v1,{url[1]}", webhook_id=url[0])),
        vector("with - or _ in their place", none, headers(f"v1,{swapped}", webhook_id=url[0])),
        given("the last bit flipped", base64.b64encode(tag[:-1] + bytes([tag[-1] ^ 1])).decode()),
        given("the first bit flipped", base64.b64encode(bytes([tag[0] ^ 0x80]) + tag[1:]).decode()),
        given("31 bytes", base64.b64encode(tag[:31]).decode()),
        given("33 bytes", base64.b64encode(tag + b"\0").decode()),
        given("the first half", base64.b64encode(tag[:16]).decode()),
        given("twice in a row", base64.b64encode(tag + tag).decode()),
        given("without padding", encoded.rstrip("=")),
        given("with too much padding", encoded + "="),
        given("with stray bits before the padding", stray),
        given("all zeros", base64.b64encode(bytes(32)).decode()),
        given("in hexadecimal", tag.hex()),
        given("in another case", encoded.swapcase()),
        vector("over the body alone", none, headers("v1," + base64.b64encode(mac(KEY, BODY)).decode())),
        vector(
            "over timestamp and body alone", none, headers("v1," + base64.b64encode(mac(KEY, str(NOW), BODY)).decode())
        ),
        vector("under the secret's text", none, headers(v1(secret(KEY).encode()))),
        vector("under the secret's text without its prefix", none, headers(v1(secret(KEY)[6:].encode()))),
        vector("of another id", none, headers(v1(webhook_id="wh_other"))),
        vector("of another second", none, headers(v1(timestamp=NOW + 1))),
        vector("of another body", none, headers(v1(body=BODY + " "))),
        vector(
            "of the same bytes cut elsewhere",
            none,
            headers(v1(webhook_id="wh_1", timestamp=NOW), webhook_id=f"wh_1.{NOW}"),
        ),
    ]


def keys() -> list[Vector]:
    """Which of several secrets may have signed."""
    current, old, foreign = secret(KEY), secret(OLD_KEY), secret(FOREIGN_KEY)
    none = "no_matching_signature"
    return [
        vector("the first of two", "accepted", headers(v1()), secrets=[current, old]),
        vector("the second of two", "accepted", headers(v1()), secrets=[old, current]),
        vector("the third of three", "accepted", headers(v1()), secrets=[old, foreign, current]),
        vector("both sign while a secret is rotated", "accepted", headers(f"{v1(OLD_KEY)} {v1()}"), secrets=[current]),
        vector(
            "both sign, and only the old one is known here", "accepted", headers(f"{v1()} {v1(OLD_KEY)}"), secrets=[old]
        ),
        vector("neither of two", none, headers(v1(FOREIGN_KEY)), secrets=[current, old]),
        vector("the old one, after its time", none, headers(v1(OLD_KEY)), secrets=[current]),
        vector("no live secret", none, headers(v1()), secrets=[]),
        vector("half of each", none, headers(v1()[:25] + v1(OLD_KEY)[25:]), secrets=[current, old]),
    ]


def bodies() -> list[Vector]:
    """What a body may be, and what an event must be."""
    bad = "malformed_body"
    nested = '{"type": "x", "id": "y", "data": ' + "[" * 500 + "]" * 500 + "}"
    forged = headers(v1(FOREIGN_KEY))
    return [
        signed("an event"),
        signed("a type and an id suffice", body='{"type":"x","id":"y"}'),
        signed("an unknown type", body='{"type":"quantum.leap.completed","id":"evt_1","data":{"id":"q_1"}}'),
        signed(
            "letters beyond ASCII, raw and escaped", body='{"id":"evt_\\u00e9","type":"x","data":{"name":"Zoë 🦀"}}'
        ),
        signed("white space all around", body='\r\n {\n\t"type" : "x" , "id" : "y" }\n'),
        signed("data of any shape", body='{"type":"batch.completed","id":"y","data":7,"created_at":"soon"}'),
        signed("nesting deeper than most parsers go", body=nested),
        signed("a lone surrogate in a skipped member", body='{"type":"x","id":"y","data":"\\ud800"}'),
        signed("nothing", bad, body=""),
        vector("nothing, forged", "no_matching_signature", forged, body=""),
        signed("a body that is not UTF-8", bad, body=b"\xff\xfe{}"),
        vector("a body that is not UTF-8, forged", "no_matching_signature", forged, body=b"\xff\xfe{}"),
        signed("invalid UTF-8 inside a string", bad, body=b'{"type":"x","id":"y","data":"\xc3("}'),
        signed("not JSON", bad, body="type=batch.completed&id=evt_1"),
        signed("truncated JSON", bad, body=BODY[:-1]),
        signed("something after the event", bad, body=BODY + "{}"),
        signed("a byte order mark", bad, body="\ufeff" + BODY),
        signed("a list", bad, body=f"[{BODY}]"),
        signed("null", bad, body="null"),
        signed("no id", bad, body='{"type":"x"}'),
        signed("no type", bad, body='{"id":"y"}'),
        signed("an id that is a number", bad, body='{"type":"x","id":1}'),
        signed("a type that is null", bad, body='{"type":null,"id":"y"}'),
        signed("an empty id", bad, body='{"type":"x","id":""}'),
        signed("an empty type", bad, body='{"type":"","id":"y"}'),
        signed("two types", bad, body='{"type":"x","type":"z","id":"y"}'),
        signed("a raw control character in a string", bad, body='{"type":"x","id":"y","data":"\n"}'),
        vector(
            "re-serialised",
            "no_matching_signature",
            headers(v1()),
            body=json.dumps(json.loads(BODY), separators=(",", ":")),
        ),
        vector(
            "in base64 still", "no_matching_signature", headers(v1()), body=base64.b64encode(BODY.encode()).decode()
        ),
    ]


def secrets() -> list[Vector]:
    """What a secret must look like."""
    invalid = "invalid_secret"
    encoded = base64.b64encode(KEY).decode()
    with_plus = b"\xfb\xef\xbe" * 11

    def written(name: str, text: str, verdict: str = "accepted", key: bytes = KEY) -> Vector:
        return vector(name, verdict, headers(v1(key)), secrets=[text])

    return [
        written("32 bytes", f"whsec_{encoded}"),
        written("16 bytes", secret(KEY[:16]), key=KEY[:16]),
        written("24 bytes", secret(KEY[:24]), key=KEY[:24]),
        written("64 bytes", secret(KEY * 2), key=KEY * 2),
        written("65 bytes, longer than a block", secret(KEY * 2 + b"x"), key=KEY * 2 + b"x"),
        written("+ and / in it", secret(with_plus), key=with_plus),
        written("pasted with white space around it", f" \t{secret(KEY)}\r\n"),
        written("no prefix", encoded, invalid),
        written("the prefix in another case", f"WHSEC_{encoded}", invalid),
        written("a mistyped prefix", f"whsec-{encoded}", invalid),
        written("a version before it", f"v1,whsec_{encoded}", invalid),
        written("the prefix twice", f"whsec_whsec_{encoded}", invalid),
        written("the prefix alone", "whsec_", invalid, b""),
        written("nothing", "", invalid, b""),
        written("the placeholder of an unset secret", "unset", invalid, b"unset"),
        written("15 bytes", secret(KEY[:15]), invalid, KEY[:15]),
        written("no padding", f"whsec_{encoded.rstrip('=')}", invalid),
        written("the URL-safe alphabet", secret(with_plus).replace("+", "-").replace("/", "_"), invalid, with_plus),
        written("white space inside", f"whsec_{encoded[:20]} {encoded[20:]}", invalid),
        written("a character outside the base64 alphabet", f"whsec_{encoded[:20]}!{encoded[21:]}", invalid),
    ]


def legacy() -> list[Vector]:
    """The scheme of hexadecimal signatures."""
    none, missing, twice = "no_matching_signature", "missing_header", "duplicate_header"
    scheme = {"scheme": "timestamped-hex", "secrets": [LEGACY_SECRET]}
    key = LEGACY_SECRET.encode()

    def tag(at: str | int = NOW, under: bytes = key, body: str = BODY) -> str:
        return mac(under, str(at), body).hex()

    def own(signature: str, at: str | int = NOW) -> Headers:
        return [["x-openai-signature", signature], ["x-openai-timestamp", str(at)]]

    def generic(signature: str, at: str | int = NOW) -> Headers:
        return [["x-signature-256", signature], ["x-timestamp", str(at)]]

    def given(name: str, verdict: str, lines: Headers, **rest: Any) -> Vector:
        return vector(name, verdict, lines, **{**scheme, **rest})

    under_whsec = secret(KEY)
    return [
        given("OpenAI's older headers", "accepted", own(tag())),
        given("the generic headers", "accepted", generic(f"sha256={tag()}")),
        given("in capital hexadecimal", "accepted", own(tag().upper())),
        given("300 s old", "accepted", own(tag(NOW - 300), NOW - 300)),
        given("301 s old", "timestamp_too_old", own(tag(NOW - 301), NOW - 301)),
        given("301 s ahead", "timestamp_too_new", own(tag(NOW + 301), NOW + 301)),
        given("leading zeros", "accepted", own(tag(f"0{NOW}"), f"0{NOW}")),
        given("a timestamp that is not a number", "malformed_timestamp", own(tag("now"), "now")),
        given("a webhook-id is not signed", "accepted", [*own(tag()), ["webhook-id", ID]]),
        given("the second of two secrets", "accepted", own(tag()), secrets=["another text of length", LEGACY_SECRET]),
        given(
            "the secret's text, whsec_ and all", "accepted", own(tag(under=under_whsec.encode())), secrets=[under_whsec]
        ),
        given("the secret's bytes", none, own(tag(under=KEY)), secrets=[under_whsec]),
        given("a secret pasted with white space around it", "accepted", own(tag()), secrets=[f" {LEGACY_SECRET}\n"]),
        given(
            "a secret of 15 bytes", "invalid_secret", own(tag(under=b"fifteen-bytes-.")), secrets=["fifteen-bytes-."]
        ),
        given("another secret", none, own(tag(under=b"another text of length"))),
        given("another body", none, own(tag(body=BODY + " "))),
        given("the body alone", none, own(hmac.new(key, BODY.encode(), hashlib.sha256).hexdigest())),
        given("sha256= where it does not belong", none, own(f"sha256={tag()}")),
        given("no sha256= where it belongs", none, generic(tag())),
        given("cut short", none, own(tag()[:-2])),
        given("one digit more", none, own(tag() + "0")),
        given("not hexadecimal", none, own("z" + tag()[1:])),
        given("in base64", none, own(base64.b64encode(bytes.fromhex(tag())).decode())),
        given("no headers", missing, []),
        given("no timestamp", missing, own(tag())[:1]),
        given("no signature", missing, own(tag())[1:]),
        given("the other pair's timestamp", missing, [own(tag())[0], generic("")[1]]),
        given("two signatures", twice, [*own(tag()), own(tag())[0]]),
        given("two timestamps", twice, [*own(tag()), own(tag())[1]]),
        given("both pairs", twice, [*own(tag()), *generic(f"sha256={tag()}")]),
        given("signed, but not an event", "malformed_body", own(tag(body="[]")), body="[]"),
        given("a delivery of the usual scheme", missing, headers(v1()), secrets=[under_whsec]),
        vector("a delivery of this scheme where the usual one is set", missing, own(tag(under=KEY))),
    ]
