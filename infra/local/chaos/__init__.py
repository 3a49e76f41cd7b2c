"""`make chaos`: thousands of deliveries through the deployed stack while everything around it fails.

- `happenings`: what happens at OpenAI, of every kind, and the events that tell of it.
- `plan`: which of them, in which order, how often and with which faults; all of it from one seed.
- `trouble`: what goes wrong meanwhile between the functions and AWS; functions that die; people who redrive and replay.
- `sender`: delivers events as OpenAI does.
- `campaign`: plays a plan, waits until all is quiet.
- `verdict`: what must be true then, whatever happened.
"""
