"""`lowbit analyze` against NumPy and SciPy."""
import json

import numpy as np
import pytest
import scipy.stats
import xarray

from lowbit_cli import ok, ok_json, run

GROUPS = [-1, 256, 128, 64, 32, 16]
EIGHT = ["mxint8:rule=ceil", "mxfp8_e4m3:rule=ceil", "mxint6:rule=ceil", "mxfp6_e2m3:rule=ceil", "mxint4:rule=ceil",
         "mxfp4:rule=ceil", "nvint4", "nvfp4"]


def crest_factors(x, group):
    """kappa of every block along the last axis, NaN for blocks of zeros."""
    kappas = []
    for row in x.astype(np.float64).reshape(-1, x.shape[-1]):
        size = len(row) if group == -1 else group
        for block in (row[i : i + size] for i in range(0, len(row), size)):
            kappas.append(np.abs(block).max() / np.sqrt(np.mean(block**2)) if np.any(block) else np.nan)
    return np.array(kappas)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(4)
    x = rng.standard_t(4, (24, 300)).astype(np.float32)
    x[3] = 0
    x[5, :64] = 0
    np.save(tmp_path / "w.npy", x)
    return tmp_path


def test_rows_equal_numpy(folder):
    x = np.load(folder / "w.npy")
    result = ok_json("analyze", "w.npy", cwd=folder)
    assert set(result) == {"rows", "formats", "pairs"}
    assert [row["group"] for row in result["rows"]] == GROUPS
    for row in result["rows"]:
        kappas = crest_factors(x, row["group"])
        known = kappas[~np.isnan(kappas)]
        assert row["tensor"] == "w" and row["shape"] == [24, 300] and row["axis"] == -1 and row["transform"] == "id"
        assert row["crest_factor_mean"] == pytest.approx(known.mean(), rel=1e-12)
        expected = np.quantile(known, [0, 0.25, 0.5, 0.75, 1])
        assert list(row["crest_factor_quantiles"]) == ["min", "q1", "median", "q3", "max"]
        assert list(row["crest_factor_quantiles"].values()) == pytest.approx(expected, rel=1e-12)
        assert row["zero_blocks"] == np.isnan(kappas).sum() and row["blocks"] == kappas.size
        assert row["excess_kurtosis"] == pytest.approx(scipy.stats.kurtosis(x.astype(np.float64).ravel()), rel=1e-9)


def test_formats_equal_what_cast_gives(folder):
    x = np.load(folder / "w.npy").astype(np.float64)
    result = ok_json("analyze", "w.npy", cwd=folder)
    assert [row["format"] for row in result["formats"]] == EIGHT
    for row in result["formats"]:
        ok("cast", "--format", row["format"], "--input", "w.npy", "-o", "y.npy", "--force", cwd=folder)
        y = np.load(folder / "y.npy").astype(np.float64)
        assert row["qsnr_db"] == pytest.approx(10 * np.log10((x**2).sum() / ((x - y) ** 2).sum()), rel=1e-12)
        assert row["mse"] == pytest.approx(((x - y) ** 2).mean(), rel=1e-12)
        assert row["max_abs_error"] == pytest.approx(np.abs(x - y).max(), rel=1e-6)
        assert row["zeroed_fraction"] == np.mean((x != 0) & (y == 0))


def test_clipped_fraction(tmp_path):
    # floor rule on E2M1: amax 7 has scale 1 and is cut to 6, 6 and smaller ones are not; the block of 4s is not cut
    x = np.zeros((2, 32), np.float32)
    x[0, :4] = [7, -6.5, 6, 5.2]
    x[1] = 4
    np.save(tmp_path / "x.npy", x)
    result = ok_json("analyze", "x.npy", "--formats", "mxfp4,mxfp4:rule=ceil,int4:g32,bf16,int4:g32:range=pow2", cwd=tmp_path)
    clipped = {row["format"]: row["clipped_fraction"] for row in result["formats"]}
    assert clipped["mxfp4"] == 2 / 64 and clipped["mxfp4:rule=ceil"] == 0 and clipped["bf16"] == 0
    assert clipped["int4:g32"] == 0
    # /2^(b-1): code 8 does not exist for positive values: 7 -> 7 * 7/8, and every 4 -> 3.5
    assert clipped["int4:g32:range=pow2"] == 33 / 64


def test_pairs(folder):
    result = ok_json("analyze", "w.npy", cwd=folder)
    qsnr = {row["format"]: row["qsnr_db"] for row in result["formats"]}
    assert [(p["int"], p["fp"]) for p in result["pairs"]] == list(zip(EIGHT[::2], EIGHT[1::2]))
    for pair in result["pairs"]:
        assert set(pair) == {"tensor", "transform", "int", "fp", "winner", "delta_db"}
        assert pair["delta_db"] == pytest.approx(qsnr[pair["int"]] - qsnr[pair["fp"]], abs=1e-12)
        assert pair["winner"] == ("int" if pair["delta_db"] > 0 else "fp")


def test_undefined_and_infinite_are_null(tmp_path):
    np.save(tmp_path / "zero.npy", np.zeros((2, 32), np.float32))
    np.save(tmp_path / "exact.npy", np.tile(np.float32([1, -1]), (2, 16)))
    np.save(tmp_path / "nan.npy", np.full((2, 32), np.nan, np.float32))
    for name, zero_blocks in (("zero", 2), ("exact", 0), ("nan", 0)):
        text = ok("analyze", f"{name}.npy", "--formats", "mxfp4,mxint4", "--output", "json", cwd=tmp_path)
        assert "NaN" not in text and "Infinity" not in text
        result = json.loads(text)
        assert result["rows"][0]["zero_blocks"] == zero_blocks
        assert all(row["qsnr_db"] is None for row in result["formats"])
        assert (result["rows"][0]["crest_factor_mean"] is None) == (name != "exact")
    assert result["pairs"][0]["winner"] is None and result["pairs"][0]["delta_db"] is None


def test_transforms_axes_and_globs(folder):
    x = np.load(folder / "w.npy")[:, :288]
    np.save(folder / "t.npy", np.ascontiguousarray(x.T))
    np.save(folder / "u.npy", np.ascontiguousarray(x))
    along = ok_json("analyze", "t.npy", "--axis", "0", "--transform", "id,had:32", "--formats", "mxfp4", cwd=folder)
    flat = ok_json("analyze", "u.npy", "--transform", "id,had:32", "--formats", "mxfp4", cwd=folder)
    assert [r["transform"] for r in along["rows"]] == ["id"] * 6 + ["had:32"] * 6
    for a, b in zip(along["rows"], flat["rows"]):
        assert a["crest_factor_quantiles"] == b["crest_factor_quantiles"] and a["zero_blocks"] == b["zero_blocks"]
    rotated = ok_json("analyze", "u.npy", "--transform", "had:32", "--formats", "mxfp4", cwd=folder)
    ok("cast", "--format", "fp32", "--input", "u.npy", "-o", "r.npy", "--transform", "had:32", "--keep-rotated", cwd=folder)
    kappas = crest_factors(np.load(folder / "r.npy"), 32)
    assert rotated["rows"][4]["crest_factor_mean"] == pytest.approx(np.nanmean(kappas), rel=1e-12)
    names = {r["tensor"] for r in ok_json("analyze", folder, "--include", "[tu]", "--exclude", "u", "--formats", "mxfp4")["rows"]}
    assert names == {"t"}


def test_results_do_not_depend_on_threads(folder):
    outputs = {ok("analyze", "w.npy", "--threads", n, "--output", "json", cwd=folder) for n in (1, 2, 3, 8)}
    assert len(outputs) == 1


def test_hdf5_opens_with_xarray(folder):
    result = ok_json("analyze", "w.npy", "--transform", "id,had:4", "-o", "r.h5", cwd=folder)
    for engine in ("h5netcdf", "netcdf4"):
        with xarray.open_dataset(folder / "r.h5", engine=engine) as data:
            value = data.qsnr_db.sel(tensor="w", transform="had:4", format="nvfp4").item()
            assert value == [r["qsnr_db"] for r in result["formats"] if r["transform"] == "had:4"][-1]
            assert data.crest_factor_mean.sel(tensor="w", transform="id", group=32).item() == result["rows"][4]["crest_factor_mean"]
            assert data.qsnr_db.attrs["units"] == "dB"


def test_hdf5_holds_the_pairs(folder):
    result = ok_json("analyze", "w.npy", "--transform", "id,had:4", "-o", "pairs.h5", cwd=folder)
    with xarray.open_dataset(folder / "pairs.h5") as data:
        for pair in result["pairs"]:
            where = dict(tensor=pair["tensor"], transform=pair["transform"], pair=f"{pair['int']} vs {pair['fp']}")
            assert float(data["delta_db"].sel(where)) == pair["delta_db"]
        assert data["delta_db"].size == len(result["pairs"]) > 0 and data["delta_db"].attrs["units"] == "dB"
    ok("analyze", "w.npy", "--formats", "mxfp4", "-o", "alone.h5", cwd=folder)
    with xarray.open_dataset(folder / "alone.h5") as data:
        assert "pair" not in data.coords and "delta_db" not in data


def test_text_and_csv(folder):
    text = ok("analyze", "w.npy", cwd=folder)
    assert "int_wins_percent" in text and "crest_factor_median" in text
    lines = ok("analyze", "w.npy", "--output", "csv", cwd=folder).splitlines()
    assert len(lines) == 7 and lines[0].startswith("tensor,shape,axis,transform,group,crest_factor_mean,crest_factor_min")


def test_integers_in_a_folder_are_left_out_and_said_so(folder):
    np.save(folder / "ids.npy", np.arange(4))
    done = run("analyze", folder, "--formats", "mxfp4", "--output", "json")
    assert done.returncode == 0 and {r["tensor"] for r in json.loads(done.stdout)["rows"]} == {"w"}
    assert "1 tensor" in done.stderr
