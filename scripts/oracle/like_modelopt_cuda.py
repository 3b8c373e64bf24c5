"""Vectors of ModelOpt's CUDA fake quantiser: the host functions of its kernel, taken out of the installed package's
tensor_quant_mx.cu and .h and compiled with g++ -O1 -ffp-contract=off (IEEE division, no flushing; a GPU build has
--use_fast_math). The maximum of a block is fmaxf over min(|x|, FLT_MAX), as compute_max has it.

The kernel leaves the sign of x = 0 and of NaN uninitialised: zeros are stored as +0 here, and NaN is left out but for the
FP8 elements, where it stays NaN. INT8 converts Inf to an int, which C leaves open: left out.
"""
import ctypes
import pathlib
import platform
import subprocess
import tempfile
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np

from like_inputs import VectorFile, inputs

TENSOR_BLOCKS = 256
TYPES = {"E4M3": 0, "E5M2": 1, "INT8": 2, "E2M1": 6, "E3M2": 7, "E2M3": 8}  # enum class Types
MX = {"mxfp8_e4m3": "E4M3", "mxfp8_e5m2": "E5M2", "mxfp6_e2m3": "E2M3", "mxfp6_e3m2": "E3M2", "mxfp4": "E2M1",
      "mxint8": "INT8"}
WRAPPER = """
extern "C" void quantize_blocks(const float* x, float* y, long blocks, long size, int format, const float* global_amax) {
  const Types type = static_cast<Types>(format);
  for (long b = 0; b < blocks; ++b, x += size, y += size) {
    float amax = std::min(std::fabs(x[0]), FLT_MAX);
    if (std::isnan(x[0])) amax = NAN;
    for (long i = 1; i < size; ++i) amax = fmaxf(amax, std::fabs(x[i]) > FLT_MAX ? FLT_MAX : std::fabs(x[i]));
    const auto [scale, unscale] = global_amax ? compute_scale_with_global(*global_amax, amax, type, Types::E4M3)
                                              : compute_scale(amax, type, Types::E8M0);
    for (long i = 0; i < size; ++i) y[i] = quantize(x[i], scale, unscale, type);
  }
}
"""


def build(folder):
    """Shared library of the host functions."""
    source = pathlib.Path(find_spec("modelopt").submodule_search_locations[0]) / "torch/kernels/quantization/gemm"
    cuda = pathlib.Path(find_spec("nvidia").submodule_search_locations[0]) / "cu13/include"
    kernel = (source / "tensor_quant_mx.cu").read_text()
    host = kernel[kernel.index("namespace {"):]
    host = host[: host.index("}; // anonymous namespace")] + "}\n"
    head = ('#include <cuda/std/bit>\n#include <cuda/std/tuple>\n#include <cuda_runtime.h>\n#include <algorithm>\n'
            '#include <climits>\n#include <cmath>\n#include <cstdint>\n#include <stdexcept>\nusing std::isinf;\nusing std::isnan;\n'
            '#include "tensor_quant_mx.h"\n')
    unit = pathlib.Path(folder) / "unit.cpp"
    unit.write_text(head + host + WRAPPER)
    library = pathlib.Path(folder) / "unit.so"
    subprocess.run(["g++", "-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared", "-w", f"-I{source}", f"-I{cuda}",
                    f"-I{cuda}/cccl", str(unit), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def run(library, x, kind, global_amax=None):
    y = np.empty_like(x)
    pointer = ctypes.POINTER(ctypes.c_float)
    amax = None if global_amax is None else ctypes.byref(ctypes.c_float(global_amax))
    library.quantize_blocks(x.ctypes.data_as(pointer), y.ctypes.data_as(pointer), ctypes.c_long(x.shape[0]),
                            ctypes.c_long(x.shape[1]), TYPES[kind], amax)
    return np.where(x == 0, np.float32(0), y)


def main():
    out = VectorFile(
        "modelopt_cuda",
        package=f"nvidia-modelopt {version('nvidia-modelopt')}, host functions of tensor_quant_mx.cu compiled with g++",
        call="compute_scale, compute_scale_with_global, quantize",
        machine=platform.machine(),
        exclude="13 but for FP8: the sign of a NaN is uninitialised; that of a zero too: +0 here; INT8 14: Inf to int",
    )
    with tempfile.TemporaryDirectory() as folder:
        library = build(folder)
        for name, kind in MX.items():
            exclude = () if kind in ("E4M3", "E5M2") else (13, 14) if kind == "INT8" else (13,)
            x = inputs(32, exclude=exclude)
            out.row(f"{name}:like=modelopt_cuda", 32, {"fake": run(library, x, kind)}, exclude=exclude)
        x = inputs(16, tensor=TENSOR_BLOCKS, exclude=(13,)).reshape(-1, TENSOR_BLOCKS, 16)
        values = np.concatenate([run(library, t, "E2M1", np.abs(t).max()) for t in x])
        out.row("nvfp4:like=modelopt_cuda", 16, {"fake": values}, tensor=TENSOR_BLOCKS, exclude=(13,))
    out.write()


main()
