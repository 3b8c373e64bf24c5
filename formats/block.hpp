// Quantising a tensor with a format: the fake-quantised form, the split form (codes, scales, zero points), and back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "formats/format.hpp"
#include "formats/workers.hpp"

namespace lowbit {

/// A dense C-order tensor seen from its quantised axis: element (o, i, k) lies at (o * length + i) * inner + k, groups
/// run along i. The row axis of tiles is the axis before the quantised one (after it when that is the first).
struct Layout {
  std::vector<std::size_t> shape;
  int axis = -1;  ///< quantised axis, negative counts from the end

  Layout() = default;
  /// Errors: axis out of range, product of the shape overflows size_t.
  Layout(std::vector<std::size_t> shape, int axis = -1);
  /// One contiguous vector of n values.
  static Layout vector(std::size_t n) { return Layout({n}, -1); }
  /// rows x columns, groups along the columns (contiguous).
  static Layout matrix(std::size_t rows, std::size_t columns) { return Layout({rows, columns}, -1); }

  std::size_t size() const;    ///< number of values
  std::size_t outer() const;   ///< product of the extents before the axis
  std::size_t length() const;  ///< extent of the axis
  std::size_t inner() const;   ///< product of the extents after the axis
  bool operator==(const Layout&) const = default;
};

/// What a format may need to know beside the values: all of it defaults to "this call sees the whole tensor".
struct QuantizeContext {
  std::uint64_t stream = 0;       ///< random stream of the tensor: stream_of(name)
  std::uint64_t first_index = 0;  ///< flat C-order index of the first value in the whole tensor (chunked calls)
  /// Maximum of |x| over the finite values of the whole tensor, for second-level scales: given for chunked calls and
  /// for calibrated (static) scales; taken from the data otherwise.
  std::optional<float> tensor_amax;
  /// Threads that share large tensors, or nullptr: the caller's alone. The values do not depend on it.
  Workers* workers = nullptr;
};

/// The split form. Groups are numbered in the C order of the tensor with its axis replaced by ceil(length / g) groups
/// (tiles: rows replaced as well; channel: 1; tensor: one group in all).
struct Quantized {
  Format format;
  Layout layout;
  int code_bytes = 1;                      ///< 1, 2 or 4 little-endian bytes a code
  std::vector<std::uint8_t> codes;         ///< layout.size() * code_bytes; integers in two's complement of code_bytes
  std::vector<std::uint32_t> scales;       ///< code of format.scale_element per group (fp32: the bits), empty for casts
  std::vector<std::uint32_t> zero_points;  ///< ZeroPoint::integer: the code; minimum: code of zero_element; else empty
  std::optional<float> tensor_scale;       ///< second-level scale

  std::uint32_t code(std::size_t i) const;  ///< code i, zero-extended to 32 bits from element.bits
  std::size_t group_count() const { return scales.size(); }
};

/// Number of groups, and the shape of the scales, that `format` makes of `layout`.
std::vector<std::size_t> scale_shape(const Format& format, const Layout& layout);
/// Group number of the value at flat index `i`.
std::size_t group_of(const Format& format, const Layout& layout, std::size_t i);

/// y = dequantise(quantise(x)), bit-exact, any length, ragged last groups included; y may be x. NaN and Inf as the
/// format's NanPolicy says; never throws for values. Error for tiles on a tensor of one axis, a tensor maximum that is
/// no finite number from 0, elements and scales whose maxima multiply beyond float32 under ts=.
///
/// fl() is one rounding to float32; a: largest finite magnitude of the group, A: of the tensor, Q: divisor of the range
/// (largest value of the element; 2^(b-1), (2^b-1)/2 for range=pow2, half).
/// * s=e8m0: X = 2^k by the rule, clamped to 2^-127..2^127; x / X exact, rounded once. OCP MX v1.0, 6.3.
/// * Floating scale: s = RNE(fl(a / Q)) in the scale element, saturating; element of fl(x / s).
/// * ts=fp32: G = fl(A / fl(Q * max scale)), c = RNE(fl(a / fl(Q * G))), s = fl(c * G) (at most FLT_MAX); element of
///   fl(x / s). ts=e8m0: G = 2^ceil(log2(A / (Q * max scale))), clamped. ModelOpt's order with IEEE division.
/// * A scale that is or rounds to 0: codes of +0 for the group (published code differs here, see like=). An E8M0 group
/// of
///   zeros alone: scale code 0, codes of +0.
/// * asym: l = min(0, min x), h = max(0, max x), s = RNE(fl(fl(h - l) / (2^b-1))), z = clamp(RNE(fl(-l / s))), code
///   clamp(round(fl(x / s)) + z); value fl((code - z) s). GPTQ, arXiv 2210.17323.
/// * min: m = RNE(min x) in the zero element, s = RNE(fl(fl(max - min) / (2^b-1))), code clamp(round(fl(fl(x - m) /
/// s))),
///   value fl(fl(s code) + m). Codes are made with the stored m (KIVI, arXiv 2402.02750, does not say). A constant
///   group has s = 0 and decodes to m; a minimum of zero is +0. asym and min on a range beyond FLT_MAX: differences are
///   taken of halves, so that codes are right; values may be Inf.
/// * twn: t = 0.7 mean |x|, s = mean of |x| above t, both in double and index order; code by |x| > t (no rounding).
///   absmean: s = mean |x|; absmax: s = a; grid: the first of s = RNE(a k / 40), k = 12..40, with the least sum of
///   squared errors in double; code of fl(x / s). Each s is rounded once to the scale element.
/// * NaN or Inf under nan=poison: NaN scale, all codes 0, zero point 0, values 0x7FC00000. Under nan=ignore: maxima,
/// means
///   and minima over the others, Inf saturates, NaN as a plain cast (0 for integers and ternary).
/// * flush: float32 subnormals count as zeros of their sign, in maxima too.
/// * sr: word number context.first_index + flat index; scales, minima and zero points are never stochastic.
void fake_quantize_ref(const Format& format, const Layout& layout, const float* x, float* y,
                       const QuantizeContext& context = {});
/// Plain casts round once from double; block formats convert to float first.
void fake_quantize_ref(const Format& format, const Layout& layout, const double* x, float* y,
                       const QuantizeContext& context = {});

/// Split form of x. Error under a like= implementation that has no codes.
Quantized encode_ref(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context = {});
Quantized encode_ref(const Format& format, const Layout& layout, const double* x, const QuantizeContext& context = {});

/// Values of the split form: the exact product of element, scale and second-level scale rounded once to float (Inf
/// where it overflows), min= with its two roundings; under like= the decode order of that implementation. Takes any
/// codes, also such as no encoder emits (-2^(b-1), NaN and Inf elements). Error if the parts do not have the sizes of
/// the layout.
void decode_ref(const Quantized& quantized, float* y);

/// The entry points that everything uses: dispatch to a kernel where one covers the format, else to *_ref.
void fake_quantize(const Format& format, const Layout& layout, const float* x, float* y,
                   const QuantizeContext& context = {});
Quantized encode(const Format& format, const Layout& layout, const float* x, const QuantizeContext& context = {});
void decode(const Quantized& quantized, float* y);

/// Largest |x| over finite values (0 if there is none): what a second-level scale is made of.
float finite_amax(const float* x, std::size_t n);

}  // namespace lowbit
