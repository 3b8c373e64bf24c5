"""Writes the report as JSON, Markdown and HTML."""
import json
import os
from pathlib import Path

import jinja2

from lowbit_report import rows


def _number(value):
    return "" if value is None else f"{value:.5g}"


def _interval(pair):
    return "" if pair is None else f"[{_number(pair[0])}, {_number(pair[1])}]"


def _write(path, text):
    """Whole or not at all: the report of an earlier run stays until the new one is complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def write(out, report, figures, selected, absent, mode):
    known = rows.known_outside()
    for row in report:
        explanation = known.get(rows.key(row))
        row["known"] = explanation if row["verdict"] == "outside" else None
    sections = []
    for e in selected:
        figure = figures.get(e.name)
        mine = [r for r in report if r["paper"] == e.slug and r["figure"] == e.figure_slug]
        sections.append({"experiment": e, "rows": mine, "absent": absent.get(e.name),
                         "figure": None if figure is None else os.path.relpath(figure, out)})
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=_number, interval=_interval)
    context = {"sections": sections, "mode": mode,
               "count": {v: sum(r["verdict"] == v for r in report) for v in ("within", "outside", "no_band", "not_run")}}
    _write(out / "report.html", environment.get_template("report.html.j2").render(context))
    environment.autoescape = False
    _write(out / "report.md", environment.get_template("report.md.j2").render(context))
    plain = [{key: value for key, value in row.items() if key != "known"} for row in report]
    _write(out / "report.json", json.dumps({"schema": rows.SCHEMA, "rows": plain}, indent=1, allow_nan=False) + "\n")
