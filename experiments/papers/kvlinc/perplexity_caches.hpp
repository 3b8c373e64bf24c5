// What the points of T2 hang on a model: caches by name, the rules that methods keep, layer by layer, and trained
// corrections.
#pragma once
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "experiments/papers/kvlinc/model_text.hpp"
#include "sim/kv/cache.hpp"
#include "sim/kv/corrected.hpp"

namespace lowbit::kvlinc {

/// "kivi" or "kivi:sinks=4": a method whose first tokens stay unquantised; kvlinc_adapters is kvlinc with corrections.
struct NamedCache {
  std::string method;
  std::size_t sinks = 0;
  bool adapters = false;
};
/// Error (usage): sinks that are no number.
NamedCache parse_cache(const std::string& text);

/// What a method keeps, layer by layer: fitted once for all texts.
struct Fitted {
  std::vector<kv::LayerRules> layers;
  /// Bits a value that tokens take which are open while the last query attends: a pass over a whole text ends with
  /// them sealed.
  double open_bits = 0;
  double matched_bits = std::nan("");  ///< aimed at by --match bits
};
using FittedPtr = std::shared_ptr<const Fitted>;

/// Adds what is shared by points, and what policy_of reads: "model_text" with the windows after those that are
/// evaluated (one for calibration and validation, then those that adapters train on), "rules" (FittedPtr) and
/// "adapters", each trained alone on what the unquantised model makes of the training windows.
/// Reads the parameters texts, context, residual, group_span, match, features, chunks, epochs, rate and gain, and the
/// axes cache, view and bits.
Experiment with_caches(Experiment experiment);

/// Makes the policy of a point's cache for one sequence.
std::function<std::unique_ptr<kv::Policy>()> policy_of(const Point& p);

}  // namespace lowbit::kvlinc
