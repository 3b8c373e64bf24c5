#include "experiments/papers/int_vs_fp/gates.hpp"

#include <algorithm>

#include "sim/portable_math.hpp"

namespace lowbit::int_vs_fp {

int Datapath::aligner_width() const {
  return std::min((1 << (exponent_bits + 1)) + 2 * mantissa_bits, 24);
}

double gate_count(const Datapath& datapath, GateKind kind) {
  const double k = datapath.lanes, x = datapath.exponent_bits, y = datapath.mantissa_bits;
  if (datapath.is_integer()) {
    if (kind == GateKind::multiplier) return k * (x + y + 1) * (x + y + 1);
    return kind == GateKind::adder ? 2 * k * (x + y + 1) : 0;
  }
  const double n = datapath.aligner_width(), log2_n = portable_log(n) / portable_log(2);
  switch (kind) {
    case GateKind::multiplier:
      return k * (y + 1) * (y + 1);
    case GateKind::adder:
      return k * n;
    case GateKind::exponent_adder:
    case GateKind::exponent_subtractor:
    case GateKind::exponent_comparator:
      return k * x;
    case GateKind::aligner:
      return k * n * log2_n;
    case GateKind::normaliser:
      return n * log2_n;
  }
  return 0;
}

}  // namespace lowbit::int_vs_fp
