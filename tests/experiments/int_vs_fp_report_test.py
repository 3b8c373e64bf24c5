"""int_vs_fp from the outside: the program runs, every reference has a row, verdicts are the expected ones."""

import os
import pathlib

import h5py
import numpy as np
import pytest
from paper_program import REFERENCE, SOURCE, PaperProgram, tsv

program = PaperProgram("int_vs_fp")
FIGURES = program.referenced_figures()
# those with bands that run offline at full size
FULL_SIZE = ["fig3", "fig3_measured", "families", "granularity", "hardware", "algorithm1", "gaussian", "gaussian_crest", "scale_rules", "clipping"]
# every number of the quick run; LOWBIT_UPDATE_GOLDEN=1 rewrites it, the difference is read by a person
GOLDEN = pathlib.Path(__file__).parent / "int_vs_fp.golden.tsv"


def run(folder, *arguments):
    # nothing here depends on fetched models
    return program.run(folder, *arguments, environment={"LOWBIT_MODELS": str(folder / "models")})


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quick")
    run(folder, "--quick")
    return folder


def test_every_figure_has_a_reference_table_and_a_plot():
    assert program.figures() == FIGURES
    from plots import int_vs_fp

    assert sorted(int_vs_fp.FIGURES) == FIGURES


@pytest.mark.parametrize("figure", FIGURES)
def test_quick_results_are_drawn(quick, figure):
    from plots import int_vs_fp, style

    paths = style.save(int_vs_fp.FIGURES[figure](program.result(quick, figure)), quick / figure)
    assert [p.suffix for p in paths] == [".png", ".svg", ".pdf"] and all(p.stat().st_size > 5000 for p in paths)


@pytest.mark.parametrize("figure", FIGURES)
def test_every_reference_has_a_row(quick, figure):
    rows = {row["quantity"] for row in program.report(quick, figure)}
    assert set(program.references(figure)) <= rows


@pytest.mark.parametrize("figure", FIGURES)
def test_a_number_has_an_interval_or_is_exact(quick, figure):
    for row in program.report(quick, figure):
        if row["ours"] is not None and not row["exact"]:
            assert row["interval"][0] <= row["interval"][1], row


def test_quick_run_equals_its_golden(quick):
    ours = [(figure, row["quantity"], row["ours"]) for figure in FIGURES for row in program.report(quick, figure) if row["ours"] is not None]
    if os.environ.get("LOWBIT_UPDATE_GOLDEN"):
        lines = GOLDEN.read_text(encoding="utf-8").splitlines()[:1]  # says what the file is for
        lines += ["figure\tquantity\tours"] + [f"{figure}\t{quantity}\t{value:.12g}" for figure, quantity, value in ours]
        GOLDEN.write_text("\n".join(lines) + "\n", encoding="utf-8")
    golden = {(r["figure"], r["quantity"]): float(r["ours"]) for r in tsv(GOLDEN)}
    assert {(f, q) for f, q, _ in ours} == set(golden)
    different = [(f, q, v, golden[f, q]) for f, q, v in ours if abs(v - golden[f, q]) > 1e-9 * max(1e-3, abs(golden[f, q]))]
    assert not different


def test_known_outside_names_rows_that_exist():
    for figure, misses in program.known_outside().items():
        assert set(misses) <= set(program.references(figure))
        assert all(len(reason) > 20 for reason in misses.values())


@pytest.mark.parametrize("figure", FULL_SIZE)
def test_verdicts_are_the_expected_ones(tmp_path, figure):
    run(tmp_path, figure)
    program.check_verdicts(tmp_path, figure)


def test_own_tensors_get_roles_by_name(tmp_path):
    path = tmp_path / "captured.h5"
    generator = np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        for name, shape in (("layer0.weight", (32, 64)), ("layer0.input", (96, 64)), ("layer0.grad_output", (96, 32)), ("embed.weight", (8, 64))):
            file[name] = generator.standard_normal(shape).astype(np.float32)
    run(tmp_path, "fig4", "--tensors", str(path))
    data = program.result(tmp_path, "fig4").dataset
    roles = {str(name): int(role) for name, role in zip(data["tensor"].values, data["role"].sel(transform="id", sequence=0).values)}
    assert roles == {"layer0.weight": 0, "layer0.weight^T": 3, "layer0.input": 1, "layer0.input^T": 4, "layer0.grad_output": 2, "layer0.grad_output^T": 5}


def test_the_sample_is_what_its_script_says():
    import json
    import struct

    data = (REFERENCE / "minilm_l6_v2_sample.safetensors").read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__")
    assert metadata["licence"] == "Apache-2.0" and len(header) == 36 and len(data) <= 8e6
    for name, entry in header.items():
        columns = 1536 if name.endswith("output.dense.weight") and "attention" not in name else 384
        assert entry["dtype"] == "F32" and entry["shape"] == [64, columns]
    values = np.frombuffer(data[8 + size :], np.float32)
    assert np.isfinite(values).all() and len(values) == 64 * 6 * (5 * 384 + 1536)


def test_the_sample_of_the_model_is_what_its_script_says():
    path, weights = REFERENCE / "smollm2_135m_sample.h5", REFERENCE / "minilm_l6_v2_sample.safetensors"
    assert path.stat().st_size + weights.stat().st_size <= 16_000_000
    tokens = np.load(REFERENCE / "persuasion_tokens.npy")
    first = np.load(SOURCE / "tests/vectors/model/persuasion_tokens.npy")
    assert tokens.shape == (115861,) and (tokens[:4096] == first).all()
    widths = {"self_attn.q": 576, "self_attn.k": 192, "self_attn.v": 192, "self_attn.q_proj.x": 576, "mlp.down_proj.x": 1536, "self_attn.k_proj.dy": 192}
    with h5py.File(path) as file:
        assert len(file) == 3 * len(widths) + 1
        for layer in (0, 15, 29):
            for name, width in widths.items():
                values = file[f"model.layers.{layer}.{name}"][:]
                assert values.shape == (1, 512, width) and np.isfinite(values).all() and values.any()
        logits, at = file["logits"][0].astype(float), file["logits"].attrs["tokens"]
    assert logits.shape == (32, 49152) and (at == np.arange(15, 512, 16)).all()
    top = logits.max(1, keepdims=True)
    loss = (top + np.log(np.exp(logits - top).sum(1, keepdims=True)))[:, 0] - logits[np.arange(32), tokens[at + 1]]
    assert 2 < loss.mean() < 5  # ln 38.7 = 3.66 is the mean over many tokens; 10.8 would be a guess
