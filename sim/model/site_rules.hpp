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

/// Bits in which rows x columns values are stored: codes, and the scales and zero points of every group, a last one
/// that is not full included; 32 a value without a format. `whole`: these are a whole tensor, whose own scale (of a
/// tensor group, or of the second level) counts too.
double stored_bits(const SiteFormat* format, std::size_t rows, std::size_t columns, bool whole);

/// The options' formats at the sites of a model: those for all first, then each rule in order. Error (usage): unknown
/// formats, sites, layers, patterns that match nothing; Error (bad_data): a file of maxima that lacks a site.
SiteFormats resolve_rules(const Model& model, const SiteOptions& options);

}  // namespace lowbit::model
