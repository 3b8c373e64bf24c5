"""Vectors of NVIDIA ModelOpt's checkpoint formats: NVFP4QTensor (modelopt_export) and MXFP4QTensor (modelopt_mxfp4)."""
import platform
from importlib.metadata import version

import numpy as np
import torch
from modelopt.torch.quantization.qtensor.mxfp4_tensor import MXFP4QTensor
from modelopt.torch.quantization.qtensor.nvfp4_tensor import NVFP4QTensor

from like_inputs import VectorFile, inputs

TENSOR_BLOCKS = 256


def unpack(packed):
    return np.stack([packed & 15, packed >> 4], -1).reshape(-1)


def header(call):
    return dict(package=f"nvidia-modelopt {version('nvidia-modelopt')}", torch=torch.__version__, call=call,
                machine=platform.machine())


def nvfp4(x):
    data = torch.from_numpy(np.ascontiguousarray(x))
    packed, scale, tensor_scale = NVFP4QTensor.quantize(data.clone(), 16)
    values = packed.dequantize(torch.float32, scale=scale, double_scale=tensor_scale, block_sizes={-1: 16})
    return {
        "fake": values.numpy().reshape(-1),
        "codes": unpack(packed._quantized_data.numpy()),
        "scales": scale.view(torch.uint8).numpy().reshape(-1),
        "tensor": tensor_scale.numpy().reshape(1),
    }


def mxfp4(x):
    packed, scale = MXFP4QTensor.quantize(torch.from_numpy(x.copy()), 32)
    values = packed.dequantize(torch.float32, scale=scale, block_sizes={-1: 32})
    return {"fake": values.numpy(), "codes": unpack(packed._quantized_data.numpy()), "scales": scale.numpy().reshape(-1)}


def main():
    out = VectorFile("modelopt_export", **header("NVFP4QTensor.quantize, dequantize"),
                     exclude="rows with codes: 13; the sign of the NaN code varies with the vector path of torch's maximum")
    for exclude in ((), (13,)):
        x = inputs(16, tensor=TENSOR_BLOCKS, exclude=exclude).reshape(-1, TENSOR_BLOCKS, 16)
        parts = [nvfp4(t) for t in x]
        joined = {kind: np.concatenate([p[kind] for p in parts]) for kind in parts[0] if kind == "fake" or exclude}
        out.row("nvfp4:like=modelopt_export", 16, joined, tensor=TENSOR_BLOCKS, exclude=exclude)
    out.write()

    exclude = (13, 14)
    out = VectorFile("modelopt_mxfp4", **header("MXFP4QTensor.quantize, dequantize"),
                     exclude="13, 14: NaN and Inf are converted to integers, which C leaves open")
    out.row("mxfp4:like=modelopt_mxfp4", 32, mxfp4(inputs(32, exclude=exclude)), exclude=exclude)
    out.write()


main()
