"""Draws the dashboard with made-up numbers, for the docs: `python -m infra.checks.dashboard docs/dashboard.svg`.

Only what the dashboard's JSON says is drawn: places, titles, and one line for each metric.
"""

import json
import math
import re
import sys
from html import escape
from pathlib import Path
from typing import Any

from infra.local.deploy import template

UNIT, GAP = 42, 6
_LEGEND = 150
COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f"]
MADE_UP = {
    "outcome": ["accepted", "no_matching_signature", "secret_unavailable"],
    "category": ["batch", "response", "realtime", "agent", "file"],
}
"""What a search finds, by the dimension that names the lines."""


def body() -> dict[str, Any]:
    """Body of the dashboard for a stack called STACK."""
    text = template()["Resources"]["Overview"]["Properties"]["DashboardBody"]["Fn::Sub"]
    return json.loads(re.sub(r"\$\{AWS::StackName\}", "STACK", text).replace("${!", "${"))


def labels(metrics: list[Any]) -> list[str]:
    """Labels of the lines of a widget."""
    found: list[str] = []
    for metric in metrics:
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        dimension = re.search(r"PROP\('Dim\.(\w+)'\)", options.get("label", ""))
        found += MADE_UP[dimension[1]] if dimension else [options.get("label", metric[1])]
    return found


def widget(it: dict[str, Any]) -> str:
    """A widget as SVG."""
    x, y = it["x"] * UNIT, it["y"] * UNIT
    width, height = it["width"] * UNIT - GAP, it["height"] * UNIT - GAP
    properties = it["properties"]
    parts = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="#fff" stroke="#d5dbdb"/>',
        f'<text x="{x + 12}" y="{y + 22}" font-size="14" font-weight="bold">{escape(properties["title"])}</text>',
    ]
    if it["type"] == "alarm":
        names = [arn.rsplit(":", 1)[-1] for arn in properties["alarms"]]
        step = width / len(names)
        for place, name in enumerate(names):
            left = x + 8 + place * step
            parts.append(
                f'<rect x="{left:.0f}" y="{y + 40}" width="{step - 16:.0f}" height="56" rx="4" fill="#eaf6ed"/>'
            )
            parts.append(f'<text x="{left + 8:.0f}" y="{y + 62}" font-size="11">{name.removeprefix("STACK-")}</text>')
            parts.append(f'<text x="{left + 8:.0f}" y="{y + 84}" font-size="12" fill="#1d8102">OK</text>')
        return "\n".join(parts)
    names = labels(properties["metrics"])
    columns = max(1, width // _LEGEND)
    rows = -(-len(names) // columns)
    top, bottom = y + 40, y + height - 20 - 16 * rows
    for share in (0, 0.5, 1):
        line = bottom - share * (bottom - top)
        parts.append(f'<path d="M{x + 12} {line:.0f}H{x + width - 12}" stroke="#eaeded"/>')
    for place, name in enumerate(names):
        colour = COLOURS[place % len(COLOURS)]
        points = []
        for step in range(49):
            wave = math.sin(step / (5 + place) + place * 1.7) + math.sin(step / 2.3 + place) / 3
            share = max(0.02, min(1, (0.75 - place * 0.09) * (0.75 + wave / 4)))
            points.append(f"{x + 12 + step * (width - 24) / 48:.0f},{bottom - share * (bottom - top):.0f}")
        parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        row, column = divmod(place, columns)
        left, base = x + 12 + column * _LEGEND, bottom + 12 + row * 16
        parts.append(f'<rect x="{left}" y="{base}" width="8" height="8" fill="{colour}"/>')
        parts.append(f'<text x="{left + 12}" y="{base + 8}" font-size="11">{escape(name)}</text>')
    return "\n".join(parts)


def drawn() -> str:
    """The whole dashboard as SVG."""
    widgets = body()["widgets"]
    height = max(it["y"] + it["height"] for it in widgets) * UNIT + 24
    style = 'font-family="Helvetica, Arial, sans-serif" fill="#16191f"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 -8 {24 * UNIT + 16} {height + 8}" {style}>',
            f'<rect x="-8" y="-8" width="{24 * UNIT + 16}" height="{height + 8}" fill="#f2f3f3"/>',
            *map(widget, widgets),
            f'<text x="4" y="{height - 10}" font-size="11">Made-up numbers.</text>',
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawn())
