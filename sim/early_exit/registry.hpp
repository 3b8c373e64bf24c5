// Detectors and controllers by name, with parameters: "rcpd", "rcpd:scale=0.5", "budget:tokens=6000".
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/early_exit/detector.hpp"

namespace lowbit::early_exit {

/// Parameters of a detector as written after its name; every key must be used by the detector that gets them.
class Options {
 public:
  Options() = default;
  /// "key=value:key=value". Errors: no '=', empty key, duplicate key.
  Options(std::string_view detector, std::string_view text);
  /// The value of `key` in [low, high], or `fallback` where it is not given. Errors: not a number, outside the range.
  double number(const std::string& key, double fallback, double low, double high);
  /// The same of a whole number, written as one ("2", not "2.0" or "2e0").
  std::int64_t integer(const std::string& key, std::int64_t fallback, std::int64_t low, std::int64_t high);
  /// Error that names the first unknown key and the known ones.
  void finish() const;

 private:
  template <class T>
  T read(const std::string& key, T fallback, T low, T high, const char* what);

  std::string detector_;
  std::map<std::string, std::string> values_;
  std::vector<std::string> known_;
};

/// A detector as the command line names it.
struct DetectorKind {
  std::string_view name;
  std::string_view parameters;  ///< "tau=0.5 probability above which to stop"; empty for none
  std::unique_ptr<Detector> (*make)(Options& options);
};

/// All that there are, in the order of --help.
std::span<const DetectorKind> detector_kinds();

/// Error for unknown names and parameters: names the known ones.
std::unique_ptr<Detector> make_detector(std::string_view spec);

// One factory per file in detectors/.
std::unique_ptr<Detector> make_rcpd(Options&);
std::unique_ptr<Detector> make_rank_rule(Options&);
std::unique_ptr<Detector> make_token_rank_rule(Options&);
std::unique_ptr<Detector> make_probability(Options&);
std::unique_ptr<Detector> make_logit_boost(Options&);
std::unique_ptr<Detector> make_deer(Options&);
std::unique_ptr<Detector> make_deer_geometric(Options&);
std::unique_ptr<Detector> make_consistency(Options&);
std::unique_ptr<Detector> make_budget(Options&);
std::unique_ptr<Detector> make_full(Options&);
std::unique_ptr<Detector> make_no_think(Options&);

}  // namespace lowbit::early_exit
