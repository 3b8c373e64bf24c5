#include "experiments/papers/mr_gptq/common.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "experiments/core/bootstrap.hpp"
#include "sim/portable_math.hpp"
#include "sim/source/tensor_source.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit::mr_gptq {
namespace {

constexpr std::size_t kBatches = 40;

std::string sample_path(std::string_view data) {
  const char* name = data == "weights" ? "minilm_l6_v2_sample.safetensors" : "smollm2_135m_sample.h5";
  return fmt::format("{}/results/reference/{}", LOWBIT_SOURCE_DIR, name);
}

/// Sums over one batch of groups.
struct Batch {
  double rel = 0, top = 0, groups = 0;
};

void add_group(const float* x, const float* y, std::size_t n, Batch& batch) {
  double square = 0, error = 0;
  std::size_t top = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double e = static_cast<double>(x[i]) - y[i];
    square += static_cast<double>(x[i]) * x[i];
    error += e * e;
    if (std::abs(x[i]) > std::abs(x[top])) top = i;
  }
  if (square == 0) return;
  const double largest = x[top], e = largest - y[top];
  batch.rel += error / square;
  batch.top += e * e / (largest * largest);
  batch.groups += 1;
}

}  // namespace

std::string scaled_format(std::string_view scale, std::int64_t group) {
  if (scale == "e4m3") return fmt::format("nvfp4:g{}:like=fp_quant", group);
  if (scale == "e8m0") return fmt::format("mxfp4:g{}:like=fp_quant", group);
  return fmt::format("int4:g{}:s=fp32", group);
}

std::vector<float> synthetic(std::string_view data, std::size_t count, std::size_t group, Rng rng) {
  std::vector<float> x(count - count % group);
  Rng phases = rng.split("phases");
  for (std::size_t first = 0; first < x.size(); first += group) {
    const double factor = portable_exp(0.6931471805599453 * phases.uniform());
    for (std::size_t i = first; i < first + group; ++i) {
      const double v = data == "laplace" ? rng.laplace() * 0.7071067811865476 : rng.normal();
      x[i] = static_cast<float>(factor * v);
    }
  }
  return x;
}

std::string samples_missing() {
  for (const char* data : {"weights", "activations"})
    if (!std::filesystem::exists(sample_path(data)))
      return fmt::format("the sample '{}' is not there", sample_path(data));
  return "";
}

Vectors sample_tensors(std::string_view data) {
  Vectors all;
  for (auto& tensor : open_tensors(sample_path(data))) {
    const bool input = tensor.name.ends_with(".input") || tensor.name.ends_with(".x");
    if (tensor.shape.size() < 2 || !tensor.is_float()) continue;
    if (data == "activations" ? !input : tensor.name.find("weight") == std::string::npos) continue;
    all.push_back(tensor.load_float());
  }
  return all;
}

GroupErrors group_errors(const std::string& format, const std::string& transform, std::size_t group,
                         const Vectors& tensors, Rng rng) {
  const Format parsed = parse_format(format);
  const auto rotation = parse_transform(transform);
  std::vector<Batch> batches(kBatches);
  std::size_t count = 0, at = 0;
  for (const auto& x : tensors) count += x.size() / group;
  for (const auto& tensor : tensors) {
    const std::size_t n = tensor.size() / group * group;
    if (n == 0) continue;
    const Layout layout = Layout::vector(n);
    std::vector<float> y(n);
    lowbit::apply(*rotation, layout, tensor.data(), y.data());
    if (rotation->block() == 0) std::copy_n(tensor.begin(), n, y.begin());
    fake_quantize(parsed, layout, y.data(), y.data());
    apply_inverse(*rotation, layout, y.data(), y.data());
    for (std::size_t first = 0; first < n; first += group, ++at)
      add_group(&tensor[first], &y[first], group, batches[at * kBatches / count]);
  }
  GroupErrors errors;
  std::vector<double> rel, top, groups;
  for (const Batch& b : batches) {
    rel.push_back(b.rel), top.push_back(b.top), groups.push_back(b.groups);
    errors.rel += b.rel, errors.top += b.top, errors.groups += static_cast<std::size_t>(b.groups);
  }
  const double all = static_cast<double>(errors.groups);
  errors.rel /= all, errors.top /= all;
  errors.rel_interval = bootstrap_ratio(rel, groups, rng.split("rel"), 400);
  errors.top_interval = bootstrap_ratio(top, groups, rng.split("top"), 400);
  return errors;
}

Row exact_row(std::string quantity, double ours, std::string note) {
  Row row;
  row.quantity = std::move(quantity);
  row.ours = ours;
  row.exact = true;
  row.note = std::move(note);
  return row;
}

Row sampled_row(std::string quantity, double ours, Interval interval, std::string note) {
  Row row;
  row.quantity = std::move(quantity);
  row.ours = ours;
  row.interval = interval;
  row.note = std::move(note);
  return row;
}

Reference near(std::string quantity, double value, double tolerance, std::string source, std::string note) {
  return within(std::move(quantity), value, {value * (1 - tolerance), value * (1 + tolerance)}, std::move(source),
                std::move(note));
}

Reference within(std::string quantity, std::optional<double> value, Interval band, std::string source,
                 std::string note) {
  Reference reference;
  reference.quantity = std::move(quantity);
  reference.value = value;
  reference.source = std::move(source);
  reference.band = band;
  reference.note = std::move(note);
  return reference;
}

std::string weights_note(const Params& params) {
  return params.text("model") == "smollm2-135m" ? "the model's weights lie on a 4-bit grid (Q4_1)" : "";
}

Experiment declare(const std::string& name, std::string figure, std::string title) {
  return Experiment{"mr_gptq/" + name}.paper(kPaper, std::move(figure), std::move(title));
}

}  // namespace lowbit::mr_gptq
