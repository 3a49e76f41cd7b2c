"""The local stack: the emulator, OpenAI's stand-in and the deployment of `template.yaml`, for `make run` and tests.

Nothing of AWS is mocked here. `ministack` plays AWS, runs the very Lambda binaries that would be deployed, and
enforces the IAM policies of the very template. See `README.md` beside this file.
"""

import sys

# Here, before a newer syntax in any module can fail to parse.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ...")
