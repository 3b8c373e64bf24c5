// Computes the points of a plan on several threads. The outputs do not depend on how many, nor on their order.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "experiments/core/journal.hpp"
#include "experiments/core/plan.hpp"

namespace lowbit {

/// Marks in the dataset `done`.
enum class Done : std::uint8_t { missing = 0, computed = 1, not_applicable = 2 };

/// Outputs of all points of a plan (NaN where there are none), in the order of the declaration.
struct Computed {
  std::vector<std::vector<double>> outputs;
  std::vector<std::uint8_t> done;  ///< Done, per point
  explicit Computed(const Plan& plan);
  /// Stores one point's values of all outputs.
  void put(const Plan& plan, std::size_t point, const std::vector<double>& values, Done mark);
  std::size_t missing(const std::vector<std::size_t>& points) const;
};

/// The points of shard `shard` of `shards`: a run of neighbours in the schedule.
std::vector<std::size_t> shard_points(const Plan& plan, std::size_t shard, std::size_t shards);

/// Values of all outputs of a record, in the order of the declaration. std::logic_error for an output that is not
/// declared or has another size than its dims.
std::vector<double> flatten(const Plan& plan, const Record& record);

/// Computes those of `points` that `computed` misses and appends each to the journal. Returns false if a signal stopped
/// it early (what is finished is in `computed` and in the journal). The first error of a point ends the run.
bool compute_points(const Plan& plan, const std::vector<std::size_t>& points, int threads, Journal& journal,
                    Computed& computed);

}  // namespace lowbit
