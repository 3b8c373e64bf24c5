#!/usr/bin/env python3
"""Write tests/vectors/elements_peers.tsv: digests of the conversions of ml_dtypes and gfloat.

A second opinion beside elements.py. Inputs: all bf16 values, then all fp16 values, as floats, NaN left out. A digest
is FNV-1a-64 over the little-endian 32-bit patterns of the results as floats, NaN as 7fc00000; one for each 4096 inputs.
Needs requirements-elements.txt. Usage: elements_peers.py [FILE]
"""
import sys
from pathlib import Path

import gfloat
import gfloat.formats as formats
import ml_dtypes
import numpy as np

# Both convert without saturation. E8M0 is left out: ml_dtypes sends ties up, we to the even code.
ML_DTYPES = {
    "e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn, "e2m1": ml_dtypes.float4_e2m1fn, "e4m3_ieee": ml_dtypes.float8_e4m3,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz, "e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz, "e3m4": ml_dtypes.float8_e3m4, "bf16": ml_dtypes.bfloat16,
}
GFLOAT = {
    "e4m3": formats.format_info_ocp_e4m3, "e5m2": formats.format_info_ocp_e5m2, "e2m3": formats.format_info_ocp_e2m3,
    "e3m2": formats.format_info_ocp_e3m2, "e2m1": formats.format_info_ocp_e2m1, "fp16": formats.format_info_binary16,
    "bf16": formats.format_info_bfloat16,
}
ROUNDINGS = {"rne": gfloat.RoundMode.TiesToEven, "rna": gfloat.RoundMode.TiesToAway, "rtz": gfloat.RoundMode.TowardZero}


def inputs():
    bf16 = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    fp16 = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    both = np.concatenate([bf16, fp16])
    return both[~np.isnan(both)]


def digests(values):
    bits = np.asarray(values, dtype=np.float32).view(np.uint32).copy()
    bits[(bits & 0x7FFFFFFF) > 0x7F800000] = 0x7FC00000
    for start in range(0, len(bits), 4096):
        digest = 0xCBF29CE484222325
        for byte in bits[start:start + 4096].astype("<u4").tobytes():
            digest = (digest ^ byte) * 0x100000001B3 % 2**64
        yield f"{digest:016x}"


def main():
    default = Path(__file__).resolve().parents[2] / "tests/vectors/elements_peers.tsv"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    x = inputs()
    lines = [f"# conversions by ml_dtypes {ml_dtypes.__version__} (astype) and gfloat 0.5.2 (round_ndarray), "
             "scripts/oracle/elements_peers.py", "# peer\telement\trounding\toverflow\tdigests"]
    with np.errstate(all="ignore"):
        for name, dtype in ML_DTYPES.items():
            lines.append("\t".join(["ml_dtypes", name, "rne", "ovf", *digests(x.astype(dtype).astype(np.float32))]))
    for name, info in GFLOAT.items():
        for rounding, mode in ROUNDINGS.items():
            for saturate in (True, False):
                if not saturate and not info.num_nans:
                    continue
                values = gfloat.round_ndarray(info, x.astype(np.float64), mode, saturate)
                lines.append("\t".join(["gfloat", name, rounding, "sat" if saturate else "ovf", *digests(values)]))
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
