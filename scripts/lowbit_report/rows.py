"""The rows of the report: ours, interval, published value, band and verdict, gathered from the result files."""
import csv
import sys

import lowbit_results

from lowbit_report.programs import ROOT

SCHEMA = 1
KNOWN_OUTSIDE = ROOT / "results/reference/known_outside.tsv"


def collect(selected, absent):
    """Rows of all result files, in the order of the experiments; `absent`: {name: why there is no result}."""
    report = []
    for e in selected:
        if e.name in absent or not e.file.is_file():
            report.append({"paper": e.slug, "figure": e.figure_slug, "quantity": e.name, "ours": None, "unit": "", "interval": None,
                           "exact": False, "reference": None, "reference_source": "", "band": None, "verdict": "not_run",
                           "note": absent.get(e.name, "no result file")})
        else:
            report += [dict(row, figure=e.figure_slug) for row in lowbit_results.open(e.file).report]
    return report


def known_outside():
    """(experiment, quantity) -> reason of the misses that are known and explained."""
    known = {}
    if KNOWN_OUTSIDE.is_file():
        with KNOWN_OUTSIDE.open(newline="", encoding="utf-8") as file:
            lines = (line for line in file if not line.startswith("#"))
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                known[(row["experiment"], row["quantity"])] = row["reason"]
    return known


def key(row):
    return f"{row['paper']}/{row['figure']}", row["quantity"]


def unexpected(report, mode):
    """Rows whose verdict nobody expects: outside their band without being listed as known, or listed and yet within. Bands
    and list are made for the default settings; the few values of --quick are not judged by them."""
    if mode == "quick":
        return []
    known = known_outside()
    return [r for r in report if (r["verdict"] == "outside") != (key(r) in known) and r["verdict"] in ("within", "outside")]


def summarise(report, surprises, failed, mode):
    count = {verdict: sum(r["verdict"] == verdict for r in report) for verdict in ("within", "outside", "no_band", "not_run")}
    print("rows: " + ", ".join(f"{n} {verdict}" for verdict, n in count.items()), file=sys.stderr)
    if mode == "quick" and count["outside"]:
        print("(quick settings: bands are made for the default settings, a row outside is no finding here)", file=sys.stderr)
    for r in surprises:
        listed = "listed as known to be outside" if r["verdict"] == "within" else "not listed as known"
        print(f"{r['verdict']}, {listed}: {r['paper']}/{r['figure']}: {r['quantity']} = {r['ours']:.6g}, band {r['band']}",
              file=sys.stderr)
    for name, reason in failed.items():
        print(f"failed: {name}: {reason}", file=sys.stderr)
