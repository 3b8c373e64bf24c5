#include "sim/threads.hpp"

#include <cblas.h>
#include <sched.h>

#include <algorithm>
#include <chrono>

namespace lowbit {
namespace {

thread_local bool inside_task = false;

std::size_t allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
  return std::max(1, CPU_COUNT(&set));
}

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

// Whether there was anything to fetch.
bool Threads::Expected::fetch_some() {
  constexpr std::size_t kAtOnce = 4;  // few, so that the end of the wait is noticed
  if (const char* newest = begin.load(std::memory_order_acquire); newest != seen) {
    seen = newest;
    fetched = 0;
  }
  if (fetched >= bytes.load(std::memory_order_relaxed)) return false;
  for (std::size_t i = 0; i < kAtOnce; ++i, fetched += kLine) __builtin_prefetch(seen + fetched);
  return true;
}

// Loops follow each other within microseconds; sleeping between them would cost more than they do.
template <class Done>
bool Threads::spin_until(Done done, Expected& expected) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      if (!expected.fetch_some()) relax();
    }
  } while (std::chrono::steady_clock::now() < limit);
  return done();
}

Threads::Threads(std::size_t count) : expected_(count == 0 ? allowed_cpus() : count) {
  openblas_set_num_threads(1);
  for (std::size_t i = 1; i < expected_.size(); ++i) workers_.emplace_back([this, i] { work(i); });
}

Threads::~Threads() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    round_.fetch_add(1, std::memory_order_release);
  }
  start_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void Threads::drain(const std::function<void(std::size_t)>& task, std::size_t tasks, std::size_t thread) {
  inside_task = true;
  for (std::size_t i = thread; i < tasks; i = next_++) {
    try {
      task(i);
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      next_ = tasks;
    }
  }
  inside_task = false;
}

void Threads::work(std::size_t thread) {
  std::size_t seen = 0;
  while (true) {
    const auto changed = [&] { return round_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(changed, expected_[thread])) {
      std::unique_lock lock(mutex_);
      start_.wait(lock, changed);
    }
    if (stop_) return;
    seen = round_.load(std::memory_order_acquire);
    drain(*task_, tasks_, thread);
    active_.fetch_sub(1, std::memory_order_acq_rel);
  }
}

void Threads::parallel_for(std::size_t tasks, const std::function<void(std::size_t)>& task) {
  if (workers_.empty() || tasks <= 1 || inside_task) {
    for (std::size_t i = 0; i < tasks; ++i) task(i);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    task_ = &task;
    tasks_ = tasks;
    next_ = count();  // what no thread begins with
    error_ = nullptr;
    active_ = workers_.size();
    round_.fetch_add(1, std::memory_order_release);
  }
  start_.notify_all();
  drain(task, tasks, 0);
  const auto finished = [this] { return active_.load(std::memory_order_acquire) == 0; };
  while (!spin_until(finished, expected_[0])) std::this_thread::yield();
  if (error_) std::rethrow_exception(error_);
}

}  // namespace lowbit
