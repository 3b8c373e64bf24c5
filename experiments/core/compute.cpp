#include "experiments/core/compute.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "experiments/core/progress.hpp"
#include "experiments/core/shared_states.hpp"
#include "experiments/core/signals.hpp"
#include "formats/error.hpp"

namespace lowbit {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

Computed::Computed(const Plan& plan) : done(plan.point_count(), static_cast<std::uint8_t>(Done::missing)) {
  for (const OutputDeclaration& output : plan.experiment->outputs)
    outputs.emplace_back(plan.point_count() * plan.values_per_point(output), kNan);
}

void Computed::put(const Plan& plan, std::size_t point, const std::vector<double>& values, Done mark) {
  auto from = values.begin();
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const auto n = static_cast<std::ptrdiff_t>(plan.values_per_point(plan.experiment->outputs[o]));
    std::copy(from, from + n, outputs[o].begin() + static_cast<std::ptrdiff_t>(point) * n);
    from += n;
  }
  done[point] = static_cast<std::uint8_t>(mark);
}

std::size_t Computed::missing(const std::vector<std::size_t>& points) const {
  return static_cast<std::size_t>(
      std::count_if(points.begin(), points.end(), [&](std::size_t p) { return done[p] == 0; }));
}

std::vector<std::size_t> shard_points(const Plan& plan, std::size_t shard, std::size_t shards) {
  const std::vector<std::size_t> order = schedule(plan);
  const auto cut = [&](std::size_t i) {  // i * size / shards without overflow
    return static_cast<std::ptrdiff_t>(order.size() / shards * i + order.size() % shards * i / shards);
  };
  return {order.begin() + cut(shard), order.begin() + cut(shard + 1)};
}

std::vector<double> flatten(const Plan& plan, const Record& record) {
  std::vector<double> values;
  values.reserve(plan.values_per_point());
  std::size_t used = 0;
  for (const OutputDeclaration& output : plan.experiment->outputs) {
    const std::size_t n = plan.values_per_point(output);
    const std::vector<double>* given = record.find(output.name);
    if (given && given->size() != n)
      throw std::logic_error(
          fmt::format("output '{}' has {} values, its dims ask for {}", output.name, given->size(), n));
    used += given != nullptr;
    if (given)
      values.insert(values.end(), given->begin(), given->end());
    else
      values.insert(values.end(), n, kNan);
    if (output.narrow)  // rows of a run and of merged shards see the same numbers: those that are stored
      for (std::size_t i = values.size() - n; i < values.size(); ++i) values[i] = static_cast<float>(values[i]);
  }
  if (used != record.all().size()) throw std::logic_error("the point returns an output that is not declared");
  return values;
}

namespace {

/// One run: workers take points from a common counter; the first error or a signal stops them all.
class Workers {
 public:
  Workers(const Plan& plan, std::vector<std::size_t> points, std::size_t before, int inner_threads, Journal& journal,
          Computed& computed)
      : plan_(plan),
        points_(std::move(points)),
        inner_threads_(inner_threads),
        states_(plan, points_),
        journal_(journal),
        computed_(computed),
        progress_(plan.experiment->name, points_.size() + before, before) {}

  void work() {
    while (!failed_ && stop_signal() == 0) {
      const std::size_t i = next_++;
      if (i >= points_.size()) return;
      try {
        run(points_[i]);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failed_ || i < failed_at_) {
          error_ = std::current_exception();
          failed_at_ = i;
        }
        failed_ = true;
      }
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void run(std::size_t number) {
    const auto position = plan_.position(number);
    const Point point = PointFactory::make(plan_, &states_, position, inner_threads_);
    std::vector<double> values;
    try {
      values = flatten(plan_, plan_.experiment->point(point, plan_.point_rng(position)));
    } catch (const Error& e) {
      throw Error(fmt::format("{} at {}: {}", plan_.experiment->name, point.describe(), e.what()), e.code());
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& e) {
      throw std::runtime_error(fmt::format("{} at {}: {}", plan_.experiment->name, point.describe(), e.what()));
    }
    states_.finish(number);
    {
      const std::lock_guard lock(mutex_);
      journal_.append(number, values);
      computed_.put(plan_, number, values, Done::computed);
    }
    progress_.done();
  }

  const Plan& plan_;
  const std::vector<std::size_t> points_;
  const int inner_threads_;
  SharedStates states_;
  Journal& journal_;
  Computed& computed_;
  Progress progress_;
  std::mutex mutex_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::size_t failed_at_ = 0;
  std::exception_ptr error_;
};

}  // namespace

bool compute_points(const Plan& plan, const std::vector<std::size_t>& points, int threads, Journal& journal,
                    Computed& computed) {
  std::vector<std::size_t> todo;
  for (std::size_t point : points) {
    if (computed.done[point] != static_cast<std::uint8_t>(Done::missing)) continue;
    if (plan.experiment->where && !plan.experiment->where(PointFactory::make(plan, nullptr, plan.position(point), 1)))
      computed.done[point] = static_cast<std::uint8_t>(Done::not_applicable);
    else
      todo.push_back(point);
  }
  if (todo.empty()) return true;
  const bool alone = plan.experiment->runs_alone;
  const std::size_t count = alone ? 1 : std::min<std::size_t>(static_cast<std::size_t>(threads), todo.size());
  Workers workers(plan, todo, points.size() - todo.size(), alone ? threads : 1, journal, computed);
  std::vector<std::thread> pool;
  for (std::size_t t = 1; t < count; ++t) pool.emplace_back([&] { workers.work(); });
  workers.work();
  for (std::thread& thread : pool) thread.join();
  workers.rethrow();
  return computed.missing(points) == 0;
}

}  // namespace lowbit
