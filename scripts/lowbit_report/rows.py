"""The rows of the report: ours, interval, published value, band and verdict, gathered from the result files."""
import csv
import math
import sys

import h5py

from lowbit_report.programs import ROOT

SCHEMA = 1
KNOWN_OUTSIDE = ROOT / "results/reference/known_outside.tsv"


def _text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def _pair(low, high):
    return None if math.isnan(low) or math.isnan(high) else [low, high]


def _number(value):
    return None if math.isnan(value) else value


def collect(selected, failed):
    """Rows of all result files, in the order of the experiments."""
    report = []
    for e in selected:
        if e.name in failed or not e.file.is_file():
            report.append(_row(e, e.figure, e.name, None, None, False, None, "", None, "not_run",
                               failed.get(e.name, "no result file")))
            continue
        with h5py.File(e.file) as file:
            table = {name: column[:].tolist() for name, column in file["report"].items()} if "report" in file else {}
        for i in range(len(table.get("quantity", []))):
            cell = lambda name: table[name][i]  # noqa: E731
            report.append(_row(e, _text(cell("figure")), _text(cell("quantity")), _number(cell("ours")),
                               _pair(cell("interval_low"), cell("interval_high")), bool(cell("exact")),
                               _number(cell("reference")), _text(cell("reference_source")),
                               _pair(cell("band_low"), cell("band_high")), _text(cell("verdict")), _text(cell("note"))))
    return report


def _row(e, figure, quantity, ours, interval, exact, reference, source, band, verdict, note):
    return {"paper": e.slug, "figure": figure or e.figure_slug, "quantity": quantity, "ours": ours, "interval": interval,
            "exact": exact, "reference": reference, "reference_source": source, "band": band, "verdict": verdict,
            "note": note}


def known_outside():
    """(paper, figure, quantity) -> explanation of misses that are known and explained."""
    known = {}
    if KNOWN_OUTSIDE.is_file():
        with KNOWN_OUTSIDE.open(newline="") as file:
            lines = (line for line in file if not line.startswith("#"))
            for row in csv.DictReader(lines, delimiter="\t"):
                known[(row["paper"], row["figure"], row["quantity"])] = row["explanation"]
    return known


def unexpected(report):
    """Rows outside their band that nobody has explained."""
    known = known_outside()
    return [r for r in report if r["verdict"] == "outside" and (r["paper"], r["figure"], r["quantity"]) not in known]


def summarise(report, surprises, failed):
    count = {verdict: sum(r["verdict"] == verdict for r in report) for verdict in ("within", "outside", "no_band", "not_run")}
    print("rows: " + ", ".join(f"{n} {verdict}" for verdict, n in count.items()), file=sys.stderr)
    for r in surprises:
        print(f"outside, not listed as known: {r['paper']} {r['figure']}: {r['quantity']} = {r['ours']:.6g}, "
              f"band {r['band']}", file=sys.stderr)
    for name, reason in failed.items():
        print(f"failed: {name}: {reason}", file=sys.stderr)
