"""Vectors of torchao's MX and NVFP4 tensors (prototype/mx_formats, emulated kernels on the CPU).

  like_torchao.py torchao_0_18                 the PyPI release that is installed
  like_torchao.py torchao --source FOLDER      a checkout of github.com/pytorch/ao at 36027d8
"""
import argparse
import platform
import sys

import numpy as np

from like_inputs import VectorFile, inputs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("name", choices=("torchao", "torchao_0_18"))
parser.add_argument("--source", help="folder of the checkout")
parser.add_argument("-o", "--out", help="folder of the vector file")
args = parser.parse_args()
if args.name == "torchao":
    sys.path.insert(0, args.source)

import torch  # noqa: E402  (after the path)
import torchao  # noqa: E402
from torchao.prototype.mx_formats import mx_tensor, nvfp4_tensor  # noqa: E402
from torchao.prototype.mx_formats.config import ScaleCalculationMode  # noqa: E402
from torchao.prototype.mx_formats.kernels import f4_unpacked_to_f32, unpack_uint4  # noqa: E402

TENSOR_BLOCKS = 256
ELEMENTS = {
    "mxfp8_e4m3": torch.float8_e4m3fn,
    "mxfp8_e5m2": torch.float8_e5m2,
    "mxfp6_e2m3": "fp6_e2m3",
    "mxfp6_e3m2": "fp6_e3m2",
    "mxfp4": torch.float4_e2m1fn_x2,
}
RULES = {"floor": "FLOOR", "ceil_pow2": "CEIL", "even": "EVEN", "ceil": "RCEIL"}


def mx(x, element, mode):
    """Values, codes and scale bytes of to_mx and to_dtype."""
    scale, data = mx_tensor.to_mx(torch.from_numpy(x), element, 32, mode)
    values = mx_tensor.to_dtype(data, scale, element, 32, torch.float32)
    codes = unpack_uint4(data) if element is torch.float4_e2m1fn_x2 else data.view(torch.uint8)
    return {"fake": values.numpy(), "codes": codes.numpy(), "scales": scale.view(torch.uint8).numpy().reshape(-1)}


def nvfp4(x, two_level):
    """One tensor through nvfp4_quantize and NVFP4Tensor.dequantize."""
    data = torch.from_numpy(x.reshape(-1, x.shape[-1]))
    tensor_scale = nvfp4_tensor.per_tensor_amax_to_scale(torch.amax(torch.abs(data))) if two_level else None
    packed = nvfp4_tensor.NVFP4Tensor.to_nvfp4(data, per_tensor_scale=tensor_scale)
    codes = unpack_uint4(packed.qdata.view(torch.uint8)).reshape(-1)
    return {
        "fake": packed.dequantize(torch.float32).numpy().reshape(-1),
        "codes": codes.numpy(),
        "scales": packed.scale.view(torch.uint8).numpy().reshape(-1),
        "tensor": np.float32(tensor_scale.item()) if two_level else np.float32(0),
    }


def main():
    out = VectorFile(
        args.name,
        package=f"torchao {torchao.__version__}" if args.name != "torchao" else "github.com/pytorch/ao 36027d8",
        torch=torch.__version__,
        call="mx_tensor.to_mx, to_dtype (block 32); nvfp4_tensor.NVFP4Tensor.to_nvfp4, dequantize",
        machine=platform.machine(),
    )
    x = inputs(32)
    for name, element in ELEMENTS.items():
        for rule, mode in RULES.items():
            outputs = mx(x, element, getattr(ScaleCalculationMode, mode))
            out.row(f"{name}:rule={rule}:like={args.name}", 32, outputs)
    x = inputs(16)
    one_level = nvfp4(x, False)
    del one_level["tensor"]
    out.row(f"nvfp4:ts=none:like={args.name}", 16, one_level)
    x = inputs(16, tensor=TENSOR_BLOCKS).reshape(-1, TENSOR_BLOCKS, 16)
    parts = [nvfp4(tensor, True) for tensor in x]
    joined = {kind: np.concatenate([np.atleast_1d(p[kind]) for p in parts]) for kind in parts[0]}
    out.row(f"nvfp4:like={args.name}", 16, joined, tensor=TENSOR_BLOCKS)
    out.write(args.out)


main()
