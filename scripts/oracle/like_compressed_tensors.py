"""Vectors of compressed-tensors: calculate_qparams, then fake_quantize as forward_quantize calls it (with a zero point of
zeros where the scheme is symmetric), quantize as the compressors call it, dequantize in float32.

Codes of blocks whose scale is NaN or Inf are conversions that C leaves open: the rows with codes leave out the classes in
which that happens. The MX scale of a NaN is made of its bits, and these depend on whether torch's maximum took its vector
or its scalar path, that is on the number of groups: left out everywhere.
"""
import platform
from importlib.metadata import version

import numpy as np
import torch
from compressed_tensors.compressors.mx_utils import compress_mx_scale
from compressed_tensors.compressors.mxfp6.helpers import pack_fp6_to_uint8
from compressed_tensors.compressors.nvfp4.helpers import pack_fp4_to_uint8
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import dequantize, fake_quantize, quantize
from compressed_tensors.quantization.quant_scheme import MXFP4, MXFP6A16, MXFP8, NVFP4
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

from like_inputs import VectorFile, inputs

TENSOR_BLOCKS = 256
NOT_FINITE = (13, 14)
NAN_SCALE = (13,)  # MX: torch's vector and scalar maxima return NaNs with other bits, of which the scale is made
NOT_FINITE_SCALE = (8, 13, 14, 15)  # MX: a maximum that rounds up to 2^128, too


def unpack4(packed):
    return np.stack([packed & 15, packed >> 4], -1).reshape(-1)


def unpack6(packed):
    b = packed.reshape(-1, 3).astype(np.uint32)
    word = b[:, 0] | b[:, 1] << 8 | b[:, 2] << 16
    return np.stack([word >> s & 63 for s in (0, 6, 12, 18)], -1).astype(np.uint8).reshape(-1)


def scales_of(x, args, global_scale=None):
    return calculate_qparams(torch.amin(x, -1, keepdim=True), torch.amax(x, -1, keepdim=True), args, global_scale)


def codes_of(quantized, args):
    if args.type == "int":
        return quantized.numpy().astype(np.int8).view(np.uint8) & np.uint8((1 << args.num_bits) - 1)
    if args.num_bits == 8:
        return quantized.view(torch.uint8).numpy()
    if args.num_bits == 6:
        return unpack6(pack_fp6_to_uint8(quantized).numpy())
    return unpack4(pack_fp4_to_uint8(quantized).numpy())


def one_tensor(x, args, codes):
    """Every output of [blocks, group] values."""
    x = torch.from_numpy(x)
    two_level = args.strategy == "tensor_group"
    global_scale = generate_gparam(torch.amin(x), torch.amax(x)) if two_level else None
    scale, zero = scales_of(x, args, global_scale)
    out = {"fake": fake_quantize(x, scale, zero, args, global_scale=global_scale).numpy()}
    if not codes:
        return out
    # The packers of FP4 and FP6 drop the zero point of a symmetric scheme, the plain ones add its zeros.
    code_zero = None if args.type == "float" and args.num_bits < 8 else zero
    dtype = torch.int8 if args.type == "int" else torch.float8_e4m3fn if args.num_bits == 8 else None
    quantized = quantize(x, scale, code_zero, args, dtype=dtype, global_scale=global_scale)
    out["codes"] = codes_of(quantized, args)
    values = dequantize(quantized.float(), scale, code_zero, args, dtype=torch.float32, global_scale=global_scale)
    out["decode"] = values.numpy()
    flat = scale.reshape(-1)
    if args.scale_dtype == torch.uint8:
        flat = compress_mx_scale(flat, torch.uint8)
    elif two_level:
        flat = flat.to(torch.float8_e4m3fn).view(torch.uint8)
    out["scales"] = flat.numpy()
    if not args.symmetric:
        out["zeros"] = zero.reshape(-1).to(torch.int32).numpy()
    if two_level:
        out["tensor"] = global_scale.numpy()
    return out


def add(file, name, args, group, codes, exclude=(), tensor=0):
    x = inputs(group, tensor=tensor, exclude=exclude)
    parts = [one_tensor(t, args, codes) for t in (x.reshape(-1, tensor, group) if tensor else [x])]
    joined = {k: np.concatenate([p[k].reshape(-1) for p in parts]) for k in parts[0]}
    file.row(f"{name}:like=compressed_tensors", group, joined, tensor=tensor, exclude=exclude)


def both(file, name, args, group, exclude, tensor=0, fake_exclude=()):
    add(file, name, args, group, False, fake_exclude, tensor)
    add(file, name, args, group, True, exclude, tensor)


def integer(bits, group, symmetric):
    return QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, strategy="group", group_size=group)


def main():
    file = VectorFile(
        "compressed_tensors",
        package=f"compressed-tensors {version('compressed-tensors')}",
        torch=torch.__version__,
        call="calculate_qparams, fake_quantize, quantize, dequantize",
        machine=platform.machine(),
        exclude="rows with codes: classes with conversions of NaN and Inf to integers; MX: NaN, whose bits vary with the number of groups",
    )
    both(file, "mxfp4", MXFP4["weights"], 32, NOT_FINITE_SCALE, fake_exclude=NAN_SCALE)
    both(file, "mxfp6_e2m3", MXFP6A16["weights"], 32, NOT_FINITE_SCALE, fake_exclude=NAN_SCALE)
    both(file, "mxfp8_e4m3", MXFP8["weights"], 32, NOT_FINITE_SCALE, fake_exclude=NAN_SCALE)
    both(file, "nvfp4", NVFP4["weights"], 16, NOT_FINITE, TENSOR_BLOCKS)
    for bits, group in ((4, 128), (4, 32), (8, 32), (2, 16), (3, 32), (6, 64)):
        both(file, f"int{bits}:g{group}", integer(bits, group, True), group, NOT_FINITE)
    for bits, group in ((4, 128), (4, 32), (8, 32)):
        both(file, f"int{bits}:g{group}:asym", integer(bits, group, False), group, NOT_FINITE)
    file.write()


main()
