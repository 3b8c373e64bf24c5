// The parameter kv_math of the figures whose attention reads packed blocks.
#pragma once
#include "experiments/core/experiment.hpp"
#include "sim/kv/packed_rows.hpp"

namespace lowbit::kvlinc {

/// Adds the parameter kv_math: exact (default; the bits of fake-quantised rows) or fused (scales folded into queries
/// and weights, outputs equal to 1e-5).
Experiment with_kv_math(Experiment experiment);
kv::KvMath kv_math(const Params& params);
kv::KvMath kv_math(const Point& point);

}  // namespace lowbit::kvlinc
