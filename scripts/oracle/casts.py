"""Vectors of plain casts: float32 -> ml_dtypes (and numpy's float16), to nearest even, not saturating.

Inputs of a type, made here and in tests/formats/casts_test.cpp: its non-negative finite values in ascending order, the
midpoints between neighbours and the point half a gap above the largest value, each with the two float32 neighbours on
either side and with both signs; then Inf, FLT_MAX and the smallest subnormal with both signs; then 2^18 words of the Philox
stream "casts", NaN patterns replaced by 0. NaN inputs are left out: each library has its own NaN codes.

File: "type <element> codes=N inputs=N <digest of the decoded codes> <digest of the inputs> <digest of the casts>"; FNV-1a 64
over the little-endian float32 bits, NaN as 0x7FC00000. E8M0 rounds ties up (round to nearest, ties away); between 2^-127 and
1.5 * 2^-127 ml_dtypes 0.6.0 gives 2^-126, which is not the nearest: these inputs are replaced by 0 in its row.
"""
import os
import platform

import ml_dtypes
import numpy as np

from like_inputs import digests, value_bits, words

TYPES = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e4m3_ieee": ml_dtypes.float8_e4m3,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "e3m4": ml_dtypes.float8_e3m4,
    "e8m0": ml_dtypes.float8_e8m0fnu,
    "bf16": ml_dtypes.bfloat16,
    "fp16": np.float16,
}
BITS = {"e2m1": 4, "e2m3": 6, "e3m2": 6, "bf16": 16, "fp16": 16}


def decoded(name):
    bits = BITS.get(name, 8)
    codes = np.arange(1 << bits, dtype=np.uint16 if bits == 16 else np.uint8)
    return codes.view(TYPES[name]).astype(np.float32)


def points(values):
    v = np.unique(values[np.isfinite(values) & ~np.signbit(values)].astype(np.float64))
    last = v[-1] + (v[-1] - v[-2]) / 2
    with np.errstate(over="ignore"):
        return np.unique(np.concatenate([v, (v[:-1] + v[1:]) / 2, [last]]).astype(np.float32))


def cast_inputs(values):
    bits = points(values).view(np.uint32).astype(np.int64)
    near = (bits[:, None] + np.arange(-2, 3)).reshape(-1)
    near = near[(near >= 0) & (near <= 0x7F800000)].astype(np.uint32)
    near = np.concatenate([near, np.array([0x7F800000, 0x7F7FFFFF, 1], np.uint32)])
    both = np.stack([near, near | np.uint32(0x80000000)], -1).reshape(-1)
    random = words("casts", 1 << 18)
    random = np.where((random & np.uint32(0x7FFFFFFF)) > 0x7F800000, np.uint32(0), random)
    return np.concatenate([both, random]).view(np.float32)


def digest(values):
    return f"{digests(value_bits(values), values.size)[0]:016x}"


def main():
    lines = [f"# ml_dtypes: {ml_dtypes.__version__}", f"# numpy: {np.__version__}", f"# machine: {platform.machine()}"]
    for name, kind in TYPES.items():
        values = decoded(name)
        x = cast_inputs(values)
        if name == "e8m0":
            x = np.where((np.abs(x) > 2.0**-127) & (np.abs(x) < 1.5 * 2.0**-127), np.float32(0), x)
        with np.errstate(all="ignore"):
            y = x.astype(kind).astype(np.float32)
        lines.append(f"type {name} codes={values.size} inputs={x.size} {digest(values)} {digest(x)} {digest(y)}")
    folder = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "vectors", "casts")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "ml_dtypes.tsv"), "w", encoding="ascii") as file:
        file.write("\n".join(lines) + "\n")


main()
