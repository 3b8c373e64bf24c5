// What the function of an experiment sees (Point) and returns (Record).
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "experiments/core/axes.hpp"

namespace lowbit {

/// Parameters of a run, by name. Asking for one that is not declared is a std::logic_error.
class Params {
 public:
  double real(std::string_view name) const { return at(name).real(); }
  std::int64_t integer(std::string_view name) const { return at(name).integer(); }
  const std::string& text(std::string_view name) const { return at(name).text(); }
  const Value& at(std::string_view name) const;
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
  const std::vector<std::pair<std::string, Value>>& all() const { return values_; }

 private:
  std::vector<std::pair<std::string, Value>> values_;
};

struct Plan;

/// One point of the sweep: a coordinate on every axis, every parameter, and the state it shares with other points.
class Point {
 public:
  /// Value of an axis or parameter. std::logic_error for an undeclared name, and inside a shared state for an axis that
  /// the state does not declare.
  double real(std::string_view name) const { return at(name).real(); }
  std::int64_t integer(std::string_view name) const { return at(name).integer(); }
  const std::string& text(std::string_view name) const { return at(name).text(); }
  const Value& at(std::string_view name) const;
  /// Position of the point along an axis.
  std::size_t index(std::string_view axis) const;
  /// All coordinates of an axis or of an extra dim, in this run.
  const std::vector<Value>& coordinates(std::string_view name) const;
  /// State declared with Experiment::shared, computed on first use. T must be the type that its function returns.
  template <class T>
  const T& shared(std::string_view name) const {
    return *static_cast<const T*>(shared_state(name, typeid(T)));
  }
  /// Threads that this point may use itself; 1 unless the experiment runs_alone(). Results must not depend on it.
  int threads() const { return threads_; }
  /// "format=mxint8 kappa=2", for messages.
  std::string describe() const;

 private:
  friend class PointFactory;
  static constexpr std::size_t kHidden = static_cast<std::size_t>(-1);
  const void* shared_state(std::string_view name, const std::type_info& type) const;

  const Plan* plan_ = nullptr;
  class SharedStates* states_ = nullptr;
  std::vector<std::size_t> index_;  ///< per axis; kHidden inside a shared state that does not declare the axis
  int threads_ = 1;
};

/// Outputs of one point by name: a number, or the values of an output with extra dims in C order. An output that is
/// left out is stored as NaN; NaN itself is a legal value.
class Record {
 public:
  Record() = default;
  Record(std::initializer_list<std::pair<std::string, double>> scalars);
  Record& set(std::string_view name, double value);
  Record& set(std::string_view name, std::vector<double> values);
  const std::vector<double>* find(std::string_view name) const;
  /// The one value of a scalar output; std::logic_error if there is none.
  double scalar(std::string_view name) const;
  const std::vector<std::pair<std::string, std::vector<double>>>& all() const { return values_; }

 private:
  std::vector<std::pair<std::string, std::vector<double>>> values_;
};

}  // namespace lowbit
