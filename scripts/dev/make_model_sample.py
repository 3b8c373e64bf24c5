#!/usr/bin/python3
"""Makes results/reference/smollm2_135m_sample.h5: tensors of SmolLM2-135M at work, for tests and figures without network.

    scripts/get-model smollm2-135m
    scripts/dev/make_model_sample.py build/bin/lowbit

`lowbit capture` runs one window of 512 tokens (tests/vectors/model/persuasion_tokens.npy) through the model, forward and
backward, and stores bfloat16. Of the layers 0, 15 and 29 the sample keeps queries, keys and values (after RoPE), the
inputs of q_proj (those of k_proj and v_proj too) and of down_proj, and the output gradient of k_proj; of the logits all
49152 at every 16th token. Deflate (with the bytes shuffled) makes room: with the sample of MiniLM's weights the two stay
below 16 MB.
"""
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results/reference"
LAYERS = (0, 15, 29)
KEPT = ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.q_proj.x", "mlp.down_proj.x", "self_attn.k_proj.dy")
LOGIT_ROWS = np.arange(15, 512, 16)
LIMIT = 16_000_000


def put(sample, source, name, rows=None):
    """Copies a dataset, or some of its rows, bit for bit. The type of the file serves as the type in memory: the library
    must not convert bfloat16."""
    dataset = source[name]
    kind = dataset.id.get_type()
    values = np.empty(dataset.shape, np.uint16)
    dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, values, mtype=kind)
    if rows is not None:
        values = np.ascontiguousarray(values[:, rows])
    space = h5py.h5s.create_simple(values.shape)
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((1, min(64, values.shape[1]), values.shape[2]))
    creation.set_shuffle()
    creation.set_deflate(9)
    creation.set_fletcher32()
    creation.set_obj_track_times(False)
    target = h5py.h5d.create(sample.id, name.encode(), kind, space, creation)
    target.write(h5py.h5s.ALL, h5py.h5s.ALL, values, mtype=kind)
    for key, value in dataset.attrs.items():
        sample[name].attrs[key] = value


def main():
    target = REFERENCE / "smollm2_135m_sample.h5"
    with tempfile.TemporaryDirectory() as folder:
        everything = pathlib.Path(folder) / "all.h5"
        subprocess.run([sys.argv[1], "capture", "--model", "smollm2-135m", "--tokens", ROOT / "tests/vectors/model/persuasion_tokens.npy",
                        "-o", everything, "--layers", ",".join(map(str, LAYERS)), "--kinds", "x,dy,q,k,v,logits", "--dtype", "bf16",
                        "--context", "512", "--windows", "1"], check=True)
        with h5py.File(everything) as source, h5py.File(target, "w", libver=("v110", "v110")) as sample:
            for name, value in source.attrs.items():
                sample.attrs[name] = value
            for layer in LAYERS:
                for name in KEPT:
                    put(sample, source, f"model.layers.{layer}.{name}")
            put(sample, source, "logits", LOGIT_ROWS)
            sample["logits"].attrs["tokens"] = LOGIT_ROWS
    size, weights = target.stat().st_size, (REFERENCE / "minilm_l6_v2_sample.safetensors").stat().st_size
    print(f"{target}: {size} bytes, {size + weights} with the weights")
    if size + weights > LIMIT:
        sys.exit(f"the two samples are larger than {LIMIT} bytes")


if __name__ == "__main__":
    main()
