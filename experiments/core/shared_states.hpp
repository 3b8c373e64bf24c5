// State shared by points: made once for each combination of its axes, by whoever needs it first, and dropped when the
// last point that could need it is finished.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <typeinfo>
#include <vector>

#include "experiments/core/plan.hpp"

namespace lowbit {

class SharedStates {
 public:
  /// `points`: those of this run or shard, each finished exactly once.
  SharedStates(const Plan& plan, const std::vector<std::size_t>& points);
  /// The state for the axes it declares at `index`. std::logic_error for an unknown name or another type.
  const void* get(std::string_view name, const std::type_info& type, const std::vector<std::size_t>& index,
                  int threads);
  /// A point is done: states that no other point needs are freed.
  void finish(std::size_t point);
  /// How often a state was made, for tests.
  std::size_t made(std::string_view name) const;

 private:
  struct Entry {
    std::once_flag once;
    std::shared_ptr<const void> value;
    std::size_t waiting = 0;  ///< points not finished yet
  };
  /// Combination of the state's axes as one number.
  std::size_t key(const SharedDeclaration& state, const std::vector<std::size_t>& index) const;

  const Plan& plan_;
  mutable std::mutex mutex_;
  std::vector<std::map<std::size_t, std::shared_ptr<Entry>>> entries_;  ///< per state
  std::vector<std::size_t> made_;
};

/// The points in the order in which a run takes them: those that share state follow each other.
std::vector<std::size_t> schedule(const Plan& plan);

/// Makes the Points that functions of experiments see.
class PointFactory {
 public:
  static Point make(const Plan& plan, SharedStates* states, std::vector<std::size_t> index, int threads);
};

}  // namespace lowbit
