"""fig4, fig4_layers and table2 on tensors of files and of models at work: values, roles, sequences, shards, bad input."""

import os
import pathlib
import subprocess

import h5py
import lowbit_results
import numpy as np
import pytest

BIN = pathlib.Path(os.environ["LOWBIT_BIN_DIR"])
VECTORS = pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"]) / "tests/vectors/model"
MODEL = VECTORS / "llama3"  # 2 layers, hidden 64, intermediate 80, vocabulary 96, context 64


@pytest.fixture(autouse=True)
def no_models(monkeypatch, tmp_path_factory):
    """Nothing here depends on what scripts/get-model has fetched."""
    monkeypatch.setenv("LOWBIT_MODELS", str(tmp_path_factory.mktemp("models")))


def call(program, *words):
    return subprocess.run([BIN / program, *map(str, words)], capture_output=True, text=True, timeout=300)


def run(folder, figure, *words):
    done = call("int_vs_fp", figure, "-o", folder, *words)
    assert done.returncode == 0, done.stderr
    return lowbit_results.open(pathlib.Path(folder) / "int_vs_fp" / f"{figure}.h5")


def write(path, **tensors):
    with h5py.File(path, "w") as file:
        for name, values in tensors.items():
            file[name] = np.asarray(values, np.float32)
    return path


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens.npy"
    np.save(path, np.random.default_rng(7).integers(0, 96, 200).astype(np.int32))
    return path


def mxint8_error(block):
    """Codes of -127 .. 127, scale the power of two at or above amax / 127."""
    scale = 2.0 ** np.ceil(np.log2(np.abs(block).max() / 127))
    return block - np.rint(block / scale) * scale


def test_qsnr_and_crest_factor_are_those_of_a_direct_evaluation(tmp_path):
    x = np.random.default_rng(1).standard_normal((4, 64)).astype(np.float32).astype(float)
    x[1, 32:] = 0  # a zero block has no crest factor and stays in the QSNR
    blocks = [b for b in x.reshape(-1, 32) if b.any()]
    error = sum((mxint8_error(b) ** 2).sum() for b in blocks)
    data = run(tmp_path, "fig4", "--tensors", write(tmp_path / "t.h5", **{"a.x": x}), "--transform", "id", "--blockings", "forward")
    got = data.dataset.isel(tensor=0, sequence=0, transform=0)
    assert float(got["int_qsnr"].sel(pair="mx8")) == pytest.approx(10 * np.log10((x**2).sum() / error), abs=1e-9)
    kappa = np.mean([np.abs(b).max() / np.sqrt((b**2).mean()) for b in blocks])
    assert float(got["kappa"].sel(pair="mx8")) == pytest.approx(kappa, rel=1e-12)
    table = run(tmp_path, "table2", "--tensors", tmp_path / "t.h5", "--transform", "id", "--blockings", "forward")
    rows = np.mean([np.abs(r).max() / np.sqrt((r**2).mean()) for r in x])
    assert float(table.dataset["kappa"].sel(group="channel").isel(tensor=0, sequence=0, transform=0)) == pytest.approx(rows, rel=1e-12)


def test_a_transposed_operand_is_the_transposed_tensor(tmp_path):
    x = np.random.default_rng(2).standard_normal((96, 64))
    path = write(tmp_path / "t.h5", **{"a.x": x, "b.x": np.ascontiguousarray(x.T)})
    data = run(tmp_path, "fig4", "--tensors", path, "--transform", "id").dataset
    for output in ("int_qsnr", "fp_qsnr", "kappa"):
        value = lambda name: data[output].sel(tensor=name).values.ravel()
        assert (value("a.x^T") == value("b.x")).all() and (value("b.x^T") == value("a.x")).all()
        assert (value("a.x") != value("b.x")).any()


def test_a_second_level_scale_belongs_to_one_sequence(tmp_path):
    """The second window is 2^12 times the first: one maximum for both would drown the first in scales of zero."""
    x = np.random.default_rng(3).standard_normal((64, 64))
    data = run(tmp_path, "fig4", "--tensors", write(tmp_path / "t.h5", **{"a.x": np.stack([x, 4096 * x])}), "--transform", "id").dataset
    assert data.sizes["sequence"] == 2
    first, second = (data[["int_qsnr", "fp_qsnr", "kappa"]].isel(sequence=s) for s in (0, 1))
    for output in ("int_qsnr", "fp_qsnr", "kappa"):
        np.testing.assert_allclose(first[output].values, second[output].values, rtol=1e-12)
    alone = run(tmp_path / "alone", "fig4", "--tensors", write(tmp_path / "one.h5", **{"a.x": x}), "--transform", "id").dataset
    assert (alone["fp_qsnr"].values.ravel() == data["fp_qsnr"].isel(sequence=0).values.ravel()).all()
    one = run(tmp_path / "first", "fig4", "--tensors", tmp_path / "t.h5", "--transform", "id", "--sequences", 1).dataset
    assert one.sizes["sequence"] == 1


def captured(tmp_path, tokens, *words):
    path = tmp_path / "captured.h5"
    done = call("lowbit", "capture", "--model", MODEL, "--tokens", tokens, "-o", path, "--context", 32, "--windows", 2, *words)
    assert done.returncode == 0, done.stderr
    return path


LINEARS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


def test_names_that_capture_writes_have_roles(tmp_path, tokens):
    path = captured(tmp_path, tokens, "--kinds", "x,w,dy,q,k,q_pre,k_pre,v,logits")
    data = run(tmp_path, "table2", "--tensors", path, "--transform", "id").dataset
    roles = {str(name): int(role) for name, role in zip(data["tensor"].values, data["role"].isel(transform=0, sequence=0).values)}
    ends = {".weight": 0, ".x": 1, ".dy": 2, ".weight^T": 3, ".x^T": 4, ".dy^T": 5}
    assert roles == {f"model.layers.{layer}.{linear}{end}": role for layer in (0, 1) for linear in LINEARS for end, role in ends.items()}
    present = np.isfinite(data["kappa"].sel(group="16").values[:, :, 0])
    weights = np.array([r % 3 == 0 for r in roles.values()])
    assert present[:, 0].all() and (present[:, 1] == ~weights).all()


def test_a_model_at_work_gives_what_capture_writes(tmp_path, tokens):
    path = captured(tmp_path, tokens, "--kinds", "x,w,dy")
    words = ["--transform", "id", "--context", 32, "--sequences", 2]
    file = run(tmp_path / "file", "fig4", "--tensors", path, *words).dataset
    live = run(tmp_path / "live", "fig4", "--tensors", f"model:{MODEL}", "--tokens", tokens, *words).dataset
    assert sorted(file["tensor"].values) == sorted(live["tensor"].values) and live.sizes["tensor"] == 84
    file = file.sel(tensor=live["tensor"])
    for output in ("role", "int_qsnr", "fp_qsnr", "kappa"):
        assert np.array_equal(file[output].values, live[output].values, equal_nan=True)


def test_rows_of_a_model_weigh_the_roles_alike(tmp_path, tokens):
    result = run(tmp_path, "table2", "--tensors", f"model:{MODEL}", "--tokens", tokens, "--transform", "id", "--context", 32, "--sequences", 2)
    kappa = result.dataset["kappa"].isel(transform=0).sel(group="16").values
    role = result.dataset["role"].isel(transform=0, sequence=0).values
    kappa[role % 3 == 0, 1] = kappa[role % 3 == 0, 0]  # weights belong to both windows
    row = result.row("kappa_16_median[operands=six]")
    assert row["ours"] == pytest.approx(np.median(kappa), rel=1e-12)
    assert row["interval"][0] <= row["ours"] <= row["interval"][1]
    without = result.row("kappa_16_median[operands=without_weights]")
    assert without["ours"] == pytest.approx(np.median(kappa[role % 3 != 0]), rel=1e-12)


def test_results_depend_on_neither_threads_nor_shards(tmp_path, tokens):
    words = ["--tensors", f"model:{MODEL}", "--tokens", tokens, "--transform", "id", "--context", 32, "--sequences", 2]
    one = run(tmp_path / "1", "fig4", *words, "--threads", 1).dataset
    two = run(tmp_path / "2", "fig4", *words, "--threads", 2).dataset
    for part in range(3):
        assert call("int_vs_fp", "fig4", *words, "-o", tmp_path / "s", "--shard", f"{part}/3").returncode == 0
    assert call("lowbit", "merge", *sorted((tmp_path / "s/int_vs_fp").glob("*.shard-*.h5")), "-o", tmp_path / "merged.h5").returncode == 0
    merged = lowbit_results.open(tmp_path / "merged.h5").dataset
    for output in ("role", "int_qsnr", "fp_qsnr", "kappa"):
        assert np.array_equal(one[output].values, two[output].values, equal_nan=True)
        assert np.array_equal(one[output].values, merged[output].values, equal_nan=True)


def six_roles(path, **changed):
    """One layer's weight, inputs and gradients over three sequences."""
    draw = np.random.default_rng(5).standard_normal
    return write(path, **({"a.weight": draw((64, 64)), "a.x": draw((3, 64, 64)), "a.dy": draw((3, 64, 64))} | changed))


def test_rows_are_over_the_sequences_that_were_chosen(tmp_path):
    path = six_roles(tmp_path / "t.h5")
    every = run(tmp_path / "all", "fig4", "--tensors", path, "--transform", "id", "--sequences", 3)
    some = run(tmp_path / "some", "fig4", "--tensors", path, "--transform", "id", "--sequences", 3, "--set", "sequence=2,1")
    values = every.dataset["int_qsnr"].isel(transform=0).sel(pair="mx8", sequence=[1, 2]).values
    row = some.row("int_qsnr_mean[pair=mx8,transform=id]")
    assert row["ours"] == pytest.approx(np.nanmean(values), rel=1e-12) and "without weights" in row["note"]
    assert {q: some.row(f"tensors[role={q}]")["ours"] for q in ("W", "X", "dY")} == {"W": 0, "X": 1, "dY": 1}
    waiting = some.row("mxint8_win_percent[operands=six]")
    assert waiting["verdict"] == "not_run" and "sequence 0" in waiting["note"]
    assert every.row("mxint8_win_percent[operands=six]")["verdict"] != "not_run"


def test_rows_of_a_transform_that_was_left_out_are_not_run(tmp_path):
    result = run(tmp_path, "fig4", "--tensors", six_roles(tmp_path / "t.h5"), "--transform", "rhad")
    assert result.row("nvfp4_gain_db_by_rotation[operands=six]")["verdict"] == "not_run"
    assert result.row("mxint8_win_percent[operands=six]")["verdict"] == "not_run"
    assert np.isfinite(result.row("nvint4_lead_db_rotated[operands=six]")["ours"])


def test_an_operand_that_one_format_holds_exactly_is_in_no_comparison(tmp_path):
    whole = np.random.default_rng(6).integers(-30, 31, (64, 64))
    whole[:, ::32] = whole[::32] = 31  # in every block of 32 of either axis: MXINT6 is exact, MXFP6 is not
    data = run(tmp_path, "fig4", "--tensors", six_roles(tmp_path / "t.h5", **{"a.dy": whole}), "--transform", "id", "--sequences", 1)
    got = data.dataset[["int_qsnr", "fp_qsnr", "role"]].isel(transform=0, sequence=0).sel(pair="mx6")
    assert np.isnan(got["int_qsnr"].values).tolist() == (got["role"].values % 3 == 2).tolist()
    lead = np.nanmean(got["fp_qsnr"].values - got["int_qsnr"].values)
    assert np.isfinite(got["fp_qsnr"].values).all() and data.row("mxfp6_lead_db[operands=six]")["ours"] == pytest.approx(lead)


@pytest.mark.parametrize("figure", ["fig4", "fig4_layers", "table2"])
def test_without_the_model_the_sample_stands_in(tmp_path, figure):
    result = run(tmp_path, figure)
    assert result.params["tensors"] == "sample"
    roles = result.dataset["role"].isel(transform=0, sequence=0).values.astype(int)
    assert np.bincount(roles).tolist() == [36, 6, 3, 36, 6, 3]
    waiting = [row for row in result.report if "operands=" in row["quantity"] or "kappa32_mean" in row["quantity"]]
    assert waiting and all(row["verdict"] == "not_run" and "scripts/get-model smollm2-135m" in row["note"] for row in waiting)


@pytest.mark.parametrize("words, code, text", [
    (["--tensors", "model:no-such-model"], 66, "scripts/get-model"),
    (["--tensors", "missing.h5"], 66, "missing.h5"),
    (["--tensors", f"model:{MODEL}", "--context", "64"], 65, "windows of 64"),
    (["--tensors", f"model:{MODEL}", "--context", "65"], 2, "expected 2 to 64"),
    (["--tensors", f"model:{MODEL}", "--context", "8"], 2, "context"),
    (["--sequences", "0"], 2, "sequences"),
    (["--tensors", f"model:{MODEL}", "--context", "32", "--sequences", "1"], 2, "does not divide the 80 values"),
    (["--tensors", f"model:{MODEL}", "--context", "32", "--sequences", "2", "--set", "sequence=2"], 2, "from 0 to 1"),
    (["--tensors", f"model:{MODEL}", "--context", "32", "--set", "sequence=-1"], 2, "'-1' is not accepted"),
])
def test_bad_input_ends_in_one_line(tmp_path, tokens, words, code, text):
    done = call("int_vs_fp", "fig4", "-o", tmp_path / "out", "--tokens", tokens, *words)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1) and text in done.stderr, done.stderr
    assert not (tmp_path / "out" / "int_vs_fp" / "fig4.h5").exists()
