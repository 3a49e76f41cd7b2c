"""Starts ministack in this process, with three corrections: `python -m infra.local.emulator_server`.

- Without Nagle's algorithm. Its Runtime API answers in two small writes, and the second would wait 40 ms for an
  acknowledgement at every invocation.
- Every request counts as sent over TLS. It is plain HTTP on the loopback device, which the bucket's TLS-only policy
  would otherwise refuse.
- A concurrency limit that comes from a template's parameter is a number. It arrives as text, and the poller of event
  sources stops at comparing it.
"""

import socketserver

from ministack import app
from ministack.services import lambda_svc


def main() -> None:
    """Serve until killed."""
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True

    pin_request_origin = app.pin_request_origin
    app.pin_request_origin = lambda address, _over_tls: pin_request_origin(address, True)

    concurrency = lambda_svc._sqs_esm_concurrency
    lambda_svc._sqs_esm_concurrency = lambda *args, **kwargs: int(concurrency(*args, **kwargs))

    app.main()


if __name__ == "__main__":
    main()
