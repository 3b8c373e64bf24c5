// F4: bits and group size. F7: float, integer, MX and NV elements at equal bits.
#include <algorithm>
#include <cmath>
#include <optional>

#include "experiments/papers/kvlinc/errors.hpp"
#include "experiments/papers/kvlinc/open_tokens.hpp"
#include "experiments/papers/kvlinc/tables.hpp"

namespace lowbit {
namespace {
using namespace kvlinc;

const std::vector<std::string> kSchemes = {"raw_channel", "had_channel", "had_token", "raw_token"};
struct Pair {
  const char* name;
  std::size_t keys, values;  // schemes
};
constexpr Pair kPairs[] = {{"kivi", 0, 3}, {"quarot", 2, 2}, {"kvlinc", 0, 2}, {"had_channel", 1, 2}};

Head make_head(const Point& p, Rng rng) {
  return head_of(p, 64, rng);
}

Attention make_exact(const Point& p, Rng) {
  const Head& head = p.shared<Head>("head");
  return attention(head, head.k, head.v);
}

std::vector<std::string> pair_names() {
  std::vector<std::string> names;
  for (const Pair& pair : kPairs) names.emplace_back(pair.name);
  return names;
}

// Of drawn heads tokens to calibrate with come beside the others.
Head make_format_head(const Point& p, Rng rng) {
  return head_of(p, 64, rng, is_seed(p.text("tensor")));
}

// Of a file the first half of the tokens calibrates and the second half is measured.
Head make_half_head(const Point& p, Rng rng) {
  return head_of(p, 64, rng, true);
}

Attention make_half_exact(const Point& p, Rng) {
  const Head& head = p.shared<Head>("half_head");
  return attention(head, head.k, head.v);
}

// Errors of all schemes and pairs in one format of channel-wise and one of token-wise groups. `fixed`: tensor maxima
// are those of other tokens.
Record errors_of(const Point& p, const Format& channel, const Format& token, bool fixed = false) {
  const bool half = fixed && !is_seed(p.text("tensor"));
  const Head& head = p.shared<Head>(half ? "half_head" : "head");
  std::vector<Matrix> k, v;
  std::vector<double> k_error, v_error, output;
  for (const std::string& scheme : kSchemes) {
    const Format& format = scheme.ends_with("channel") ? channel : token;
    k.push_back(apply_scheme(head.k, scheme, format, fixed ? &head.fit_k : nullptr).rows);
    v.push_back(apply_scheme(head.v, scheme, format, fixed ? &head.fit_v : nullptr).rows);
    k_error.push_back(relative_error(head.k, k.back()));
    v_error.push_back(relative_error(head.v, v.back()));
  }
  for (const Pair& pair : kPairs) {
    const Attention changed = attention(head, k[pair.keys], v[pair.values]);
    output.push_back(attention_errors(p.shared<Attention>(half ? "half_exact" : "exact"), changed).output);
  }
  return Record().set("k_rel_f", k_error).set("v_rel_f", v_error).set("o_err", output);
}

Record compute_bits(const Point& p, Rng) {
  const auto bits = static_cast<int>(p.integer("bits"));
  const auto group = static_cast<std::size_t>(p.integer("group"));
  warn_of_group(group, p.shared<Head>("head").d);
  return errors_of(p, min_format(bits, group),
                   min_format(bits, std::min<std::size_t>(group, p.shared<Head>("head").d)));
}

// Bits a value of channel-wise groups; tokens that fill no group stay open, as float16.
double channel_bits(const Format& format, std::size_t tokens) {
  const auto open = static_cast<double>(tokens % format.group_size) / static_cast<double>(tokens);
  return open * 16 + (1 - open) * format.bits_per_value();
}

// The format with the G of at most `longest` values whose bits come nearest to `target`.
Format nearest_bits(const Format& format, std::size_t longest, double target) {
  Format best = kv::with_group(format, longest);
  for (std::size_t group = longest / 2; group >= 8; group /= 2) {
    const Format own = kv::with_group(format, group);
    if (std::abs(own.bits_per_value() - target) < std::abs(best.bits_per_value() - target)) best = own;
  }
  return best;
}

/// A format as a cache takes it: with ts=static the second-level scale comes from a maximum measured beforehand.
struct CacheFormat {
  Format format;
  bool fixed = false;
};
constexpr std::string_view kStatic = ":ts=static", kDynamic = ":ts=fp32";

CacheFormat parse_cache_format(const std::string& name) {
  const bool fixed = std::string_view(name).ends_with(kStatic);
  if (!fixed) return {parse_format(name)};
  return {parse_format(name.substr(0, name.size() - kStatic.size()) + std::string(kDynamic)), true};
}

Record compute_formats(const Point& p, Rng) {
  const auto [named, fixed] = parse_cache_format(p.text("format"));
  const std::size_t d = p.shared<Head>("head").d;
  const bool match = p.text("match") == "bits";
  const Format format = match ? nearest_bits(named, 128, p.real("bits_target")) : named;
  Format token = match ? nearest_bits(named, d, p.real("bits_target")) : named;
  warn_of_group(token.group_size, d);
  token.group_size = std::min(token.group_size, d);
  return errors_of(p, format, token, fixed)
      .set("stored_bits", channel_bits(format, p.shared<Head>("head").tokens()))
      .set("stored_token_bits", token.bits_per_value());
}

std::vector<Row> bits_rows(const Results& results) {
  std::vector<Row> rows;
  const auto seeds = [&](const std::string& output, const std::string& scheme, int bits) {
    return over_seeds(results, output, {{"scheme", scheme}, {"bits", bits}, {"group", 128}});
  };
  for (const char* side : {"k", "v"})
    for (const std::string& scheme : kSchemes) {
      const std::string output = std::string(side) + "_rel_f",
                        name = fmt::format("rel_f_2_over_4_bits[{}_scheme={}]", side, scheme);
      rows.push_back(ratio_row(name, seeds(output, scheme, 2), seeds(output, scheme, 4), results.rng(name)));
    }
  rows.push_back(ratio_row("k_raw_token_over_raw_channel", seeds("k_rel_f", "raw_token", 2),
                           seeds("k_rel_f", "raw_channel", 2), results.rng("k shape")));
  rows.push_back(ratio_row("v_raw_channel_over_raw_token", seeds("v_rel_f", "raw_channel", 2),
                           seeds("v_rel_f", "raw_token", 2), results.rng("v shape")));
  keep_full_runs(results, {{"length", 2048}}, rows);
  std::int64_t longest = 0;
  for (const Value& group : results.coordinates("group")) longest = std::max(longest, group.integer());
  add_group_row(static_cast<std::size_t>(longest), 64, rows);
  add_open_row(results, static_cast<std::size_t>(longest), rows);
  return rows;
}

std::vector<Row> formats_rows(const Results& results) {
  std::vector<Row> rows;
  for (const Value& format : results.coordinates("format"))
    for (const Pair& pair : kPairs) {
      const std::string name = fmt::format("o_err[format={},method={}]", format.text(), pair.name);
      Row row =
          mean_row(name, over_seeds(results, "o_err", {{"format", format}, {"pair", pair.name}}), results.rng(name));
      const Coordinates where{{"format", format}, {"tensor", results.coordinates("tensor").front()}};
      row.note = fmt::format("{} bits a value, {} in token-wise groups", results.at("stored_bits", where),
                             results.at("stored_token_bits", where));
      if (results.at("stored_bits", where) == 16)
        row.note += "; the tokens fill no channel-wise group: such keys and values stay unquantised";
      if (parse_cache_format(format.text()).fixed)
        row.note += "; tensor maximum from calibration tokens (of a file: the first half, the second is measured)";
      rows.push_back(row);
    }
  std::size_t longest = 0;
  for (const Value& format : results.coordinates("format"))
    longest = std::max(longest, parse_cache_format(format.text()).format.group_size);
  if (results.params().text("match") == "none") add_group_row(longest, 64, rows);
  if (results.params().text("match") == "bits")
    for (Row& row : rows) {  // bands belong to the formats' own groups
      row.quantity = fmt::format("matched {}", row.quantity);
      row.note += fmt::format("; G chosen for {} bits", results.params().real("bits_target"));
    }
  return rows;
}

// A cache seals groups without knowing the tensor: the formats that GroupCodec takes.
std::string cache_format(const std::string& name) {
  const auto [format, fixed] = parse_cache_format(name);
  kv::GroupCodec(format, kv::GroupAxis::token, fixed ? std::optional(1.0f) : std::nullopt);
  std::string text = to_string(format);
  if (!fixed) return text;
  if (std::string_view(text).ends_with(kDynamic)) text.resize(text.size() - kDynamic.size());
  return text + std::string(kStatic);
}

Experiment on_heads(Experiment experiment, Head (*make)(const Point&, Rng)) {
  return experiment
      .dim("scheme", texts(kSchemes), "", "raw or rotated; groups of tokens of a channel or channels of a token")
      .dim("pair", texts(pair_names()), "", "schemes of keys and values")
      .shared("head", {"tensor"}, make)
      .shared("exact", {"tensor"}, make_exact)
      .output("k_rel_f", "1", "||K - K^||_F / ||K||_F", {"scheme"})
      .output("v_rel_f", "1", "||V - V^||_F / ||V||_F", {"scheme"})
      .output("o_err", "1", "||O - O^||_F / ||O||_F of the last queries, mean over query heads", {"pair"});
}

Experiment bits() {
  return with_references(on_heads(with_heads(Experiment{"kvlinc/bits"}, 64, 2048)
                                      .axis("bits", bounded({2, 3, 4}, 2, 8), "bit", "of the codes")
                                      .axis("group", bounded({32, 64, 128}, 1, 1 << 16), "1",
                                            "values of a group; token-wise: at most the head"),
                                  make_head)
                             .paper(kPaper, "F4", "Errors against bits and group size")
                             .quick("seeds=2 length=512 group=128")
                             .cost(25)
                             .point(compute_bits)
                             .rows(bits_rows));
}
LOWBIT_REGISTER(bits);

Experiment formats_figure() {
  Values names = texts({"int4:g128:min:s=fp16", "mxfp4", "int4:g64:s=fp16", "e2m1:g64:s=fp16", "int4:g64:min:s=fp16",
                        "e2m1:g16:s=e4m3", "int4:g16:s=e4m3", "e2m1:g32:s=fp16", "int4:g32:s=fp16"},
                       checked(cache_format));
  for (Value& name : names.list) name = cache_format(name.text());
  return with_references(
      on_heads(with_heads(Experiment{"kvlinc/formats"}, 16, 2048)
                   .param("match", "none", "bits: G of each format such that its bits come nearest to bits_target",
                          one_of({"none", "bits"}))
                   .param("bits_target", 4.5, "bits a value that --match bits aims at", between(1, 16))
                   .axis("format", names, "",
                         "elements and scales of keys and values; ts=static: second-level scales from the maximum of "
                         "calibration tokens"),
               make_format_head)
          .shared("half_head", {"tensor"}, make_half_head)
          .shared("half_exact", {"tensor"}, make_half_exact)
          .paper(kPaper, "F7", "Errors of 4-bit elements at equal bits")
          .output("stored_bits", "bit",
                  "bits a value in channel-wise groups, scales and minima included; tokens that fill no group: 16")
          .output("stored_token_bits", "bit", "the same in token-wise groups, which end at the head")
          .quick("seeds=2 length=512 format=mxfp4,int4:g128:min:s=fp16")
          .cost(7)
          .point(compute_formats)
          .rows(formats_rows));
}
LOWBIT_REGISTER(formats_figure);

}  // namespace
}  // namespace lowbit
