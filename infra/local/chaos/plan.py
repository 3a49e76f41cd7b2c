"""Plan of a campaign: all that happens and all that is delivered, from one seed.

The seed decides what is planned, not how the machine schedules it: two runs of one seed play the same happenings with
the same faults in the same order, and differ in what meets at which moment.
"""

from dataclasses import dataclass
from random import Random

from infra.local.chaos.happenings import Event, Happening, Kind, age_of, chosen
from infra.local.stand_in import Json

MAX_COPIES = 5
"""Most deliveries of one happening."""
_FORGED_SHARE = 0.01
_LOST_SHARE = 0.01
_FAULT_SHARE = 0.35
_LATE_SHARE = 0.1
_SHUFFLE = 60
"""Number of places in the order by which a delivery is late on average, compared with its happening."""


@dataclass(frozen=True)
class Delivery:
    """Delivery to be made."""

    happening: Happening
    event: Event
    forged: bool = False


@dataclass(frozen=True)
class Plan:
    """What a run plays."""

    seed: int
    happenings: list[Happening]
    deliveries: list[Delivery]
    """In their order; those that are forged among them."""


def make(seed: int, deliveries: int) -> Plan:
    """Plan a run with this number of deliveries."""
    random = Random(seed)
    happenings: list[Happening] = []
    placed: list[tuple[float, int, Delivery]] = []
    while len(placed) < deliveries:
        number = len(happenings)
        happening = _happening(number, random)
        happenings.append(happening)
        start = float(len(placed))
        for event in _copies(happening, random, deliveries - len(placed)):
            place = start + random.expovariate(1 / _SHUFFLE)
            if happening.is_lost or random.random() < _LATE_SHARE:
                place = random.uniform(start, deliveries)
            placed.append((place, len(placed), Delivery(happening, event)))
        if random.random() < _FORGED_SHARE and len(placed) < deliveries:
            event = Event(_id("evt_", random), _id("wh_", random), "project")
            placed.append((start, len(placed), Delivery(happening, event, forged=True)))
    return Plan(seed, happenings, [delivery for _, _, delivery in sorted(placed, key=lambda one: one[:2])])


def _happening(number: int, random: Random) -> Happening:
    kind, event_type = chosen(random)
    is_lost = kind.name == "batch" and random.random() < _LOST_SHARE * 6
    age = age_of(kind, random)
    faults = _faults(kind, age, random) if kind.route and random.random() < _FAULT_SHARE else []
    event = Event(_id("evt_", random), _id("wh_", random), "project")
    events = [event]
    if random.random() < 0.3:
        # The same event, to the other endpoint.
        events.append(Event(event.event_id, _id("wh_", random), "organization"))
    if kind.key != "event" and random.random() < 0.2:
        # Another event that means the same.
        events.append(Event(_id("evt_", random), _id("wh_", random), "project"))
    return Happening(number, kind, event_type, events, faults, age, is_lost)


def _copies(happening: Happening, random: Random, most: int) -> list[Event]:
    """The events of a happening's deliveries, each of them at least once."""
    copies = random.randint(len(happening.events), MAX_COPIES)
    events = happening.events + random.choices(happening.events, k=copies - len(happening.events))
    happening.events = happening.events[:most]
    return events[:most]


def _faults(kind: Kind, age: int, random: Random) -> list[Json]:
    """One or two faults of OpenAI. Nothing but a young object may be invisible for now."""
    passing: list[Json] = [
        {"kind": "rate_limit", "retry_after": 1, "times": random.randint(1, 3)},
        {"kind": "status", "status": 500, "times": random.randint(1, 3)},
        {"kind": "status", "status": 502, "body": "<html>Bad gateway</html>", "times": 1},
        {"kind": "cut", "after_bytes": 0 if kind.key == "call" else 20, "times": 1},
        {"kind": "stall", "milliseconds": 700, "times": 1},
    ]
    if age == 0 and kind.category != "safety" and random.random() < 0.3:
        # An object that is not visible yet comes first: after an error, 404 would say that a call is over. People are
        # told of a safety notice in any case, within half a minute.
        return [{"kind": "status", "status": 404, "times": random.randint(1, 2)}, *random.sample(passing, 1)]
    # These are dead letters, until somebody redrives them.
    lasting: list[Json] = [
        {"kind": "status", "status": 401, "times": 1},
        {"kind": "status", "status": 403, "times": 1},
        {"kind": "insufficient_quota", "times": 1},
    ]
    return random.sample(passing, random.randint(1, 2)) + (random.sample(lasting, 1) if random.random() < 0.2 else [])


def _id(prefix: str, random: Random) -> str:
    return f"{prefix}{random.getrandbits(128):032x}"
