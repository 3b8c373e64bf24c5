#include "sim/model/site_rules.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "formats/error.hpp"
#include "sim/source/input_file.hpp"

namespace lowbit::model {
namespace {

constexpr const char* kStatic = ":ts=static:";
const std::vector<std::string> kLinearSites = {"weight", "input", "output"};
const std::vector<std::string> kAttentionSites = {"q_pre", "k_pre", "q", "k", "v"};

bool matches(const std::string& glob, const std::string& name) {
  return fnmatch(glob.c_str(), name.c_str(), 0) == 0;
}
bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string attention_name(std::size_t layer) {
  return fmt::format("model.layers.{}.self_attn", layer);
}

void set(SiteFormats& formats, const FormatRule& rule, const std::string& site) {
  if (const auto format = rule.at(site))
    formats.insert_or_assign(site, *format);
  else
    formats.erase(site);
}

bool skipped(const SiteOptions& options, int layer) {
  return std::find(options.skip_layers.begin(), options.skip_layers.end(), layer) != options.skip_layers.end();
}

void apply_defaults(const Model& model, const SiteOptions& options, SiteFormats& formats) {
  for (const int layer : options.skip_layers)
    if (layer < 0 || layer >= static_cast<int>(model.config().layers))
      throw_error(ExitCode::usage, "--skip-layers: {} is no layer of the model; layers are 0 to {}", layer,
                  model.config().layers - 1);
  const FormatRule weights(options.weights), activations(options.activations), kv(options.kv);
  for (const Parameter& parameter : model.parameters()) {
    if (parameter.linear < 0 || skipped(options, parameter.layer)) continue;
    if (parameter.linear == kLinears && !options.include_lm_head) continue;
    const std::string name = parameter.name.substr(0, parameter.name.size() - 7);
    set(formats, weights, name + ".weight");
    set(formats, activations, name + ".input");
  }
  for (std::size_t layer = 0; layer < model.config().layers; ++layer)
    for (const char* site : {".k", ".v"})
      if (!skipped(options, static_cast<int>(layer))) set(formats, kv, attention_name(layer) + site);
}

// "PATTERN.SITE=FORMAT"
void apply_rule(const Model& model, const SiteOptions& options, const std::string& text, SiteFormats& formats) {
  const std::size_t equals = text.find('='), dot = text.substr(0, equals).rfind('.');
  if (equals == std::string::npos || dot == std::string::npos || dot == 0)
    throw_error(ExitCode::usage,
                "--site '{}': expected PATTERN.SITE=FORMAT, for example '*.down_proj.input=mxfp8_e4m3'", text);
  const std::string pattern = text.substr(0, dot), site = text.substr(dot + 1, equals - dot - 1);
  if (equals + 1 == text.size())
    throw_error(ExitCode::usage, "--site '{}': no format after '='; none leaves the site as it is", text);
  const FormatRule rule(text.substr(equals + 1));
  std::vector<std::string> modules;
  if (contains(kLinearSites, site)) {
    modules = linear_names(model, options.include_lm_head || pattern.find("lm_head") != std::string::npos);
  } else if (contains(kAttentionSites, site)) {
    for (std::size_t layer = 0; layer < model.config().layers; ++layer) modules.push_back(attention_name(layer));
  } else {
    throw_error(ExitCode::usage,
                "--site '{}': unknown site '{}'; accepted: weight, input, output, q_pre, k_pre, q, k, v", text, site);
  }
  bool found = false;
  for (const std::string& module : modules)
    if (matches(pattern, module)) {
      set(formats, rule, module + "." + site);
      found = true;
    }
  if (!found)
    throw_error(ExitCode::usage, "--site '{}': '{}' matches no module that has a site '{}'; modules are like {}", text,
                pattern, site, did_you_mean(pattern, modules).value_or(modules.front()));
}

}  // namespace

Maxima read_maxima(const std::string& path) {
  const auto json = nlohmann::json::parse(read_text(path, 64 << 20), nullptr, false);
  if (!json.is_object()) throw_error(ExitCode::bad_data, "'{}': expected a JSON object of site names and maxima", path);
  Maxima maxima;
  for (const auto& [name, value] : json.items()) {
    if (!value.is_number() || !std::isfinite(value.get<float>()) || value.get<double>() < 0)
      throw_error(ExitCode::bad_data, "'{}': maximum of {} is {}, expected a float32 number of at least 0", path, name,
                  value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    maxima[name] = value.get<float>();
  }
  return maxima;
}

std::string to_json(const Maxima& maxima) {
  return nlohmann::json(maxima).dump(1) + "\n";
}

FormatRule::FormatRule(const std::string& text) {
  if (text.empty() || text == "none") return;
  const std::size_t at = text.find(kStatic);
  if (at == std::string::npos) {
    if (text.ends_with(":ts=static") || text.find(":ts=static:") != std::string::npos)
      throw_error(ExitCode::usage,
                  "'{}': ts=static needs a file of maxima: ts=static:FILE, as eval --save-maxima writes it", text);
    format_ = parse_format(text);
    return;
  }
  std::string name = text.substr(0, at);
  file_ = text.substr(at + std::string(kStatic).size());
  Format format = parse_format(name);
  if (format.second_level == SecondLevel::none) format = parse_format(name + ":ts=fp32");
  format_ = format;
  maxima_ = read_maxima(file_);
}

std::optional<SiteFormat> FormatRule::at(const std::string& site) const {
  if (!format_) return std::nullopt;
  if (!maxima_) return SiteFormat{*format_, std::nullopt};
  const auto found = maxima_->find(site);
  if (found == maxima_->end()) throw_error(ExitCode::bad_data, "'{}': no maximum of {}", file_, site);
  return SiteFormat{*format_, found->second};
}

std::vector<std::string> linear_names(const Model& model, bool include_lm_head) {
  std::vector<std::string> names;
  for (const Parameter& parameter : model.parameters())
    if (parameter.linear >= 0 && (include_lm_head || parameter.linear != kLinears))
      names.push_back(parameter.name.substr(0, parameter.name.size() - 7));
  return names;
}

double stored_bits(const SiteFormat* format, std::size_t rows, std::size_t columns, bool whole) {
  const double n = static_cast<double>(rows * columns);
  if (format == nullptr) return 32 * n;
  const Format& f = format->format;
  const auto over = [](std::size_t size, std::size_t part) { return (size + part - 1) / part; };
  std::size_t groups = 0;
  if (f.group == GroupKind::size) groups = rows * over(columns, f.group_size);
  if (f.group == GroupKind::tile) groups = over(rows, f.tile_rows) * over(columns, f.group_size);
  if (f.group == GroupKind::channel) groups = rows;
  if (f.group == GroupKind::tensor && whole) groups = 1;
  return f.element->bits * n + f.group_bits() * static_cast<double>(groups) +
         (whole && f.second_level != SecondLevel::none ? 32 : 0);
}

SiteFormats resolve_rules(const Model& model, const SiteOptions& options) {
  SiteFormats formats;
  apply_defaults(model, options, formats);
  for (const std::string& rule : options.sites) apply_rule(model, options, rule, formats);
  return formats;
}

}  // namespace lowbit::model
