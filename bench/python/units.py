"""What DynamoDB charges for: sizes of items and index entries, and the units of writes and reads."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Item = Mapping[str, Any]
"""Attribute values by name, as DynamoDB's API has them."""

OVERHEAD_BYTES = 100
"""What the storage of an item, and of an index entry, takes beyond its size."""

_WRITE_UNIT_BYTES = 1024
_READ_UNIT_BYTES = 4096


def size(item: Item) -> int:
    """Bytes of an item, as DynamoDB measures it."""
    return sum(len(name) + _value_size(value) for name, value in item.items())


def entry(index: Mapping[str, Any], item: Item) -> Item | None:
    """What an index, as `describe_table` has it, holds of an item; `None` for nothing."""
    keys = {key["AttributeName"] for key in index["KeySchema"]}
    if not keys <= item.keys():
        return None
    projected = {"pk", "sk", *keys, *index["Projection"].get("NonKeyAttributes", [])}
    return {name: value for name, value in item.items() if name in projected}


def written(indexes: Sequence[Mapping[str, Any]], old: Item, new: Item) -> int:
    """Write units of a change of an item, refused or not; an item that does not exist is empty."""
    units = _started(max(size(old), size(new)), _WRITE_UNIT_BYTES)
    for index in indexes:
        before, after = entry(index, old), entry(index, new)
        if before == after:
            continue
        names = [key["AttributeName"] for key in index["KeySchema"]]
        moved = before and after and any(before[name] != after[name] for name in names)
        sizes = [_started(size(it), _WRITE_UNIT_BYTES) for it in (before, after) if it]
        units += sum(sizes) if moved else max(sizes)
    return units


def read(items: Sequence[Item], *, consistent: bool) -> float:
    """Read units of what a request has read; nothing costs as much as something small."""
    return _started(sum(map(size, items)), _READ_UNIT_BYTES) * (1.0 if consistent else 0.5)


def _started(size: int, step: int) -> int:
    return max(1, math.ceil(size / step))


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return (len(content.strip("-.")) + 1) // 2 + 1
        case "M":
            return 3 + sum(len(name) + _value_size(inner) + 1 for name, inner in content.items())
        case "L":
            return 3 + sum(_value_size(inner) + 1 for inner in content)
        case _:
            return 1
