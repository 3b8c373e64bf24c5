#include "experiments/papers/rcp/trace_store.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <type_traits>

#include "formats/error.hpp"

namespace lowbit::rcp {
namespace {

using early_exit::Outcome;
using early_exit::Trace;
using store::Array;
using store::ArrayData;

constexpr const char* kTexts[] = {"model", "dataset", "end_token", "gold"};

std::string Trace::*text_field(std::size_t i) {
  static constexpr std::string Trace::*kFields[] = {&Trace::model, &Trace::dataset, &Trace::end_token, &Trace::gold};
  return kFields[i];
}

/// The fields over sentences that a trace may lack, each with what stands for it then; f(name, member, filler).
template <class F>
void each_optional(F f) {
  f("wait", &Trace::wait, std::uint8_t{0});
  f("stage", &Trace::stage, std::uint8_t{0});
  f("ok", &Trace::ok, Outcome::unknown);
  f("content_tok", &Trace::content_tok, std::int32_t{-1});
  f("conf", &Trace::conf, -1.0);
  f("conf_geo", &Trace::conf_geo, -1.0);
  f("boost", &Trace::boost, std::numeric_limits<double>::quiet_NaN());
  f("ties", &Trace::ties, std::int32_t{0});
}

/// The numbers over traces; f(name, get, set), as int64.
template <class F>
void each_number(F f) {
  const auto number = [&](const char* name, auto reference) {
    f(
        name, [reference](const Trace& t) { return static_cast<std::int64_t>(reference(const_cast<Trace&>(t))); },
        [reference](Trace& t, std::int64_t v) {
          auto& field = reference(t);
          field = static_cast<std::decay_t<decltype(field)>>(v);
        });
  };
  number(
      "end_token_id", [](Trace & t) -> auto& { return t.end_token_id; });
  number(
      "vocab_size", [](Trace & t) -> auto& { return t.vocab_size; });
  number(
      "end_natural", [](Trace & t) -> auto& { return t.end.natural; });
  number(
      "end_think_tok", [](Trace & t) -> auto& { return t.end.think_tok; });
  number(
      "end_content_tok", [](Trace & t) -> auto& { return t.end.content_tok; });
  number(
      "end_ok", [](Trace & t) -> auto& { return t.end.ok; });
  number(
      "k_rcp", [](Trace & t) -> auto& { return t.k_rcp; });
  number(
      "simulated", [](Trace & t) -> auto& { return t.simulated; });
}

/// How a field's values are stored.
template <class T>
using Stored = std::conditional_t<std::is_same_v<T, std::int32_t> || std::is_same_v<T, Outcome>, std::int64_t, T>;

std::vector<std::int64_t> count_up(std::size_t n) {
  std::vector<std::int64_t> values(n);
  std::iota(values.begin(), values.end(), std::int64_t{0});
  return values;
}

const std::map<std::string, std::string>& meanings() {
  static const std::map<std::string, std::string> table{
      {"tok", "tokens in the sentence"},
      {"rank", "1 + number of tokens with strictly larger logit than the end token's, at the sentence's end"},
      {"logp", "natural logarithm of the end token's probability"},
      {"wait", "1: the next token is a transition word"},
      {"stage", "1 exploration, 2 compensation, 3 convergence, 0 unknown"},
      {"ans", "answer forced here, index into text; -1 none"},
      {"model", "index into text"},
      {"dataset", "index into text"},
      {"end_token", "index into text"},
      {"gold", "right answer, index into text"},
      {"ok", "whether the answer forced here is right; -1 unknown"},
      {"content_tok", "length of the content forced here; -1 unknown"},
      {"conf", "confidence of a trial answer, arithmetic mean of token probabilities; -1 unknown"},
      {"conf_geo", "the same, geometric mean"},
      {"boost", "(max y - y_end) / (max y - mean y) of the logits y"},
      {"ties", "tokens whose logit equals the end token's"},
      {"offset", "first sentence of the trace"},
      {"sentences", "number of sentences of the trace"},
      {"token_offset", "first entry of the trace in tok_rank"},
      {"k_rcp", "reasoning completion point, sentence from 1; 0 unknown"},
      {"end_natural", "1: thinking ended by itself, 0: cut off"}};
  return table;
}

void put(store::Group& root, const std::string& name, const std::string& dim, ArrayData data) {
  const std::size_t n = store::data_size(data);
  Array array{name, {dim}, {n}, std::move(data), {}};
  const auto meaning = meanings().find(name);
  if (meaning != meanings().end()) array.attributes.push_back({"long_name", meaning->second});
  root.arrays.push_back(std::move(array));
}

/// Columns of a tree, with what a reader must be told if one is not as it should be.
class Columns {
 public:
  Columns(const store::Group& tree, std::string path) : tree_(tree), path_(std::move(path)) {}

  [[noreturn]] void fail(const std::string& what) const { throw_error(ExitCode::bad_data, "'{}': {}", path_, what); }
  bool has(const std::string& name) const { return tree_.array(name) != nullptr; }
  template <class T>
  const std::vector<T>& get(const std::string& name, std::size_t size) const {
    const Array* array = tree_.array(name);
    if (array == nullptr) fail(fmt::format("dataset '{}' is missing", name));
    const auto* values = std::get_if<std::vector<T>>(&array->data);
    if (values == nullptr) fail(fmt::format("dataset '{}' has another type than this format's", name));
    if (values->size() != size)
      fail(fmt::format("dataset '{}' has {} values, expected {}", name, values->size(), size));
    return *values;
  }
  std::size_t length(const std::string& name) const {
    const Array* array = tree_.array(name);
    if (array == nullptr) fail(fmt::format("dimension '{}' is missing", name));
    return array->size();
  }

 private:
  const store::Group& tree_;
  std::string path_;
};

/// One trace after another from the columns.
class Rows {
 public:
  Rows(const store::Group& tree, const std::string& path)
      : columns_(tree, path), traces_(columns_.length("trace")), sentences_(columns_.length("sentence")) {}

  std::size_t traces() const { return traces_; }

  Trace at(std::size_t i) const {
    Trace t;
    t.id = columns_.get<std::string>("trace", traces_)[i];
    for (std::size_t k = 0; k < std::size(kTexts); ++k)
      t.*text_field(k) = text(columns_.get<std::int64_t>(kTexts[k], traces_)[i]);
    each_number([&](const char* name, auto, auto set) { set(t, columns_.get<std::int64_t>(name, traces_)[i]); });
    const std::size_t n = size_of("sentences", i), from = size_of("offset", i);
    if (from > sentences_ || n > sentences_ - from)
      columns_.fail(fmt::format("trace {}: sentences {} to {} of {}", i, from, from + n, sentences_));
    copy(t.tok, columns_.get<std::uint32_t>("tok", sentences_), from, n);
    copy(t.rank, columns_.get<std::uint32_t>("rank", sentences_), from, n);
    copy(t.logp, columns_.get<double>("logp", sentences_), from, n);
    each_optional([&](const char* name, auto member, auto filler) {
      if (given(name, i)) copy(t.*member, columns_.get<Stored<decltype(filler)>>(name, sentences_), from, n);
    });
    if (given("ans", i)) read_answers(t, from, n);
    if (given("tok_rank", i)) read_token_ranks(t, i);
    if (const auto problem = early_exit::check(t))
      columns_.fail(fmt::format("trace {} ('{}'): field '{}': {}", i, t.id, problem->field, problem->text));
    return t;
  }

 private:
  bool given(const std::string& field, std::size_t i) const {
    return columns_.has("has_" + field) && columns_.get<std::uint8_t>("has_" + field, traces_)[i] != 0;
  }
  std::size_t size_of(const char* name, std::size_t i) const {
    const std::int64_t v = columns_.get<std::int64_t>(name, traces_)[i];
    if (v < 0) columns_.fail(fmt::format("trace {}: {} is {}", i, name, v));
    return static_cast<std::size_t>(v);
  }
  template <class To, class From>
  void copy(std::vector<To>& to, const std::vector<From>& from, std::size_t first, std::size_t n) const {
    to.reserve(n);
    for (std::size_t k = first; k < first + n; ++k) {
      to.push_back(static_cast<To>(from[k]));
      if constexpr (std::is_integral_v<From>)
        if (static_cast<From>(to.back()) != from[k])
          columns_.fail(fmt::format("sentence {}: {} is too large", k, from[k]));
    }
  }
  const std::string& text(std::int64_t index) const {
    const auto& texts = columns_.get<std::string>("text", columns_.length("text"));
    if (index < 0 || static_cast<std::size_t>(index) >= texts.size())
      columns_.fail(fmt::format("text {} is named; there are {}", index, texts.size()));
    return texts[static_cast<std::size_t>(index)];
  }
  void read_answers(Trace& t, std::size_t from, std::size_t n) const {
    const auto& all = columns_.get<std::int64_t>("ans", sentences_);
    std::unordered_map<std::int64_t, std::int32_t> ids;
    for (std::size_t k = from; k < from + n; ++k) {
      if (all[k] == -1) {
        t.ans.push_back(-1);
        continue;
      }
      const auto [found, fresh] = ids.emplace(all[k], static_cast<std::int32_t>(ids.size()));
      if (fresh) t.answers.push_back(text(all[k]));
      t.ans.push_back(found->second);
    }
  }
  void read_token_ranks(Trace& t, std::size_t i) const {
    const std::size_t tokens = columns_.length("token"), from = size_of("token_offset", i);
    const auto n = static_cast<std::size_t>(std::max<std::int64_t>(0, t.end.think_tok));
    if (from > tokens || n > tokens - from)
      columns_.fail(fmt::format("trace {}: tokens {} to {} of {}", i, from, from + n, tokens));
    copy(t.tok_rank, columns_.get<std::uint32_t>("tok_rank", tokens), from, n);
  }

  Columns columns_;
  std::size_t traces_, sentences_;
};

}  // namespace

std::optional<early_exit::Problem> storable(const Trace& trace) {
  const auto problem = [](const char* field, const std::string& text) -> std::optional<early_exit::Problem> {
    if (text.size() > kLongestText)
      return early_exit::Problem{
          field, fmt::format("{} bytes; an HDF5 trace file holds texts of at most {}", text.size(), kLongestText)};
    if (text.find('\0') != std::string::npos)
      return early_exit::Problem{field, "a NUL character, which an HDF5 trace file cannot hold"};
    return std::nullopt;
  };
  if (auto p = problem("id", trace.id)) return p;
  for (std::size_t k = 0; k < std::size(kTexts); ++k)
    if (auto p = problem(kTexts[k], trace.*text_field(k))) return p;
  for (const std::string& answer : trace.answers)
    if (auto p = problem("ans", answer)) return p;
  return std::nullopt;
}

template <class T>
std::vector<T>& TraceColumns::column(const std::string& name) {
  return std::get<std::vector<T>>(by_sentence_.try_emplace(name, std::vector<T>{}).first->second);
}

std::int64_t TraceColumns::text(const std::string& text) {
  const auto [found, fresh] = text_ids_.emplace(text, static_cast<std::int64_t>(texts_.size()));
  if (fresh) texts_.push_back(text);
  return found->second;
}

void TraceColumns::add(const Trace& t) {
  const std::size_t n = t.sentences();
  const auto per_trace = [&](const std::string& name, auto value) {
    using T = decltype(value);
    auto& values = std::get<std::vector<T>>(by_trace_.try_emplace(name, std::vector<T>(traces_)).first->second);
    values.push_back(std::move(value));
  };
  const auto append = [&](const std::string& name, const auto& values, auto filler) {
    using T = Stored<decltype(filler)>;
    const std::string has = "has_" + name;
    if (values.empty() && !by_trace_.contains(has)) return;
    auto& column = this->column<T>(name);
    column.resize(sentences_, static_cast<T>(filler));  // traces before the first that has the field
    for (const auto& v : values) column.push_back(static_cast<T>(v));
    column.resize(sentences_ + n, static_cast<T>(filler));
    per_trace(has, static_cast<std::uint8_t>(!values.empty()));
  };
  for (std::size_t k = 0; k < std::size(kTexts); ++k) per_trace(kTexts[k], text(t.*text_field(k)));
  ids_.push_back(t.id);
  each_number([&](const char* name, auto get, auto) { per_trace(name, get(t)); });
  per_trace("offset", static_cast<std::int64_t>(sentences_));
  per_trace("sentences", static_cast<std::int64_t>(n));
  per_trace("token_offset", static_cast<std::int64_t>(token_ranks_.size()));
  per_trace("has_tok_rank", static_cast<std::uint8_t>(!t.tok_rank.empty()));
  per_trace("has_ans", static_cast<std::uint8_t>(!t.ans.empty()));
  for (const std::int32_t v : t.tok) column<std::uint32_t>("tok").push_back(static_cast<std::uint32_t>(v));
  for (const std::int32_t v : t.rank) column<std::uint32_t>("rank").push_back(static_cast<std::uint32_t>(v));
  auto& logp = column<double>("logp");
  logp.insert(logp.end(), t.logp.begin(), t.logp.end());
  each_optional([&](const char* name, auto member, auto filler) { append(name, t.*member, filler); });
  for (const std::int32_t a : t.ans)
    column<std::int64_t>("ans").push_back(a < 0 ? -1 : text(t.answers[static_cast<std::size_t>(a)]));
  column<std::int64_t>("ans").resize(sentences_ + n, -1);
  for (const std::int32_t v : t.tok_rank) token_ranks_.push_back(static_cast<std::uint32_t>(v));
  sentences_ += n;
  ++traces_;
}

store::Group TraceColumns::take(std::size_t skipped_lines) {
  if (traces_ == 0) throw std::logic_error("no trace to store");
  for (const char* field : {"ans", "tok_rank"}) {
    const auto has = by_trace_.find(fmt::format("has_{}", field));
    const auto& given = std::get<std::vector<std::uint8_t>>(has->second);
    if (std::find(given.begin(), given.end(), 1) != given.end()) continue;
    by_trace_.erase(has);
    by_sentence_.erase(field);
  }
  store::Group root;
  root.set("Conventions", "CF-1.10");
  root.set("filetype", std::string(kTraceFileType));
  root.set("schema_version", std::vector<std::int64_t>{1, 0});
  root.set("format", std::string(early_exit::kTraceFormat));
  root.set("source", "lowbit");
  root.set("skipped_lines", static_cast<std::int64_t>(skipped_lines));
  root.set("complete", std::int64_t{1});
  root.add_coordinate("trace", std::move(ids_), "", "id of the trace");
  root.add_coordinate("text", std::move(texts_), "", "distinct texts that other fields index");
  root.add_coordinate("sentence", count_up(sentences_), "1", "sentences of all traces, one trace behind the other");
  for (auto& [name, values] : by_trace_) put(root, name, "trace", std::move(values));
  for (auto& [name, values] : by_sentence_) put(root, name, "sentence", std::move(values));
  if (!token_ranks_.empty()) {
    root.add_coordinate("token", count_up(token_ranks_.size()), "1", "tokens of the traces that have tok_rank");
    put(root, "tok_rank", "token", std::move(token_ranks_));
  }
  return root;
}

void read_columns(const store::Group& tree, const std::string& path, const std::function<void(Trace&&)>& on_trace) {
  const auto* type = tree.attribute("filetype");
  const auto* name = type != nullptr ? std::get_if<std::string>(type) : nullptr;
  if (name == nullptr || *name != kTraceFileType)
    throw_error(ExitCode::bad_data, "'{}' is no trace file: its filetype is '{}', expected '{}'", path,
                name != nullptr ? *name : "", kTraceFileType);
  const Rows rows(tree, path);
  for (std::size_t i = 0; i < rows.traces(); ++i) on_trace(rows.at(i));
}

bool is_hdf5(const std::string& path) {
  static constexpr char kSignature[] = "\x89HDF\r\n\x1a\n";
  std::ifstream file(path, std::ios::binary);
  if (!file) throw_error(ExitCode::no_input, "cannot open '{}'", path);
  char start[8] = {};
  file.read(start, sizeof start);
  return file.gcount() == 8 && std::memcmp(start, kSignature, 8) == 0;
}

}  // namespace lowbit::rcp
