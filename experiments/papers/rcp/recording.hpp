// Stopping rules on recorded traces, where outcomes may be unknown and signals may be missing.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "experiments/papers/rcp/population.hpp"
#include "sim/early_exit/trace_file.hpp"

namespace lowbit::rcp {

/// A rule's stop on one trace.
struct RecordedStop {
  bool available = false;  ///< the trace has what the rule needs
  bool by_detector = false;
  std::int64_t think = 0, probe = 0;
  std::int64_t content = -1;  ///< -1 unknown
  early_exit::Outcome ok = early_exit::Outcome::unknown;
  std::int32_t sentences = 0;
};

/// Stops of the rules on the traces of a file; stops[d][i] is rule d on trace i, full[i] its own end.
struct Recording {
  std::vector<std::string> detectors;
  std::vector<std::uint64_t> keys;  ///< of the traces' ids (of their place where they have none)
  std::vector<std::int32_t> k_rcp;
  std::size_t simulated = 0;  ///< traces that a generator made
  std::vector<RecordedStop> full;
  std::vector<std::vector<RecordedStop>> stops;

  const std::vector<RecordedStop>& of(const std::string& detector) const;
};

/// Reads JSON Lines or HDF5 as a stream. kOracle stops at k_RCP and needs it; a rule that forces answers needs their
/// lengths too, which it is charged. Error 65 for a file with a bad line (its number and field, and how many there
/// are).
Recording read_recording(const std::string& path, const std::vector<std::string>& detectors, int threads);

/// What of a rule's accuracy is known.
struct KnownAccuracy {
  double available = 0, known = 0;  ///< traces
  Estimate accuracy;                ///< percent of the known, Wilson; NaN without any
  double worst = 0, best = 0;       ///< percent of all available: every unknown outcome wrong, or right
};
KnownAccuracy known_accuracy(const std::vector<RecordedStop>& stops);

/// (thinking + probe tokens) / full thinking tokens over the available traces, percent; NaN without any.
Estimate think_share(const Recording& recording, const std::vector<RecordedStop>& stops, std::uint64_t seed);
/// Total tokens / those of full thinking over traces where both answers' lengths are known, percent; NaN without any.
Estimate total_share(const Recording& recording, const std::vector<RecordedStop>& stops, std::uint64_t seed);

}  // namespace lowbit::rcp
