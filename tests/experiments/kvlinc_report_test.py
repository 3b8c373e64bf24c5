"""kvlinc from the outside: the program runs, every reference has a row, figures are drawn, bad settings are refused."""

import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from paper_program import SOURCE, PaperProgram, errors

program = PaperProgram("kvlinc")
FIGURES = program.referenced_figures()
OFFLINE = [f for f in FIGURES if f not in ("adapters", "layers", "perplexity")]  # those need the model's folder
# the verdicts of these are checked here at full size; those of the others by scripts/reproduce --check
FULL_SIZE = ["keys", "values", "average_bits", "baselines"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The quick run of a machine without models."""
    folder = tmp_path_factory.mktemp("quick")
    program.run(folder, "--quick", environment={"LOWBIT_MODELS": str(folder / "nothing")})
    return folder


def test_every_figure_has_a_reference_table_and_a_plot():
    assert program.figures() == FIGURES
    from plots import kvlinc

    assert sorted(kvlinc.FIGURES) == FIGURES


@pytest.mark.parametrize("figure", OFFLINE)
def test_quick_results_are_drawn(quick, figure):
    from plots import kvlinc, style

    paths = style.save(kvlinc.FIGURES[figure](program.result(quick, figure)), quick / figure)
    assert [p.suffix for p in paths] == [".png", ".svg", ".pdf"] and all(p.stat().st_size > 5000 for p in paths)


@pytest.mark.parametrize("figure", FIGURES)
def test_every_reference_has_a_row(quick, figure):
    rows = {row["quantity"] for row in program.report(quick, figure)}
    assert set(program.references(figure)) <= rows


@pytest.mark.parametrize("figure", ("adapters", "layers", "perplexity"))
def test_without_the_model_rows_are_not_run(quick, figure):
    rows = program.report(quick, figure)
    assert rows and all(row["verdict"] == "not_run" and "get-model" in row["note"] for row in rows)


@pytest.mark.parametrize("figure", FULL_SIZE)
def test_verdicts_are_the_expected_ones(tmp_path, figure):
    program.run(tmp_path, figure)
    program.check_verdicts(tmp_path, figure)


def test_known_outside_names_rows_that_exist():
    for figure, misses in program.known_outside().items():
        assert set(misses) <= set(program.references(figure))
        assert all(len(reason) > 20 for reason in misses.values())


def test_contexts_shorter_than_a_group_stay_unquantised_and_say_so(tmp_path):
    done = program.call("length", "--context", "100", "--seeds", "1", "--queries", "4", "-o", tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("warning: 100 tokens are less than one group of 128: keys in such groups along tokens stay unquantised") == 1
    error = program.result(tmp_path, "length").dataset["o_err"]
    assert np.all(error.sel(cache=["kivi", "kvlinc"]).values < 1e-6)  # residual of 128: everything is open


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("length", "--residual", "100"), ("100", "no multiple", "128")),
        (("formats", "--format", "nvfp4"), ("ts=none or ts=static",)),
        (("perplexity", "--cache", "kivvi"), ("did you mean 'kivi'",)),
        (("perplexity", "--view", "half"), ("all", "decode", "prefill_fp")),
        (("layers", "--context", "100"), ("100", "one group of 128")),
        (("keys", "--queries", "3000"), ("3000 queries of 2048 tokens",)),
        (("perplexity", "--bits", "1"), ("--bits", "from 2 to 8")),
        (("baselines", "--bits", "9"), ("--bits", "from 2 to 8")),
        (("bits", "--group", "0"), ("--group", "from 1 to 65536")),
        (("perplexity", "--features", "7"), ("--features: 7", "even")),
        (("perplexity", "--stepwise", "3000"), ("--stepwise: 3000", "2048")),
        (("perplexity", "--match", "bitz"), ("did you mean 'bits'", "none, bits")),
        (("keys", "--kv-math", "fused"), ("no selected figure", "kv_math")),
        (("length", "--kv-math", "fuzed"), ("did you mean 'fused'", "exact, fused")),
        (("perplexity", "--kv-math", "fused", "--stepwise", "192"), ("--stepwise 192", "256 tokens")),
        (("length", "--context", "64", "--queries", "100"), ("--context", "64", "100")),
        (("length", "--context", "0", "--queries", "1"), ("--context", "0", "1")),
    ],
)
def test_bad_settings_end_in_one_line(tmp_path, arguments, words):
    done = program.call(*arguments, "-o", tmp_path)
    assert done.returncode == 2
    assert len(errors(done.stderr)) == 1 and all(word in done.stderr for word in words), done.stderr


def test_threads_and_shards_do_not_change_results(tmp_path):
    arguments = ("baselines", "--seeds", "2", "--length", "256", "--bits", "2", "--tensors", "none", "--reproducible")
    for name, extra in (("one", ("--threads", "1")), ("two", ("--threads", "2"))):
        program.run(tmp_path / name, *arguments, *extra)
    a, b = (program.result(tmp_path / name, "baselines").dataset for name in ("one", "two"))
    for output in ("k_rel_f", "v_rel_f", "o_err", "stored_bits"):
        assert (a[output].values == b[output].values).all()


@pytest.mark.parametrize("arguments", [("length", "--seeds", "2", "--context", "512"), ("average_bits", "--setting", "model", "--cache", "kivi,kvlinc")])
def test_fused_sums_are_the_exact_ones_nearly(tmp_path, arguments):
    for math in ("exact", "fused"):
        program.run(tmp_path / math, *arguments, "--queries", "16", "--kv-math", math)
    exact, fused = (program.result(tmp_path / math, arguments[0]) for math in ("exact", "fused"))
    assert "kv_math = fused" in fused.config and "kv_math = exact" in exact.config
    difference = np.abs(exact.dataset["o_err"].values - fused.dataset["o_err"].values)
    assert 0 < np.max(difference) < 1e-5
    assert (exact.dataset["stored_bits"].values == fused.dataset["stored_bits"].values).all()


def same_bytes(tmp_path, *arguments):
    """A run in one piece, on one thread and on two, and in merged shards gives one file."""
    reproducible = (*arguments, "--reproducible")
    for name, extra in (("one", ("--threads", "1")), ("two", ("--threads", "2")), ("parts", ("--shard", "0/2")), ("parts", ("--shard", "1/2"))):
        program.run(tmp_path / name, *reproducible, *extra)
    figure = f"{arguments[0]}.h5"
    parts = sorted(map(str, (tmp_path / "parts" / "kvlinc").glob("*shard*.h5")))
    assert len(parts) == 2
    merged = tmp_path / figure
    done = subprocess.run([program.binary.parent / "lowbit", "merge", *parts, "-o", merged, "--reproducible"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    whole = (tmp_path / "one" / "kvlinc" / figure).read_bytes()
    assert (tmp_path / "two" / "kvlinc" / figure).read_bytes() == whole
    assert merged.read_bytes() == whole


def test_shards_over_heads_merge_to_the_serial_file(tmp_path):
    same_bytes(tmp_path, "baselines", "--seeds", "3", "--length", "256", "--queries", "16", "--bits", "2", "--cache", "kivi_g128,gear_l,kvquant", "--tensors", "none")


MODEL = pathlib.Path(os.environ.get("LOWBIT_MODELS", pathlib.Path.home() / ".cache/lowbit/models")) / "smollm2-135m"


@pytest.mark.skipif(not MODEL.is_dir(), reason="scripts/get-model smollm2-135m")
@pytest.mark.parametrize(
    "arguments",
    [
        ("perplexity", "--texts", "2", "--context", "256", "--cache", "fp,kivi,kvlinc_adapters,kvquant_fisher_qnorm", "--view", "all,decode", "--bits", "2", "--chunks", "1", "--epochs", "1", "--features", "8", "--stepwise", "0"),
        ("layers", "--texts", "2", "--context", "256", "--layer", "0,17", "--queries", "16"),
        ("adapters", "--context", "384", "--chunks", "1", "--epochs", "2", "--features", "8", "--widest", "8", "--gain", "0.1", "--rate", "0.01", "--layer", "0,29"),
    ],
)
def test_shards_over_texts_and_layers_merge_to_the_serial_file(tmp_path, arguments):
    same_bytes(tmp_path, *arguments)


SMALL = ("perplexity", "--texts", "1", "--context", "256", "--bits", "2", "--stepwise", "0")
with_model = pytest.mark.skipif(not MODEL.is_dir(), reason="scripts/get-model smollm2-135m")


@with_model
def test_perplexity_in_any_view_is_compared_with_the_unquantised_model(tmp_path):
    """Whatever the views and their order: decode and all share one unquantised run, prefill_fp counts other tokens."""
    loss = {}
    for views in ("decode", "prefill_fp,decode,all"):
        program.run(tmp_path / views, *SMALL, "--cache", "fp,kivi", "--view", views)
        rows = {row["quantity"]: row for row in program.report(tmp_path / views, "perplexity")}
        for view in views.split(","):
            assert rows[f"increase[method=kivi,view={view},bits=2]"]["ours"] > 0
        assert np.isfinite(rows["perplexity[method=fp]"]["ours"])
        assert all(row["verdict"] in ("no_band", "not_run") for row in rows.values())  # a small run
        loss[views] = program.result(tmp_path / views, "perplexity").dataset["loss"].sel(cache="fp", view="decode").values.ravel()[0]
    assert len(set(loss.values())) == 1


@with_model
def test_perplexity_without_the_unquantised_model_is_reported(tmp_path):
    program.run(tmp_path, *SMALL, "--cache", "kivi,kvlinc", "--view", "decode")
    rows = {row["quantity"]: row for row in program.report(tmp_path, "perplexity")}
    assert rows["perplexity[method=kivi,view=decode,bits=2]"]["ours"] > 10
    assert np.isfinite(rows["kvlinc against kivi[view=decode,bits=2]"]["ours"])
    from plots import kvlinc, style

    assert style.save(kvlinc.FIGURES["perplexity"](program.result(tmp_path, "perplexity")), tmp_path / "figure")


@with_model
def test_what_was_asked_for_is_computed_or_refused(tmp_path):
    """Adapters at 4 bits alone, four numbers of bits in a figure; features that are odd or have no room."""
    program.run(tmp_path, "perplexity", "--texts", "1", "--context", "256", "--stepwise", "0", "--view", "all", "--bits", "3,4,5,6", "--cache", "fp,kvlinc_adapters", "--features", "8", "--epochs", "1", "--chunks", "1")
    rows = {row["quantity"]: row["ours"] for row in program.report(tmp_path, "perplexity")}
    assert all(np.isfinite(rows[f"increase[method=kvlinc_adapters,view=all,bits={bits}]"]) for bits in (3, 4, 5, 6))
    from plots import kvlinc, style

    assert style.save(kvlinc.FIGURES["perplexity"](program.result(tmp_path, "perplexity")), tmp_path / "figure")
    for features, word in (("33", "even"), ("128", "--widest 128")):
        done = program.call("adapters", "--features", features, "-o", tmp_path / "none")
        assert done.returncode == 2 and word in done.stderr and len(done.stderr.strip().splitlines()) == 1


MISTRAL = SOURCE / "tests/vectors/model/mistral"


def mistral(folder, *arguments):
    """Perplexity of a small model with a sliding window of 5."""
    tokens = folder / "tokens.npy"
    np.save(tokens, np.random.default_rng(3).integers(0, 96, 300, dtype=np.int32))
    return program.call("perplexity", "--model", str(MISTRAL), "--tokens", str(tokens), "--texts", "1", "--context", "64", "--bits", "2", "--residual", "0", "--chunks", "1", "--epochs", "1", "--features", "8", "--stepwise", "48", *arguments, "-o", folder)


def test_sliding_windows_are_read_in_every_view(tmp_path):
    done = mistral(tmp_path, "--cache", "fp,quarot", "--view", "all,decode,prefill_fp")
    assert done.returncode == 0, done.stderr
    data = program.result(tmp_path, "perplexity").dataset
    loss = data["loss"].sel(cache="quarot", bits=2, text=0)
    assert np.isfinite(loss).all()
    # without a residual window every query sees the tokens before it sealed, one pass or token by token
    assert float(data["free_running_difference"].sel(cache="quarot", view="decode", bits=2, text=0)) < 0.01


def test_corrections_under_a_sliding_window_are_refused(tmp_path):
    done = mistral(tmp_path, "--cache", "kvlinc_adapters", "--view", "decode")
    assert done.returncode == 2 and len(errors(done.stderr)) == 1 and "sliding window (5 tokens)" in errors(done.stderr)[0], done.stderr


def longer_mistral(folder, window):
    """The same model for contexts of up to 512 tokens, with another window (None: all tokens), and a text for it."""
    model = folder / f"window-{window}"
    shutil.copytree(MISTRAL, model)
    config = json.loads((model / "config.json").read_text()) | {"max_position_embeddings": 512, "sliding_window": window}
    (model / "config.json").write_text(json.dumps(config))
    tokens = folder / "tokens.npy"
    np.save(tokens, np.random.default_rng(4).integers(0, 96, 1100, dtype=np.int32))
    return "--model", str(model), "--tokens", str(tokens)


def test_layers_attend_through_the_sliding_window(tmp_path):
    error = {}
    for window in (1, 5, 256, None):
        program.run(tmp_path / str(window), "layers", *longer_mistral(tmp_path, window), "--texts", "2", "--context", "256", "--queries", "256")
        data = program.result(tmp_path / str(window), "layers").dataset
        error[window] = data["o_err"].values
        if window == 1:  # a query that sees its own token alone returns its value
            assert np.allclose(error[1], data["v_method_rel_f"].values, rtol=1e-5)
    assert (error[256] == error[None]).all()  # no token leaves a window as long as the text
    assert np.abs(error[5] / error[None] - 1).max() > 0.05


def test_adapters_under_a_sliding_window_are_refused(tmp_path):
    small = ("--context", "256", "--chunks", "1", "--epochs", "1", "--features", "8", "--widest", "8", "--gain", "0.1", "--rate", "0.01")
    for window, code in ((5, 2), (None, 0)):
        done = program.call("adapters", *longer_mistral(tmp_path, window), *small, "-o", tmp_path / "out")
        assert done.returncode == code, done.stderr
        assert window is None or (len(errors(done.stderr)) == 1 and "sliding window (5 tokens)" in done.stderr)


@with_model
def test_adapters_name_the_text_they_saw(tmp_path):
    done = program.call("adapters", "--quick", "--layer", "0", "-o", tmp_path)
    assert done.returncode == 0 and " steps each and their measurement: " in done.stderr
    tokens = np.load(SOURCE / "results" / "reference" / "persuasion_tokens.npy").astype("<i4")
    data = program.result(tmp_path, "adapters").dataset["content_hash"]
    for part, first, last in (("evaluation", 0, 384), ("validation", 384, 768), ("training", 768, 1152)):
        hash = 0xCBF29CE484222325
        for byte in tokens[first:last].tobytes():
            hash = (hash ^ byte) * 0x100000001B3 % 2**64
        assert int(data.sel(part=part).values.ravel()[0]) == hash >> 12


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("keys", "--length", "64", "--queries", "16", "--setting", "d64-g128"), "64 tokens are less than one group of 128"),
        (("attention", "--length", "100", "--queries", "16", "--setting", "d64-g128"), "100 tokens are less than one group of 128"),
        (("bits", "--length", "100", "--queries", "16", "--bits", "2"), "100 tokens are less than one group of 128"),
        (("baselines", "--length", "100", "--queries", "16", "--bits", "2", "--cache", "kivi_g128"), "100 tokens are less than one group of 128"),
        (("formats", "--format", "int4:g500:s=fp16", "--length", "256"), "256 tokens are fewer than a group of 500"),
        (("length", "--context", "100", "--queries", "16"), "100 tokens are less than one group of 128"),
    ],
)
def test_a_context_shorter_than_a_group_is_said_and_recorded(tmp_path, arguments, words):
    heads = () if arguments[0] == "length" else ("--tensors", "none")
    done = program.call(*arguments, *heads, "--seeds", "2", "-o", tmp_path)
    assert done.returncode == 0 and sum(words in line for line in done.stderr.splitlines()) == 1, done.stderr
    notes = " ".join(row["note"] for row in program.report(tmp_path, arguments[0]))
    assert "unquantised" in notes
    if arguments[0] == "formats":
        assert (program.result(tmp_path, "formats").dataset["stored_bits"].values == 16).all()


def test_short_groups_are_warned_of_once_and_recorded(tmp_path):
    done = program.call("average_bits", "--setting", "model", "--cache", "kivi,kvlinc", "--queries", "4", "-o", tmp_path)
    assert done.returncode == 0
    assert any("those of the head (64)" in row["note"] for row in program.report(tmp_path, "average_bits"))
    assert done.stderr.count("warning: token-wise groups of 128 are those of the head (64)") == 1


def test_formats_at_equal_bits(tmp_path):
    program.run(tmp_path, "formats", "--match", "bits", "--seeds", "1", "--length", "256", "--queries", "16", "--tensors", "none", "--format", "int4:g128:min:s=fp16,e2m1:g16:s=e4m3,int4:g128:s=fp16")
    data = program.result(tmp_path, "formats").dataset
    for name in ("stored_bits", "stored_token_bits"):
        assert np.abs(data[name].values - 4.5).max() <= 0.05
