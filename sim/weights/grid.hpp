// A grid: where each weight of a matrix may go. Scales are made once and stay; rounding then asks value by value.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/block.hpp"
#include "formats/block_quantizer.hpp"
#include "sim/model/tensor.hpp"
#include "sim/threads.hpp"
#include "sim/weights/log_levels.hpp"
#include "sim/weights/nearest.hpp"

namespace lowbit::weights {

using model::ConstRows;
using model::Matrix;
using model::Rows;

/// Where the scales of a grid come from.
enum class ScaleSearch {
  absmax,    ///< the format's own rule
  mse,       ///< least sum |x - y|^2.4 over candidates (FP-Quant's "mse" observer)
  mse2,      ///< least sum (x - y)^2 over the same candidates
  alternate  ///< group scales and tensor scale in turn (MR-GPTQ, section 4); formats with ts=fp32
};
std::string to_string(ScaleSearch search);

/// Settings that MR-GPTQ's code fixes, and those that its paper leaves open (rounds, gain).
struct SearchOptions {
  int steps = 100;  ///< candidates s (1 - step i), i = 0 .. steps - 1, s the absmax scale
  double step = 0.008;
  double power = 2.4;        ///< of mse
  int rounds = 20;           ///< alternate: most rounds; not stated in the paper
  double least_gain = 1e-4;  ///< alternate: stops below this relative gain; not stated in the paper
};

class Grid {
 public:
  /// Scales of the matrix w (out x in, finite) under `format`: groups of N along the columns, or channel; like= none or
  /// fp_quant. `tensor_amax`: what a second-level scale is made of (default: of w). Under absmax, round() gives the
  /// bits of fake_quantize. mse: the candidate of least error is taken with unrounded scales, then rounded to the scale
  /// element; with E8M0 scales the candidates are S and S / 2. A search keeps the absmax scale on equal errors.
  /// Error: formats that a grid cannot have (tiles, tensor groups, plain casts, ternary, stochastic rounding; a search
  /// with a zero point; alternate without ts=fp32), by name.
  static Grid make(const Format& format, ConstRows w, ScaleSearch search, Threads& threads,
                   std::optional<float> tensor_amax = {}, const SearchOptions& options = {});
  /// MXFP4-dagger: E2M1 in groups of 32 under log-uniform levels fitted to w.
  static Grid dagger(ConstRows w, std::size_t group = 32);

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  const Format& format() const { return format_; }
  /// The value of the grid that w goes to. w of float32 precision: the bits of the format's own rounding; any other is
  /// divided in double and the quotient rounded to float32 first.
  float value(std::size_t row, std::size_t column, double w) const;
  /// Values of a whole matrix.
  void round(ConstRows w, Rows y, Threads& threads) const;
  /// Split form of values that lie on the grid; dagger: as e2m1:gN:s=fp32 with its levels as scales. Decodes to the
  /// values up to two things that like=fp_quant's export does: every E2M1 zero is negative, and a block scale that
  /// rounds to 0, which counts as 1 there, is stored as 0.
  Quantized encode(ConstRows values, Threads& threads) const;
  const std::optional<LogLevels>& levels() const { return levels_; }
  /// Stored bits a value, scales included, second-level scales not.
  double bits() const;

 private:
  Grid(const Format& format, std::size_t rows, std::size_t columns);
  void set_quantizer(std::shared_ptr<const BlockQuantizer> quantizer);
  void round_group(const GroupState& state, const float* x, std::size_t n, std::uint32_t* codes, float* y) const;
  const GroupState& state(std::size_t row, std::size_t column) const {
    return states_[row * groups_ + column / group_];
  }

  Format format_, inner_;  ///< inner: the format that values are coded with under the states (no like=)
  std::size_t rows_, columns_, group_, groups_;
  std::optional<float> tensor_scale_;
  std::shared_ptr<const BlockQuantizer> quantizer_;
  std::optional<Nearest> nearest_;  ///< where float arithmetic gives the quantizer's bits
  std::vector<GroupState> states_;
  std::vector<std::uint32_t> scale_codes_;
  std::optional<LogLevels> levels_;
};

}  // namespace lowbit::weights
