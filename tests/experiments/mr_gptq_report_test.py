"""The quick runs of mr_gptq: every figure runs and is drawn, rows are complete, threads do not matter, misses are known."""
import numpy as np
import pytest
from paper_program import PaperProgram, errors

program = PaperProgram("mr_gptq")
SYNTHETIC = ["dead_zone", "gptq", "grid", "group_size", "rotation_size", "scale_format", "theory"]
MODEL = ["layers", "perplexity"]


def run(folder, figure, *words):
    program.run(folder, figure, "--quick", *words)
    return program.result(folder, figure)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quick")
    return {figure: run(folder, figure) for figure in SYNTHETIC}


def test_every_figure_is_declared_and_has_a_plot():
    assert program.figures() == sorted(SYNTHETIC + MODEL)
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
    program.run(tmp_path, "perplexity", environment={"LOWBIT_MODELS": str(tmp_path / "nothing")})
    result = program.result(tmp_path, "perplexity")
    assert result.status == "not_run"
    assert all("scripts/get-model smollm2-135m" in row["note"] for row in result.report)


@pytest.mark.parametrize("figure", MODEL)
def test_a_model_that_was_asked_for_and_is_not_there_is_an_error(tmp_path, figure):
    done = program.call(figure, "--set", "model=no-such-model", "-o", tmp_path)
    assert done.returncode == 66 and "no-such-model" in errors(done.stderr)[0] and len(errors(done.stderr)) == 1
    assert not list(tmp_path.rglob("*.h5"))


def test_known_misses_name_rows_that_exist(quick):
    for figure, misses in program.known_outside().items():
        if figure in quick:
            assert all(quick[figure].row(quantity) for quantity in misses)
        assert all(len(reason) > 20 for reason in misses.values())


@pytest.mark.parametrize("figure", ("gptq", "scale_format", "theory"))  # the others: scripts/reproduce --check
def test_verdicts_are_the_expected_ones(tmp_path, figure):
    program.run(tmp_path, figure)
    program.check_verdicts(tmp_path, figure)
