"""One result file: checked, then arrays with named axes."""
import math
import pathlib

import h5py
import numpy as np
import xarray as xr

FILETYPE = "lowbit.result"
MAJOR = 1
NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable."


class ResultError(ValueError):
    """The file is not a complete result of a version that this reader knows; the message names file and reason."""


def open(path):
    """Opens a result file. Raises ResultError for anything else, FileNotFoundError if there is none."""
    return Result(path)


def open_folder(folder):
    """Results of a folder of runs by experiment name: {"int_vs_fp/fig3": Result}. Shards are left out."""
    files = sorted(p for p in pathlib.Path(folder).rglob("*.h5") if not p.name.startswith("."))
    results = (Result(p) for p in files)
    return {r.experiment: r for r in results if r.status != "shard"}


class Result:
    """A result file, read whole. `dataset` holds outputs and coordinates as an xarray.Dataset."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"{path}: no such file")
        try:
            with h5py.File(self.path, "r") as file:
                self._read(file)
        except OSError as error:
            raise ResultError(f"{path}: not a readable HDF5 file: {error}") from error

    def _read(self, file):
        self.attributes = {name: _plain(value) for name, value in file.attrs.items()}
        self._check()
        self.experiment = self.attributes["experiment"]
        self.status = self.attributes["status"]
        self.seed = self.attributes["seed"]
        self.params = {k: _plain(v) for k, v in file["params"].attrs.items()}
        self.config = [line.decode() for line in file["params/config"][:]]
        self.dataset = _dataset(file, self.attributes)
        self.formats = {r["name"]: r for r in _rows(_table(file["formats"]))}
        self.report = [_report_row(self.experiment, r) for r in _rows(_table(file["report"]))]
        self.references = {r["quantity"]: r for r in _rows(_table(file["reference"]))}
        self.reference = {name: _table(group) for name, group in file["reference"].items() if isinstance(group, h5py.Group)}
        self.provenance = {k: _plain(v) for k, v in file["provenance"].attrs.items()}
        if "run" in file["provenance"]:
            self.provenance["run"] = {k: _plain(v) for k, v in file["provenance/run"].attrs.items()}

    def _check(self):
        a = self.attributes
        if a.get("filetype") != FILETYPE:
            raise ResultError(f"{self.path}: filetype is {a.get('filetype')!r}, {FILETYPE!r} is expected")
        major = list(a.get("schema_version", [0]))[0]
        if major != MAJOR:
            raise ResultError(f"{self.path}: schema version {major}, this reader knows {MAJOR}.x")
        if a.get("complete") != 1:
            raise ResultError(f"{self.path}: not complete")

    def __getitem__(self, name):
        """An output or coordinate as an xarray.DataArray."""
        return self.dataset[name]

    def __getattr__(self, name):
        """Everything else is the dataset's: sel, isel, attrs, coords ..."""
        if name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def row(self, quantity):
        """The report row of a quantity; KeyError naming the known ones."""
        for row in self.report:
            if row["quantity"] == quantity:
                return row
        raise KeyError(f"{quantity!r}; known: {', '.join(r['quantity'] for r in self.report)}")


def _plain(value):
    """Attributes as Python values."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _values(dataset):
    """Data of an HDF5 dataset; texts as an object array of str."""
    data = dataset[()]
    if data.dtype.kind != "S":
        return data
    if data.dtype.itemsize == 1 and data.ndim == 2:  # a text coordinate: characters
        data = np.ascontiguousarray(data).view(f"S{data.shape[1]}")[:, 0]
    return np.array([text.decode() for text in data.ravel()], dtype=object).reshape(data.shape)


def _is_coordinate(dataset):
    return dataset.attrs.get("CLASS") is not None


def _dims(dataset):
    names = _plain(dataset.attrs.get("dims", b"")).split()
    return names or [f"dim{i}" for i in range(dataset.ndim)]


def _is_bare_dimension(dataset):
    return bytes(dataset.attrs.get("NAME", b"")).startswith(NO_VARIABLE)


def _arrays(group):
    for name, item in group.items():
        if isinstance(item, h5py.Dataset) and not _is_bare_dimension(item):
            yield name, item


def _dataset(file, attributes):
    coordinates, outputs = {}, {}
    for name, item in _arrays(file):
        about = {key: _plain(item.attrs[key]) for key in ("units", "long_name") if key in item.attrs}
        (coordinates if _is_coordinate(item) else outputs)[name] = (_dims(item), _values(item), about)
    return xr.Dataset(outputs, coordinates, attributes)


def _table(group):
    """Columns of a table group, without its row numbers."""
    return {name: _values(item) for name, item in _arrays(group) if name != "row"}


def _rows(table):
    length = len(next(iter(table.values()))) if table else 0
    return [{name: _plain(column[i]) for name, column in table.items()} for i in range(length)]


def _number(value):
    return None if value is None or math.isnan(value) else value


def _pair(low, high):
    return None if math.isnan(low) or math.isnan(high) else [low, high]


def _report_row(experiment, row):
    """A row as report.json has it."""
    return {
        "paper": experiment.split("/")[0],
        "figure": row["figure"],
        "quantity": row["quantity"],
        "ours": _number(row["ours"]),
        "unit": row["unit"],
        "interval": _pair(row["interval_low"], row["interval_high"]),
        "exact": bool(row["exact"]),
        "reference": _number(row["reference"]),
        "reference_source": row["reference_source"],
        "band": _pair(row["band_low"], row["band_high"]),
        "verdict": row["verdict"],
        "note": row["note"],
    }
