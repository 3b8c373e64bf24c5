// Vector twins of the *_ref routines: one source for all instruction sets through Google Highway, chosen at run time.
// A kernel covers what is common and hands every unusual group - NaN, Inf, exponents at the ends of the range - to the
// reference, so that bits never differ.
//
// Covered: groups of any length along the contiguous axis or across it, whole channels and tensors, under E8M0,
// floating and two-level scales, with zero points and minima; elements of at most 8 bits, NF4 and bitsandbytes FP4;
// ternary groups of a multiple of 16 along the contiguous axis; plain casts to signed floats of at most 19 bits and
// integers; rne, rna and sr. Left to the reference: like=, flush, rtz and rtsm, ovf under a scale, tiles, elements of
// more than 8 bits under a scale, sr of codebooks, ternary rule=grid and other ternary groups, casts to fp32, E8M0,
// UE4M3 and codebooks, the decoding of codes wider than a byte, inputs in double.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "formats/block.hpp"
#include "formats/packed.hpp"
#include "formats/rotate.hpp"

namespace lowbit::kernels {

/// The target that runs: "AVX3" (AVX-512), "AVX2", "NEON", "SVE" ..., or "ref" for the scalar reference.
/// LOWBIT_KERNEL=ref or a name of targets() forces one; Error for a name that is unknown or that this machine or build
/// lacks.
std::string_view target();

/// What LOWBIT_KERNEL accepts on this machine, best first, "ref" last.
std::vector<std::string> targets();

/// Overrides the target for tests and benchmarks; "" returns to the automatic choice.
void force_target(std::string_view name);

/// Version of Highway that was built in, or "none (scalar build)".
std::string_view highway_version();

/// Sets the SSE control register to the IEEE default (round to nearest, no FTZ, no DAZ) and puts the caller's back.
class DefaultRounding {
 public:
  DefaultRounding();
  ~DefaultRounding();
  DefaultRounding(const DefaultRounding&) = delete;
  DefaultRounding& operator=(const DefaultRounding&) = delete;

 private:
  unsigned saved_;
};

/// The kernel's part of fake_quantize: true if y has been written, false if no kernel covers the format or layout.
bool fake_quantize(const Format& format, const Layout& layout, const float* x, float* y,
                   const QuantizeContext& context);

/// The kernels' part of encode: true if all of `out` but its format and layout has been written.
bool encode(const Format& format, const Layout& layout, const float* x, Quantized& out, const QuantizeContext& context);

/// The kernels' part of decode, of parts whose sizes have been checked.
bool decode(const Quantized& quantized, float* y, Workers* workers = nullptr);

/// As encode and decode with packed parts; `rows` of codes begin on whole bytes.
bool encode_packed(const Format& format, const Layout& layout, const float* x, PackedTensor& out,
                   const QuantizeContext& context);
bool decode_packed(const PackedTensor& packed, float* y, Workers* workers);

/// The kernel's part of lowbit::hadamard: true if y has been written.
bool hadamard(const float* x, float* y, std::size_t n, std::size_t blocks, const float* signs, bool inverse);

/// The kernel's part of lowbit::rotate_quantize: true if y has been written.
bool rotate_quantize(const Format& format, const Layout& layout, const Rotation& rotation, const float* x, float* y,
                     const QuantizeContext& context);

/// n codes of `bits` bits, one a byte, as a dense bit stream, low bits first, and back (zero-extended); upper bits of a
/// code are ignored, unused ones of the last byte are 0. False, and nothing done, where the target is "ref".
bool pack_dense(int bits, const std::uint8_t* codes, std::size_t n, std::uint8_t* bytes);
bool unpack_dense(int bits, const std::uint8_t* bytes, std::size_t n, std::uint8_t* codes);

/// finite_amax on the target that runs; only where target() is not "ref".
float finite_maximum(const float* x, std::size_t n);

}  // namespace lowbit::kernels
