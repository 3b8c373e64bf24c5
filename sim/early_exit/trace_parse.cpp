#include <simdjson.h>

#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "sim/early_exit/trace_file.hpp"

namespace lowbit::early_exit {

// The DOM of simdjson: its instruction set is chosen at run time, that of its on-demand front end at compile time.
namespace dom = simdjson::dom;

static_assert(TraceParser::kPadding >= simdjson::SIMDJSON_PADDING);

struct TraceParser::State {
  dom::parser parser;
};

TraceParser::TraceParser() : state_(new State) {}
TraceParser::~TraceParser() {
  delete state_;
}

namespace {

/// Thrown inside this file alone; carries the field that could not be read.
struct BadField {
  std::string field, text;
};

[[noreturn]] void bad(std::string_view field, std::string text) {
  throw BadField{std::string(field), std::move(text)};
}

std::string raw(dom::element value) {
  return simdjson::minify(value).substr(0, 40);
}

std::int64_t integer(dom::element value, std::string_view field, std::int64_t low, std::int64_t high) {
  std::int64_t v = 0;
  if (value.get_int64().get(v)) bad(field, fmt::format("{}: '{}' is not an integer", field, raw(value)));
  if (v < low || v > high) bad(field, fmt::format("{}: {} is outside [{}, {}]", field, v, low, high));
  return v;
}

double number(dom::element value, std::string_view field, bool null_is_minus_infinity) {
  if (null_is_minus_infinity && value.is_null()) return -std::numeric_limits<double>::infinity();
  double v = 0;
  if (value.get_double().get(v)) bad(field, fmt::format("{}: '{}' is not a number", field, raw(value)));
  return v;
}

std::string text(dom::element value, std::string_view field) {
  std::string_view v;
  if (value.get_string().get(v)) bad(field, fmt::format("{}: '{}' is not a string", field, raw(value)));
  return std::string(v);
}

template <class Read>
void each(dom::element value, std::string_view field, Read read) {
  dom::array array;
  if (value.get_array().get(array)) bad(field, fmt::format("{} is not an array", field));
  for (const dom::element entry : array) read(entry);
}

template <class T>
void integers(dom::element value, std::string_view field, std::vector<T>& out, std::int64_t low, std::int64_t high) {
  each(value, field, [&](dom::element v) { out.push_back(static_cast<T>(integer(v, field, low, high))); });
}

constexpr std::int64_t kMax32 = std::numeric_limits<std::int32_t>::max();

void numbers(dom::element value, std::string_view field, std::vector<double>& out) {
  each(value, field, [&](dom::element v) { out.push_back(number(v, field, false)); });
}

/// [[length of each sample] of each sentence]
void content_lengths(dom::element value, Trace& trace) {
  std::size_t k = 0;
  each(value, "content_len", [&](dom::element sentence) {
    if (trace.contents.size() <= k) trace.contents.resize(k + 1);
    numbers(sentence, "content_len", trace.contents[k++].length);
  });
  if (trace.contents.size() != k)
    bad("content_len", fmt::format("content_len has {} entries, content_embedding {}", k, trace.contents.size()));
}

/// [[[embedding] of each sample] of each sentence]
void content_embeddings(dom::element value, Trace& trace) {
  std::size_t k = 0;
  bool first = true;
  each(value, "content_embedding", [&](dom::element sentence) {
    if (trace.contents.size() <= k) trace.contents.resize(k + 1);
    std::vector<double>& all = trace.contents[k].embedding;
    each(sentence, "content_embedding", [&](dom::element sample) {
      const std::size_t before = all.size();
      numbers(sample, "content_embedding", all);
      if (first) trace.content_dim = all.size() - before;
      first = false;
      if (all.size() - before != trace.content_dim || trace.content_dim == 0)
        bad("content_embedding", fmt::format("content_embedding[{}] has an embedding of {} numbers, the first has {}",
                                             k, all.size() - before, trace.content_dim));
    });
    ++k;
  });
  if (trace.contents.size() != k)
    bad("content_embedding", fmt::format("content_embedding has {} entries, content_len {}", k, trace.contents.size()));
}

void answers(dom::element value, Trace& trace) {
  std::unordered_map<std::string, std::int32_t> ids;
  each(value, "ans", [&](dom::element v) {
    if (v.is_null()) return trace.ans.push_back(-1);
    const auto [found, fresh] = ids.emplace(text(v, "ans"), static_cast<std::int32_t>(ids.size()));
    if (fresh) trace.answers.push_back(found->first);
    trace.ans.push_back(found->second);
  });
}

void end_of_trace(dom::element value, Trace& trace) {
  dom::object object;
  if (value.get_object().get(object)) bad("end", "end is not an object");
  bool natural = false, think = false;
  for (const auto& [key, v] : object) {
    if (key == "natural") trace.end.natural = integer(v, "end.natural", 0, 1) != 0, natural = true;
    if (key == "think_tok") trace.end.think_tok = integer(v, "end.think_tok", 0, INT64_MAX), think = true;
    if (key == "content_tok") trace.end.content_tok = integer(v, "end.content_tok", -1, INT64_MAX);
    if (key == "ok") trace.end.ok = static_cast<Outcome>(integer(v, "end.ok", -1, 1));
  }
  if (!natural) bad("end", "end.natural is missing");
  if (!think) bad("end", "end.think_tok is missing");
}

void end_token(dom::element value, Trace& trace) {
  dom::object object;
  if (value.get_object().get(object)) {
    trace.end_token = text(value, "end_token");
    return;
  }
  for (const auto& [key, v] : object) {
    if (key == "text") trace.end_token = text(v, "end_token.text");
    if (key == "id") trace.end_token_id = integer(v, "end_token.id", -1, kMax32);
  }
}

/// One reader per field of the format.
using Reader = void (*)(dom::element, Trace&);
const std::unordered_map<std::string_view, Reader>& readers() {
  static const std::unordered_map<std::string_view, Reader> table{
      {"format",
       [](dom::element v, Trace&) {
         const std::string name = text(v, "format");
         if (name != kTraceFormat) bad("format", fmt::format("format is '{}'; accepted: '{}'", name, kTraceFormat));
       }},
      {"id", [](dom::element v, Trace& t) { t.id = text(v, "id"); }},
      {"model", [](dom::element v, Trace& t) { t.model = text(v, "model"); }},
      {"dataset", [](dom::element v, Trace& t) { t.dataset = text(v, "dataset"); }},
      {"gold", [](dom::element v, Trace& t) { t.gold = text(v, "gold"); }},
      {"simulated", [](dom::element v, Trace& t) { t.simulated = integer(v, "simulated", 0, 1) != 0; }},
      {"end_token", end_token},
      {"vocab_size", [](dom::element v, Trace& t) { t.vocab_size = integer(v, "vocab_size", 1, kMax32); }},
      {"tok", [](dom::element v, Trace& t) { integers(v, "tok", t.tok, 1, kMax32); }},
      {"rank", [](dom::element v, Trace& t) { integers(v, "rank", t.rank, 1, kMax32); }},
      {"logp", [](dom::element v,
                  Trace& t) { each(v, "logp", [&](dom::element x) { t.logp.push_back(number(x, "logp", true)); }); }},
      {"wait", [](dom::element v, Trace& t) { integers(v, "wait", t.wait, 0, 1); }},
      {"stage", [](dom::element v, Trace& t) { integers(v, "stage", t.stage, 0, 3); }},
      {"ans", answers},
      {"ok",
       [](dom::element v, Trace& t) {
         each(v, "ok", [&](dom::element x) { t.ok.push_back(static_cast<Outcome>(integer(x, "ok", -1, 1))); });
       }},
      {"content_tok", [](dom::element v, Trace& t) { integers(v, "content_tok", t.content_tok, -1, kMax32); }},
      {"conf", [](dom::element v,
                  Trace& t) { each(v, "conf", [&](dom::element x) { t.conf.push_back(number(x, "conf", false)); }); }},
      {"conf_geo",
       [](dom::element v, Trace& t) {
         each(v, "conf_geo", [&](dom::element x) { t.conf_geo.push_back(number(x, "conf_geo", false)); });
       }},
      {"boost",
       [](dom::element v, Trace& t) {
         each(v, "boost", [&](dom::element x) { t.boost.push_back(number(x, "boost", false)); });
       }},
      {"ties", [](dom::element v, Trace& t) { integers(v, "ties", t.ties, 0, kMax32); }},
      {"tok_rank", [](dom::element v, Trace& t) { integers(v, "tok_rank", t.tok_rank, 1, kMax32); }},
      {"content_len", content_lengths},
      {"content_embedding", content_embeddings},
      {"end", end_of_trace},
      {"k_rcp", [](dom::element v, Trace& t) { t.k_rcp = static_cast<std::int32_t>(integer(v, "k_rcp", 0, kMax32)); }},
  };
  return table;
}

void read_object(dom::element document, Trace& trace) {
  dom::object object;
  if (document.get_object().get(object)) bad("", "the line is not a JSON object");
  std::vector<std::string> seen;
  for (const auto& [key, value] : object) {
    for (const std::string& earlier : seen) {
      if (earlier == key) bad(key, fmt::format("field '{}' is given twice", key));
    }
    seen.emplace_back(key);
    const auto reader = readers().find(key);
    if (reader != readers().end()) reader->second(value, trace);  // fields of later versions are passed over
  }
  for (const char* needed : {"format", "vocab_size", "tok", "rank", "logp", "end"}) {
    if (std::find(seen.begin(), seen.end(), needed) == seen.end())
      bad(needed, fmt::format("field '{}' is missing", needed));
  }
}

}  // namespace

std::optional<Problem> TraceParser::parse(std::string_view line, Trace& trace) {
  trace = Trace{};
  dom::element document;
  // false: the padding behind the line is the caller's promise, no copy
  if (const auto error = state_->parser.parse(line.data(), line.size(), false).get(document)) {
    return Problem{"", fmt::format("the line is no JSON: {}", simdjson::error_message(error))};
  }
  try {
    read_object(document, trace);
  } catch (const BadField& problem) {
    return Problem{problem.field, problem.text};
  }
  return check(trace);
}

}  // namespace lowbit::early_exit
