#include "sim/model/rope.hpp"

#include <cmath>
#include <numbers>

#include "sim/model/math.hpp"
#include "sim/portable_math.hpp"

namespace lowbit::model {
namespace {

// Llama 3.1: wavelengths beyond the original context are stretched by `factor`, short ones stay, those between are
// interpolated (transformers, modeling_rope_utils.py, _compute_llama3_parameters).
float llama3_frequency(float frequency, const RopeScaling& s) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  if (wavelength < s.original_context / s.high_frequency_factor) return frequency;
  if (wavelength > s.original_context / s.low_frequency_factor) return static_cast<float>(frequency / s.factor);
  const double smooth =
      (s.original_context / wavelength - s.low_frequency_factor) / (s.high_frequency_factor - s.low_frequency_factor);
  return static_cast<float>((1 - smooth) * frequency / s.factor + smooth * frequency);
}

}  // namespace

Rope::Rope(const Config& config) {
  const std::size_t half = config.head_dim / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const double exponent = static_cast<double>(2 * i) / static_cast<double>(config.head_dim);
    float frequency = static_cast<float>(1 / portable_pow(config.rope_theta, exponent));
    if (config.rope_scaling.kind == RopeScaling::Kind::linear)
      frequency = static_cast<float>(frequency / config.rope_scaling.factor);
    if (config.rope_scaling.kind == RopeScaling::Kind::llama3)
      frequency = llama3_frequency(frequency, config.rope_scaling);
    frequency_.push_back(frequency);
  }
}

Matrix Rope::table(const std::int64_t* positions, std::size_t count) const {
  const std::size_t half = frequency_.size();
  Matrix table(count, 2 * half);
  for (std::size_t t = 0; t < count; ++t)
    for (std::size_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(positions[t]) * frequency_[i];
      table.view().row(t)[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      table.view().row(t)[half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  return table;
}

void Rope::apply(Rows rows, ConstRows table, bool inverse) {
  const std::size_t half = table.columns / 2;
  for (std::size_t t = 0; t < rows.rows; ++t) {
    const float* cosine = table.row(t);
    const float* sine = cosine + half;
    for (float* head = rows.row(t); head != rows.row(t) + rows.columns; head += 2 * half)
      rotate_halves(cosine, sine, inverse, head, head + half, half);
  }
}

}  // namespace lowbit::model
