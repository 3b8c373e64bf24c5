"""rcp from the outside: the program runs, every number of the calibration run has a row, verdicts are the expected ones."""

import numpy as np
import pytest
from paper_program import SOURCE, PaperProgram

import lowbit_results

program = PaperProgram("rcp")
FIGURES = ["ablation", "budget", "detection", "fit", "kv_noise", "main", "pareto", "recorded", "thresholds", "trace"]
# the verdicts of these are checked here at full size; those of the others by scripts/reproduce --check
FULL_SIZE = ["ablation", "budget", "main"]

# The calibration run of the trace generator, as it was written down: profile, full tokens and accuracy, RCPD's, its CR.
PROFILES = [
    ("qwen3-8b", 14426, 65.1, 7860, 66.9, 54.5),
    ("qwen3-14b", 12731, 70.2, 7387, 71.0, 58),
    ("qwen3-30b-a3b", 12793, 74.8, 9419, 75.5, 73.6),
    ("qwen3-32b", 12487, 72.8, 8276, 73.9, 66),
    ("r1-distill-8b", 18538, 69.6, 14790, 68.2, 80),
    ("qwen3-8b-gpqa", 10272, 60.8, 4459, 65.7, 43),
]
SCALES = {0.25: (67.8, 8435), 0.35: (68.0, 8278), 0.5: (68.0, 8135), 0.7: (67.8, 8012), 1: (66.9, 7838), 1.4: (65.3, 7594), 2: (60.9, 7174), 2.8: (53.8, 6689), 4: (44.7, 6243)}
NOISE = {0: (10.3, 67.4), 0.1: (11.1, 67.3), 0.2: (14.6, 66.8), 0.3: (20.8, 65.3), 0.5: (51.6, 56.0), 0.8: (90.3, 38.8)}


def expected_rows():
    """(figure, quantity, reference or None) of every number that must have a row."""
    for profile, full_tokens, full_accuracy, tokens, accuracy, compression in PROFILES:
        yield "main", f"{profile} full tokens", full_tokens
        yield "main", f"{profile} full accuracy", full_accuracy
        yield "main", f"{profile} RCPD tokens", tokens
        yield "main", f"{profile} RCPD accuracy", accuracy
        yield "main", f"{profile} RCPD CR", compression
        for claim in ("RCPD minus full accuracy", "oracle minus RCPD accuracy", "RCPD early stops", "RCPD median delay", "DEER CR"):
            yield "main", f"{profile} {claim}", None
    yield "main", "qwen3-8b RCPD minus matched budget accuracy", 10.07
    yield "main", "qwen3-8b DEER CR", 90
    yield "main", "qwen3-8b DEER accuracy", 64.8
    yield "main", "qwen3-8b DEER early stops", 4.7
    for name, tokens, accuracy in (("no-think", 4600, 26.4), ("oracle", 7992, 68.1)):
        yield "main", f"qwen3-8b {name} tokens", tokens
        yield "main", f"qwen3-8b {name} accuracy", accuracy
    for budget, tokens, accuracy in ((4000, 6841, 53.1), (5000, 7436, 56.4), (6000, 8046, 58.4), (7000, 8641, 60.1), (8000, 9208, 61.2)):
        yield "budget", f"qwen3-8b budget {budget} tokens", tokens
        yield "budget", f"qwen3-8b budget {budget} accuracy", accuracy
    for rule, tokens, accuracy, early in (("C_sat alone", 8050, 67.5, 5), ("C_conv alone", 7968, 67.3, 6), ("C_short alone", 8096, 67.7, 4), ("C_long alone", 8277, 67.7, 2.5), ("all four rules", 7860, 66.9, 10)):
        yield "ablation", f"{rule} tokens", tokens
        yield "ablation", f"{rule} accuracy", accuracy
        yield "ablation", f"{rule} early stops", early
    yield "ablation", "R = 1 alone tokens", 8914
    yield "ablation", "R = 1 alone accuracy", 67.4
    yield "ablation", "all four rules mean delay", 3.4
    yield "ablation", "R = 1 alone mean delay", 31
    for scale, (accuracy, tokens) in SCALES.items():
        yield "thresholds", f"scale {scale} tokens", tokens
        yield "thresholds", f"scale {scale} accuracy", accuracy
    yield "thresholds", "tokens fall over the whole sweep", None
    yield "thresholds", "accuracy falls from scale 0.7 on", None
    for noise, (early, accuracy) in NOISE.items():
        yield "kv_noise", f"rank noise {noise} early stops", early
        yield "kv_noise", f"rank noise {noise} accuracy", accuracy


def test_measured_changes_have_rows(quick):
    """The formats of results/reference/rcp.kv_change.tsv, on a model named there."""
    table = (SOURCE / "results/reference/rcp.kv_change.tsv").read_text()
    formats = list(dict.fromkeys(line.split("\t")[0] for line in table.splitlines()[2:]))
    assert len(formats) >= 5 and any("int2" in f for f in formats) and "SmolLM2-135M" in table.splitlines()[0]
    for kv in formats:
        for name in ("early stops", "accuracy"):
            row = quick["kv_noise"].row(f"measured change, kv {kv} {name}")
            assert row["ours"] is not None and "as measured" in row["note"] and "simulated" in row["note"]
    noise = quick["kv_noise"]
    assert float(noise["change_sd"].sel(kv=formats[0], noise=0).max()) < float(noise["change_sd"].sel(kv=formats[-1], noise=0).max())
    assert np.isnan(noise["tokens"].sel(kv=formats[0], noise=0.5)).all()  # a measured change comes without Gaussian noise


def run(folder, *arguments):
    program.run(folder, *arguments)
    return {name.split("/")[1]: result for name, result in lowbit_results.open_folder(folder).items()}


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return run(tmp_path_factory.mktemp("quick"), "--quick")


def test_every_figure_runs_and_has_a_plot(quick):
    assert sorted(quick) == FIGURES
    from plots import rcp

    assert sorted(rcp.FIGURES) == FIGURES


def test_every_number_of_the_calibration_run_has_a_row(quick):
    for figure, quantity, reference in expected_rows():
        row = quick[figure].row(quantity)
        assert row["ours"] is not None, quantity
        assert row["band"] is not None or quantity in ("tokens fall over the whole sweep", "accuracy falls from scale 0.7 on")
        if reference is not None:
            assert row["reference"] == pytest.approx(reference), quantity


def test_quick_rows_lie_within_their_wider_bands(quick):
    bad = [row for result in quick.values() for row in result.report if row["verdict"] in ("outside", "not_run")]
    assert [row["quantity"] for row in bad if "not available" not in row["note"]] == []
    assert sorted(row["quantity"] for row in bad) == ["deer-geometric accuracy", "logit-boost accuracy", "token-rank accuracy"]


def test_a_part_of_the_threshold_sweep_makes_no_claim_about_the_whole(tmp_path):
    words = ["thresholds", "--set", "traces=500", "--set"]
    some = run(tmp_path / "some", *words, "detector=rcpd:scale=4")["thresholds"]
    assert {some.row(q)["verdict"] for q in ("tokens fall over the whole sweep", "accuracy falls from scale 0.7 on")} == {"not_run"}
    upper = ",".join(f"rcpd:scale={s}" for s in ("0.7", "1", "1.4", "2", "2.8", "4"))
    upper = run(tmp_path / "upper", *words, f"detector={upper}")["thresholds"]
    assert upper.row("tokens fall over the whole sweep")["verdict"] == "not_run"
    assert upper.row("accuracy falls from scale 0.7 on")["ours"] == 1


def test_a_number_has_an_interval_or_is_exact(quick):
    for result in quick.values():
        for row in result.report:
            if "not available" in row["note"]:
                continue
            assert row["exact"] or row["interval"][0] <= row["ours"] <= row["interval"][1], row


def test_every_number_is_marked_as_simulated(quick):
    assert quick["recorded"].status == "not_run"  # there is no file of traces to read unless one is given
    for name, result in quick.items():
        assert ("simulated" in result.attributes["title"]) == (name != "recorded")
        for row in result.report:
            assert "simulated" in row["note"], row


def test_known_outside_names_rows_that_exist(quick):
    for figure, misses in program.known_outside().items():
        assert all(quick[figure].row(quantity) for quantity in misses)
        assert all(len(reason) > 20 for reason in misses.values())


@pytest.mark.parametrize("figure", FULL_SIZE)
def test_verdicts_are_the_expected_ones(tmp_path, figure):
    program.run(tmp_path, figure)
    program.check_verdicts(tmp_path, figure)


def test_results_do_not_depend_on_threads(tmp_path):
    one = run(tmp_path / "one", "budget", "kv_noise", "--quick", "--threads", "1")
    two = run(tmp_path / "two", "budget", "kv_noise", "--quick", "--threads", "2")
    for figure in one:
        assert one[figure].dataset.identical(two[figure].dataset)
