#include "sim/model/sites.hpp"

#include <fnmatch.h>

#include <array>

#include "formats/error.hpp"
#include "formats/format.hpp"
#include "sim/model/config.hpp"

namespace lowbit::model {
namespace {

constexpr std::array<std::string_view, kLinears> kLinearNames = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
constexpr std::array<std::string_view, kLinearPoints> kLinearPointNames = {"input", "output", "input_gradient",
                                                                           "output_gradient", "weight_gradient"};
constexpr std::array<std::string_view, kLayerPoints> kLayerPointNames = {
    "input",       "self_attn.input", "self_attn.q_pre", "self_attn.k_pre", "self_attn.q",
    "self_attn.k", "self_attn.v",     "mlp.input",       "output"};
constexpr std::size_t kOutside = 2 + kLinearPoints;
constexpr std::size_t kPerLayer = kLinears * kLinearPoints + kLayerPoints;

std::size_t linear_width(const Config& c, Linear linear, bool output) {
  switch (linear) {
    case Linear::q_proj:
      return output ? c.heads * c.head_dim : c.hidden;
    case Linear::k_proj:
    case Linear::v_proj:
      return output ? c.kv_heads * c.head_dim : c.hidden;
    case Linear::o_proj:
      return output ? c.hidden : c.heads * c.head_dim;
    case Linear::gate_proj:
    case Linear::up_proj:
      return output ? c.intermediate : c.hidden;
    case Linear::down_proj:
      return output ? c.hidden : c.intermediate;
  }
  return 0;
}

std::size_t point_width(const Config& c, LayerPoint point) {
  switch (point) {
    case LayerPoint::q_pre:
    case LayerPoint::q:
      return c.heads * c.head_dim;
    case LayerPoint::k_pre:
    case LayerPoint::k:
    case LayerPoint::v:
      return c.kv_heads * c.head_dim;
    default:
      return c.hidden;
  }
}

// Outputs and their gradients are as wide as the linear layer's output; the other tensors (a gradient of the weight has
// rows of input features) as its input.
bool is_output(int point) {
  return point == static_cast<int>(LinearPoint::output) || point == static_cast<int>(LinearPoint::output_gradient);
}

}  // namespace

std::string_view linear_name(Linear linear) {
  return kLinearNames[static_cast<std::size_t>(linear)];
}

SiteTable::SiteTable(const Config& config) {
  sites_.push_back({"model.embed_tokens.output", -1, -1, config.hidden});
  sites_.push_back({"model.norm.output", -1, -1, config.hidden});
  for (int p = 0; p < kLinearPoints; ++p)
    sites_.push_back({fmt::format("lm_head.{}", kLinearPointNames[static_cast<std::size_t>(p)]), -1, kLinears,
                      is_output(p) ? config.vocabulary : config.hidden});
  for (int layer = 0; layer < static_cast<int>(config.layers); ++layer) {
    for (int l = 0; l < kLinears; ++l)
      for (int p = 0; p < kLinearPoints; ++p)
        sites_.push_back({fmt::format("model.layers.{}.{}.{}", layer, kLinearNames[static_cast<std::size_t>(l)],
                                      kLinearPointNames[static_cast<std::size_t>(p)]),
                          layer, l, linear_width(config, static_cast<Linear>(l), is_output(p))});
    for (int p = 0; p < kLayerPoints; ++p)
      sites_.push_back({fmt::format("model.layers.{}.{}", layer, kLayerPointNames[static_cast<std::size_t>(p)]), layer,
                        -1, point_width(config, static_cast<LayerPoint>(p))});
  }
}

std::size_t SiteTable::at(int layer, Linear linear, LinearPoint point) const {
  return kOutside + static_cast<std::size_t>(layer) * kPerLayer + static_cast<std::size_t>(linear) * kLinearPoints +
         static_cast<std::size_t>(point);
}

std::size_t SiteTable::at(int layer, LayerPoint point) const {
  return kOutside + static_cast<std::size_t>(layer) * kPerLayer + kLinears * kLinearPoints +
         static_cast<std::size_t>(point);
}

std::vector<std::size_t> SiteTable::match(std::string_view glob) const {
  std::vector<std::size_t> found;
  const std::string pattern(glob);
  for (std::size_t i = 0; i < sites_.size(); ++i)
    if (fnmatch(pattern.c_str(), sites_[i].name.c_str(), 0) == 0) found.push_back(i);
  if (!found.empty()) return found;
  std::vector<std::string> names;
  for (const Site& site : sites_) names.push_back(site.name);
  const auto nearest = did_you_mean(glob, names);
  throw_error(ExitCode::usage, "'{}' matches no tensor of the model; names are like {}", glob,
              nearest.value_or("model.layers.0.self_attn.q_proj.input"));
}

}  // namespace lowbit::model
