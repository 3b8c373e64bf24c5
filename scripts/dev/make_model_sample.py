#!/usr/bin/python3
"""Makes results/reference/smollm2_135m_sample.h5: tensors of SmolLM2-135M at work, for tests and figures without network.

    scripts/get-model smollm2-135m
    scripts/dev/make_model_sample.py build/bin/lowbit

`lowbit capture` runs one window of 512 tokens (tests/vectors/model/persuasion_tokens.npy) through the model, forward and
backward, and stores bfloat16. Of the layers 0, 15 and 29 the sample keeps queries, keys and values (after RoPE), the
inputs of q_proj (those of k_proj and v_proj too) and of down_proj, and the output gradient of k_proj.
"""
import pathlib
import subprocess
import sys
import tempfile

import h5py

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = (0, 15, 29)
KEPT = ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.q_proj.x", "mlp.down_proj.x", "self_attn.k_proj.dy")


def main():
    target = ROOT / "results/reference/smollm2_135m_sample.h5"
    with tempfile.TemporaryDirectory() as folder:
        everything = pathlib.Path(folder) / "all.h5"
        subprocess.run([sys.argv[1], "capture", "--model", "smollm2-135m", "--tokens", ROOT / "tests/vectors/model/persuasion_tokens.npy",
                        "-o", everything, "--layers", ",".join(map(str, LAYERS)), "--kinds", "x,dy,q,k,v", "--dtype", "bf16",
                        "--context", "512", "--windows", "1"], check=True)
        with h5py.File(everything) as source, h5py.File(target, "w", libver=("v110", "v110")) as sample:
            for name, value in source.attrs.items():
                sample.attrs[name] = value
            for layer in LAYERS:
                for name in KEPT:
                    source.copy(f"model.layers.{layer}.{name}", sample)
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
