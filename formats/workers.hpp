// Who runs the tasks of a loop: the seam between the kernels, which cut tensors into fixed pieces, and whatever threads
// the caller has (sim/threads.hpp).
#pragma once
#include <cstddef>
#include <functional>

namespace lowbit {

class Workers {
 public:
  virtual ~Workers() = default;
  /// Runs task(0) .. task(tasks - 1), in any order and on any threads, and returns when all are done.
  virtual void parallel_for(std::size_t tasks, const std::function<void(std::size_t)>& task) = 0;
};

}  // namespace lowbit
