"""`lowbit compare`: what another stack made of a tensor, against ours."""
import json

import h5py
import numpy as np
import pytest

from lowbit_cli import ok, run


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(2)
    np.save(tmp_path / "x.npy", (rng.standard_normal((16, 96)) * 2.0 ** rng.integers(-6, 6, (16, 1))).astype(np.float32))
    ok("cast", "--format", "mxfp4", "--input", "x.npy", "-o", "y.npy", "--codes", "c.h5", cwd=tmp_path)
    return tmp_path


def compare(folder, *words):
    done = run("compare", "--input", "x.npy", "--output", "json", *words, cwd=folder)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_equal_results(folder):
    for against in ("y.npy", "c.h5"):
        code, record = compare(folder, "--format", "mxfp4", "--against", against)
        assert code == 0 and record["equal"] and record["differing_values"] == 0 and record["first"] == []
    assert record["differing_codes"] == 0 and record["differing_scales"] == 0


def test_counts_and_the_first_ten(folder):
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    changed = np.arange(0, y.size, 37)
    y.reshape(-1)[changed] += 1
    np.save(folder / "z.npy", y)
    code, record = compare(folder, "--format", "mxfp4", "--against", "z.npy")
    assert code == 1 and record["differing_values"] == changed.size and record["differing_codes"] is None
    assert len(record["first"]) == 10
    for place, flat in zip(record["first"], changed):
        row, column = divmod(int(flat), 96)
        assert place["index"] == [row, column] and place["x"] == x[row, column] and place["theirs"] == y[row, column]
        block = x[row, column // 32 * 32 : column // 32 * 32 + 32]
        assert place["block_amax"] == np.abs(block).max()
        exponent = int(np.floor(np.log2(np.float64(np.abs(block).max())))) - 2
        assert place["scale"] == f"0x{exponent + 127:02X}"


def test_the_sign_of_zero_counts_and_nan_payloads_do_not(folder):
    x = np.array([[0.0, -0.0, np.nan, 1.0]], np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", np.array([0x80000000, 0x80000000, 0xFFC01234, 0x3F800000], np.uint32).view(np.float32).reshape(1, 4))
    code, record = compare(folder, "--format", "bf16", "--against", "y.npy")
    assert code == 1 and record["differing_values"] == 1 and record["sign_of_zero_only"] == 1


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2"])
def test_other_types_are_compared_by_value(folder, dtype):
    x = np.linspace(-2, 2, 64, dtype=np.float32).reshape(2, 32)
    np.save(folder / "x.npy", x)
    ok("cast", "--format", "mxfp4", "--input", "x.npy", "-o", "y.npy", "--force", cwd=folder)
    np.save(folder / "y.npy", np.load(folder / "y.npy").astype(dtype))
    assert compare(folder, "--format", "mxfp4", "--against", "y.npy")[0] == 0


def test_codes_and_scales_that_differ(folder):
    with h5py.File(folder / "c.h5", "a") as f:
        codes, scales = f["codes"][()], f["scales"][()]
        codes[0, :3] ^= 1
        scales[5, 1] += 1
        del f["codes"], f["scales"]
        f["codes"], f["scales"] = codes, scales
    code, record = compare(folder, "--format", "mxfp4", "--against", "c.h5")
    assert code == 1 and record["differing_codes"] == 3 and record["differing_scales"] == 1
    assert record["first"][0]["index"] == [0, 0] and record["first"][0]["code"] != record["first"][0]["their_code"]


def test_try_like_names_what_matches(folder):
    ok("cast", "--format", "mxfp4:rule=ceil", "--input", "x.npy", "-o", "ceil.npy", cwd=folder)
    code, record = compare(folder, "--format", "mxfp4", "--against", "ceil.npy", "--try-like")
    assert code == 1 and "mxfp4:rule=ceil" in record["matches"] and "mxfp4" not in record["matches"]
    assert all(row["differing_values"] == 0 for row in record["tried"] if row["format"] in record["matches"])
    ok("cast", "--format", "nvfp4:like=torchao", "--input", "x.npy", "-o", "ao.npy", cwd=folder)
    code, record = compare(folder, "--format", "nvfp4", "--against", "ao.npy", "--try-like")
    assert code == 1 and "nvfp4:like=torchao" in record["matches"]
    np.save(folder / "none.npy", np.load(folder / "x.npy") + 1)
    assert compare(folder, "--format", "mxfp4", "--against", "none.npy", "--try-like")[1]["matches"] == []


def test_transforms_and_axes(folder):
    for options in (("--transform", "rhad:16:seed=4"), ("--transform", "had:32", "--keep-rotated"), ("--axis", "0")):
        ok("cast", "--format", "nvfp4", "--input", "x.npy", "-o", "t.npy", "--force", *options, cwd=folder)
        assert compare(folder, "--format", "nvfp4", "--against", "t.npy", *options)[0] == 0
        assert compare(folder, "--format", "nvfp4", "--against", "t.npy")[0] == 1


def test_text_and_csv(folder):
    text = run("compare", "--format", "mxfp4:rule=ceil", "--input", "x.npy", "--against", "y.npy", "--try-like", cwd=folder)
    assert text.returncode == 1 and "The first differences" in text.stdout and "These match" in text.stdout
    table = run("compare", "--format", "mxfp4:rule=ceil", "--input", "x.npy", "--against", "y.npy", "--output", "csv", cwd=folder)
    assert table.stdout.splitlines()[0] == "index,x,ours,theirs,block_amax,scale,their_scale,code,their_code"
    assert len(table.stdout.splitlines()) == 11
