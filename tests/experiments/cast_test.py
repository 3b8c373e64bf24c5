"""`lowbit cast` and `lowbit decode` against computations in NumPy that share nothing with the program."""
import os
import subprocess

import h5py
import numpy as np
import pytest

from lowbit_cli import BIN, ok, ok_json, run

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E4M3 = np.array([m / 8 * 2.0**-6 for m in range(8)] + [(1 + m / 8) * 2.0 ** (e - 7) for e in range(1, 16) for m in range(8)][:-1])


def sample(shape, seed=1):
    """Values over many binades with zeros of both signs, subnormals and ties."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) * 2.0 ** rng.integers(-20, 20, shape)).astype(np.float32)
    flat = x.reshape(-1)
    flat[::37] = 0
    flat[1::41] = -0.0
    flat[2::53] = np.float32(1e-41)
    flat[3::29] = np.round(flat[3::29])
    return x


def nearest(values, x):
    """RNE to the sorted non-negative `values` (ties to the even position), saturating, sign kept; x float64 exact."""
    a = np.minimum(np.abs(x), values[-1])
    high = np.clip(np.searchsorted(values, a), 1, len(values) - 1)
    low = high - 1
    middle = (values[low] + values[high]) / 2
    code = np.where(a > middle, high, np.where(a < middle, low, np.where(low % 2 == 0, low, high)))
    return np.copysign(values[code], x)


def blocks(x, group):
    """x, last axis padded with zeros and split: [..., groups, group] in float64."""
    pad = -x.shape[-1] % group
    padded = np.pad(x.astype(np.float64), [(0, 0)] * (x.ndim - 1) + [(0, pad)])
    return padded.reshape(*x.shape[:-1], -1, group)


def joined(y, x):
    """The inverse of blocks(), as float32 of x's shape."""
    return y.reshape(*x.shape[:-1], -1)[..., : x.shape[-1]].astype(np.float32)


def mx(x, values, emax, group=32):
    """OCP MX with the floor rule: X = 2^(floor(log2 amax) - emax), exponents from frexp."""
    b = blocks(x, group)
    amax = np.abs(b).max(-1, keepdims=True)
    exponent = np.clip(np.frexp(amax)[1] - 1 - emax, -127, 127)
    scale = np.where(amax == 0, 2.0**-127, np.ldexp(1.0, exponent))
    return joined(nearest(values, b / scale) * scale, x)


def nvfp4(x):
    """The order of operations of ModelOpt's export: G = A / 2688, c = E4M3(a / (6 G)), s = c G, all in float32."""
    f = np.float32
    b = blocks(x, 16).astype(f)
    global_scale = f(np.abs(b).max()) / f(2688)
    ratio = np.abs(b).max(-1, keepdims=True) / (f(6) * global_scale)
    code = nearest(E4M3, np.minimum(ratio, f(448)).astype(np.float64)).astype(f)
    scale = code * global_scale
    with np.errstate(divide="ignore", invalid="ignore"):
        q = nearest(E2M1, np.where(code > 0, (b / scale).astype(np.float64), 0))
    return joined(np.where(code > 0, (q * code.astype(np.float64)) * np.float64(global_scale), 0), x)


def int_group(x, bits, group):
    """Symmetric integers: s = amax / Q in float32, codes RNE of the float32 quotient, +0 for zero."""
    f, q = np.float32, 2 ** (bits - 1) - 1
    b = blocks(x, group).astype(f)
    scale = (np.abs(b).max(-1, keepdims=True) / f(q)).astype(f)
    with np.errstate(divide="ignore", invalid="ignore"):
        code = np.where(scale > 0, np.clip(np.rint(b / scale), -q, q), 0)
    return joined((code + 0.0) * scale.astype(np.float64), x)


def bits_of(a):
    return np.ascontiguousarray(a, dtype=np.float32).view(np.uint32)


def assert_same_bits(ours, expected):
    different = np.flatnonzero(bits_of(ours).ravel() != bits_of(expected).ravel())
    assert different.size == 0, (different.size, different[:5], np.ravel(ours)[different[:5]], np.ravel(expected)[different[:5]])


def cast(folder, x, *options, name="x"):
    np.save(folder / f"{name}.npy", x)
    ok("cast", "--input", f"{name}.npy", "-o", f"{name}_out.npy", "--force", *options, cwd=folder)
    return np.load(folder / f"{name}_out.npy")


ORACLES = {
    "mxfp4": lambda x: mx(x, E2M1, 2),
    "mxfp8_e4m3": lambda x: mx(x, E4M3, 8),
    "mxfp4:g16": lambda x: mx(x, E2M1, 2, 16),
    "nvfp4": nvfp4,
    "int8:g64": lambda x: int_group(x, 8, 64),
    "int4:channel": lambda x: int_group(x, 4, x.shape[-1]),
    "fp16": lambda x: x.astype(np.float16).astype(np.float32),
    "bf16": lambda x: ((bits_of(x) + 0x7FFF + ((bits_of(x) >> 16) & 1)) & 0xFFFF0000).view(np.float32),
}


@pytest.mark.parametrize("format", ORACLES)
@pytest.mark.parametrize("shape", [(7, 96), (3, 4, 50), (129,)])
def test_values_equal_an_independent_computation(tmp_path, format, shape):
    x = sample(shape)
    with np.errstate(over="ignore"):
        expected = ORACLES[format](x)
    y = cast(tmp_path, x, "--format", format)
    assert y.dtype == np.float32 and y.shape == x.shape and y.flags.c_contiguous
    assert_same_bits(y, expected)


def test_the_whole_input_is_one_tensor_for_second_level_scales(tmp_path):
    x = np.concatenate([np.full((1, 32), 1e-3), np.full((1, 32), 100.0)]).astype(np.float32)
    assert_same_bits(cast(tmp_path, x, "--format", "nvfp4"), nvfp4(x))
    alone = cast(tmp_path, x[:1], "--format", "nvfp4", name="alone")
    assert not np.array_equal(alone[0], cast(tmp_path, x, "--format", "nvfp4")[0])


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_axis(tmp_path, axis):
    x = sample((6, 40, 9))
    moved = np.moveaxis(x, axis, -1)
    expected = np.moveaxis(mx(np.ascontiguousarray(moved), E2M1, 2), -1, axis)
    assert_same_bits(cast(tmp_path, x, "--format", "mxfp4", "--axis", axis), expected)


def test_fortran_order_byte_order_and_types_give_the_same_values(tmp_path):
    x = np.clip(sample((20, 64)), -6e4, 6e4).astype(np.float16).astype(np.float32)
    expected = mx(x, E2M1, 2)
    for i, variant in enumerate([np.asfortranarray(x), x.astype(">f4"), x.astype("<f2"), x.astype(">f2"), x.astype("<f8"),
                                 np.asfortranarray(x.astype("<f8"))]):
        assert_same_bits(cast(tmp_path, variant, "--format", "mxfp4", name=f"v{i}"), expected)


def test_plain_casts_round_once_from_float64(tmp_path):
    # 1 + 2^-11 is the midpoint of two fp16 values; the 2^-40 above it is lost on the way through float32
    x = np.array([1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-11, -(1 + 2.0**-11 + 2.0**-40)])
    assert cast(tmp_path, x, "--format", "fp16").tolist() == [1 + 2.0**-10, 1.0, -(1 + 2.0**-10)]


def test_empty_and_single_values_keep_their_shape(tmp_path):
    for x in (np.zeros((0, 32), np.float32), np.float32(3.3).reshape(()), np.zeros((4, 0), np.float32)):
        y = cast(tmp_path, x, "--format", "mxfp4")
        assert y.shape == x.shape
    assert float(cast(tmp_path, np.float32(3.3).reshape(()), "--format", "e2m1")) == 3.0


def test_h5_and_safetensors_inputs(tmp_path):
    x = sample((8, 32))
    expected = mx(x, E2M1, 2)
    with h5py.File(tmp_path / "t.h5", "w") as f:
        f["group/weight"] = x
        f["group/big_endian"] = x.astype(">f4")
        f["half"] = np.clip(x, -6e4, 6e4)[:, :16].astype(np.float16)
        f["ids"] = np.arange(3)
    for name in ("group/weight", "group/big_endian"):
        ok("cast", "--format", "mxfp4", "--input", f"t.h5:{name}", "-o", "y.npy", "--force", cwd=tmp_path)
        assert_same_bits(np.load(tmp_path / "y.npy"), expected)
    ok("cast", "--format", "fp16", "--input", "t.h5:half", "-o", "y.npy", "--force", cwd=tmp_path)
    assert_same_bits(np.load(tmp_path / "y.npy"), np.clip(x, -6e4, 6e4)[:, :16].astype(np.float16).astype(np.float32))


def hadamard(n):
    h = np.array([[1.0]])
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h / np.sqrt(n)


def test_transform_is_undone_unless_it_is_to_be_kept(tmp_path):
    x = np.random.default_rng(3).standard_normal((16, 64)).astype(np.float32)
    rotation = np.kron(np.eye(2), hadamard(32))
    kept = cast(tmp_path, x, "--format", "fp32", "--transform", "had:32", "--keep-rotated")
    np.testing.assert_allclose(kept, x @ rotation, atol=1e-5)
    back = cast(tmp_path, x, "--format", "fp32", "--transform", "had:32")
    np.testing.assert_allclose(back, x, atol=1e-5)
    quantised = cast(tmp_path, x, "--format", "mxfp4", "--transform", "had:32", "--keep-rotated")
    assert_same_bits(quantised, mx(kept, E2M1, 2))
    np.testing.assert_allclose(cast(tmp_path, x, "--format", "mxfp4", "--transform", "had:32"), quantised @ rotation.T, atol=1e-5)


FORMATS = ["mxfp4", "mxfp8_e5m2", "mxint8", "mxint4", "mxfp6_e3m2:rule=ceil", "nvfp4", "nvint4", "int4:g128:asym", "int2:g16:min:z=fp16",
           "int8:tensor", "e4m3:channel:s=fp16", "e4m3", "bf16", "fp16", "tf32", "nf4", "ternary", "int4:tile4x8", "q4_0", "q4_1", "q8_0"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("options", [(), ("--transform", "rhad:4:seed=9"), ("--axis", "0")], ids=["plain", "rotated", "axis"])
def test_decode_inverts_the_codes_file(tmp_path, format, options):
    x = sample((64, 96) if format.startswith("q") else (12, 44))  # ggml's rows are whole blocks
    y = cast(tmp_path, x, "--format", format, "--codes", "c.h5", *options)
    ok("decode", "--input", "c.h5", "-o", "z.npy", cwd=tmp_path)
    assert_same_bits(np.load(tmp_path / "z.npy"), y)
    assert (tmp_path / "z.npy").read_bytes() == (tmp_path / "x_out.npy").read_bytes()


@pytest.mark.parametrize("format", ["mxfp4", "mxint8", "mxint4", "mxfp8_e4m3", "int8:g32", "e4m3:g32:s=fp16", "nf4"])
def test_codes_file_is_read_without_the_program(tmp_path, format):
    x = np.random.default_rng(5).standard_normal((10, 96)).astype(np.float32)
    y = cast(tmp_path, x, "--format", format, "--codes", "c.h5")
    with h5py.File(tmp_path / "c.h5") as f:
        assert {"format", "long_form", "axis", "layout", "version"} <= set(f.attrs)
        values = f["decode_table"][()][f["codes"][()]].astype(np.float64)
        scales = f["scales"][()]
        if scales.dtype != np.float32:
            scales = f["scale_table"][()][scales]
    group = 64 if format == "nf4" else 32
    expected = values * np.repeat(scales.astype(np.float64), group, axis=-1)[:, : x.shape[-1]]
    assert_same_bits(y, expected.astype(np.float32) + np.float32(0) if format.startswith(("mxint", "int")) else expected.astype(np.float32))


def test_stochastic_rounding_depends_on_the_name_and_on_nothing_else(tmp_path):
    x = np.random.default_rng(6).standard_normal((8, 64)).astype(np.float32)
    first = cast(tmp_path, x, "--format", "mxfp4:round=sr:seed=3", name="a")
    assert_same_bits(cast(tmp_path, np.asfortranarray(x), "--format", "mxfp4:round=sr:seed=3", "--name", "a", name="b"), first)
    assert not np.array_equal(cast(tmp_path, x, "--format", "mxfp4:round=sr:seed=3", name="b"), first)
    assert not np.array_equal(cast(tmp_path, x, "--format", "mxfp4:round=sr:seed=4", name="a"), first)
    # the words belong to positions of the whole tensor, not to groups or axes: a cast without scale is the same along any axis
    along = [cast(tmp_path, x, "--format", "e2m1:round=sr", "--axis", a, name="a") for a in (0, 1)]
    assert_same_bits(along[0], along[1])


def test_nothing_is_replaced_unasked(tmp_path):
    np.save(tmp_path / "x.npy", sample((4, 32)))
    (tmp_path / "y.npy").write_text("precious")
    done = run("cast", "--format", "mxfp4", "--input", "x.npy", "-o", "y.npy", "--codes", "c.h5", cwd=tmp_path)
    assert done.returncode == 73 and "--force" in done.stderr
    assert (tmp_path / "y.npy").read_text() == "precious" and not (tmp_path / "c.h5").exists()


def test_summary(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 32), np.float32))
    record = ok_json("cast", "--format", "mxfp4", "--input", "x.npy", "-o", "y.npy", cwd=tmp_path)
    assert record["qsnr_db"] is None and record["mse"] == 0 and record["format"] == "mxfp4"


def test_both_outputs_or_none_are_replaced(tmp_path):
    np.save(tmp_path / "x.npy", sample((4, 64)))
    ok("cast", "--format", "mxfp4", "--input", "x.npy", "-o", "y.npy", "--codes", "c.h5", cwd=tmp_path)
    old = (tmp_path / "c.h5").read_bytes()
    (tmp_path / "file").write_text("")
    done = run("cast", "--format", "nvfp4", "--input", "x.npy", "-o", "file/y.npy", "--codes", "c.h5", "--force", cwd=tmp_path)
    assert done.returncode == 73, done.stderr
    np.save(tmp_path / "long.npy", sample((4, 4096)))
    limited = subprocess.run(["bash", "-c", f"ulimit -f 48; trap '' XFSZ; exec '{BIN}' cast --format nvfp4 --input long.npy -o new.npy --codes c.h5 --force"],
                             cwd=tmp_path, capture_output=True, text=True)
    assert limited.returncode == 74, limited.stderr
    assert (tmp_path / "c.h5").read_bytes() == old
    assert sorted(os.listdir(tmp_path)) == ["c.h5", "file", "long.npy", "x.npy", "y.npy"]


def test_a_dataset_may_be_named_from_the_root(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["grp/w"] = np.float32([1, 2, 3, 4])
        file["v"] = np.float32([5, 6])
    for name, values in {"grp/w": [1, 2, 3, 4], "/grp/w": [1, 2, 3, 4], "/v": [5, 6]}.items():
        ok("cast", "--format", "fp32", "--input", f"t.h5:{name}", "-o", "y.npy", "--force", cwd=tmp_path)
        assert np.load(tmp_path / "y.npy").tolist() == values
    assert "holds no tensor" in run("cast", "--format", "fp32", "--input", "t.h5://v", "-o", "z.npy", cwd=tmp_path).stderr
