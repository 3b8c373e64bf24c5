// Direct-cast inference (section 5.2): a model whose linear layers multiply quantised inputs by quantised weights, next
// to the model as it is. What the experiment kl computes at a point, and the rows of its report.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "experiments/core/experiment.hpp"
#include "sim/model/compare.hpp"
#include "sim/model/model.hpp"

namespace lowbit::int_vs_fp {

/// A model and the windows of the text that it reads.
struct EvaluatedModel {
  model::Model model;
  std::vector<std::int32_t> tokens;
  std::size_t context;
  std::span<const std::int32_t> window(std::size_t i) const {
    return std::span<const std::int32_t>(tokens).subspan(i * context, context);
  }
};

/// Weights and inputs of all linear layers but lm_head in `format`, rotated on both sides of the product by `transform`
/// ("id", "had", "rhad:seed=S") of the format's block size. Error: a format without blocks where a rotation is asked
/// for.
std::shared_ptr<const model::Hooks> direct_cast(const model::Model& model, const std::string& format,
                                                const std::string& transform, Threads& threads);

/// Rows of the report of kl.
std::vector<Row> kl_rows(const Results& results);

/// Name of the values of the axis transform that a row is over: all seeds of "rhad" are one.
inline constexpr const char* kTransforms[] = {"id", "had", "rhad"};

}  // namespace lowbit::int_vs_fp
