// Gate counts of a multiply-accumulate lane group (arXiv:2510.25602, appendix C, Table 6).
#pragma once
#include <array>
#include <string_view>

namespace lowbit::int_vs_fp {

/// The rows of Table 6.
enum class GateKind {
  multiplier,
  adder,
  exponent_adder,
  exponent_subtractor,
  exponent_comparator,
  aligner,
  normaliser
};
inline constexpr std::array<std::string_view, 7> kGateKindNames{
    "multiplier", "adder", "exponent_adder", "exponent_subtractor", "exponent_comparator", "aligner", "normaliser"};

/// A datapath: k lanes, x exponent bits (0 for integers), y mantissa bits (integers: magnitude bits, b - 1).
struct Datapath {
  std::string_view name;
  int lanes, exponent_bits, mantissa_bits;
  bool is_integer() const { return exponent_bits == 0; }
  /// Width of the float aligner: min(2^(x+1) + 2y, 24).
  int aligner_width() const;
};

/// The eight formats of Table 1 as datapaths: 32 lanes for MX, 16 for NV.
inline constexpr std::array<Datapath, 8> kDatapaths{{{"mxint8", 32, 0, 7},
                                                     {"mxfp8_e4m3", 32, 4, 3},
                                                     {"mxint6", 32, 0, 5},
                                                     {"mxfp6_e2m3", 32, 2, 3},
                                                     {"mxint4", 32, 0, 3},
                                                     {"mxfp4", 32, 2, 1},
                                                     {"nvint4", 16, 0, 3},
                                                     {"nvfp4", 16, 2, 1}}};

/// Number of cells of that kind: Table 6. Integers have a multiplier and an adder alone.
double gate_count(const Datapath& datapath, GateKind kind);

}  // namespace lowbit::int_vs_fp
