"""The reproduce command after its build: runs, figures, report.json, reuse, bad input."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lowbit_report import programs

ROOT = Path(os.environ["LOWBIT_SOURCE_DIR"])
KEYS = {"paper", "figure", "quantity", "ours", "interval", "exact", "reference", "reference_source", "band", "verdict", "note"}


def reproduce(*arguments, out):
    return subprocess.run([sys.executable, "-m", "lowbit_report", "--quick", "-o", str(out), *arguments], capture_output=True,
                          text=True, cwd=ROOT)


@pytest.mark.parametrize("module", ["lowbit_report", "lowbit_report.plot"])
def test_help_needs_no_packages(module):
    result = subprocess.run([sys.executable, "-S", "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT / "scripts")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("usage: scripts/")


def test_plot_names_the_package_that_is_missing(tmp_path):
    (tmp_path / "x.h5").touch()
    result = subprocess.run([sys.executable, "-S", "-m", "lowbit_report.plot", str(tmp_path / "x.h5")], capture_output=True,
                            text=True, cwd=ROOT / "scripts")
    assert result.returncode == 69
    assert result.stderr == ("plot: Python package 'h5py' is missing (apt: python3-h5py); scripts/reproduce installs all that "
                             "are needed\n")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    result = reproduce("--only", "int_vs_fp/fig3,int_vs_fp/hardware", out=out)
    assert result.returncode == 0, result.stderr
    return out


def test_report_json_has_the_published_schema(run):
    report = json.loads((run / "report.json").read_text())
    assert report["schema"] == 1
    assert {row["figure"] for row in report["rows"]} == {"fig3", "hardware"}
    for row in report["rows"]:
        assert KEYS <= set(row)
        assert row["verdict"] in ("within", "outside", "no_band", "not_run")
        if row["ours"] is None:
            assert row["verdict"] == "not_run"
        else:
            assert row["exact"] or row["interval"] is not None, "a number without an interval must be exact"
        if row["band"] is not None and row["ours"] is not None:
            inside = row["band"][0] <= row["ours"] <= row["band"][1]
            assert row["verdict"] == ("within" if inside else "outside")


def test_published_crossovers_stand_beside_ours(run):
    rows = json.loads((run / "report.json").read_text())["rows"]
    published = {row["reference"] for row in rows if row["quantity"].startswith("crossover_kappa")}
    assert {7.55, 1.96, 2.04, 2.39} <= published  # arXiv:2510.25602, Fig. 3


def test_figures_and_pages_are_there(run):
    for suffix in ("png", "svg", "pdf"):
        assert (run / f"quick/int_vs_fp/fig3.{suffix}").stat().st_size > 1000
    page = (run / "report.html").read_text()
    assert "quick/int_vs_fp/fig3.png" in page
    assert "quick/int_vs_fp/fig3.png" in (run / "report.md").read_text()


def test_complete_results_are_reused(run):
    file = run / "quick/int_vs_fp/fig3.h5"
    before = file.read_bytes(), file.stat().st_mtime_ns
    assert reproduce("--only", "int_vs_fp/fig3,int_vs_fp/hardware", out=run).returncode == 0
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def test_figures_are_reproducible_to_the_byte(run, tmp_path):
    subprocess.run([sys.executable, "-m", "lowbit_report.plot", str(run / "quick/int_vs_fp/fig3.h5"), "-o", str(tmp_path)],
                   check=True, cwd=ROOT)
    for suffix in ("png", "svg", "pdf"):
        assert (tmp_path / f"fig3.{suffix}").read_bytes() == (run / f"quick/int_vs_fp/fig3.{suffix}").read_bytes()


def test_figures_that_do_not_fit_into_the_time_are_named(tmp_path):
    result = reproduce("--only", "int_vs_fp/fig3,int_vs_fp/granularity", "--minutes", "0.1", "--no-plots", out=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "1 figures and tables of 1 paper" in result.stderr
    assert "./scripts/reproduce --only int_vs_fp/granularity" in result.stderr
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [(r["verdict"], r["ours"]) for r in rows if r["figure"] == "granularity"] == [("not_run", None)]
    assert any(r["ours"] is not None for r in rows if r["figure"] == "fig3")
    assert "--only int_vs_fp/granularity" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("arguments, code, text", [
    (["--only", "int_vs_pf"], 2, "unknown experiment 'int_vs_pf'; did you mean 'int_vs_fp'?"),
    (["--full"], 2, "--quick and --full exclude each other"),
    (["--threads", "0"], 2, "--threads 0: a number from 1"),
    (["--minutes", "-3"], 2, "--minutes -3: a positive number"),
    (["--threads", "many"], 2, "invalid int value: 'many'"),
])
def test_bad_options_are_named(tmp_path, arguments, code, text):
    result = reproduce(*arguments, out=tmp_path)
    assert result.returncode == code
    assert text in result.stderr


def test_plot_names_what_it_cannot_draw(run, tmp_path):
    cut = tmp_path / "cut.h5"
    cut.write_bytes((run / "quick/int_vs_fp/fig3.h5").read_bytes()[:3000])
    for file, code in ((tmp_path / "none.h5", 66), (cut, 65), (run / "report.json", 65)):
        result = subprocess.run([sys.executable, "-m", "lowbit_report.plot", str(file)], capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == code
        assert result.stderr.count("\n") == 1 and str(file) in result.stderr


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    result = reproduce(out=tmp_path / "file")
    assert result.returncode == 73
    assert "cannot make" in result.stderr


def test_known_misses_and_surprises_are_told_apart():
    from lowbit_report import rows

    (experiment, quantity), _ = next(iter(rows.known_outside().items()))
    paper, figure = experiment.split("/")
    row = {"paper": paper, "figure": figure, "quantity": quantity, "ours": 2.0, "interval": [1.9, 2.1], "band": [0, 1],
           "verdict": "outside"}
    assert rows.unexpected([row], "default") == []
    other = dict(row, quantity="something new")
    assert rows.unexpected([other], "default") == [other]
    assert rows.unexpected([other], "quick") == []
    back = dict(row, verdict="within", ours=0.5)
    assert rows.unexpected([back], "default") == [back]


def figures_of(folder, paper, *names):
    return [programs.Experiment(f"{paper}/{name}", name, "", "", folder / f"{name}.h5", 1.0) for name in names]


def test_a_program_that_fails_leaves_no_stale_numbers(tmp_path, monkeypatch):
    """Older results of every figure are there; the program ends after the first of three."""
    (tmp_path / "paper").write_text("#!/bin/sh\necho 'paper/a: a.h5 (3 points)'\necho '  quantity: paper/c'\nexit 65\n")
    (tmp_path / "paper").chmod(0o755)
    monkeypatch.setenv("LOWBIT_BIN_DIR", str(tmp_path))
    chosen = figures_of(tmp_path, "paper", "a", "b", "c")
    for e in chosen:
        e.file.write_text("old")
    failed = programs.run(chosen, tmp_path, "default", None, True)
    assert failed == {"paper/b": "paper ended with exit code 65", "paper/c": "not reached: paper ended with exit code 65 at paper/b"}


def test_the_cost_of_everything_is_an_estimate_from_the_points(tmp_path):
    usual, full = ({e.name: e.cost for e in programs.experiments(tmp_path, mode)} for mode in ("default", "full"))
    assert set(usual) == set(full) and all(full[name] >= 0.9 * cost for name, cost in usual.items())
    assert full["int_vs_fp/fig3"] == usual["int_vs_fp/fig3"] and sum(full.values()) > sum(usual.values())


def test_the_estimate_is_announced(tmp_path, capsys):
    programs.announce(figures_of(tmp_path, "paper", "a", "b"), {}, "full")
    assert "estimated at 1 min on 2 cores" in capsys.readouterr().err
