// Loops over tasks: each once, whatever the number of threads; errors; what threads bring into their caches.
#include "sim/threads.hpp"

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/support/catch.hpp"

namespace lowbit::test {
namespace {

TEST_CASE("every task runs once, on any number of threads", "[threads]") {
  for (std::size_t count = 1; count <= 5; ++count) {
    Threads threads(count);
    REQUIRE(threads.count() == count);
    for (std::size_t tasks = 0; tasks < 12; ++tasks) {
      std::vector<std::atomic<int>> runs(tasks);
      threads.parallel_for(tasks, [&](std::size_t i) { ++runs.at(i); });
      for (const auto& n : runs) CHECK(n == 1);
    }
  }
}

TEST_CASE("the caller runs the first task", "[threads]") {
  Threads threads(3);
  for (int round = 0; round < 100; ++round) {
    std::thread::id first;
    threads.parallel_for(7, [&](std::size_t i) {
      if (i == 0) first = std::this_thread::get_id();
    });
    CHECK(first == std::this_thread::get_id());
  }
}

TEST_CASE("an error of a task comes back, and the threads go on afterwards", "[threads]") {
  Threads threads(3);
  for (const std::size_t bad : {0, 1, 5, 99}) {
    CHECK_THROWS_AS(threads.parallel_for(100,
                                         [&](std::size_t i) {
                                           if (i == bad) throw std::runtime_error("task");
                                         }),
                    std::runtime_error);
    std::atomic<int> runs = 0;
    threads.parallel_for(10, [&](std::size_t) { ++runs; });
    CHECK(runs == 10);
  }
}

TEST_CASE("what a thread expects may be anything, gone or never read", "[threads]") {
  Threads threads(2);
  const std::vector<float> values(100, 1);
  for (const void* begin : {static_cast<const void*>(values.data()), static_cast<const void*>(nullptr),
                            reinterpret_cast<const void*>(std::uintptr_t{8})})
    for (std::size_t thread = 0; thread < threads.count(); ++thread) {
      threads.expect(thread, begin, 1000);
      std::atomic<int> runs = 0;
      threads.parallel_for(4, [&](std::size_t) { ++runs; });
      CHECK(runs == 4);
    }
}

}  // namespace
}  // namespace lowbit::test
