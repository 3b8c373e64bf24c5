#include "sim/weights/grid.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "formats/error.hpp"
#include "formats/scale_rule.hpp"
#include "sim/model/site_actions.hpp"
#include "sim/weights/group_scale.hpp"
#include "sim/weights/scale_search.hpp"

namespace lowbit::weights {
namespace {

template <class... Args>
[[noreturn]] void refuse(const Format& format, fmt::format_string<Args...> text, Args&&... args) {
  throw_error(ExitCode::usage, "format {}: {}", to_string(format), fmt::format(text, std::forward<Args>(args)...));
}

void check_grid(const Format& f, ScaleSearch search) {
  const bool groups = f.group == GroupKind::size || f.group == GroupKind::channel;
  if (!groups) refuse(f, "a weight grid has groups along its rows (accepted: gN, channel)");
  if (!f.like.empty() && f.like != "fp_quant")
    refuse(f, "like={} has no weight grid (accepted: like=fp_quant)", f.like);
  if (f.element->bits > 8) refuse(f, "a weight grid has codes of a byte (accepted: elements of at most 8 bits)");
  if (f.conversion.rounding == Rounding::sr) refuse(f, "a weight grid rounds to nearest (accepted: any round= but sr)");
  if (scale_rule(f.rule).kind == ScaleRuleKind::ternary) refuse(f, "ternary codes have no weight grid");
  if (f.flush) refuse(f, "a weight grid keeps subnormals (leave out flush)");
  const bool shifted = f.zero_point != ZeroPoint::none;
  if (shifted && (search != ScaleSearch::absmax || !f.like.empty()))
    refuse(f, "grid={} needs a scale without zero point (accepted with asym and min: grid=absmax, no like=)",
           to_string(search));
  if (search == ScaleSearch::alternate && (f.second_level != SecondLevel::fp32 || !f.like.empty()))
    refuse(f, "grid=alternate fits a tensor scale (accepted: formats with ts=fp32, such as nvfp4, no like=)");
  if (search != ScaleSearch::absmax && f.element->kind == ElementKind::codebook)
    refuse(f, "scales are searched for float and integer elements (accepted here: grid=absmax)");
}

/// Whether Nearest and one product in double give the bits of the quantizer: its product is exact in double, and a
/// magnitude beyond the largest becomes the largest.
bool is_plain(const Format& f, bool two_levels) {
  const Element& e = *f.element;
  const bool saturates = f.conversion.overflow == Overflow::sat || !(e.has_nan() || e.has_infinity());
  const bool is_signed = e.is_integer() || (e.is_float() && e.is_signed && e.has_negative_zero() && saturates);
  const int precision = e.bits + std::min(f.scale_element->bits, 24) + (two_levels ? 24 : 0);
  return is_signed && e.bits <= 8 && precision <= 53 && f.zero_point == ZeroPoint::none &&
         f.conversion.rounding == Rounding::rne;
}

/// y = the nearest value times the scale; inverse is 0 where x is divided by `divisor`.
LOWBIT_WEIGHTS_INLINE float nearest_value(const Nearest& nearest, const GroupState& state, float x) {
  const float u = state.inverse != 0 ? static_cast<float>(x * state.inverse) : x / state.divisor;
  const float top = x < 0 ? nearest.negative_max : nearest.max;
  const float magnitude = nearest(std::min(std::fabs(u), 2 * top), top);
  const float y = static_cast<float>(static_cast<double>(magnitude) * state.step);
  // integers have no negative zero
  return nearest.is_float ? std::copysign(y, x) : x < 0 && y != 0 ? -y : y;
}
LOWBIT_WEIGHTS_CLONES void nearest_values(const Nearest& nearest, const GroupState& state, const float* x,
                                          std::size_t n, float* y) {
  for (std::size_t i = 0; i < n; ++i) y[i] = nearest_value(nearest, state, x[i]);
}

}  // namespace

std::string to_string(ScaleSearch search) {
  constexpr const char* kNames[] = {"absmax", "mse", "mse2", "alternate"};
  return kNames[static_cast<std::size_t>(search)];
}

Grid::Grid(const Format& format, std::size_t rows, std::size_t columns)
    : format_(format),
      inner_(inner_format(format)),
      rows_(rows),
      columns_(columns),
      group_(format.group == GroupKind::channel ? columns : format.group_size),
      groups_((columns + group_ - 1) / group_),
      states_(rows * groups_),
      scale_codes_(rows * groups_) {}

Grid Grid::make(const Format& format, ConstRows w, ScaleSearch search, Threads& threads,
                std::optional<float> tensor_amax, const SearchOptions& options) {
  check_grid(format, search);
  Grid grid(format, w.rows, w.columns);
  if (!tensor_amax) {
    tensor_amax = 0.0f;
    for (std::size_t i = 0; i < w.rows; ++i) tensor_amax = std::max(*tensor_amax, finite_amax(w.row(i), w.columns));
  }
  GroupScales scales(format, *tensor_amax);
  const auto fill = [&](auto&& choose) {
    model::for_row_pieces(w.rows, threads, [&](std::size_t first, std::size_t count) {
      for (std::size_t i = first; i < first + count; ++i)
        for (std::size_t g = 0; g < grid.groups_; ++g) {
          const std::size_t begin = g * grid.group_, n = std::min(grid.group_, w.columns - begin);
          const GroupScale chosen = choose(w.row(i) + begin, n);
          grid.states_[i * grid.groups_ + g] = chosen.state;
          grid.scale_codes_[i * grid.groups_ + g] = chosen.code;
        }
    });
  };
  if (search == ScaleSearch::alternate) {
    const float multiplier = alternate_scales(scales, format, w, threads, options);
    scales.set_tensor_scale(multiplier);
    fill([&](const float* x, std::size_t n) { return nearest_code_scale(scales, format, x, n); });
  } else if (search == ScaleSearch::absmax) {
    fill([&](const float* x, std::size_t n) { return scales.absmax(x, n); });
  } else {
    const double power = search == ScaleSearch::mse ? options.power : 2;
    fill([&](const float* x, std::size_t n) { return search_scale(scales, format, x, n, power, options); });
  }
  grid.tensor_scale_ = scales.tensor_scale();
  grid.set_quantizer(scales.shared_quantizer());
  return grid;
}

Grid Grid::dagger(ConstRows w, std::size_t group) {
  Grid grid(parse_format(fmt::format("e2m1:g{}:s=fp32", group)), w.rows, w.columns);
  std::vector<float> scales(grid.states_.size());
  absmax_scales(w, group, scales.data());
  grid.levels_ = LogLevels::fit(scales);
  grid.set_quantizer(make_block_quantizer(grid.inner_, std::nullopt));
  for (std::size_t i = 0; i < scales.size(); ++i) {
    grid.scale_codes_[i] = grid.levels_->code(scales[i]);
    const float s = grid.levels_->value(static_cast<std::uint8_t>(grid.scale_codes_[i]));
    grid.states_[i].step = s;
    grid.states_[i].divisor = s;
  }
  return grid;
}

void Grid::set_quantizer(std::shared_ptr<const BlockQuantizer> quantizer) {
  quantizer_ = std::move(quantizer);
  if (is_plain(inner_, inner_.second_level != SecondLevel::none)) nearest_.emplace(inner_);
}

float Grid::value(std::size_t row, std::size_t column, double w) const {
  const GroupState& group = state(row, column);
  const float x = static_cast<float>(w);
  if (nearest_ && group.kind == GroupState::regular && std::isfinite(x)) return nearest_value(*nearest_, group, x);
  std::uint32_t code;
  float y;
  quantizer_->encode(group, &x, 1, nullptr, &code);
  quantizer_->decode(group, &code, 1, &y);
  return y;
}

void Grid::round_group(const GroupState& state, const float* x, std::size_t n, std::uint32_t* codes, float* y) const {
  if (nearest_ && state.kind == GroupState::regular) return nearest_values(*nearest_, state, x, n, y);
  quantizer_->encode(state, x, n, nullptr, codes);
  quantizer_->decode(state, codes, n, y);
}

void Grid::round(ConstRows w, Rows y, Threads& threads) const {
  model::for_row_pieces(w.rows, threads, [&](std::size_t first, std::size_t count) {
    std::vector<std::uint32_t> codes(group_);
    for (std::size_t i = first; i < first + count; ++i)
      for (std::size_t begin = 0; begin < columns_; begin += group_)
        round_group(state(i, begin), w.row(i) + begin, std::min(group_, columns_ - begin), codes.data(),
                    y.row(i) + begin);
  });
}

Quantized Grid::encode(ConstRows values, Threads& threads) const {
  Quantized out{format_, Layout::matrix(rows_, columns_), 1, {}, {}, {}, tensor_scale_};
  out.codes.resize(rows_ * columns_);
  out.scales = scale_codes_;
  const bool fp_quant = !format_.like.empty(), shifted = format_.zero_point != ZeroPoint::none;
  const bool float_scales = format_.second_level == SecondLevel::none && format_.scale_element->bits == 32;
  for (std::size_t i = 0; float_scales && (fp_quant || levels_) && i < states_.size(); ++i)
    out.scales[i] = std::bit_cast<std::uint32_t>(states_[i].divisor);
  if (shifted)
    for (const GroupState& s : states_) out.zero_points.push_back(s.zero_code);
  model::for_row_pieces(rows_, threads, [&](std::size_t first, std::size_t count) {
    std::vector<std::uint32_t> codes(group_);
    for (std::size_t i = first; i < first + count; ++i)
      for (std::size_t begin = 0; begin < columns_; begin += group_) {
        const std::size_t n = std::min(group_, columns_ - begin);
        quantizer_->encode(state(i, begin), values.row(i) + begin, n, nullptr, codes.data());
        for (std::size_t c = 0; c < n; ++c) {
          auto code = static_cast<std::uint8_t>(codes[c]);
          if (!shifted && format_.element->is_integer() && (code >> (format_.element->bits - 1) & 1) != 0)
            code = static_cast<std::uint8_t>(code | 0xFFu << format_.element->bits);  // two's complement of a byte
          if (fp_quant && format_.element->is_float() && values.row(i)[begin + c] == 0) code = 8;  // as its packer
          out.codes[i * columns_ + begin + c] = code;
        }
      }
  });
  return out;
}

double Grid::bits() const {
  return levels_ ? 4.25 : format_.bits_per_value();
}

}  // namespace lowbit::weights
