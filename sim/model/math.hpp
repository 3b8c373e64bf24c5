// Elementwise parts of the model: exponentials, norms, activations. Bits do not depend on the instruction set: every
// loop is IEEE + - * / in a fixed order (sums in 16 lanes of double), compiled for several instruction sets.
#pragma once
#include <cstddef>

#include "sim/model/tensor.hpp"

namespace lowbit::model {

/// e^x in float32, error below 1.5 ulp. Below -87 the result is 0, above 88.3 it is e^88.3; NaN stays NaN.
void exp_values(const float* x, float* y, std::size_t n);

/// Sum of x_i * y_i in double: lanes i % 16, added pairwise.
double dot(const float* x, const float* y, std::size_t n);

inline constexpr std::size_t kRowLanes = 32;
/// Whether w is soon read again, so that it is worth a place in the caches.
enum class Reading { once, again };
/// y_i = w_i . x for each row w_i: products and sums in float32, lanes c % 32, added pairwise.
void row_products(ConstRows w, const float* x, float* y, Reading reading = Reading::once);
/// The same, one value after the other; bits are equal on every target.
void row_products_ref(ConstRows w, const float* x, float* y);

/// y_hc = sum of weight_hi * v_ic over the rows i, in their order, in float32. weight: heads x rows of v; y: heads x
/// columns of v; all zero where v has no rows.
void weighted_sums(ConstRows weight, ConstRows v, Rows y);
/// The same, one value after the other; bits are equal on every target.
void weighted_sums_ref(ConstRows weight, ConstRows v, Rows y);

/// y = gain * x / sqrt(mean(x^2) + epsilon), row by row; mean in double. y may be x.
void rms_norm(ConstRows x, const float* gain, double epsilon, Rows y);

/// Gradient of rms_norm: dx (written or, with `add`, added) from dy.
void rms_norm_backward(ConstRows x, const float* gain, double epsilon, ConstRows dy, Rows dx, bool add);

/// y = silu(gate) * up, silu(g) = g / (1 + e^-g). y may be gate or up.
void silu_product(const float* gate, const float* up, float* y, std::size_t n);

/// dgate and dup from the gradient dy of silu_product; dgate may be dy.
void silu_product_backward(const float* gate, const float* up, const float* dy, float* dgate, float* dup,
                           std::size_t n);

/// (a_i, b_i) = (a_i cos_i - b_i sin_i, b_i cos_i + a_i sin_i) in place, n values each; `inverse` turns the other way.
void rotate_halves(const float* cosine, const float* sine, bool inverse, float* a, float* b, std::size_t n);

/// y += x.
void add_to(const float* x, float* y, std::size_t n);

/// y *= factor.
void scale_values(float* y, float factor, std::size_t n);

/// Gradient of a softmax row: p_i = p_i ((dp_i - mean) scale) with mean = sum p dp.
void softmax_row_backward(float* p, const float* dp, float mean, float scale, std::size_t n);

/// s_i = e^(scale * s_i - m) with m = max_i scale * s_i, scale >= 0. Returns the sum of the results in double; n > 0. A
/// row that holds NaN gives NaN.
double exp_row(float* s, float scale, std::size_t n);

/// As exp_row, with the maximum and the sum returned and s left as it is: log sum e^s = maximum + log(sum).
struct SoftmaxStats {
  float maximum;
  double sum;
};
SoftmaxStats softmax_stats(const float* s, std::size_t n);

}  // namespace lowbit::model
