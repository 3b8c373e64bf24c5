"""int_vs_fp kl on a tiny model: beside lowbit eval, its report, its published values, without the model."""

import collections
import json
import os
import pathlib
import re
import subprocess

import lowbit_results
import numpy as np
import pytest

BIN = pathlib.Path(os.environ["LOWBIT_BIN_DIR"])
SOURCE = pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"])
MODEL = SOURCE / "tests/vectors/model/llama3"  # vocabulary 96, hidden 64, intermediate 80 = 5 x 16
FORMATS = "nvint4,nvfp4"  # blocks of 16: a rotation of their size divides 80


def call(program, *words, **environment):
    return subprocess.run([BIN / program, *map(str, words)], capture_output=True, text=True, timeout=300, env=os.environ | environment)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens.npy"
    np.save(path, np.random.default_rng(11).integers(0, 96, 200).astype(np.int32))
    return path


def settings(tokens, *more):
    return ["kl", "--model", MODEL, "--tokens", tokens, "--windows", 4, "--context", 32, "--seeds", 2, "--format", FORMATS, *more]


@pytest.fixture(scope="module")
def result(tmp_path_factory, tokens):
    folder = tmp_path_factory.mktemp("kl")
    done = call("int_vs_fp", *settings(tokens), "-o", folder)
    assert done.returncode == 0, done.stderr
    return lowbit_results.open(folder / "int_vs_fp/kl.h5")


@pytest.mark.parametrize("fmt", FORMATS.split(","))
@pytest.mark.parametrize("transform, typed", [("id", "id"), ("had", "had:16")])
def test_settings_are_those_of_lowbit_eval(result, tokens, fmt, transform, typed):
    done = call("lowbit", "eval", "--model", MODEL, "--tokens", tokens, "--windows", 4, "--context", 32, "--weights", fmt,
                "--activations", fmt, "--transform", typed, "--output", "json")
    expected, ds = json.loads(done.stdout), result.dataset.sel(format=fmt, transform=transform)
    assert float(ds["kl_top25"].mean()) == pytest.approx(expected["kl_top25"], rel=1e-6)
    assert np.exp(float(ds["loss"].mean())) == pytest.approx(expected["perplexity"], rel=1e-6)
    assert np.exp(float(ds["reference_loss"].mean())) == pytest.approx(expected["perplexity_reference"], rel=1e-6)
    assert float(ds["same_top"].mean()) == pytest.approx(expected["same_top"], abs=1e-12)


def test_a_random_rotation_is_that_of_lowbit_eval(result, tokens, tmp_path):
    words = ["--model", MODEL, "--tokens", tokens, "--windows", 1, "--context", 32, "--weights", "nvfp4", "--activations", "nvfp4"]
    done = call("lowbit", "eval", *words, "--transform", "rhad:16:seed=1", "--output", "json")
    ours = result.dataset.sel(format="nvfp4", transform="rhad:seed=1", window=0)
    assert float(ours["kl_top25"]) == pytest.approx(json.loads(done.stdout)["kl_top25"], rel=1e-6)


def test_each_window_has_one_of_the_seeds_unless_crossed(result, tokens, tmp_path):
    kl = result.dataset["kl_top25"].sel(format="nvfp4")
    first, second = (np.isfinite(kl.sel(transform=f"rhad:seed={s}").values) for s in (1, 2))
    assert first.tolist() == [True, False, True, False] and (second == ~first).all()
    assert call("int_vs_fp", *settings(tokens, "--crossed", 1, "--windows", 2), "-o", tmp_path).returncode == 2  # given twice
    words = [w for w in settings(tokens, "--crossed", 1)]
    assert call("int_vs_fp", *words, "-o", tmp_path).returncode == 0
    crossed = lowbit_results.open(tmp_path / "int_vs_fp/kl.h5").dataset["kl_top25"].sel(format="nvfp4")
    assert np.isfinite(crossed.values).all()
    assert np.array_equal(crossed.sel(transform="rhad:seed=1").values[first], kl.sel(transform="rhad:seed=1").values[first])


def test_the_report_follows_from_the_windows(result):
    ds = result.dataset
    mean = lambda output, fmt, t: float(ds[output].sel(format=fmt, transform=t).mean())
    both = np.nanmean(ds["kl_top25"].sel(format="nvint4", transform=["rhad:seed=1", "rhad:seed=2"]).values)
    assert result.row("kl_nats[format=nvint4,transform=rhad]")["ours"] == pytest.approx(both, rel=1e-12)
    assert result.row("kl_paper_unit[format=nvint4,transform=rhad]")["ours"] == pytest.approx(both * 1e6 / 25, rel=1e-12)
    ratio = result.row("kl_ratio[pair=nv4,transform=had]")
    assert ratio["ours"] == pytest.approx(mean("kl_top25", "nvint4", "had") / mean("kl_top25", "nvfp4", "had"), rel=1e-12)
    assert ratio["interval"][0] <= ratio["ours"] <= ratio["interval"][1]
    assert result.row("int_wins[pair=nv4,transform=had]")["ours"] == float(ratio["ours"] < 1)
    assert result.row("perplexity[format=nvfp4,transform=id]")["ours"] == pytest.approx(np.exp(mean("loss", "nvfp4", "id")), rel=1e-12)
    step = mean("loss", "nvint4", "id") - mean("loss", "nvfp4", "id")
    assert result.row("perplexity_step[from=nvfp4,to=nvint4]")["ours"] == pytest.approx(step, rel=1e-9)
    assert result.row("perplexity_order_steps")["verdict"] == "not_run"  # six formats are not in this run


def test_results_depend_on_neither_threads_nor_shards(result, tokens, tmp_path):
    assert call("int_vs_fp", *settings(tokens), "-o", tmp_path / "1", "--threads", 1).returncode == 0
    one = lowbit_results.open(tmp_path / "1/int_vs_fp/kl.h5").dataset
    for part in range(3):
        assert call("int_vs_fp", *settings(tokens), "-o", tmp_path / "s", "--shard", f"{part}/3").returncode == 0
    assert call("lowbit", "merge", *sorted((tmp_path / "s/int_vs_fp").glob("*.shard-*.h5")), "-o", tmp_path / "merged.h5").returncode == 0
    merged = lowbit_results.open(tmp_path / "merged.h5").dataset
    for output in ("kl_top25", "loss", "reference_loss", "same_top"):
        assert np.array_equal(result.dataset[output].values, one[output].values, equal_nan=True)
        assert np.array_equal(result.dataset[output].values, merged[output].values, equal_nan=True)


def test_without_the_model_every_row_says_how_to_run_it(tmp_path):
    done = call("int_vs_fp", "kl", "-o", tmp_path, LOWBIT_MODELS=str(tmp_path / "none"))
    assert done.returncode == 0, done.stderr
    result = lowbit_results.open(tmp_path / "int_vs_fp/kl.h5")
    assert result.report and all(r["verdict"] == "not_run" and "scripts/get-model smollm2-135m" in r["note"] for r in result.report)
    from plots import int_vs_fp, style

    assert all(p.stat().st_size > 5000 for p in style.save(int_vs_fp.FIGURES["kl"](result), tmp_path / "kl"))


@pytest.mark.parametrize("words, code, text", [
    (["--format", "mxfp5"], 2, "mxfp5"),
    (["--format", "int8:channel"], 2, "no blocks of a fixed size"),
    (["--format", "mxfp4"], 2, "does not divide the 80 values"),
    (["--windows", "7"], 65, "windows of 32"),
    (["--crossed", "2"], 2, "crossed"),
    (["--seeds", "0"], 2, "seeds"),
])
def test_bad_input_ends_in_one_line(tmp_path, tokens, words, code, text):
    base = ["kl", "--model", MODEL, "--tokens", tokens, "--context", 32]
    base += [] if "--windows" in words else ["--windows", 2]
    base += [] if "--format" in words else ["--format", "nvfp4"]
    done = call("int_vs_fp", *base, *words, "-o", tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (code, 1) and text in done.stderr, done.stderr


def direct_cast():
    found = collections.defaultdict(list)
    for line in (SOURCE / "results/reference/int_vs_fp_direct_cast.tsv").read_text().splitlines():
        if not line.startswith(("#", "table\t")):
            table, transform, fmt, _, value = line.split("\t")
            found["kl" if "KL" in table else "ppl", transform, fmt].append(float(value))
    return found


def test_published_tables_are_whole_and_their_medians_are_the_references():
    models = direct_cast()
    assert len(models) == 16 + 17 and all(len(v) == 12 for v in models.values())
    # Table 3: models in which INT wins
    pairs = (("mxint8", "mxfp8_e4m3"), ("mxint6", "mxfp6_e2m3"), ("mxint4", "mxfp4"), ("nvint4", "nvfp4"))
    wins = [sum(a < b for a, b in zip(models["kl", t, i], models["kl", t, f])) for t in ("id", "rhad") for i, f in pairs]
    assert wins == [12, 0, 0, 0, 12, 1, 0, 12]
    for line in (SOURCE / "results/reference/int_vs_fp.kl.tsv").read_text().splitlines():
        found = re.match(r"kl_paper_unit\[format=(\w+),transform=(\w+)\]", line)
        if found:
            assert float(line.split("\t")[2]) == pytest.approx(np.median(models["kl", found[2], found[1]]), rel=1e-5)


def test_the_content_of_a_named_model_is_part_of_the_configuration(tmp_path):
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")

    def configuration(model):
        (folder / "model.safetensors").write_bytes(model)
        return call("int_vs_fp", "kl", "--model", "mine", "--print-config", LOWBIT_MODELS=str(tmp_path / "models")).stdout

    one = configuration(b"one")
    assert "# model: 5 bytes in 2 files" in one
    assert configuration(b"two") != one
    assert configuration(b"one") == one
