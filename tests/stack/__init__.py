"""What end-to-end tests stand on besides the fixtures of `conftest.py`: watching a stack, and waiting for it."""
