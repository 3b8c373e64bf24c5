// Formats at the sites of a model: what --weights, --activations, --kv, --transform and --site say, as hooks.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/block.hpp"
#include "sim/model/hooks.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit::model {

/// A format at a site. `fixed_maximum`: ts=static, the maximum that the second-level scale is made of.
struct SiteFormat {
  Format format;
  std::optional<float> fixed_maximum;
};

/// Largest finite |x| (after the transform) that each quantised tensor has shown, by the name of its site.
using Maxima = std::map<std::string, float>;

/// Reads a file of to_json's text, as eval --save-maxima (or a user) writes it: a JSON object of site names and
/// numbers. Error (bad_data): not such a file, a number that is negative or no finite float32.
Maxima read_maxima(const std::string& path);
/// One line a site, in the order of their names.
std::string to_json(const Maxima& maxima);

/// Fake quantisation of `rows` along the channels after `transform`, in place, as one tensor: value i of row t has flat
/// index t * columns + i. `back`: the transform is undone. Tensor maxima for ts=fp32 are taken over all rows unless
/// fixed.
void quantise_rows(const SiteFormat* format, const Transform& transform, bool back, std::uint64_t stream, Rows rows,
                   Threads& threads);

/// Options of the command line, as typed.
struct SiteOptions {
  std::string weights, activations, kv;  ///< format names; empty: as they are
  std::string transform = "id";          ///< of x and W along the input features, on both
  std::string kv_transform = "id";       ///< of K and V along the head, undone after quantising
  bool include_lm_head = false;          ///< take lm_head in where a rule names all linear layers
  std::vector<int> skip_layers;          ///< layers that --weights, --activations and --kv leave alone
  std::vector<std::string> sites;        ///< "PATTERN.SITE=FORMAT": globs on module names, later rules win

  /// Whether any site may get a format.
  bool any() const { return !weights.empty() || !activations.empty() || !kv.empty() || !sites.empty(); }
};

/// What was attached.
struct SiteSummary {
  double bits_weight = 32, bits_activation = 32, bits_kv = 32;  ///< stored bits a value, means over all values in scope
  std::vector<std::string> warnings;                            ///< ragged groups, one line per width
};

/// Attaches quantisers to the hooks.
///
/// Linear layers (all but lm_head and embeddings): x and W are rotated along the input features where `transform` is
/// given, and quantised along them; the product is that of the rotated operands. A random transform takes its signs
/// from the layer's name, the same for both. For a second-level scale a tensor is one named weight, or x of one
/// sequence; for K and V of a cache it must be static (ts=none or ts=static:FILE). K and V: per token along the head,
/// after RoPE, no residual.
///
/// SITE is weight, input or output (of linear layers), or q_pre, k_pre, q, k, v (of self_attn; k and v are what the
/// cache stores). FORMAT is a name, with :ts=static:FILE at its end for calibrated maxima, or none.
///
/// `maxima`, where given, receives what each site shows during the passes. Error before any weight is touched: unknown
/// formats and transforms, rules that match nothing, transforms that do not divide or have no format to go with,
/// dynamic second-level scales in a cache.
SiteSummary attach(Hooks& hooks, const SiteOptions& options, Threads& threads, Maxima* maxima = nullptr);

}  // namespace lowbit::model
