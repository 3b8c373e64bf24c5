"""Bytes of packed containers as the packages themselves write them, for tests/experiments/pack_test.py.

    python scripts/oracle/containers.py > tests/vectors/containers.tsv      (packages: requirements-like.txt)

The input is exact in float32: x[i] = ((i * 7919) % 2003 - 1001) / 128 in C order, shape (8, 256).
"""
import hashlib
from importlib.metadata import version

import gguf
import numpy as np
import torch
from compressed_tensors.compressors.nvfp4.helpers import pack_fp4_to_uint8
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.quant_scheme import NVFP4
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from modelopt.torch.quantization.qtensor import NVFP4QTensor
from torchao.prototype.mx_formats.utils import to_blocked

SHAPE = (8, 256)


def sample():
    i = np.arange(SHAPE[0] * SHAPE[1], dtype=np.int64)
    return (((i * 7919) % 2003 - 1001) / 128).astype(np.float32).reshape(SHAPE)


def row(layout, format, suffix, data, package):
    data = np.ascontiguousarray(data).tobytes()
    print(layout, format, suffix or "-", len(data), hashlib.sha256(data).hexdigest(), data[:16].hex(), f"{package} {version(package)}", sep="\t")


def ggml(x):
    for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ2_0", "TQ1_0", "MXFP4"):
        format = {"TQ1_0": "tq2_0", "MXFP4": "mxfp4:like=ggml"}.get(name, name.lower())
        row(f"ggml_{name.lower()}", format, "", gguf.quantize(x, getattr(gguf.GGMLQuantizationType, name)), "gguf")


def modelopt(t):
    packed, scales, scale_2 = NVFP4QTensor.quantize(t, 16)
    row("modelopt_nvfp4", "nvfp4", "", packed._quantized_data.numpy(), "nvidia-modelopt")
    row("modelopt_nvfp4", "nvfp4", "_scale", scales.view(torch.uint8).numpy(), "nvidia-modelopt")
    row("modelopt_nvfp4", "nvfp4", "_scale_2", np.float32(scale_2.item()), "nvidia-modelopt")
    row("blocked_128x4", "nvfp4", "_scale", to_blocked(scales.view(torch.uint8)).numpy(), "torchao")


def compressed_tensors(t):
    args = NVFP4["weights"]
    global_scale = generate_gparam(t.min(), t.max())
    groups = t.reshape(SHAPE[0], -1, 16)
    scale, zero_point = calculate_qparams(groups.amin(-1), groups.amax(-1), args, global_scale=global_scale)
    values = quantize(x=t, scale=scale, zero_point=zero_point, args=args, global_scale=global_scale)
    name, format = "compressed_tensors_nvfp4", "nvfp4:like=compressed_tensors"
    row(name, format, "_packed", pack_fp4_to_uint8(values).numpy(), "compressed-tensors")
    row(name, format, "_scale", scale.to(torch.float8_e4m3fn).view(torch.uint8).numpy(), "compressed-tensors")
    row(name, format, "_global_scale", np.float32(global_scale.item()), "compressed-tensors")


print("# Made by scripts/oracle/containers.py. layout, format, suffix of the tensor's name, bytes, SHA-256, first 16 bytes, package")
x = sample()
ggml(x)
modelopt(torch.from_numpy(x))
compressed_tensors(torch.from_numpy(x))
