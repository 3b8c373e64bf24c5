"""`lowbit pack` and `unpack`: bytes of real containers, read and written here without the program."""
import hashlib
import json
import os
import struct

import h5py
import numpy as np
import pytest

from lowbit_cli import ok

BLOCK_A = [7, -5, 3.5, 2.5, -1.75, 1.25, 0.75, -0.25, 0.3125, -0.1, 0, -0.0]


def read_safetensors(path):
    """Raw bytes of each tensor, by name, with the header's entries."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size :]
    return {name: (e["dtype"], e["shape"], np.frombuffer(body[slice(*e["data_offsets"])], np.uint8)) for name, e in header.items()}


def cast_and_pack(folder, x, format, layout, *options):
    np.save(folder / "w.npy", np.asarray(x, np.float32))
    ok("cast", "--format", format, "--input", "w.npy", "-o", "y.npy", "--codes", "c.h5", "--force", *options, cwd=folder)
    ok("pack", "--layout", layout, "--input", "c.h5", "-o", "p.safetensors", "--force", cwd=folder)
    return read_safetensors(folder / "p.safetensors")


def block_a(size=32):
    return np.array([BLOCK_A + [0.0] * (size - len(BLOCK_A))], np.float32)


def test_gpt_oss_mxfp4(tmp_path):
    tensors = cast_and_pack(tmp_path, np.repeat(block_a(), 3, 0), "mxfp4", "gpt_oss_mxfp4")
    assert tensors["w_blocks"][:2] == ("U8", [3, 1, 16]) and tensors["w_scales"][:2] == ("U8", [3, 1])
    # published worked example: codes 7 E 6 4 C 2 2 8 1 8 0 8, even element in the low nibble, scale 2^0
    assert tensors["w_blocks"][2][:6].tobytes().hex() == "e7462c828180"
    assert tensors["w_scales"][2].tolist() == [0x7F] * 3


def test_modelopt_nvfp4(tmp_path):
    x = np.zeros((4, 16), np.float32)
    x[0, :8] = [10.5, -8.75, 6.125, 4.375, -3.0625, 2.1875, 1.3125, -0.4375]
    x[1, :8] = [0.6, -0.5, 0.35, 0.3, -0.2, 0.1, 0.05, -0.02]
    tensors = cast_and_pack(tmp_path, x, "nvfp4", "modelopt_nvfp4")
    assert tensors["w"][:2] == ("U8", [4, 8]) and tensors["w_scale"][:2] == ("F8_E4M3", [4, 1]) and tensors["w_scale_2"][:2] == ("F32", [])
    assert tensors["w_scale"][2].tolist() == [0x7E, 0x5D, 0, 0]
    assert tensors["w"][2].reshape(4, 8)[0, :4].tobytes().hex() == "e7462c82"
    assert tensors["w_scale_2"][2].view(np.float32)[0] == np.float32(10.5 / 2688)


def test_compressed_tensors_nvfp4(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 64)).astype(np.float32)
    tensors = cast_and_pack(tmp_path, x, "nvfp4:like=compressed_tensors", "compressed_tensors_nvfp4")
    assert tensors["w_packed"][:2] == ("U8", [4, 32]) and tensors["w_scale"][:2] == ("F8_E4M3", [4, 4])
    f = np.float32
    assert tensors["w_global_scale"][2].view(f)[0] == f(2688) * (f(1) / np.abs(x).max())


# bytes of the worked example in ggml's own layouts: d, then codes (q4_1 and q5_1: d, m)
GGML = {"q4_0": "00bb808e84858a878788", "q8_0": "0e2b7fa5402de0170efb06fe00",
        "q4_1": "663a00c56f606b69646867666766", "mxfp4": "7f070e05040b020100010000"}


@pytest.mark.parametrize("type", GGML)
def test_ggml_blocks(tmp_path, type):
    tensors = cast_and_pack(tmp_path, block_a(), type if type.startswith("q") else f"{type}:like=ggml", f"ggml_{type}")
    expected = bytes.fromhex(GGML[type])
    assert tensors["w"][2][: len(expected)].tobytes().hex() == expected.hex()
    assert tensors["w"][1] == [1, {"q4_0": 18, "q8_0": 34, "q4_1": 20, "mxfp4": 17}[type]]


def published_containers():
    path = os.path.join(os.path.dirname(__file__), "..", "vectors", "containers.tsv")
    return [line.rstrip("\n").split("\t") for line in open(path) if not line.startswith("#")]


@pytest.mark.parametrize("layout, format, suffix, size, digest, start, package", published_containers())
def test_bytes_are_those_of_the_packages(tmp_path, layout, format, suffix, size, digest, start, package):
    i = np.arange(8 * 256, dtype=np.int64)
    x = (((i * 7919) % 2003 - 1001) / 128).astype(np.float32).reshape(8, 256)
    data = cast_and_pack(tmp_path, x, format, layout)["w" + suffix.replace("-", "")][2].tobytes()
    assert len(data) == int(size) and data[:16].hex() == start, package
    assert hashlib.sha256(data).hexdigest() == digest


def test_swizzled_scales(tmp_path):
    x = np.random.default_rng(2).standard_normal((150, 160)).astype(np.float32)
    tensors = cast_and_pack(tmp_path, x, "mxfp8_e4m3", "blocked_128x4")
    with h5py.File(tmp_path / "c.h5") as f:
        scales = f["scales"][()]
    expected = np.zeros(2 * 2 * 512, np.uint8)  # 150 x 5 in tiles of 128 x 4
    for r in range(150):
        for c in range(5):
            tile = (r // 128) * 2 + c // 4
            expected[tile * 512 + (r % 32) * 16 + (r % 128) // 32 * 4 + c % 4] = scales[r, c]
    assert np.array_equal(tensors["w_scale"][2], expected)


ROUND_TRIPS = [("mxfp4", "gpt_oss_mxfp4", ()), ("nvfp4", "modelopt_nvfp4", ()), ("nvfp4:like=compressed_tensors", "compressed_tensors_nvfp4", ()),
               ("mxfp8_e4m3", "blocked_128x4", ("--format", "mxfp8_e4m3")), ("nvfp4", "blocked_128x4", ("--format", "nvfp4")),
               *((t, f"ggml_{t}", ()) for t in ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "tq2_0")),
               ("tq2_0", "ggml_tq1_0", ()), ("mxfp4:like=ggml", "ggml_mxfp4", ()), ("nvfp4:like=ggml", "ggml_nvfp4", ()),
               *((f, l, ("--format", f, "--shape", "3,256")) for f, l in [
                   ("mxfp4", "byte"), ("mxfp4", "nibble_low_first"), ("nf4", "nibble_high_first"), ("int4:g32", "modelopt_int4"),
                   ("int3:g32:s=fp16", "ct_int32"), ("int4:g32:s=fp16", "ct_int32_v0"), ("int4:g32:asym", "dense"), ("mxint6", "dense"), ("mxfp6_e2m3", "dense6"),
                   ("mxfp6_e3m2", "torchao6_4"), ("mxfp6_e3m2", "torchao6_32"), ("mxfp6_e3m2", "torchao6_64"), ("mxint4", "quark"),
                   ("mxfp6_e3m2", "ptx_mxf8f6f4"), ("ternary", "ternary_plus_one"), ("ternary", "ternary_sign"), ("int2:g64:min:z=fp16", "dense")])]


@pytest.mark.parametrize("format, layout, options", ROUND_TRIPS, ids=[f"{l}-{f}" for f, l, _ in ROUND_TRIPS])
def test_unpack_inverts_pack(tmp_path, format, layout, options):
    cast_and_pack(tmp_path, np.random.default_rng(3).standard_normal((3, 256)), format, layout)
    ok("unpack", "--layout", layout, "--input", "p.safetensors:w", "-o", "u.h5", *options, cwd=tmp_path)
    with h5py.File(tmp_path / "c.h5") as a, h5py.File(tmp_path / "u.h5") as b:
        for name in a:
            assert np.array_equal(a[name][()], b[name][()], equal_nan=a[name].dtype.kind == "f"), name
    ok("decode", "--input", "u.h5", "-o", "z.npy", cwd=tmp_path)
    assert np.load(tmp_path / "z.npy").tobytes() == np.load(tmp_path / "y.npy").tobytes()


def test_the_only_tensor_of_a_container_needs_no_name(tmp_path):
    cast_and_pack(tmp_path, np.ones((2, 64)), "mxfp4", "gpt_oss_mxfp4")
    ok("unpack", "--layout", "gpt_oss_mxfp4", "--input", "p.safetensors", "-o", "u.h5", cwd=tmp_path)


def test_transforms_are_told_to_unpack(tmp_path):
    cast_and_pack(tmp_path, np.random.default_rng(4).standard_normal((2, 64)), "mxfp4", "gpt_oss_mxfp4", "--transform", "had:32")
    ok("unpack", "--layout", "gpt_oss_mxfp4", "--input", "p.safetensors", "-o", "u.h5", "--transform", "had:32", cwd=tmp_path)
    ok("decode", "--input", "u.h5", "-o", "z.npy", cwd=tmp_path)
    assert np.load(tmp_path / "z.npy").tobytes() == np.load(tmp_path / "y.npy").tobytes()
