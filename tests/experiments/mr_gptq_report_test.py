"""The quick runs of mr_gptq: every figure runs and is drawn, rows are complete, threads do not matter, misses are known."""
import csv
import os
import pathlib
import subprocess

import numpy as np
import pytest

import lowbit_results

SOURCE = pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"])
BINARY = pathlib.Path(os.environ["LOWBIT_BIN_DIR"]) / "mr_gptq"
SYNTHETIC = ["dead_zone", "gptq", "grid", "group_size", "rotation_size", "scale_format", "theory"]
MODEL = ["layers", "perplexity"]


def run(folder, figure, *words):
    done = subprocess.run([BINARY, figure, "--quick", "-o", folder, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return lowbit_results.open(folder / "mr_gptq" / f"{figure}.h5")


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quick")
    return {figure: run(folder, figure) for figure in SYNTHETIC}


def test_every_figure_is_declared_and_has_a_plot():
    listed = subprocess.run([BINARY, "--list"], capture_output=True, text=True, timeout=60).stdout
    assert sorted(line.split()[0] for line in listed.splitlines() if line.strip()) == sorted(SYNTHETIC + MODEL)
    from plots import mr_gptq

    assert sorted(mr_gptq.FIGURES) == sorted(SYNTHETIC + MODEL)


@pytest.mark.parametrize("figure", SYNTHETIC)
def test_every_figure_is_drawn(quick, figure, tmp_path):
    from plots import mr_gptq, style

    paths = style.save(mr_gptq.FIGURES[figure](quick[figure]), tmp_path / figure)
    assert all(path.stat().st_size > 2000 for path in paths)


def test_a_number_has_an_interval_or_is_exact(quick):
    for result in quick.values():
        for row in result.report:
            if row["ours"] is not None and not row["exact"]:
                assert row["interval"][0] <= row["interval"][1], row


def test_results_do_not_depend_on_threads(quick, tmp_path):
    for figure in ("gptq", "grid", "theory"):
        one = run(tmp_path, figure, "--threads", "1")
        for name in one.dataset.data_vars:
            if one.dataset[name].dtype.kind == "f":
                np.testing.assert_array_equal(one.dataset[name].values, quick[figure].dataset[name].values)


def test_without_a_model_the_rows_say_not_run(tmp_path):
    done = subprocess.run([BINARY, "perplexity", "--set", "model=no-such-model", "-o", tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    result = lowbit_results.open(tmp_path / "mr_gptq" / "perplexity.h5")
    assert result.status == "not_run"
    assert "scripts/get-model" in done.stdout + done.stderr


def test_known_misses_name_rows_that_exist(quick):
    lines = [line for line in (SOURCE / "results/reference/known_outside.tsv").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
        figure = row["experiment"].removeprefix("mr_gptq/")
        if figure in quick:
            assert quick[figure].row(row["quantity"])
            assert len(row["reason"]) > 20
