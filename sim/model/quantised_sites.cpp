#include "sim/model/quantised_sites.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "formats/error.hpp"
#include "formats/random.hpp"
#include "sim/model/model.hpp"
#include "sim/model/quantised_cache.hpp"
#include "sim/model/site_actions.hpp"
#include "sim/model/site_rules.hpp"

namespace lowbit::model {
namespace {

using TransformPtr = std::shared_ptr<const Transform>;

// Groups that end with their row: rows can then be quantised in any pieces.
bool row_by_row(const Format& format) {
  return format.like.empty() && format.group != GroupKind::tensor && format.group != GroupKind::tile;
}

void transform_rows(const Transform& transform, Rows rows, bool back) {
  if (transform.block() == 0) return;
  const Layout layout = Layout::matrix(rows.rows, rows.columns);
  if (back)
    apply_inverse(transform, layout, rows.data, rows.data);
  else
    apply(transform, layout, rows.data, rows.data);
}

// x -> Q(x T): the other operand of the product is rotated too, so nothing is undone.
class QuantiseMap : public TensorMap {
 public:
  QuantiseMap(std::optional<SiteFormat> format, TransformPtr transform, std::uint64_t stream, Maxima* maxima)
      : format_(std::move(format)), transform_(std::move(transform)), stream_(stream), maxima_(maxima) {}

  void apply(const Tensor& tensor, Rows rows) override {
    if (maxima_ != nullptr && format_) {
      quantise_rows(nullptr, *transform_, false, 0, rows, tensor.threads);
      float& seen = (*maxima_)[tensor.site.name];
      seen = std::max(seen, finite_amax(rows.data, rows.rows * rows.columns));
      quantise_rows(&*format_, *parse_transform("id"), false, stream_, rows, tensor.threads);
      return;
    }
    quantise_rows(format_ ? &*format_ : nullptr, *transform_, false, stream_, rows, tensor.threads);
  }
  // straight through the quantiser, exactly through the rotation
  void backward(const Tensor&, Rows gradient) override { transform_rows(*transform_, gradient, true); }

 private:
  std::optional<SiteFormat> format_;
  TransformPtr transform_;
  std::uint64_t stream_;
  Maxima* maxima_;
};

const SiteFormat* find(const SiteFormats& formats, const std::string& site) {
  const auto found = formats.find(site);
  return found == formats.end() ? nullptr : &found->second;
}

std::optional<SiteFormat> copy(const SiteFormat* format) {
  return format == nullptr ? std::nullopt : std::optional(*format);
}

// Everything that attach needs, checked before any weight is touched.
class Attachment {
 public:
  Attachment(Hooks& hooks, const SiteOptions& options, Threads& threads, Maxima* maxima)
      : hooks_(hooks),
        model_(hooks.model()),
        options_(options),
        threads_(threads),
        maxima_(maxima),
        formats_(resolve_rules(model_, options)) {}
  SiteSummary run();

 private:
  struct Planned {
    std::size_t parameter;
    std::string name;  // of the module
    TransformPtr transform;
  };
  void plan_linears();
  void plan_cache();
  void attach_linear(const Planned& linear);
  std::shared_ptr<TensorMap> input_map(const Planned& linear);
  void attach_others();
  void warn_ragged(const SiteFormat& format, std::size_t width, const std::string& site);
  void count_bits();

  Hooks& hooks_;
  const Model& model_;
  const SiteOptions& options_;
  Threads& threads_;
  Maxima* maxima_;
  SiteFormats formats_;
  std::vector<Planned> linears_;
  std::vector<CacheFormats> cache_;
  std::vector<std::pair<std::string, std::shared_ptr<TensorMap>>> shared_;  // by format and transform
  std::set<std::string> ragged_;
  SiteSummary summary_;
};

void Attachment::warn_ragged(const SiteFormat& format, std::size_t width, const std::string& site) {
  const Format& f = format.format;
  if (f.group != GroupKind::size || width % f.group_size == 0) return;
  if (!ragged_.insert(fmt::format("{} {}", width, to_string(f))).second) return;
  summary_.warnings.push_back(fmt::format("{} ({}): {} values in groups of {} leave a last group of {}", site,
                                          to_string(f), width, f.group_size, width % f.group_size));
}

void Attachment::plan_linears() {
  const bool rotates = parse_transform(options_.transform)->block() > 0;
  for (std::size_t i = 0; i < model_.parameters().size(); ++i) {
    const Parameter& parameter = model_.parameters()[i];
    if (parameter.linear < 0) continue;
    const std::string name = parameter.name.substr(0, parameter.name.size() - 7);
    const SiteFormat *w = find(formats_, name + ".weight"), *x = find(formats_, name + ".input");
    if (w == nullptr && x == nullptr) continue;
    const TransformPtr transform = parse_transform(options_.transform, stream_of(name));
    check_fits(*transform, Layout::matrix(1, parameter.columns), name);
    if (w != nullptr) warn_ragged(*w, parameter.columns, name + ".weight");
    if (x != nullptr) warn_ragged(*x, parameter.columns, name + ".input");
    linears_.push_back({i, name, transform});
  }
  if (rotates && linears_.empty())
    throw_error(ExitCode::usage, "--transform {}: no linear layer has a format of its weight or input",
                options_.transform);
}

void Attachment::plan_cache() {
  const Config& c = model_.config();
  const bool rotates = parse_transform(options_.kv_transform)->block() > 0;
  bool any = false;
  for (std::size_t layer = 0; layer < c.layers; ++layer) {
    const std::string name = fmt::format("model.layers.{}.self_attn.", layer);
    CacheFormats formats;
    formats.k = copy(find(formats_, name + "k"));
    formats.v = copy(find(formats_, name + "v"));
    formats.k_stream = stream_of(name + "k");
    formats.v_stream = stream_of(name + "v");
    formats.k_transform = parse_transform(options_.kv_transform, formats.k_stream);
    formats.v_transform = parse_transform(options_.kv_transform, formats.v_stream);
    for (const auto& [format, site] : {std::pair{formats.k, name + "k"}, std::pair{formats.v, name + "v"}}) {
      if (!format) continue;
      any = true;
      check_cache_format(*format, site);
      check_fits(*formats.k_transform, Layout::matrix(1, c.head_dim), site);
      warn_ragged(*format, c.head_dim, site);
    }
    cache_.push_back(formats);
  }
  if (rotates && !any)
    throw_error(ExitCode::usage, "--kv-transform {}: neither keys nor values have a format", options_.kv_transform);
  if (!any) cache_.clear();
}

// q, k and v (gate and up) share one map, so that their common input is quantised once; random signs and stochastic
// rounding belong to each by name.
std::shared_ptr<TensorMap> Attachment::input_map(const Planned& linear) {
  const SiteFormat* x = find(formats_, linear.name + ".input");
  const std::string transform = linear.transform->name();
  const bool random = transform.starts_with("rhad") || transform.starts_with("orth") ||
                      (x != nullptr && x->format.conversion.rounding == Rounding::sr);
  const std::string key =
      fmt::format("{} {} {}", x == nullptr ? "none" : long_form(x->format), linear.transform->name(),
                  x != nullptr && x->fixed_maximum ? fmt::format("{}", *x->fixed_maximum) : "");
  if (!random && maxima_ == nullptr)
    for (const auto& [name, map] : shared_)
      if (name == key) return map;
  auto map = std::make_shared<QuantiseMap>(copy(x), linear.transform, stream_of(linear.name + ".input"), maxima_);
  shared_.emplace_back(key, map);
  return map;
}

void Attachment::attach_linear(const Planned& linear) {
  const SiteFormat *w = find(formats_, linear.name + ".weight"), *x = find(formats_, linear.name + ".input");
  if (x != nullptr || linear.transform->block() > 0) hooks_.replace(linear.name + ".input", input_map(linear));
  if (w == nullptr && linear.transform->block() == 0) return;
  hooks_.weight(linear.name, [&](const Parameter&, Rows rows) {
    quantise_rows(w, *linear.transform, false, stream_of(linear.name + ".weight"), rows, threads_);
  });
}

// Sites without a counterpart: quantised along the channels as they are.
void Attachment::attach_others() {
  const TransformPtr identity = parse_transform("id");
  for (const auto& [site, format] : formats_) {
    const std::string point = site.substr(site.rfind('.') + 1);
    if (point == "weight" || point == "input" || point == "k" || point == "v") continue;
    hooks_.replace(site, std::make_shared<QuantiseMap>(format, identity, stream_of(site), maxima_));
  }
}

void Attachment::count_bits() {
  double weight = 0, weights = 0, activation = 0, activations = 0, kv = 0, values = 0;
  for (const std::string& name : linear_names(model_, options_.include_lm_head)) {
    for (const Parameter& p : model_.parameters()) {
      if (p.name != name + ".weight") continue;
      weight += stored_bits(find(formats_, name + ".weight"), p.rows, p.columns, true);
      weights += static_cast<double>(p.rows * p.columns);
      activation += stored_bits(find(formats_, name + ".input"), 1, p.columns, false);
      activations += static_cast<double>(p.columns);
    }
  }
  const Config& c = model_.config();
  for (std::size_t layer = 0; layer < c.layers; ++layer)
    for (const char* point : {"k", "v"}) {
      kv += stored_bits(find(formats_, fmt::format("model.layers.{}.self_attn.{}", layer, point)), c.kv_heads,
                        c.head_dim, false);
      values += static_cast<double>(c.kv_heads * c.head_dim);
    }
  summary_.bits_weight = weight / weights;
  summary_.bits_activation = activation / activations;
  summary_.bits_kv = kv / values;
}

SiteSummary Attachment::run() {
  plan_linears();
  plan_cache();
  count_bits();
  for (const Planned& linear : linears_) attach_linear(linear);
  if (!cache_.empty()) hooks_.cache(std::make_shared<QuantisedCacheFactory>(cache_, maxima_));
  attach_others();
  return summary_;
}

}  // namespace

void quantise_rows(const SiteFormat* format, const Transform& transform, bool back, std::uint64_t stream, Rows rows,
                   Threads& threads) {
  QuantizeContext context;
  context.stream = stream;
  if (format != nullptr) context.tensor_amax = format->fixed_maximum;
  if (format != nullptr && !row_by_row(format->format)) {
    transform_rows(transform, rows, false);
    fake_quantize(format->format, Layout::matrix(rows.rows, rows.columns), rows.data, rows.data, context);
    if (back) transform_rows(transform, rows, true);
    return;
  }
  const bool two_levels =
      format != nullptr && format->format.second_level != SecondLevel::none && !format->fixed_maximum;
  // a dynamic maximum is known only when all rows are rotated
  if (two_levels) {
    std::vector<float> maxima((rows.rows + kRowPiece - 1) / kRowPiece);
    for_row_pieces(rows.rows, threads, [&](std::size_t first, std::size_t count) {
      transform_rows(transform, rows.slice(first, count), false);
      maxima[first / kRowPiece] = finite_amax(rows.row(first), count * rows.columns);
    });
    context.tensor_amax = *std::max_element(maxima.begin(), maxima.end());
  }
  for_row_pieces(rows.rows, threads, [&](std::size_t first, std::size_t count) {
    const Rows piece = rows.slice(first, count);
    if (!two_levels) transform_rows(transform, piece, false);
    if (format != nullptr) {
      QuantizeContext own = context;
      own.first_index = first * rows.columns;
      fake_quantize(format->format, Layout::matrix(count, rows.columns), piece.data, piece.data, own);
    }
    if (back) transform_rows(transform, piece, true);
  });
}

SiteSummary attach(Hooks& hooks, const SiteOptions& options, Threads& threads, Maxima* maxima) {
  return Attachment(hooks, options, threads, maxima).run();
}

}  // namespace lowbit::model
