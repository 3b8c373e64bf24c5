#include "experiments/core/shared_states.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace lowbit {
namespace {

bool depends_on(const SharedDeclaration& state, const std::string& axis) {
  return std::find(state.axes.begin(), state.axes.end(), axis) != state.axes.end();
}

}  // namespace

Point PointFactory::make(const Plan& plan, SharedStates* states, std::vector<std::size_t> index, int threads) {
  Point point;
  point.plan_ = &plan;
  point.states_ = states;
  point.index_ = std::move(index);
  point.threads_ = threads;
  return point;
}

SharedStates::SharedStates(const Plan& plan, const std::vector<std::size_t>& points)
    : plan_(plan), entries_(plan.experiment->shared.size()), made_(plan.experiment->shared.size()) {
  if (entries_.empty()) return;
  for (std::size_t point : points) {
    const auto position = plan.position(point);
    for (std::size_t s = 0; s < entries_.size(); ++s) {
      auto& entry = entries_[s][key(plan.experiment->shared[s], position)];
      if (!entry) entry = std::make_shared<Entry>();
      ++entry->waiting;
    }
  }
}

std::size_t SharedStates::key(const SharedDeclaration& state, const std::vector<std::size_t>& index) const {
  std::size_t key = 0;
  for (std::size_t a = 0; a < plan_.axes.size(); ++a) {
    if (!depends_on(state, plan_.axes[a].name)) continue;
    if (index[a] >= plan_.axes[a].values.size())
      throw std::logic_error(
          fmt::format("shared state '{}' is asked for where axis '{}' is not known: declare the axis", state.name,
                      plan_.axes[a].name));
    key = key * plan_.axes[a].values.size() + index[a];
  }
  return key;
}

const void* SharedStates::get(std::string_view name, const std::type_info& type, const std::vector<std::size_t>& index,
                              int threads) {
  const auto& declared = plan_.experiment->shared;
  const auto found = std::find_if(declared.begin(), declared.end(), [&](const auto& d) { return d.name == name; });
  if (found == declared.end())
    throw std::logic_error(fmt::format("{} has no shared state '{}'", plan_.experiment->name, name));
  if (*found->type != type) throw std::logic_error(fmt::format("shared state '{}' is read as another type", name));
  const auto s = static_cast<std::size_t>(found - declared.begin());
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard lock(mutex_);
    const auto at = entries_[s].find(key(*found, index));
    if (at == entries_[s].end())
      throw std::logic_error(fmt::format("shared state '{}' is used after its points", name));
    entry = at->second;
  }
  std::call_once(entry->once, [&] {
    std::vector<std::size_t> visible = index;
    for (std::size_t a = 0; a < visible.size(); ++a)
      if (!depends_on(*found, plan_.axes[a].name)) visible[a] = static_cast<std::size_t>(-1);
    entry->value = found->make(PointFactory::make(plan_, this, visible, threads), plan_.shared_rng(*found, index));
    const std::lock_guard lock(mutex_);
    ++made_[s];
  });
  return entry->value.get();
}

void SharedStates::finish(std::size_t point) {
  if (entries_.empty()) return;
  const auto position = plan_.position(point);
  std::vector<std::shared_ptr<Entry>> dropped;  // freed outside the lock: it may be large
  const std::lock_guard lock(mutex_);
  for (std::size_t s = 0; s < entries_.size(); ++s) {
    const auto at = entries_[s].find(key(plan_.experiment->shared[s], position));
    if (at == entries_[s].end() || --at->second->waiting > 0) continue;
    dropped.push_back(std::move(at->second));
    entries_[s].erase(at);
  }
}

std::size_t SharedStates::made(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  for (std::size_t s = 0; s < made_.size(); ++s)
    if (plan_.experiment->shared[s].name == name) return made_[s];
  return 0;
}

std::vector<std::size_t> schedule(const Plan& plan) {
  std::vector<std::size_t> order(plan.point_count());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<std::size_t> axes;  // those of the states, in the order of the states: the slowest first
  for (const SharedDeclaration& state : plan.experiment->shared)
    for (std::size_t a = 0; a < plan.axes.size(); ++a)
      if (depends_on(state, plan.axes[a].name) && std::find(axes.begin(), axes.end(), a) == axes.end())
        axes.push_back(a);
  if (axes.empty()) return order;
  std::vector<std::size_t> rank(order.size());
  for (std::size_t point : order) {
    const auto position = plan.position(point);
    for (std::size_t a : axes) rank[point] = rank[point] * plan.axes[a].values.size() + position[a];
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return rank[a] < rank[b]; });
  return order;
}

}  // namespace lowbit
