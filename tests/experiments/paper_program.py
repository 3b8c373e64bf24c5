"""Runs a paper's program in tests and reads its results and its reference tables."""

import csv
import os
import pathlib
import subprocess

import lowbit_results

SOURCE = pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"])
REFERENCE = SOURCE / "results" / "reference"


def tsv(path):
    """Rows of a table as dicts; lines that begin with # are comments."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def errors(stderr):
    """Lines that are no warning about what was computed before the error."""
    return [line for line in stderr.strip().splitlines() if not line.startswith("warning: ")]


class PaperProgram:
    def __init__(self, paper):
        self.paper = paper
        self.binary = pathlib.Path(os.environ["LOWBIT_BIN_DIR"]) / paper

    def call(self, *arguments, environment=None):
        """The finished process; `environment` is added to this one's."""
        return subprocess.run([self.binary, *arguments], capture_output=True, text=True, timeout=600, env=os.environ | (environment or {}))

    def run(self, folder, *arguments, environment=None):
        """Standard output of a run into `folder` that must succeed."""
        done = self.call(*arguments, "-o", folder, environment=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def result(self, folder, figure):
        return lowbit_results.open(folder / self.paper / f"{figure}.h5")

    def report(self, folder, figure):
        return self.result(folder, figure).report

    def figures(self):
        return sorted(line.split()[0] for line in self.call("--list").stdout.splitlines() if line.strip())

    def referenced_figures(self):
        return sorted(path.name.split(".")[1] for path in REFERENCE.glob(f"{self.paper}.*.tsv"))

    def references(self, figure):
        """Quantities of the figure's reference table."""
        return [row["quantity"] for row in tsv(REFERENCE / f"{self.paper}.{figure}.tsv")]

    def known_outside(self):
        """{figure: {quantity: reason}} of the misses that are explained."""
        known = {}
        for row in tsv(REFERENCE / "known_outside.tsv"):
            paper, figure = row["experiment"].split("/")
            if paper == self.paper:
                known.setdefault(figure, {})[row["quantity"]] = row["reason"]
        return known

    def check_verdicts(self, folder, figure):
        """What is outside of its band in this result is what known_outside.tsv lists, among the rows that were judged."""
        judged = {row["quantity"]: row["verdict"] for row in self.report(folder, figure) if row["verdict"] in ("within", "outside")}
        assert judged
        outside = {quantity for quantity, verdict in judged.items() if verdict == "outside"}
        assert outside == set(self.known_outside().get(figure, {})) & set(judged)
