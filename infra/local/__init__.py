"""The local stack: the emulator, OpenAI's stand-in and the deployment of `template.yaml`, for `make run` and tests.

Nothing of AWS is mocked here. `ministack` plays AWS, runs the very Lambda binaries that would be deployed, and
enforces the IAM policies of the very template. See `README.md` beside this file.
"""
