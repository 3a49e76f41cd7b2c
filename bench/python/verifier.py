"""The verifier in Python, with the official SDK, boto3 and AWS's runtime client, for comparison."""

import base64
import json
import os
import time
from typing import Any

import boto3
from openai import InvalidWebhookSignatureError, OpenAI

secrets = boto3.client("secretsmanager")
sqs = boto3.client("sqs")
openai = OpenAI(api_key="not needed for webhooks")

QUEUE_URLS: dict[str, str] = json.loads(os.environ["QUEUE_URLS"])
SIGNING_SECRETS: dict[str, str] = {
    endpoint: secrets.get_secret_value(SecretId=secret)["SecretString"]
    for endpoint, secret in json.loads(os.environ["SIGNING_SECRETS"]).items()
}


def handler(request: dict[str, Any], _context: object) -> dict[str, Any]:
    """Check one delivery and queue its event."""
    endpoint = request["pathParameters"]["endpoint"]
    body = base64.b64decode(request["body"]).decode() if request["isBase64Encoded"] else request["body"]
    try:
        event = openai.webhooks.unwrap(body, request["headers"], secret=SIGNING_SECRETS[endpoint])
    except (InvalidWebhookSignatureError, ValueError) as error:
        print(json.dumps({"level": "WARN", "message": "delivery refused", "error": str(error)}))
        return {"statusCode": 401, "body": json.dumps({"reason": "no_matching_signature"})}
    category = event.type.split(".")[0].replace("_", "-")
    attributes = {
        "webhook-id": request["headers"]["webhook-id"],
        "webhook-timestamp": request["headers"]["webhook-timestamp"],
        "endpoint": endpoint,
        "event-type": event.type,
        "received-at": str(int(time.time() * 1000)),
        "source": "openai",
    }
    sqs.send_message(
        QueueUrl=QUEUE_URLS.get(category, QUEUE_URLS["archive"]),
        MessageBody=body,
        MessageAttributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )
    print(json.dumps({"level": "INFO", "message": "delivery accepted", "webhook.id": attributes["webhook-id"]}))
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"received": True}),
    }
