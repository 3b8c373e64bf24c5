"""What the figures of int_vs_fp share: names of pairs, reference tables, crossings of curves."""

import csv
import pathlib
import re

import numpy as np

REFERENCE = pathlib.Path(__file__).resolve().parents[2] / "results" / "reference"
PAIRS = {"mx8": "MXINT8 / MXFP8", "mx6": "MXINT6 / MXFP6", "mx4": "MXINT4 / MXFP4", "nv4": "NVINT4 / NVFP4"}
PAIR_FORMATS = {"mx8": ("mxint8", "mxfp8_e4m3"), "mx6": ("mxint6", "mxfp6_e2m3"), "mx4": ("mxint4", "mxfp4"), "nv4": ("nvint4", "nvfp4")}
QSNR, KAPPA = "QSNR (dB)", "crest factor κ"


def references(figure):
    """Rows of a reference table: {quantity: {unit, value, low, high, source, note}}; numbers as floats, NaN where empty."""
    lines = (REFERENCE / f"int_vs_fp.{figure}.tsv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE)
    number = lambda text: float(text) if text else np.nan
    return {r["quantity"]: dict(r, value=number(r["value"]), low=number(r["low"]), high=number(r["high"])) for r in rows}


def split_quantity(quantity):
    """'a[b=c,d=e]' -> ('a', {'b': 'c', 'd': 'e'})."""
    name, _, inside = quantity.partition("[")
    return name, dict(re.findall(r"([^=,\]]+)=([^,\]]*)", inside))


def texts(coordinate):
    """Values of a text coordinate as str."""
    return [v.decode() if isinstance(v, bytes) else str(v) for v in coordinate.values]


def crossing(kappa, integer, floating):
    """First change of integer - floating from positive to negative, by linear interpolation: (kappa, floating there)."""
    difference = integer - floating
    found = np.flatnonzero((difference[:-1] > 0) & (difference[1:] <= 0))
    if not len(found):
        return np.nan, np.nan
    i = found[0]
    t = difference[i] / (difference[i] - difference[i + 1])
    return kappa[i] + t * (kappa[i + 1] - kappa[i]), floating[i] + t * (floating[i + 1] - floating[i])
