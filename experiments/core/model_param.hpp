// The parameter "model" of experiments that run a language model: .param("model", kDefaultModel, kModelHelp, input_path())
// with .unavailable_when(model_missing).
#pragma once
#include <string>

namespace lowbit {

class Params;

inline constexpr const char* kDefaultModel = "smollm2-135m";
inline constexpr const char* kModelHelp = "name of a model that scripts/get-model fetches, or a model folder";

/// "" where the model that "model" names is there; where it is the default and has not been fetched, the command that
/// does, for rows that say not_run. Any other was asked for: error no_input if it is not there.
std::string model_missing(const Params& params);

}  // namespace lowbit
