// Workers for tests: a thread for each share of a loop's tasks, begun anew for every loop.
#pragma once
#include <atomic>
#include <thread>
#include <vector>

#include "formats/workers.hpp"

namespace lowbit::test {

class SpawningWorkers final : public Workers {
 public:
  explicit SpawningWorkers(std::size_t count) : count_(count) {}
  void parallel_for(std::size_t tasks, const std::function<void(std::size_t)>& task) override {
    ++loops;
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < count_; ++t)
      threads.emplace_back([&] {
        for (std::size_t i = next++; i < tasks; i = next++) task(i);
      });
    for (std::thread& thread : threads) thread.join();
  }
  std::size_t loops = 0;

 private:
  std::size_t count_;
};

}  // namespace lowbit::test
