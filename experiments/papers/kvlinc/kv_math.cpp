#include "experiments/papers/kvlinc/kv_math.hpp"

namespace lowbit::kvlinc {
namespace {

kv::KvMath math_of(const std::string& name) {
  return name == "fused" ? kv::KvMath::fused : kv::KvMath::exact;
}

}  // namespace

Experiment with_kv_math(Experiment experiment) {
  return experiment.param("kv_math", "exact",
                          "sums over the packed codes that decoding reads: exact, with the bits of fake-quantised "
                          "rows; fused, scales folded "
                          "into queries and weights (equal to 1e-5)",
                          one_of({"exact", "fused"}));
}

kv::KvMath kv_math(const Params& params) {
  return math_of(params.text("kv_math"));
}

kv::KvMath kv_math(const Point& point) {
  return math_of(point.text("kv_math"));
}

}  // namespace lowbit::kvlinc
