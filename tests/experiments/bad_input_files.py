"""The files that the bad-input table names: one good one of each kind, and damaged copies."""
import json
import os
import struct

import h5py
import numpy as np

from lowbit_cli import ok


def npy(header, data=b"", version=(1, 0), length=None):
    text = header.encode() + b"\n"
    size = struct.pack("<H" if version[0] == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes(version) + size + text + data


def npy_dict(descr="'<f4'", shape="(4,)", fortran="False", more=""):
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, {more}}}"


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(4,), offsets=(0, 16)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


F4 = bytes(16)
NPY = {
    "empty.npy": b"",
    "text.npy": b"this is not an array\n",
    "cut_header.npy": npy(npy_dict(), F4)[:20],
    "cut_data.npy": npy(npy_dict(shape="(1000,)"), F4),
    "trailing.npy": npy(npy_dict(), F4 + b"more"),
    "version9.npy": npy(npy_dict(), F4, (9, 0)),
    "huge_header.npy": npy(npy_dict(), F4, (2, 0), 2**31 - 1),
    "two_to_60.npy": npy(npy_dict(shape=f"({2**60},)"), F4),
    "overflow.npy": npy(npy_dict(shape=f"({2**32}, {2**32})"), F4),
    "negative.npy": npy(npy_dict(shape="(-4,)"), F4),
    "fraction.npy": npy(npy_dict(shape="(4.0,)"), F4),
    "axes65.npy": npy(npy_dict(shape="(" + "1, " * 65 + ")"), bytes(4)),
    "twice.npy": npy(npy_dict(more="'shape': (4,)"), F4),
    "unknown_key.npy": npy(npy_dict(more="'evil': 1"), F4),
    "missing_key.npy": npy("{'descr': '<f4', 'shape': (4,)}", F4),
    "code.npy": npy("__import__('os').system('true')", F4),
    "int32.npy": npy(npy_dict("'<i4'"), F4),
    "uint16.npy": npy(npy_dict("'<u2'", "(8,)"), F4),
    "bool.npy": npy(npy_dict("'|b1'", "(16,)"), F4),
    "complex.npy": npy(npy_dict("'<c8'", "(2,)"), F4),
    "object.npy": npy(npy_dict("'|O'"), F4),
    "structured.npy": npy(npy_dict("[('a', '<f4')]"), F4),
}
ST = {
    "short.safetensors": b"1234",
    "text.safetensors": b"this is not a container, it is text that is longer than eight bytes",
    "header_2_60.safetensors": safetensors("{}", b"", 2**60),
    "header_over_100mb.safetensors": safetensors("{}", b"", 100_000_001),
    "list.safetensors": safetensors("[]"),
    "cut_json.safetensors": safetensors('{"a":{"dtype":'),
    "not_utf8.safetensors": safetensors(b'{"\xff\xfe":1}'),
    "twice.safetensors": safetensors('{"a":%s,"a":%s}' % (json.dumps(entry()), json.dumps(entry())), F4),
    "twice_inside.safetensors": safetensors('{"a":{"dtype":"F32","shape":[4],"shape":[4],"data_offsets":[0,16]}}', F4),
    "unknown_dtype.safetensors": safetensors({"a": entry("F31")}, F4),
    "no_dtype.safetensors": safetensors({"a": {"shape": [4], "data_offsets": [0, 16]}}, F4),
    "negative.safetensors": safetensors({"a": entry(shape=(-4,))}, F4),
    "fraction.safetensors": safetensors('{"a":{"dtype":"F32","shape":[4.5],"data_offsets":[0,16]}}', F4),
    "overflow.safetensors": safetensors({"a": entry(shape=(2**33, 2**33))}, F4),
    "mismatch.safetensors": safetensors({"a": entry(shape=(5,))}, F4),
    "backwards.safetensors": safetensors({"a": entry(offsets=(16, 0))}, F4),
    "hole.safetensors": safetensors({"a": entry(offsets=(16, 32))}, F4 * 2),
    "overlap.safetensors": safetensors({"a": entry(), "b": entry(offsets=(8, 24))}, bytes(24)),
    "truncated.safetensors": safetensors({"a": entry()}, bytes(12)),
    "trailing.safetensors": safetensors({"a": entry()}, bytes(20)),
    "deep.safetensors": safetensors('{"a":' + "[" * 100000),
    "ints.safetensors": safetensors({"a": entry("I32")}, F4),
    "good.safetensors": safetensors({"layer.weight": entry(), "layer.bias": entry(offsets=(16, 32))}, F4 * 2),
}
FOLDERS = {
    "hf_cut": '{"weight_map": {',
    "hf_list": "[]",
    "hf_no_map": '{"metadata": {}}',
    "hf_empty_map": '{"weight_map": {}}',
    "hf_escape": '{"weight_map": {"a": "../good.safetensors"}}',
    "hf_number": '{"weight_map": {"a": 7}}',
    "hf_missing_shard": '{"weight_map": {"a": "model-00001.safetensors"}}',
    "hf_missing_tensor": '{"weight_map": {"b": "one.safetensors"}}',
    "hf_twice": '{"weight_map": {"a": "one.safetensors", "a": "one.safetensors"}}',
}


def write_h5(folder):
    with h5py.File(folder / "good.h5", "w") as f:
        f["w"] = np.zeros((4, 8), np.float32)
        f["ids"] = np.arange(4)
    with h5py.File(folder / "external.h5", "w") as f:
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource("good_one.h5", "w", shape=(4,))
        f.create_virtual_dataset("w", layout)
    with h5py.File(folder / "sparse.h5", "w") as f:
        f.create_dataset("w", shape=(2**40,), dtype="f4", chunks=(2**20,))
    whole = (folder / "good.h5").read_bytes()
    (folder / "cut.h5").write_bytes(whole[:-200])
    (folder / "text.h5").write_bytes(b"not HDF5 at all\n")
    (folder / "empty.h5").write_bytes(b"")


def write_codes(folder):
    """Codes files that differ from a good one in one thing each."""
    ok("cast", "--format", "mxfp4", "--input", "x.npy", "-o", "y.npy", "--codes", "codes.h5", cwd=folder)
    ok("cast", "--format", "nvfp4", "--input", "x.npy", "-o", "y_nv.npy", "--codes", "codes_nv.h5", cwd=folder)
    ok("cast", "--format", "mxfp4", "--input", "x.npy", "-o", "y_0.npy", "--codes", "codes_axis0.h5", "--axis", "0", cwd=folder)
    ok("cast", "--format", "fp16", "--input", "x.npy", "-o", "y_16.npy", "--codes", "codes_fp16.h5", cwd=folder)
    good = (folder / "codes.h5").read_bytes()
    (folder / "codes_cut.h5").write_bytes(good[:-100])

    def variant(name, change):
        (folder / name).write_bytes(good)
        with h5py.File(folder / name, "a") as f:
            change(f)

    def replace(f, name, data):
        del f[name]
        f[name] = data

    variant("codes_filetype.h5", lambda f: f.attrs.modify("filetype", np.bytes_("something_else")))
    variant("codes_version.h5", lambda f: f.attrs.modify("version", np.array([2, 0])))
    variant("codes_format.h5", lambda f: (f.attrs.modify("format", np.bytes_("mxfp5")), f.attrs.modify("long_form", np.bytes_("mxfp5"))))
    variant("codes_no_codes.h5", lambda f: f.pop("codes"))
    variant("codes_no_scales.h5", lambda f: f.pop("scales"))
    variant("codes_few_scales.h5", lambda f: replace(f, "scales", np.zeros((2, 1), np.uint8)))
    variant("codes_too_big.h5", lambda f: replace(f, "codes", np.full((4, 64), 16, np.uint8)))
    variant("codes_float.h5", lambda f: replace(f, "codes", np.zeros((4, 64), np.float64)))
    variant("codes_axis.h5", lambda f: f.attrs.modify("axis", np.int64(7)))
    variant("codes_transform.h5", lambda f: f.attrs.modify("transform", np.bytes_("xy")))


def write_all(folder):
    np.save(folder / "x.npy", np.linspace(-3, 3, 256, dtype=np.float32).reshape(4, 64))
    np.save(folder / "other_shape.npy", np.zeros((4, 32), np.float32))
    np.save(folder / "odd.npy", np.zeros((3, 7), np.float32))
    for name, content in {**NPY, **ST}.items():
        (folder / name).write_bytes(content)
    for name, index in FOLDERS.items():
        (folder / name).mkdir()
        (folder / name / "model.safetensors.index.json").write_text(index)
        (folder / name / "one.safetensors").write_bytes(safetensors({"a": entry()}, F4))
    for name in ("empty_folder", "two_indexes", "same_name", "folder.npy", "out_folder"):
        (folder / name).mkdir()
    for name in ("a", "b"):
        (folder / "two_indexes" / f"{name}.safetensors.index.json").write_text("{}")
        (folder / "same_name" / f"{name}.safetensors").write_bytes(safetensors({"w": entry()}, F4))
    (folder / "notes.txt").write_text("text")
    (folder / "existing.npy").write_text("precious")
    (folder / "existing.h5").write_text("precious")
    (folder / "existing.safetensors").write_text("precious")
    os.mkfifo(folder / "pipe.npy")
    write_h5(folder)
    write_codes(folder)
    (folder / "gpt.safetensors").write_bytes(safetensors({"w_blocks": entry("U8", (4, 2, 16), (0, 128)), "w_scales": entry("U8", (4, 1), (128, 132))}, bytes(132)))
    (folder / "gpt_shape.safetensors").write_bytes(safetensors({"w_blocks": entry("U8", (4, 32), (0, 128)), "w_scales": entry("U8", (4, 2), (128, 136))}, bytes(136)))
    (folder / "gpt_alone.safetensors").write_bytes(safetensors({"w_blocks": entry("U8", (4, 2, 16), (0, 128))}, bytes(128)))
    (folder / "gguf.safetensors").write_bytes(safetensors({"w": entry("U8", (2, 19), (0, 38))}, bytes(38)))
