#include <algorithm>
#include <array>
#include <functional>

#include "formats/error.hpp"
#include "sim/kv/group_codec.hpp"
#include "sim/kv/methods/method.hpp"
#include "sim/transform/hadamard.hpp"

namespace lowbit::kv {
namespace {

class Plain : public Method {
 public:
  LayerRules rules(const LayerShape&, const Calibration*) const override { return {}; }
};

struct Entry {
  const char* name;
  std::function<MethodPtr(const MethodOptions&)> make;
};

const std::vector<Entry>& table() {
  static const std::vector<Entry> entries = {
      {"fp", [](const MethodOptions&) { return std::make_shared<Plain>(); }},
      {"kivi", [](const MethodOptions& o) { return make_kivi(o, false); }},
      {"kivi_pre", [](const MethodOptions& o) { return make_kivi(o, true); }},
      {"quarot", [](const MethodOptions& o) { return make_quarot(o); }},
      {"kvlinc", [](const MethodOptions& o) { return make_kvlinc(o, false); }},
      {"had_channel", [](const MethodOptions& o) { return make_kvlinc(o, true); }},
      {"per_token", [](const MethodOptions& o) { return make_per_token(o); }},
      {"gear", [](const MethodOptions& o) { return make_gear(o, true); }},
      {"gear_l", [](const MethodOptions& o) { return make_gear(o, false); }},
      {"resq", [](const MethodOptions& o) { return make_resq(o); }},
      {"kvquant", [](const MethodOptions& o) { return make_kvquant(o, {}); }},
      {"kvquant_0", [](const MethodOptions& o) { return make_kvquant(o, {.outliers = 0}); }},
      {"kvquant_post", [](const MethodOptions& o) { return make_kvquant(o, {.before_rope = false}); }},
      {"kvquant_uniform", [](const MethodOptions& o) { return make_kvquant(o, {.uniform = true}); }},
      {"kvquant_percentile", [](const MethodOptions& o) { return make_kvquant(o, {.percentile_range = true}); }},
      {"kvquant_fisher", [](const MethodOptions& o) { return make_kvquant(o, {.fisher = true}); }},
      {"kvquant_qnorm", [](const MethodOptions& o) { return make_kvquant(o, {.q_norm = true}); }},
      {"kvquant_fisher_qnorm",
       [](const MethodOptions& o) { return make_kvquant(o, {.fisher = true, .q_norm = true}); }},
      {"kvquant_percentile_uniform",
       [](const MethodOptions& o) { return make_kvquant(o, {.uniform = true, .percentile_range = true}); }},
  };
  return entries;
}

constexpr std::array kSchemes = {"raw_channel", "had_channel", "raw_token", "had_token"};

bool is_scheme(const std::string& name) {
  return std::find(kSchemes.begin(), kSchemes.end(), name) != kSchemes.end();
}

}  // namespace

std::shared_ptr<const Method> make_method(const std::string& name, const MethodOptions& options) {
  if (options.bits < 2 || options.bits > 8)
    throw_error(ExitCode::usage, "method {}: {} bits; 2 to 8 are accepted", name, options.bits);
  for (const Entry& entry : table())
    if (name == entry.name) return entry.make(options);
  if (const std::size_t plus = name.find('+'); plus != std::string::npos) {
    const std::string keys = name.substr(0, plus), values = name.substr(plus + 1);
    if (is_scheme(keys) && is_scheme(values)) return make_pair(keys, values, options);
  }
  const auto names = method_names();
  const auto meant = did_you_mean(name, names);
  throw_error(ExitCode::usage, "unknown method '{}'{}; accepted: {}, or KEYS+VALUES of {}", name,
              meant ? fmt::format(" (did you mean '{}'?)", *meant) : "", fmt::join(names, ", "),
              fmt::join(kSchemes, ", "));
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Entry& entry : table()) names.emplace_back(entry.name);
  return names;
}

std::string shape_note(const MethodOptions& options, const LayerShape& shape) {
  const std::size_t wanted = options.v_group.value_or(options.group), own = token_group(wanted, options, shape);
  if (own == wanted || options.format) return "";
  return fmt::format("token-wise groups of {} are those of the {} ({})", wanted,
                     options.group_span_layer ? "layer" : "head", own);
}

Format code_format(const MethodOptions& options, std::size_t group) {
  if (options.format) return *options.format;
  return parse_format(fmt::format("int{}:g{}:min:s=fp16:z=fp16", options.bits, group));
}

std::size_t token_group(std::size_t group, const MethodOptions& options, const LayerShape& shape) {
  return std::min(group, options.group_span_layer ? shape.kv_heads * shape.head_dim : shape.head_dim);
}

const Calibration& fitting_tokens(const Calibration* calibration, const char* method) {
  if (calibration == nullptr || calibration->k.rows == 0 || calibration->k_pre.rows == 0 || calibration->v.rows == 0)
    throw_error(ExitCode::bad_data, "method {}: no tokens to fit its tables to; at least one is expected", method);
  return *calibration;
}

Side plain_side(const std::string& scheme, std::size_t group, Window::Kind kind, const MethodOptions& options,
                const LayerShape& shape) {
  Side side;
  const bool channel = scheme.ends_with("channel");
  side.window = {kind, options.residual, options.sinks};
  side.whole_layer = !channel && options.group_span_layer;
  if (scheme.starts_with("had")) side.basis = make_hadamard(shape.head_dim, std::nullopt, 0);
  const Format format = code_format(options, channel ? group : token_group(group, options, shape));
  side.codecs = {std::make_shared<GroupCodec>(format, channel ? GroupAxis::channel : GroupAxis::token)};
  return side;
}

namespace {

class Pair : public Method {
 public:
  Pair(std::string keys, std::string values, const MethodOptions& options)
      : keys_(std::move(keys)), values_(std::move(values)), options_(options) {}
  LayerRules rules(const LayerShape& shape, const Calibration*) const override {
    const auto side = [&](const std::string& scheme, std::size_t group) {
      const auto kind = scheme.ends_with("channel") ? Window::Kind::filled : Window::Kind::sliding;
      return plain_side(scheme, group, kind, options_, shape);
    };
    return {side(keys_, options_.group), side(values_, options_.v_group.value_or(options_.group))};
  }

 private:
  std::string keys_, values_;
  MethodOptions options_;
};

}  // namespace

MethodPtr make_pair(const std::string& keys, const std::string& values, const MethodOptions& options) {
  return std::make_shared<Pair>(keys, values, options);
}

}  // namespace lowbit::kv
