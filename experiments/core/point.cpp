#include "experiments/core/point.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "experiments/core/plan.hpp"
#include "experiments/core/shared_states.hpp"

namespace lowbit {

const Value* Params::find(std::string_view name) const {
  for (const auto& [key, value] : values_)
    if (key == name) return &value;
  return nullptr;
}

const Value& Params::at(std::string_view name) const {
  if (const Value* value = find(name)) return *value;
  throw std::logic_error(fmt::format("parameter '{}' is read but not declared", name));
}

void Params::set(std::string_view name, Value value) {
  for (auto& [key, old] : values_)
    if (key == name) {
      old = std::move(value);
      return;
    }
  values_.emplace_back(std::string(name), std::move(value));
}

std::size_t Point::index(std::string_view axis) const {
  for (std::size_t a = 0; a < plan_->axes.size(); ++a) {
    if (plan_->axes[a].name != axis) continue;
    if (index_[a] == kHidden)
      throw std::logic_error(
          fmt::format("shared state of {} reads axis '{}' that it does not declare", plan_->experiment->name, axis));
    return index_[a];
  }
  throw std::logic_error(fmt::format("{} has no axis '{}'", plan_->experiment->name, axis));
}

const Value& Point::at(std::string_view name) const {
  if (const Value* param = plan_->params.find(name)) return *param;
  return coordinates(name)[index(name)];
}

const std::vector<Value>& Point::coordinates(std::string_view name) const {
  if (const PlannedAxis* axis = plan_->coordinate(name)) return axis->values;
  throw std::logic_error(fmt::format("{} has no axis, dim or parameter '{}'", plan_->experiment->name, name));
}

const void* Point::shared_state(std::string_view name, const std::type_info& type) const {
  return states_->get(name, type, index_, threads_);
}

std::string Point::describe() const {
  std::string text;
  for (std::size_t a = 0; a < plan_->axes.size(); ++a)
    if (index_[a] != kHidden)
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", plan_->axes[a].name,
                          plan_->axes[a].values[index_[a]].print());
  return text.empty() ? "its only point" : text;
}

Record::Record(std::initializer_list<std::pair<std::string, double>> scalars) {
  for (const auto& [name, value] : scalars) set(name, value);
}

Record& Record::set(std::string_view name, double value) {
  return set(name, std::vector<double>{value});
}

Record& Record::set(std::string_view name, std::vector<double> values) {
  if (find(name)) throw std::logic_error(fmt::format("output '{}' is set twice", name));
  values_.emplace_back(std::string(name), std::move(values));
  return *this;
}

const std::vector<double>* Record::find(std::string_view name) const {
  for (const auto& [key, values] : values_)
    if (key == name) return &values;
  return nullptr;
}

double Record::scalar(std::string_view name) const {
  const std::vector<double>* values = find(name);
  if (!values || values->size() != 1) throw std::logic_error(fmt::format("'{}' is no scalar of this record", name));
  return values->front();
}

}  // namespace lowbit
