// Which format stands at which site: the rules of a command line resolved to names, before anything is attached.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "sim/model/model.hpp"
#include "sim/model/quantised_sites.hpp"

namespace lowbit::model {

/// Formats by site name ("model.layers.0.mlp.up_proj.weight", "... .input", "model.layers.0.self_attn.k").
using SiteFormats = std::map<std::string, SiteFormat>;

/// A format name with an optional ":ts=static:FILE" at its end; the maximum of `site` is looked up in FILE.
class FormatRule {
 public:
  explicit FormatRule(const std::string& text);
  /// No value for "none" and an empty text. Error where the file has no maximum of `site`.
  std::optional<SiteFormat> at(const std::string& site) const;

 private:
  std::optional<Format> format_;
  std::optional<Maxima> maxima_;
  std::string file_;
};

/// Linear layers in scope of rules for all: lm_head only where it is included.
std::vector<std::string> linear_names(const Model& model, bool include_lm_head);

SiteFormats resolve_rules(const Model& model, const SiteOptions& options);

}  // namespace lowbit::model
