#include "experiments/core/model_param.hpp"

#include <fmt/format.h>

#include "experiments/core/point.hpp"
#include "formats/error.hpp"
#include "sim/model/model.hpp"

namespace lowbit {

std::string model_missing(const Params& params) {
  const std::string& name = params.text("model");
  try {
    model::find_model(name);
    return "";
  } catch (const Error&) {
    if (name != kDefaultModel) throw;
    return fmt::format("the model '{0}' is not there: scripts/get-model {0}, then this figure again", name);
  }
}

}  // namespace lowbit
