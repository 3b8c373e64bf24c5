// Input distributions for experiments: named families of random matrices, one file each, one table for all.
#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "sim/rng.hpp"

namespace lowbit {

/// A family with its parameters, as a name: "t:dof=3", "outlier_channels:gain=20:every=97". Value semantics.
class Source {
 public:
  static constexpr int kMaxParameters = 2;

  /// A parameter of a family: its key, default and closed range.
  struct Parameter {
    std::string_view key;
    double initial, low, high;
    std::string_view meaning;
  };
  using Fill = void (*)(const Source& source, Rng& rng, std::size_t rows, std::size_t columns, float* x);
  /// One row of the table of families.
  struct Family {
    std::string_view name;
    std::array<Parameter, kMaxParameters> parameters;  ///< unused ones have an empty key
    Fill fill;
    std::string_view description;
  };

  /// Parses FAMILY[:key=value]...; errors: unknown family or key, value outside its range.
  static Source parse(std::string_view name);
  static std::span<const Family> families();

  /// Draws a rows x columns matrix in C order. Each value is made in double and rounded once to float. The result is a
  /// function of the stream alone, equal on every machine.
  void fill(Rng& rng, std::size_t rows, std::size_t columns, float* x) const {
    family_->fill(*this, rng, rows, columns, x);
  }
  /// Value of parameter `i` of the family.
  double parameter(int i) const { return values_[i]; }
  /// Canonical name: the family and all its parameters.
  std::string name() const;
  const Family& family() const { return *family_; }

 private:
  const Family* family_ = nullptr;
  std::array<double, kMaxParameters> values_{};
};

/// Row i is multiplied by exp(spread z_i), z_i ~ N(0, 1): spreads the position of block maxima within their octave.
void scale_rows(Rng& rng, double spread, std::size_t rows, std::size_t columns, float* x);

/// Each run of `columns` values is multiplied by its own 2^u, u uniform on [0, 1): phase log-uniform over one octave.
void spread_octave(Rng& rng, std::size_t rows, std::size_t columns, float* x);

}  // namespace lowbit
