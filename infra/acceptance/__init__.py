"""`make acceptance`: what only an AWS account can confirm, step by step, in a stack of a throw-away name.

    python -m infra.acceptance --dist dist [--local] [--region us-east-1] [--domain NAME --zone ID]

It deploys what `make dist` has packed, with the credentials at hand, and costs a few cents. With `OPENAI_API_KEY` it
also registers an endpoint at OpenAI and has its secret rotated; with a domain, that one is put before the stack. Each
step prints a line with what it saw. In the end everything is removed. The exit code is 1 if a step failed, or if
something is left.

With `--local` AWS is ministack, and OpenAI the stand-in. A step that these cannot play says so, and why.
"""
