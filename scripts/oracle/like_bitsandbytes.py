"""Vectors of bitsandbytes' 4-bit types on the CPU: quantize_4bit and dequantize_4bit, FP32 absmax.

Blocks run over the values in memory order. The rows with tail= end in an incomplete block, which divides by its absmax
where the others multiply by the reciprocal.
"""
import platform
from importlib.metadata import version

import numpy as np
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit

from like_inputs import VectorFile, inputs

TENSOR_BLOCKS = 256
TAIL = 19  # values missing from the last block


def one_tensor(x, kind, block):
    data = torch.from_numpy(np.ascontiguousarray(x.reshape(-1)))
    packed, state = quantize_4bit(data, blocksize=block, quant_type=kind)
    values = dequantize_4bit(packed, state)
    bytes_ = packed.numpy().reshape(-1)
    codes = np.stack([bytes_ >> 4, bytes_ & 15], -1).reshape(-1)[: data.numel()]
    return {"fake": values.numpy().reshape(-1), "codes": codes, "scales": state.absmax.numpy()}


def join(parts):
    return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}


def main():
    out = VectorFile(
        "bitsandbytes",
        package=f"bitsandbytes {version('bitsandbytes')}",
        torch=f"{torch.__version__}, {torch.backends.cpu.get_cpu_capability()}",
        call="functional.quantize_4bit(compress_statistics=False), dequantize_4bit on CPU tensors",
        machine=platform.machine(),
    )
    for kind in ("nf4", "fp4"):
        name = "nf4" if kind == "nf4" else "bnb_fp4"
        for block in (64, 32, 128):
            x = inputs(block)
            out.row(f"{name}:g{block}:like=bitsandbytes", block, one_tensor(x, kind, block))
        x = inputs(64, tensor=TENSOR_BLOCKS).reshape(-1, TENSOR_BLOCKS * 64)[:, :-TAIL]
        parts = join([one_tensor(t, kind, 64) for t in x])
        out.row(f"{name}:g64:like=bitsandbytes", 64, parts, tensor=TENSOR_BLOCKS, tail=TAIL)
    out.write()


main()
