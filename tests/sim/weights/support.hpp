// A tiny model, its text, and jobs of the driver on it.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "sim/weights/quantise_model.hpp"
#include "tests/sim/model/support.hpp"

namespace lowbit::test_weights {

using namespace lowbit::weights;
using lowbit::test::test_threads;

inline const model::Model& tiny() {
  static const model::Model m = model::Model::load(lowbit::test::family_folder("llama3"), test_threads());
  return m;
}

inline std::vector<std::int32_t> tokens() {
  return lowbit::test::Expected("llama3").tokens();
}

inline std::vector<float> logits(const model::Hooks& hooks, const std::vector<std::int32_t>& text) {
  const auto pass = model::forward(hooks, lowbit::test::batch(text), test_threads());
  return lowbit::test::all_logits(hooks, pass);
}

inline std::vector<std::span<const std::int32_t>> texts(const std::vector<std::int32_t>& text) {
  const std::span<const std::int32_t> all(text);
  return {all.first(lowbit::test::kTextLength), all.subspan(lowbit::test::kTextLength)};
}

inline ModelJob job_of(const Method& method, const std::string& format, bool activations,
                       const std::vector<std::int32_t>& text) {
  ModelJob job;
  job.method = &method;
  job.target.weight = OperandFormat::parse(format);
  if (activations) job.target.activation = job.target.weight;
  job.target.keep_codes = true;
  job.calibration = texts(text);
  return job;
}

}  // namespace lowbit::test_weights
