"""Result files against results/schema.md, xarray with both engines, and the Python reader."""
import fnmatch
import os
import pathlib
import re
import subprocess

import h5py
import numpy as np
import pytest
import xarray as xr

import lowbit_results as lr

EXAMPLE = pathlib.Path(os.environ["LOWBIT_BIN_DIR"]) / "tests" / "example"
SCHEMA = (pathlib.Path(os.environ["LOWBIT_SOURCE_DIR"]) / "results" / "schema.md").read_text()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    environment = {**os.environ, "SLURM_JOB_ID": "17"}
    subprocess.run([EXAMPLE, "--quick", "-o", folder], check=True, capture_output=True, env=environment)
    return folder / "example" / "rounding.h5"


def table(heading):
    """Rows of the Markdown table under a heading, as lists of cells without code marks."""
    part = SCHEMA.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip().strip("|").split("|") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


def kind(item):
    if item.dtype.kind == "S":
        return "characters" if item.dtype.itemsize == 1 and item.ndim == 2 else "text"
    return item.dtype.name


def datasets(file):
    found = {}
    file.visititems(lambda name, item: found.__setitem__("/" + name, item) if isinstance(item, h5py.Dataset) else None)
    return found


def test_every_dataset_is_documented_with_its_type(path):
    documented = [(names(row[0])[0], row[1]) for row in table("Datasets")]
    with h5py.File(path) as file:
        for name, item in datasets(file).items():
            matching = [types for pattern, types in documented
                        if fnmatch.fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")]
            assert matching, f"{name} is not in schema.md"
            assert any(kind(item) in types for types in matching), f"{name} is {kind(item)}, schema.md says {matching}"
            assert "dims" in item.attrs or not len(item.dims) or name.startswith("/string") or name == "/params/config"


def test_every_documented_dataset_of_this_run_is_there(path):
    with h5py.File(path) as file:
        present = datasets(file)
        for row in table("Datasets"):
            name, when = names(row[0])[0], row[3]
            if "*" in name or "experiments without axes" in when or "formats" in when:
                continue
            assert name in present, name


def test_root_attributes_are_those_documented(path):
    documented = {names(row[0])[0]: row[1] for row in table("Attributes of the root")}
    with h5py.File(path) as file:
        assert set(file.attrs) == set(documented)
        for name, type_ in documented.items():
            value = file.attrs[name]
            expected = {"text": (str, bytes), "int64": np.int64, "int64[2]": np.ndarray}[type_]
            assert isinstance(value, expected), name


def test_group_attributes_are_those_documented(path):
    documented = {names(row[0])[0]: set(names(row[1])) for row in table("Groups and their attributes")}
    with h5py.File(path) as file:
        for group in ("/params", "/reference", "/formats", "/report", "/provenance", "/provenance/run"):
            assert group in documented and group in file
            attributes = set(file[group].attrs)
            if "*" not in documented[group]:
                slurm = {a for a in documented[group] if a.startswith("SLURM")}
                assert attributes <= documented[group], group
                assert documented[group] - slurm <= attributes, group
        assert file["provenance/run"].attrs["SLURM_JOB_ID"] == b"17" or file["provenance/run"].attrs["SLURM_JOB_ID"] == "17"


def test_layout_is_the_hardened_one(path):
    with h5py.File(path) as file:
        for name, item in datasets(file).items():
            assert item.fletcher32, name
            assert item.chunks is not None, name
            assert h5py.check_string_dtype(item.dtype) is None or h5py.check_string_dtype(item.dtype).length is not None, name
    assert path.read_bytes()[8] == 3  # superblock of library bounds 1.10


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_sees_dims_units_and_sel(path, engine):
    with xr.open_dataset(path, engine=engine) as dataset:
        assert dataset["mse"].dims == ("bits", "shape")
        assert dataset["squared_error"].dims == ("bits", "shape", "trial")
        assert dataset["mse"].attrs["units"] == "1"
        assert dataset["bits"].attrs["long_name"] == "bits after the binary point"
        one = dataset["mse"].sel(bits=8, shape="uniform")
        with h5py.File(path) as file:
            assert float(one) == file["mse"][1, 0]
        assert set(dataset.dims) == {"bits", "shape", "trial"}


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_opens_the_report(path, engine):
    with xr.open_dataset(path, engine=engine, group="report") as report:
        assert report["verdict"].values.tolist() in (["within"], [b"within"])


def test_the_reader_gives_arrays_rows_and_provenance(path):
    result = lr.open(path)
    assert result.experiment == "example/rounding" and result.params == {"trials": 256}
    assert float(result["mse"].sel(bits=2, shape="uniform")) > float(result["mse"].sel(bits=8, shape="uniform"))
    mean = result["squared_error"].mean("trial")
    np.testing.assert_allclose(mean, result["mse"], rtol=1e-6)
    row = result.row("mse_8_bits_over_theory")
    assert row["verdict"] == "within" and row["reference"] == 1 and row["figure"] == "rounding"
    assert result.references["mse_8_bits_over_theory"]["source"] == "step^2 / 12"
    assert result.provenance["program"] == "lowbit" and result.provenance["run"]["threads"] >= 1
    assert lr.open_folder(path.parent.parent)["example/rounding"].seed == 1
    with pytest.raises(KeyError, match="mse_8_bits"):
        result.row("nothing")


def test_the_reader_refuses_other_files(path, tmp_path):
    with pytest.raises(FileNotFoundError):
        lr.open(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(lr.ResultError, match="text.h5"):
        lr.open(tmp_path / "text.h5")
    for attribute, value, message in (("filetype", "other", "filetype"), ("schema_version", [2, 0], "version 2"),
                                      ("complete", 0, "not complete")):
        copy = tmp_path / f"{attribute}.h5"
        copy.write_bytes(path.read_bytes())
        with h5py.File(copy, "r+") as file:
            file.attrs[attribute] = value
        with pytest.raises(lr.ResultError, match=message):
            lr.open(copy)
