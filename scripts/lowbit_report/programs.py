"""Finds, plans and runs the experiment programs, and draws the figures of their results."""
import difflib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lowbit_report import figures

ROOT = Path(__file__).resolve().parents[2]


class UserError(Exception):
    """A mistake of the user, one line."""


@dataclass
class Experiment:
    """One figure or table of a paper, as its program describes it."""

    name: str  # "<paper>/<figure>"
    title: str
    paper: str  # identifier: "arXiv:2510.25602"
    figure: str  # "Fig. 3"
    file: Path  # result file
    cost: float  # seconds on 2 cores; of --full an estimate

    @property
    def slug(self):
        return self.name.split("/")[0]

    @property
    def figure_slug(self):
        return self.name.split("/")[1]


def binary(name):
    return Path(os.environ.get("LOWBIT_BIN_DIR", ROOT / "build/bin")) / name


def _json(command):
    """What a program prints as JSON."""
    try:
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    except FileNotFoundError:
        raise UserError(f"'{command[0]}' is missing: build first, or type scripts/reproduce, which does") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"'{command[0]}' ended with exit code {error.returncode}: {error.stderr.strip()}") from None


def _mode_option(mode):
    return [] if mode == "default" else [f"--{mode}"]


def experiments(folder, mode):
    """All experiments, in the order of papers and figures. The programs state costs of their default settings; for --full
    they are multiplied by how many more points there are."""
    listed = _json([binary("lowbit"), "list", "--output", "json"])
    found = []
    for paper in sorted({entry["experiment"].split("/")[0] for entry in listed}):
        command = [binary(paper), "--describe", "-o", str(folder)]
        described = _json([*command, *_mode_option(mode)])["experiments"]
        usual = {d["experiment"]: d["points"] for d in _json(command)["experiments"]} if mode == "full" else {}
        for d in described:
            factor = d["points"] / usual[d["experiment"]] if usual.get(d["experiment"]) else 1
            found.append(Experiment(d["experiment"], d["title"], d["paper"], d["figure"], Path(d["file"]),
                                    factor * float(d["cost_seconds"])))
    return found


def select(known, only):
    """Those that --only names: papers or paper/figure."""
    if not only:
        return known
    selected = []
    accepted = sorted({e.slug for e in known} | {e.name for e in known})
    for word in filter(None, only.split(",")):
        if word not in accepted:
            near = difflib.get_close_matches(word, accepted, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise UserError(f"--only: unknown experiment '{word}'{hint} accepted: {', '.join(sorted({e.slug for e in known}))}")
        selected += [e for e in known if word in (e.slug, e.name) and e not in selected]
    return selected


def within_budget(selected, minutes):
    """{name: reason} of the dearest figures, left out so that the others take at most `minutes`. A figure that has a
    result already costs nothing."""
    seconds, left_out = 60 * minutes, {}
    for e in sorted(selected, key=lambda e: 0 if e.file.is_file() else e.cost):
        cost = 0 if e.file.is_file() else e.cost
        if cost <= seconds:
            seconds -= cost
        else:
            left_out[e.name] = (f"left out of a run of {minutes:g} min: it takes about {max(1, round(e.cost / 60))} min; "
                                f"run it with ./scripts/reproduce --only {e.name}")
    return left_out


def announce(selected, left_out, mode):
    """What is going to happen and how long it takes."""
    chosen = [e for e in selected if e.name not in left_out]
    papers = len({e.slug for e in chosen})
    line = f"{len(chosen)} figures and tables of {papers} paper{'s' if papers != 1 else ''}, {mode} settings"
    minutes = max(1, round(sum(e.cost for e in chosen) / 60))
    if mode == "default":
        line += f"; about {minutes} min on 2 cores"
    elif mode == "full":
        line += (f"; estimated at {minutes} min on 2 cores, from the costs of the default settings and the number of "
                 "points; each program shows its ETA")
    print(line, file=sys.stderr)
    for name, reason in left_out.items():
        print(f"{name}: {reason}", file=sys.stderr)


def _failures(chosen, output, reason):
    """{name: reason} of the figures that a program did not come to an end with. It runs them in order and prints a line
    "<paper>/<figure>: ..." for each that it has finished; files that are there may be older."""
    finished = {line.split(":")[0] for line in output.splitlines()}
    missing = [e.name for e in chosen if e.name not in finished] or [chosen[-1].name]
    return {name: reason if name == missing[0] else f"not reached: {reason} at {missing[0]}" for name in missing}


def run(selected, folder, mode, threads, force):
    """Runs the programs of `selected` paper by paper; returns {name: reason} of the experiments that failed."""
    failed = {}
    for slug in dict.fromkeys(e.slug for e in selected):
        chosen = [e for e in selected if e.slug == slug]
        command = [binary(slug), *[e.figure_slug for e in chosen], "-o", str(folder),
                   "--force" if force else "--resume", *_mode_option(mode)]
        if threads:
            command += ["--threads", str(threads)]
        start = time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace")
        code = done.returncode
        if code in (75, 130, 143, -signal.SIGINT, -signal.SIGTERM):
            raise KeyboardInterrupt
        if code != 0:
            failed |= _failures(chosen, done.stdout, f"{slug} ended with exit code {code}")
        print(f"{slug}: {'failed' if code else 'done'} in {time.monotonic() - start:.0f} s", file=sys.stderr)
    return failed


def draw(selected, failed):
    """Draws every figure that scripts/plots has a function for: {name: path without suffix}."""
    drawn = {}
    for e in selected:
        function = figures.function_for(e.name)
        if function is None or e.name in failed or not e.file.is_file():
            continue
        target = e.file.with_suffix("")
        if not figures.up_to_date(function, e.file, target):
            figures.draw(function, e.file, target)
        drawn[e.name] = target
    return drawn
