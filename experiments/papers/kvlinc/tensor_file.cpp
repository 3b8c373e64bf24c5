#include <algorithm>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <numeric>

#include "experiments/papers/kvlinc/errors.hpp"
#include "experiments/papers/kvlinc/tables.hpp"
#include "formats/error.hpp"
#include "results/store/hdf5_attributes.hpp"
#include "sim/source/h5.hpp"

namespace lowbit::kvlinc {
namespace {

constexpr const char* kSample = "sample";

/// One thread at a time: reading forks a child (sim/source/h5.hpp), which must not happen while another thread is
/// inside the HDF5 library and holds its locks.
std::mutex& file_lock() {
  static std::mutex lock;
  return lock;
}

std::string path_of(const std::string& tensors) {
  if (tensors != kSample) return tensors;
  return std::string(LOWBIT_SOURCE_DIR) + "/results/reference/smollm2_135m_sample.h5";
}

/// Attributes of a file, asked for by name.
struct Attributes {
  const std::string& path;
  std::string object;
  std::vector<store::Attribute> list = store::read_attributes(path, object);

  bool has(const std::string& name) const {
    return std::any_of(list.begin(), list.end(), [&](const auto& attribute) { return attribute.name == name; });
  }
  const store::AttributeValue& at(const std::string& name, const char* meaning) const {
    for (const auto& attribute : list)
      if (attribute.name == name) return attribute.value;
    throw_error(ExitCode::bad_data, "'{}': {} lacks the attribute '{}' ({})", path,
                object == "/" ? "the file" : fmt::format("'{}'", object), name, meaning);
  }
  std::size_t count(const std::string& name, const char* meaning) const {
    const auto* value = std::get_if<std::int64_t>(&at(name, meaning));
    if (value == nullptr || *value < 1 || *value > (1 << 20))
      throw_error(ExitCode::bad_data, "'{}': attribute '{}' must be one integer from 1 to 1048576 ({})", path, name,
                  meaning);
    return static_cast<std::size_t>(*value);
  }
  double number(const std::string& name, const char* meaning) const {
    const auto& value = at(name, meaning);
    if (const auto* real = std::get_if<double>(&value); real != nullptr && *real > 0 && std::isfinite(*real))
      return *real;
    if (const auto* integer = std::get_if<std::int64_t>(&value); integer != nullptr && *integer > 0)
      return static_cast<double>(*integer);
    throw_error(ExitCode::bad_data, "'{}': attribute '{}' must be one positive number ({})", path, name, meaning);
  }
  std::string text(const std::string& name, const char* meaning) const {
    const auto* value = std::get_if<std::string>(&at(name, meaning));
    if (value == nullptr)
      throw_error(ExitCode::bad_data, "'{}': attribute '{}' must be a text ({})", path, name, meaning);
    return *value;
  }
};

model::RopeScaling scaling_of(const Attributes& root) {
  using Kind = model::RopeScaling::Kind;
  model::RopeScaling scaling;
  if (!root.has("rope_scaling")) return scaling;
  const std::string kind = root.text("rope_scaling", "how the frequencies of RoPE are changed");
  if (kind != "none" && kind != "linear" && kind != "llama3")
    throw_error(ExitCode::bad_data, "'{}': attribute 'rope_scaling' is '{}'; none, linear or llama3 is expected",
                root.path, kind);
  scaling.kind = kind == "none" ? Kind::none : kind == "linear" ? Kind::linear : Kind::llama3;
  if (scaling.kind != Kind::none) scaling.factor = root.number("rope_factor", "by which frequencies are divided");
  if (scaling.kind != Kind::llama3) return scaling;
  scaling.low_frequency_factor = root.number("rope_low_frequency_factor", "low_freq_factor of llama3");
  scaling.high_frequency_factor = root.number("rope_high_frequency_factor", "high_freq_factor of llama3");
  scaling.original_context = root.number("rope_original_context", "original_max_position_embeddings of llama3");
  return scaling;
}

// Whether RoPE was applied to the queries or keys of that name.
bool is_rotated(const std::string& path, const std::string& name) {
  const std::string rope = Attributes{path, name}.text("rope", "after or before: whether RoPE was applied");
  if (rope != "after" && rope != "before")
    throw_error(ExitCode::bad_data, "'{}': attribute 'rope' of '{}' is '{}'; after or before is expected", path, name,
                rope);
  return rope == "after";
}

// Tokens that a query of these keys sees; 0: all up to its own, as where the attribute is missing.
std::size_t window_of(const std::string& path, const std::string& name) {
  const Attributes keys{path, name};
  if (!keys.has("sliding_window")) return 0;
  const char* meaning = "tokens that a query sees; 0: all";
  if (const auto* value = std::get_if<std::int64_t>(&keys.at("sliding_window", meaning));
      value != nullptr && *value == 0)
    return 0;
  return keys.count("sliding_window", meaning);
}

const StoredTensor* find(const std::vector<StoredTensor>& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& t) { return t.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

const StoredTensor& need(const std::vector<StoredTensor>& tensors, const std::string& name, const std::string& path) {
  if (const auto* tensor = find(tensors, name)) return *tensor;
  throw_error(ExitCode::bad_data, "'{}' has no tensor '{}', which belongs to the keys beside it", path, name);
}

/// `like`: the keys whose windows and tokens it must have.
void check_tensor(const StoredTensor& t, std::size_t width, const StoredTensor& like, const std::string& path) {
  const std::string axes = Attributes{path, t.name}.text("axes", "window,token,channel");
  if (axes != "window,token,channel")
    throw_error(ExitCode::bad_data, "'{}': axes '{}' of '{}' are not known; window,token,channel are", path, axes,
                t.name);
  if (t.shape.size() != 3 || t.shape[2] != width)
    throw_error(ExitCode::bad_data, "'{}': '{}' has shape {}; windows x tokens x {} (heads * head_dim) is expected",
                path, t.name, to_string(t.shape), width);
  if (t.shape[0] != like.shape[0] || t.shape[1] != like.shape[1])
    throw_error(ExitCode::bad_data, "'{}': '{}' has shape {}, '{}' {}; equal windows and tokens are expected", path,
                t.name, to_string(t.shape), like.name, to_string(like.shape));
  if (t.shape[1] == 0)
    throw_error(ExitCode::bad_data, "'{}': '{}' has shape {}; at least one token is expected", path, t.name,
                to_string(t.shape));
}

/// Channels of one head in one window.
Matrix head_rows(const StoredTensor& tensor, std::size_t window, std::size_t head, std::size_t d,
                 const std::string& path) {
  const std::vector<float> values = tensor.load_float();
  const std::size_t tokens = tensor.shape[1], width = tensor.shape[2];
  Matrix rows(tokens, d);
  model::copy_rows(ConstRows(values.data() + window * tokens * width + head * d, tokens, d, width), rows);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t c = 0; c < d; ++c)
      if (!std::isfinite(rows.view().row(t)[c]))
        throw_error(ExitCode::bad_data,
                    "'{}': {} in '{}' at window {}, token {}, channel {}; finite values are expected", path,
                    rows.view().row(t)[c], tensor.name, window, t, head * d + c);
  return rows;
}

Matrix rotated(const Matrix& rows, const model::Rope& rope, bool back) {
  Matrix out(rows.rows(), rows.columns());
  model::copy_rows(rows, out);
  std::vector<std::int64_t> positions(rows.rows());
  std::iota(positions.begin(), positions.end(), std::int64_t{0});
  model::Rope::apply(out, rope.table(positions.data(), positions.size()), back);
  return out;
}

Matrix rows_from(const Matrix& rows, std::size_t first, std::size_t count) {
  Matrix out(count, rows.columns());
  model::copy_rows(rows.view().slice(first, count), out);
  return out;
}

Matrix copy_of(const Matrix& rows) {
  return rows_from(rows, 0, rows.rows());
}

// float16 and bfloat16 leave less than .01; another base, scaling or position leaves far more.
constexpr double kSameKeys = 0.05;

}  // namespace

TensorFile::TensorFile(const std::string& tensors) : path_(path_of(tensors)) {
  const std::lock_guard guard(file_lock());
  const auto all = open_h5(path_);
  const Attributes root{path_, "/"};
  heads_ = root.count("heads", "query heads");
  kv_heads_ = root.count("kv_heads", "KV heads; query head h reads KV head h / (heads / kv_heads)");
  head_dim_ = root.count("head_dim", "channels of a head");
  rope_ = make_rope(head_dim_, root.number("rope_theta", "base of the rotary embedding"), scaling_of(root));
  if (const auto* first = std::get_if<std::int64_t>(&root.at("first_position", "position of the first token; 0"));
      first == nullptr || *first != 0)
    throw_error(ExitCode::bad_data, "'{}': attribute 'first_position' must be 0: windows begin a text", path_);
  constexpr const char* kMapping = "query head h reads KV head h / (heads / kv_heads)";
  if (root.has("head_mapping") && root.text("head_mapping", kMapping) != kMapping)
    throw_error(ExitCode::bad_data, "'{}': attribute 'head_mapping' is '{}'; '{}' is expected", path_,
                root.text("head_mapping", kMapping), kMapping);
  if (heads_ % kv_heads_ != 0 || head_dim_ % 2 != 0)
    throw_error(ExitCode::bad_data, "'{}': {} query heads, {} KV heads and {} channels do not fit together", path_,
                heads_, kv_heads_, head_dim_);
  for (const auto& t : all) {
    constexpr std::string_view kEnd = ".self_attn.k";
    if (!std::string_view(t.name).ends_with(kEnd)) continue;
    const std::string prefix = t.name.substr(0, t.name.size() - 1);
    check_tensor(t, kv_heads_ * head_dim_, t, path_);
    check_tensor(need(all, prefix + "v", path_), kv_heads_ * head_dim_, t, path_);
    check_tensor(need(all, prefix + "q", path_), heads_ * head_dim_, t, path_);
    tokens_ = std::min(tokens_, t.shape[1]);
    const StoredTensor* k_pre = find(all, prefix + "k_pre");
    if (k_pre != nullptr) check_tensor(*k_pre, kv_heads_ * head_dim_, t, path_);
    if (k_pre != nullptr && is_rotated(path_, k_pre->name))
      throw_error(ExitCode::bad_data, "'{}': attribute 'rope' of '{}' is 'after'; before is expected", path_,
                  k_pre->name);
    const bool k_rotated = is_rotated(path_, t.name), q_rotated = is_rotated(path_, prefix + "q");
    const std::size_t sliding = window_of(path_, t.name);
    const std::size_t dot = t.name.rfind('.', t.name.size() - kEnd.size() - 1);
    const std::string layer = t.name.substr(dot + 1, t.name.size() - kEnd.size() - dot - 1);
    for (std::size_t window = 0; window < t.shape[0]; ++window)
      for (std::size_t head = 0; head < kv_heads_; ++head) {
        const std::string name = fmt::format("layer-{}.head-{}", layer, head);
        entries_.push_back({t.shape[0] == 1 ? name : fmt::format("window-{}.{}", window, name), prefix, window, head,
                            k_rotated, q_rotated, k_pre != nullptr, sliding});
      }
  }
  if (entries_.empty())
    throw_error(ExitCode::bad_data,
                "'{}' has no keys: a tensor model.layers.N.self_attn.k beside q and v is expected, as lowbit capture "
                "--kinds q,k,v writes them",
                path_);
}

std::vector<std::string> TensorFile::names() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return names;
}

Head TensorFile::load(const std::string& name, std::size_t queries, bool calibrated) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return e.name == name; });
  if (found == entries_.end()) throw_error(ExitCode::usage, "'{}' has no head '{}'", path_, name);
  const std::lock_guard guard(file_lock());
  const auto all = open_h5(path_);
  const auto rows = [&](const char* kind, std::size_t head) {
    return head_rows(need(all, found->prefix + kind, path_), found->window, head, head_dim_, path_);
  };
  const Matrix stored = rows("k", found->head), v = rows("v", found->head);
  const Matrix k = found->k_rotated ? copy_of(stored) : rotated(stored, *rope_, false);
  const Matrix k_pre = found->has_k_pre   ? rows("k_pre", found->head)
                       : found->k_rotated ? rotated(stored, *rope_, true)
                                          : copy_of(stored);
  if (found->has_k_pre && relative_error(k, rotated(k_pre, *rope_, false)) > kSameKeys)
    throw_error(ExitCode::bad_data,
                "'{}': '{}k' of {} is not its k_pre after RoPE; rope_theta, rope_scaling and positions from 0 are "
                "expected to be those of the model",
                path_, found->prefix, name);
  const std::size_t fitted = calibrated ? k.rows() / 2 : 0, tokens = k.rows() - fitted;
  Head head;
  head.d = head_dim_;
  head.rope = rope_;
  head.window = found->sliding_window;
  head.first_position = static_cast<std::int64_t>(fitted);
  head.k = rows_from(k, fitted, tokens);
  head.k_pre = rows_from(k_pre, fitted, tokens);
  head.v = rows_from(v, fitted, tokens);
  head.fit_k = rows_from(k, 0, fitted);
  head.fit_k_pre = rows_from(k_pre, 0, fitted);
  head.fit_v = rows_from(v, 0, fitted);
  const std::size_t group = heads_ / kv_heads_, count = std::min(queries, tokens);
  for (std::size_t g = 0; g < group; ++g) {
    const Matrix q = rows("q", found->head * group + g);
    head.q.push_back(rows_from(found->q_rotated ? q : rotated(q, *rope_, false), k.rows() - count, count));
  }
  return head;
}

bool is_seed(const std::string& name) {
  return name.starts_with("seed-");
}

Values tensor_names(const Params& params) {
  std::vector<std::string> names;
  for (std::int64_t seed = 0; seed < params.integer("seeds"); ++seed) names.push_back(fmt::format("seed-{}", seed));
  if (params.text("tensors") != "none")
    for (auto& name : TensorFile(params.text("tensors")).names()) names.push_back(std::move(name));
  return texts(std::move(names));
}

Experiment with_heads(Experiment experiment, std::int64_t seeds, std::int64_t length) {
  return experiment.param("seeds", seeds, "drawn heads", between(0, 100000))
      .param("length", length, "tokens of a drawn head", between(64, 1 << 20))
      .param("queries", 256, "last queries that outputs are compared on", between(1, 4096))
      .param(
          "tensors", kSample,
          "HDF5 file with q, k and v as lowbit capture writes them; sample: three layers of SmolLM2-135M; none: drawn "
          "heads alone",
          input_path())
      .axis("tensor", tensor_names, "", "drawn head (seed-N) or head of the file")
      .draws_vary_with({"tensor"})
      .validate([](const Params& p) {
        if (p.integer("queries") > p.integer("length"))
          throw_error(ExitCode::usage, "{} queries of {} tokens; at most as many as tokens are accepted",
                      p.integer("queries"), p.integer("length"));
      })
      .unavailable_when(tensors_missing);
}

Head head_of(const Point& point, std::size_t d, Rng rng, bool calibrated) {
  const auto queries = static_cast<std::size_t>(point.integer("queries"));
  Head head = is_seed(point.text("tensor"))
                  ? synthetic_head(d, static_cast<std::size_t>(point.integer("length")), queries, rng, calibrated)
                  : TensorFile(point.text("tensors")).load(point.text("tensor"), queries, calibrated);
  warn_of_short(head.tokens());
  return head;
}

std::string tensors_missing(const Params& params) {
  if (params.text("tensors") != kSample || std::filesystem::exists(path_of(kSample))) return "";
  return fmt::format("the sample '{}' is not there; --tensors FILE takes other tensors", path_of(kSample));
}

}  // namespace lowbit::kvlinc
