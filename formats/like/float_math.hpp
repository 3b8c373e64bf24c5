// Float32 operations that public implementations lean on, with their exact results: floor, ceil and round of the
// correctly rounded float32 log2, powers of two, maxima as PyTorch takes them. Free of the C library's log2, so the
// same everywhere.
#pragma once
#include <cstddef>
#include <span>

namespace lowbit::like {

/// floor(log2f(x)) where log2f is the correctly rounded float32 logarithm: one more than the exponent of x for the few
/// largest values below 2^k (2 below 2^8, 11 below 2^31, 44 below 2^100). 0 gives -Inf, Inf gives Inf, NaN and negative
/// values give NaN.
float floor_log2f(float x);

/// ceil(log2f(x)), the same log2f: k, one too low, for the few smallest values above 2^k. Special values as above.
float ceil_log2f(float x);

/// RNE(log2f(x)), the same log2f: to the nearest integer, halves (log2f(x) = k + 1/2 after its rounding) to even.
float round_log2f(float x);

/// 2^e for integral e, subnormal results included; Inf, -Inf and NaN give Inf, 0 and NaN.
float power_of_two(float e);

/// -1, 0 or 1; +0 for a zero of either sign and for NaN, as torch.sign.
float sign_of(float x);

/// max |x_i|, NaN if any is NaN (torch.amax, torch.max); 0 for no values.
float amax_or_nan(std::span<const float> x);

/// min(max(x, low), high); NaN stays NaN (torch.clamp). A zero keeps its sign.
float clamp_or_nan(float x, float low, float high);

}  // namespace lowbit::like
