// Training of correction adapters on heads of a model: what F6 and T2 share.
#pragma once
#include <vector>

#include "experiments/papers/kvlinc/model_text.hpp"
#include "sim/kv/cache.hpp"
#include "sim/kv/corrected.hpp"

namespace lowbit::kvlinc {

/// Error (usage) where a layer attends through a sliding window: see kv::refuse_window.
void refuse_windows(const model::Config& config);

/// Keys and values of a head as a method's cache gives them once all that is due is sealed.
struct Sealed {
  Matrix k, v;
  kv::Side rule;  ///< of the keys
};
Sealed seal(const Head& head, const std::string& method, const kv::MethodOptions& options);

/// A head, with the queries of all its tokens, as the trainer reads it: a query sees the slots that `view` shows it
/// sealed from the cache and the others as they are.
kv::CorrectionData correction_data(const Head& head, const Sealed& cache, kv::View view);

/// ||O - O^|| / ||O|| over the queries that see sealed slots, mean over query heads; `y`: outputs, or none for the
/// plain quantiser.
double output_error(const kv::CorrectionData& data, const std::vector<std::vector<double>>* y);

struct Schedule {
  std::size_t epochs = 0;  ///< passes over the chunks, a step of AdamW a chunk
  double rate = 0;         ///< a tenth of it whenever ten epochs have brought nothing
};
/// Trains in place; the parameters of the lowest validation loss stay. Returns the validation loss before the first and
/// after each epoch.
std::vector<double> train(kv::Correction& correction, const std::vector<kv::CorrectionData>& chunks,
                          const kv::CorrectionData& check, const Schedule& schedule);

}  // namespace lowbit::kvlinc
