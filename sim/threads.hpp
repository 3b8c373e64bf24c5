// A small pool of threads for loops whose tasks are fixed beforehand, so that results do not depend on how many there
// are.
#pragma once
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "formats/workers.hpp"

namespace lowbit {

/// `count` threads (the caller's included) that share the tasks of a loop. Thread i begins with task i, the caller with
/// task 0; the others are handed out in order. A result must not depend on which thread runs a task. OpenBLAS is set to
/// one thread for the whole program: BLAS calls belong inside tasks.
class Threads : public Workers {
 public:
  /// 0: as many as the affinity mask of the process allows.
  explicit Threads(std::size_t count = 0);
  ~Threads() override;
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  std::size_t count() const { return workers_.size() + 1; }

  /// Runs task(0) .. task(tasks - 1) and returns when all are done. The first exception of a task is thrown again here,
  /// most of the tasks not yet begun are dropped then. Nested calls run on the calling thread.
  void parallel_for(std::size_t tasks, const std::function<void(std::size_t)>& task) override;

  /// Where task `thread` (below count()) of a loop to come begins to read: while that thread waits, for others or for
  /// the loop, it brings these bytes into its cache, kExpectedBytes at most. Only the time depends on it; the memory
  /// may be gone by then. From the caller of the loops.
  void expect(std::size_t thread, const void* begin, std::size_t bytes) {
    expected_[thread].bytes.store(std::min(bytes, kExpectedBytes), std::memory_order_relaxed);
    expected_[thread].begin.store(static_cast<const char*>(begin), std::memory_order_release);
  }
  static constexpr std::size_t kExpectedBytes = std::size_t{1} << 17;

 private:
  struct Expected;
  template <class Done>
  static bool spin_until(Done done, Expected& expected);
  void work(std::size_t thread);
  void drain(const std::function<void(std::size_t)>& task, std::size_t tasks, std::size_t thread);

  // Each on a cache line of its own: workers watch the first while the caller sets up the others.
  static constexpr std::size_t kLine = 64;
  struct alignas(kLine) Expected {
    std::atomic<const char*> begin{nullptr};
    std::atomic<std::size_t> bytes{0};
    // of the thread that waits: what is being fetched, as far as it has come
    const char* seen = nullptr;
    std::size_t fetched = 0;
    bool fetch_some();
  };

  std::vector<Expected> expected_;  // by thread
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_;
  std::exception_ptr error_;
  const std::function<void(std::size_t)>* task_ = nullptr;
  std::size_t tasks_ = 0;
  bool stop_ = false;
  alignas(kLine) std::atomic<std::size_t> round_{0};   ///< counts loops and the end; a change wakes the workers
  alignas(kLine) std::atomic<std::size_t> next_{0};    ///< next task
  alignas(kLine) std::atomic<std::size_t> active_{0};  ///< workers that have not finished the round
};

}  // namespace lowbit
