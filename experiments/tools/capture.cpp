// lowbit capture: weights, activations, gradients, queries, keys and values of a model as tensors in an HDF5 file.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "experiments/tools/model_options.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/threads.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "results/store/tensor_stream.hpp"
#include "sim/model/backward.hpp"
#include "sim/model/tokens.hpp"

namespace lowbit {
namespace {

using model::Hooks;
using model::Linear;
using model::LinearPoint;
using model::Model;
using store::StoredFloat;

const std::vector<std::string> kKinds = {"x", "w", "dy", "q", "k", "q_pre", "k_pre", "v", "logits"};

std::atomic<bool> interrupted{false};
void note_interrupt(int) {
  interrupted = true;
}

CommandLine declare() {
  CommandLine line("lowbit capture", "writes tensors of a language model at work to an HDF5 file");
  declare_model(line);
  declare_tokens(line);
  declare_out(line, "the HDF5 file");
  line.value("kinds", "LIST",
             "of x (inputs of linear layers), w (weights), dy (gradients of their outputs), q, k (after RoPE, as "
             "cached), q_pre, k_pre (before RoPE), v, logits",
             "x,w,dy,q,k,v");
  line.value("layers", "LIST", "layers to write, such as 0,15,29 or 0-2; default: all");
  line.value("dtype", "f32|bf16", "type of the stored values; bf16 is rounded to nearest even", "f32");
  line.value("context", "N", "tokens a window", "512");
  line.value("windows", "N", "windows to write", "1");
  declare_output(line);
  return line;
}

struct Request {
  std::set<std::string> kinds;
  std::vector<int> layers;
  StoredFloat type = StoredFloat::f32;
  std::size_t windows = 0, context = 0;
  bool has(const std::string& kind) const { return kinds.count(kind) > 0; }
};

Request read_request(const CommandLine& line, const model::Config& config) {
  Request request;
  const std::string text = line.text("kinds");
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string kind = text.substr(begin, end - begin);
    if (std::find(kKinds.begin(), kKinds.end(), kind) == kKinds.end())
      throw_error(ExitCode::usage, "--kinds: unknown kind '{}'{}", kind, suggestion(kind, kKinds));
    request.kinds.insert(kind);
    begin = end + 1;
  }
  request.layers = parse_numbers(line.text("layers"), "--layers");
  const int count = static_cast<int>(config.layers);
  if (request.layers.empty())
    for (int layer = 0; layer < count; ++layer) request.layers.push_back(layer);
  for (const int layer : request.layers)
    if (layer >= count)
      throw_error(ExitCode::usage, "--layers: {} is no layer of the model; layers are 0 to {}", layer, count - 1);
  request.type = line.choice("dtype", {"f32", "bf16"}) == "bf16" ? StoredFloat::bf16 : StoredFloat::f32;
  return request;
}

// Declares tensors and writes what hooks deliver, one window after the other.
class Capture {
 public:
  Capture(const Model& m, Hooks& hooks, const Request& request, store::TensorStream& stream)
      : model_(m), hooks_(hooks), request_(request), stream_(stream) {}

  void declare_all() {
    for (const int layer : request_.layers) {
      declare_linears(layer);
      const std::string prefix = fmt::format("model.layers.{}.self_attn.", layer);
      for (const char* kind : {"q_pre", "k_pre", "q", "k", "v"})
        if (request_.has(kind)) add(prefix + kind, prefix + kind, kind, layer);
    }
    if (request_.has("logits")) {
      const std::vector<std::size_t> shape = {request_.windows, request_.context, model_.config().vocabulary};
      logits_ = stream_.add("logits", shape, request_.type, attributes("logits"));
    }
  }

  std::size_t logits() const { return logits_; }
  std::size_t tensors() const { return tensors_; }

 private:
  // `layer`: of attention's tensors, whose keys say how many of them a query sees.
  std::vector<store::Attribute> attributes(const std::string& kind, std::optional<int> layer = {}) const {
    const std::string rope = kind == "q" || kind == "k"           ? "after"
                             : kind == "q_pre" || kind == "k_pre" ? "before"
                                                                  : "none";
    std::vector<store::Attribute> list = {
        {"kind", kind},
        {"axes", kind == "w" ? std::string("out,in") : std::string("window,token,channel")},
        {"rope", rope}};
    if (layer && (kind == "k" || kind == "k_pre"))
      list.push_back({"sliding_window", model_.config().window[static_cast<std::size_t>(*layer)]});
    return list;
  }

  // A tensor that a site delivers in every window.
  std::size_t add(const std::string& name, const std::string& site, const std::string& kind,
                  std::optional<int> layer = {}) {
    const auto index = model_.sites().match(site).front();
    const std::size_t tensor = stream_.add(name, {request_.windows, request_.context, model_.sites()[index].width},
                                           request_.type, attributes(kind, layer));
    hooks_.observe(site, [this, tensor](const model::Tensor&, model::ConstRows rows) {
      stream_.append(tensor, {rows.data, rows.rows * rows.columns});
    });
    ++tensors_;
    return tensor;
  }

  // q, k and v read one tensor, gate and up another: stored once, linked under each name.
  void declare_linears(int layer) {
    std::size_t shared = 0;
    for (int i = 0; i < model::kLinears; ++i) {
      const auto linear = static_cast<Linear>(i);
      const std::string name = fmt::format("model.layers.{}.{}", layer, model::linear_name(linear));
      if (request_.has("w")) add_weight(name, model_.weight(layer, linear));
      if (request_.has("dy")) add(name + ".dy", name + ".output_gradient", "dy");
      if (!request_.has("x")) continue;
      if (linear == Linear::k_proj || linear == Linear::v_proj || linear == Linear::up_proj) {
        stream_.link(name + ".x", shared);
        ++tensors_;
      } else {
        shared = add(name + ".x", name + ".input", "x");
      }
    }
  }

  void add_weight(const std::string& name, std::size_t parameter) {
    const model::Parameter& p = model_.parameters()[parameter];
    const std::size_t tensor = stream_.add(name + ".weight", {p.rows, p.columns}, request_.type, attributes("w"));
    stream_.append(tensor, {model_.data(parameter), p.rows * p.columns});
    ++tensors_;
  }

  const Model& model_;
  Hooks& hooks_;
  const Request& request_;
  store::TensorStream& stream_;
  std::size_t logits_ = 0, tensors_ = 0;
};

void add_rope_scaling(const model::RopeScaling& s, std::vector<store::Attribute>& list) {
  using Kind = model::RopeScaling::Kind;
  list.push_back({"rope_scaling", std::string(s.kind == Kind::none     ? "none"
                                              : s.kind == Kind::linear ? "linear"
                                                                       : "llama3")});
  if (s.kind != Kind::none) list.push_back({"rope_factor", s.factor});
  if (s.kind != Kind::llama3) return;
  list.push_back({"rope_low_frequency_factor", s.low_frequency_factor});
  list.push_back({"rope_high_frequency_factor", s.high_frequency_factor});
  list.push_back({"rope_original_context", s.original_context});
}

std::vector<store::Attribute> file_attributes(const std::string& name, const model::Config& c, const Request& request) {
  const auto integer = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  std::vector<store::Attribute> list = {
      {"filetype", std::string("lowbit.tensors")},
      {"version", std::int64_t{1}},
      {"model", name},
      {"dtype", std::string(request.type == StoredFloat::bf16 ? "bf16" : "f32")},
      {"windows", integer(request.windows)},
      {"context", integer(request.context)},
      {"first_position", std::int64_t{0}},
      {"rope_theta", c.rope_theta},
      {"heads", integer(c.heads)},
      {"kv_heads", integer(c.kv_heads)},
      {"head_dim", integer(c.head_dim)},
      {"head_mapping", std::string("query head h reads KV head h / (heads / kv_heads)")},
      {"loss", std::string("mean over the predicted tokens of each window; dy is its gradient")}};
  add_rope_scaling(c.rope_scaling, list);
  return list;
}

// SIGINT and SIGTERM end the program between two windows, so that its temporary file is removed.
void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void write_window(const Hooks& hooks, const Request& request, std::span<const std::int32_t> window, Capture& capture,
                  store::TensorStream& stream, Threads& threads, model::Tape& tape) {
  const model::TokenSpan span{window, nullptr};
  if (request.has("dy"))
    model::backward(hooks, {&span, 1}, threads, tape);
  else if (request.kinds != std::set<std::string>{"w"} && request.kinds != std::set<std::string>{"w", "logits"} &&
           !request.has("logits"))
    model::forward(hooks, {&span, 1}, threads);
  if (!request.has("logits")) return;
  const Hooks plain(hooks.model());
  const auto pass = model::forward(request.has("dy") ? plain : hooks, {&span, 1}, threads);
  std::vector<float> all;
  model::for_each_logits(plain, pass, threads, [&](std::size_t, model::Rows rows) {
    all.insert(all.end(), rows.data, rows.data + rows.rows * rows.columns);
  });
  stream.append(capture.logits(), all);
}

int run(const Words& words) {
  CommandLine line = declare();
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  Threads threads(static_cast<std::size_t>(thread_count(line)));
  const std::string folder = model::find_model(line.text("model"));
  const model::Config config = model::read_config(folder);
  Request request = read_request(line, config);
  request.context = static_cast<std::size_t>(line.integer("context", 2, 1 << 30));
  const auto tokens = token_input(line, folder, config.vocabulary);
  const auto wanted = static_cast<std::size_t>(line.integer("windows", 1, 1 << 30));
  const auto windows = model::windows(tokens, request.context, wanted, config.context);
  if (windows.size() < wanted)
    throw_error(ExitCode::bad_data, "{} tokens give {} windows of {}, not {}", tokens.size(), windows.size(),
                request.context, wanted);
  request.windows = windows.size();
  store::TensorStream stream(line.text("out"),
                             line.given("force") ? store::Overwrite::replace : store::Overwrite::refuse,
                             file_attributes(line.text("model"), config, request));
  const Model m = Model::load(folder, threads);
  Hooks hooks(m);
  Capture capture(m, hooks, request, stream);
  catch_interrupts();
  capture.declare_all();
  model::Tape tape;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    if (interrupted) throw_error(ExitCode::temporary, "interrupted; '{}' was not written", line.text("out"));
    write_window(hooks, request, windows[i], capture, stream, threads, tape);
    if (isatty(STDERR_FILENO) != 0)
      fmt::print(stderr, "\r{} of {} windows{}", i + 1, windows.size(), i + 1 == windows.size() ? "\n" : "");
  }
  if (interrupted) throw_error(ExitCode::temporary, "interrupted; '{}' was not written", line.text("out"));
  stream.finish();
  print_record({{"out", line.text("out")},
                {"tensors", capture.tensors() + (request.has("logits") ? 1 : 0)},
                {"windows", windows.size()},
                {"context", request.context},
                {"bytes", std::filesystem::file_size(line.text("out"))}},
               form);
  return 0;
}

LOWBIT_VERB(capture, "write weights, activations, gradients, Q, K and V of a language model", run)

}  // namespace
}  // namespace lowbit
