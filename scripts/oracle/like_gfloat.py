"""Vectors of gfloat's OCP block formats: compute_scale_amax, encode_block, decode_block (together: quantize_block).

NaN in a block of FP6, FP4 or INT8 elements is an exception there (exclude=13). Results are float64, exact products; the
file holds them rounded once to float32. gfloat works value by value: a few minutes.
"""
import platform
import warnings
from importlib.metadata import version
from multiprocessing import Pool

import numpy as np
from gfloat.block import compute_scale_amax, decode_block, encode_block, quantize_block
from gfloat.formats import (
    format_info_mxfp4_e2m1,
    format_info_mxfp6_e2m3,
    format_info_mxfp6_e3m2,
    format_info_mxfp8_e4m3,
    format_info_mxfp8_e5m2,
    format_info_mxint8,
)

from like_inputs import VectorFile, inputs

FORMATS = {
    "mxfp8_e4m3": (format_info_mxfp8_e4m3, ()),
    "mxfp8_e5m2": (format_info_mxfp8_e5m2, ()),
    "mxfp6_e2m3": (format_info_mxfp6_e2m3, (13,)),
    "mxfp6_e3m2": (format_info_mxfp6_e3m2, (13,)),
    "mxfp4": (format_info_mxfp4_e2m1, (13,)),
    "mxint8": (format_info_mxint8, (13,)),
}


def one_block(info, x):
    """Codes with the scale first, and values."""
    scale = compute_scale_amax(info.etype.emax, x)
    codes = list(encode_block(info, scale, x / scale))
    return codes, list(decode_block(info, codes))


def run(name):
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    info, exclude = FORMATS[name]
    x = inputs(32, exclude=exclude)
    results = [one_block(info, block) for block in x]
    whole = quantize_block(info, x[0], compute_scale_amax)
    assert np.array_equal(whole, results[0][1])
    codes = np.array([r[0] for r in results], np.uint64)
    values = np.array([r[1] for r in results], np.float64)
    return {
        "fake": values.astype(np.float32),
        "codes": codes[:, 1:].astype(np.uint8),
        "scales": codes[:, 0].astype(np.uint32),
    }


if __name__ == "__main__":
    out = VectorFile(
        "gfloat",
        package=f"gfloat {version('gfloat')}, numpy {np.__version__}",
        call="compute_scale_amax, encode_block, decode_block",
        machine=platform.machine(),
        exclude="13 (NaN): an exception for elements without NaN",
    )
    with Pool(2) as pool:
        for name, outputs in zip(FORMATS, pool.map(run, FORMATS, chunksize=1)):
            out.row(f"{name}:like=gfloat", 32, outputs, exclude=FORMATS[name][1])
    out.write()
