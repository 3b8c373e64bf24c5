#include "experiments/papers/kvlinc/open_tokens.hpp"

#include <algorithm>
#include <atomic>

#include "experiments/core/reference_table.hpp"

namespace lowbit::kvlinc {
namespace {

void say_once(const std::string& note) {
  static std::atomic_flag said;
  if (!said.test_and_set()) fmt::print(stderr, "warning: {}\n", note);
}

void check_side(const kv::Side& side, const kv::Stream& stream, const char* name) {
  if (side.codecs.empty() || stream.slots() == 0 || stream.sealed() > 0) return;
  say_once(fmt::format("the {} of {} tokens stay unquantised: a group has {} tokens, the residual window {}", name,
                       stream.slots(), side.codecs.front()->granule(), side.window.residual));
}

}  // namespace

void warn_of_open(std::size_t tokens, std::size_t group) {
  if (tokens < group)
    say_once(
        fmt::format("{} tokens are fewer than a group of {} tokens of a channel: what has channel-wise groups "
                    "stays unquantised",
                    tokens, group));
}

void warn_of_open(const kv::Storage& layer, const kv::LayerRules& rules) {
  check_side(rules.k, layer.stream("k"), "keys");
  check_side(rules.v, layer.stream("v"), "values");
}

void add_open_row(std::size_t tokens, std::size_t group, std::vector<Row>& rows) {
  if (tokens >= group) return;
  rows.push_back(exact_row("tokens of the shortest head", static_cast<double>(tokens)));
  rows.back().note = fmt::format("fewer than a group of {} tokens of a channel: such groups stay unquantised", group);
}

void add_open_row(const Results& results, std::size_t group, std::vector<Row>& rows) {
  std::size_t tokens = group;
  const Params& params = results.params();
  for (const Value& tensor : results.coordinates("tensor"))
    tokens = std::min(tokens, is_seed(tensor.text()) ? static_cast<std::size_t>(params.integer("length"))
                                                     : TensorFile(params.text("tensors")).tokens());
  add_open_row(tokens, group, rows);
}

}  // namespace lowbit::kvlinc
