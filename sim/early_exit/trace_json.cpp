#include <fmt/format.h>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "sim/early_exit/trace_file.hpp"

namespace lowbit::early_exit {

namespace {

/// A JSON string; bytes that are no UTF-8 become U+FFFD.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

class Writer {
 public:
  template <class T>
  void array(const char* name, const std::vector<T>& values) {
    if (values.empty()) return;
    key(name);
    char separator = '[';
    for (const T& value : values) {
      out_ += separator;
      put(value);
      separator = ',';
    }
    out_ += ']';
  }
  void string(const char* name, const std::string& value) {
    if (value.empty()) return;
    key(name);
    out_ += quoted(value);
  }
  void number(const char* name, std::int64_t value) {
    key(name);
    put(value);
  }
  void raw(const char* name, const std::string& json) {
    key(name);
    out_ += json;
  }
  std::string take() { return out_ + "}"; }

 private:
  void key(const char* name) {
    out_ += out_.size() > 1 ? ",\"" : "\"";
    out_ += name;
    out_ += "\":";
  }
  void put(Outcome value) { put(static_cast<std::int64_t>(value)); }
  void put(double value) {
    // fmt's shortest form reads back to the same bits
    if (std::isfinite(value))
      fmt::format_to(std::back_inserter(out_), "{}", value);
    else
      out_ += "null";
  }
  void put(std::uint8_t value) { put(static_cast<std::int64_t>(value)); }
  void put(std::int32_t value) { put(static_cast<std::int64_t>(value)); }
  void put(std::int64_t value) { fmt::format_to(std::back_inserter(out_), "{}", value); }

  std::string out_ = "{";
};

std::string number_json(double value) {
  return fmt::format("{}", value);
}

/// [a,b,c] of what `item` makes of 0 .. n - 1.
template <class Item>
std::string list_json(std::size_t n, Item item) {
  std::string out = "[";
  for (std::size_t i = 0; i < n; ++i) out += (i > 0 ? "," : "") + item(i);
  return out + "]";
}

std::string lengths_json(const Trace& t) {
  return list_json(t.contents.size(), [&](std::size_t k) {
    const auto& lengths = t.contents[k].length;
    return list_json(lengths.size(), [&](std::size_t i) { return number_json(lengths[i]); });
  });
}

std::string embeddings_json(const Trace& t) {
  return list_json(t.contents.size(), [&](std::size_t k) {
    const SampledContents& c = t.contents[k];
    return list_json(c.length.size(), [&](std::size_t i) {
      return list_json(t.content_dim, [&](std::size_t d) { return number_json(c.embedding[i * t.content_dim + d]); });
    });
  });
}

std::string answers_json(const Trace& t) {
  std::string out = "[";
  for (std::size_t k = 0; k < t.ans.size(); ++k) {
    if (k > 0) out += ',';
    out += t.ans[k] < 0 ? "null" : quoted(t.answers[static_cast<std::size_t>(t.ans[k])]);
  }
  return out + "]";
}

}  // namespace

std::string valid_utf8(const std::string& text) {
  return nlohmann::json::parse(quoted(text)).get<std::string>();
}

std::string to_json(const Trace& t) {
  Writer w;
  w.string("format", std::string(kTraceFormat));
  w.string("id", t.id);
  w.string("model", t.model);
  w.string("dataset", t.dataset);
  if (t.simulated) w.number("simulated", 1);
  w.raw("end_token", fmt::format("{{\"id\":{},\"text\":{}}}", t.end_token_id, quoted(t.end_token)));
  w.number("vocab_size", t.vocab_size);
  w.string("gold", t.gold);
  w.array("tok", t.tok);
  w.array("rank", t.rank);
  w.array("logp", t.logp);
  w.array("wait", t.wait);
  w.array("stage", t.stage);
  if (!t.ans.empty()) w.raw("ans", answers_json(t));
  w.array("ok", t.ok);
  w.array("content_tok", t.content_tok);
  w.array("conf", t.conf);
  w.array("conf_geo", t.conf_geo);
  w.array("boost", t.boost);
  w.array("ties", t.ties);
  w.array("tok_rank", t.tok_rank);
  if (!t.contents.empty()) {
    w.raw("content_len", lengths_json(t));
    w.raw("content_embedding", embeddings_json(t));
  }
  w.raw("end", nlohmann::json{{"natural", t.end.natural ? 1 : 0},
                              {"think_tok", t.end.think_tok},
                              {"content_tok", t.end.content_tok},
                              {"ok", static_cast<int>(t.end.ok)}}
                   .dump());
  if (t.k_rcp != 0) w.number("k_rcp", t.k_rcp);
  return w.take();
}

}  // namespace lowbit::early_exit
