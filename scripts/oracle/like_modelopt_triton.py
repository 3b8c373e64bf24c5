"""Vectors of ModelOpt's Triton NVFP4 fake quantiser (fp4_fake_quant_kernel) in the interpreter of Triton 3.4.0 (later ones
have no block pointers; pip install --target FOLDER --no-deps triton==3.4.0, PYTHONPATH=FOLDER).

The interpreter's own cast to E4M3 is wrong (it drops the carry of the mantissa, rounds ties up and mistakes subnormals):
ml_dtypes casts here. Its quotient is the IEEE one; that of a GPU may be 2 ulp off. NaN and Inf are left out: the
interpreter's maximum keeps NaN, a GPU's skips it.
"""
import importlib.util
import os
import pathlib
import platform
import sys
import types
from importlib.metadata import version

os.environ["TRITON_INTERPRET"] = "1"

import ml_dtypes  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import triton  # noqa: E402
import triton.language as tl  # noqa: E402
from triton.runtime import interpreter  # noqa: E402

from like_inputs import VectorFile, inputs  # noqa: E402

TENSOR_BLOCKS = 256
EXCLUDE = (13, 14)
TILE_M, BLOCK = 256, 16
interpreters_cast = interpreter._convert_float


def cast(data, from_type, to_type, rounding):
    if to_type == tl.float8e4nv:
        assert from_type == tl.float32
        return np.asarray(data, np.float32).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    if from_type == tl.float8e4nv:
        assert to_type == tl.float32
        return np.asarray(data).view(ml_dtypes.float8_e4m3fn).astype(np.float32).view(np.uint32)
    return interpreters_cast(data, from_type, to_type, rounding)


interpreter._convert_float = cast


def load_kernels():
    """The kernel module of the installed package, without the package's own import of CUDA extensions."""
    spec = importlib.util.find_spec("modelopt")
    folder = pathlib.Path(spec.submodule_search_locations[0]) / "torch" / "kernels" / "quantization"
    for name, path in (("kernels", None), ("kernels.common", folder / "common"), ("kernels.gemm", folder / "gemm")):
        package = types.ModuleType(name)
        package.__path__ = [str(path or folder)]
        sys.modules[name] = package
    return importlib.import_module("kernels.gemm.fp4_kernel_hopper")


def quantize(kernels, x):
    data = torch.from_numpy(np.ascontiguousarray(x.reshape(-1, BLOCK)))
    out = torch.empty_like(data)
    global_scale = torch.amax(torch.abs(data)).float() / (6.0 * 448.0)
    rows = data.shape[0]
    kernels.fp4_fake_quant_kernel[(triton.cdiv(rows, TILE_M), 1)](
        data, out, rows, BLOCK, global_scale, *data.stride(), *out.stride(), BLOCK_SIZE=BLOCK, TILE_M=TILE_M, TILE_N=BLOCK,
        NUM_FP4_BLOCKS=1, OUT_DTYPE=tl.float32)
    return out.numpy()


def main():
    kernels = load_kernels()
    x = inputs(BLOCK, tensor=TENSOR_BLOCKS, exclude=EXCLUDE).reshape(-1, TENSOR_BLOCKS, BLOCK)
    values = np.concatenate([quantize(kernels, tensor) for tensor in x])
    out = VectorFile(
        "modelopt_triton",
        package=f"nvidia-modelopt {version('nvidia-modelopt')}",
        triton=f"{triton.__version__}, interpreter, its E4M3 cast replaced by ml_dtypes {ml_dtypes.__version__}",
        call="kernels/quantization/gemm/fp4_kernel_hopper.py fp4_fake_quant_kernel",
        machine=platform.machine(),
        exclude="13, 14: NaN and Inf, where the interpreter's maximum is not that of a GPU",
    )
    out.row("nvfp4:like=modelopt_triton", BLOCK, {"fake": values}, tensor=TENSOR_BLOCKS, exclude=EXCLUDE)
    out.write()


main()
