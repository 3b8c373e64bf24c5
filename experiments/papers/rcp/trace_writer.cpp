#include <algorithm>
#include <map>
#include <numeric>
#include <variant>

#include "experiments/papers/rcp/trace_fields.hpp"
#include "experiments/papers/rcp/trace_store.hpp"
#include "formats/error.hpp"
#include "results/store/column_file.hpp"

namespace lowbit::rcp {
namespace {

using early_exit::Trace;
using store::Column;
using store::ColumnType;

constexpr std::size_t kRememberedBytes = std::size_t{64} << 20;
constexpr std::size_t kBufferedBytes = std::size_t{8} << 20;

/// Rows of one column that are not written yet.
using Pending = std::variant<std::vector<std::uint8_t>, std::vector<std::uint32_t>, std::vector<std::int64_t>,
                             std::vector<double>, std::vector<std::string>>;

Pending pending_of(ColumnType type) {
  switch (type) {
    case ColumnType::u8:
      return std::vector<std::uint8_t>();
    case ColumnType::u32:
      return std::vector<std::uint32_t>();
    case ColumnType::i64:
      return std::vector<std::int64_t>();
    case ColumnType::f64:
      return std::vector<double>();
    default:
      return std::vector<std::string>();
  }
}

template <class T>
ColumnType type_of() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return ColumnType::u8;
  if constexpr (std::is_same_v<T, std::uint32_t>) return ColumnType::u32;
  if constexpr (std::is_same_v<T, std::int64_t>) return ColumnType::i64;
  return ColumnType::f64;
}

const std::map<std::string, std::string>& meanings() {
  static const std::map<std::string, std::string> table{
      {"trace", "id of the trace"},
      {"text", "distinct texts that other fields index"},
      {"sentence", "sentences of all traces, one trace behind the other"},
      {"token", "tokens of the traces that have tok_rank"},
      {"sample", "contents sampled after one sentence"},
      {"dim", "dimensions of their embeddings"},
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
      {"content_len", "length of each content sampled here; NaN beyond the samples"},
      {"content_embedding", "its embedding; NaN beyond the samples"},
      {"conf", "confidence of a trial answer, arithmetic mean of token probabilities; -1 unknown"},
      {"conf_geo", "the same, geometric mean"},
      {"boost", "(max y - y_end) / (max y - mean y) of the logits y"},
      {"ties", "tokens whose logit equals the end token's"},
      {"tok_rank", "rank after every token"},
      {"offset", "first sentence of the trace"},
      {"sentences", "number of sentences of the trace"},
      {"token_offset", "first entry of the trace in tok_rank"},
      {"k_rcp", "reasoning completion point, sentence from 1; 0 unknown"},
      {"end_natural", "1: thinking ended by itself, 0: cut off"}};
  return table;
}

/// Columns of a file with these totals.
class Layout {
 public:
  explicit Layout(const TraceTotals& totals) : totals_(totals) {
    add_coordinates();
    for (const char* name : kTextNames) per_trace(name, ColumnType::i64);
    each_number([&](const char* name, auto, auto) { per_trace(name, ColumnType::i64); });
    for (const char* name : {"offset", "sentences", "token_offset"}) per_trace(name, ColumnType::i64);
    for (const std::string& field : totals.fields) per_trace("has_" + field, ColumnType::u8);
    per_sentence("tok", ColumnType::u32);
    per_sentence("rank", ColumnType::u32);
    per_sentence("logp", ColumnType::f64);
    each_optional([&](const char* name, auto, auto filler) {
      if (has(name)) per_sentence(name, type_of<Stored<decltype(filler)>>());
    });
    if (has("ans")) per_sentence("ans", ColumnType::i64);
    if (has("tok_rank")) add({"tok_rank", ColumnType::u32, {"token"}, {totals.tokens}});
    if (has("contents")) add_contents();
  }
  std::vector<Column> take() { return std::move(columns_); }

 private:
  bool has(const std::string& field) const { return totals_.fields.count(field) != 0; }
  void add(Column column) {
    const auto meaning = meanings().find(column.name);
    if (meaning != meanings().end()) column.attributes.push_back({"long_name", meaning->second});
    columns_.push_back(std::move(column));
  }
  void per_trace(const std::string& name, ColumnType type) { add({name, type, {"trace"}, {totals_.traces}}); }
  void per_sentence(const std::string& name, ColumnType type) { add({name, type, {"sentence"}, {totals_.sentences}}); }
  void count(const std::string& name, std::size_t n) {
    add({name, ColumnType::i64, {name}, {n}, 0, {{"units", std::string("1")}}});
  }
  void add_coordinates() {
    add({"trace", ColumnType::text, {"trace"}, {totals_.traces}, totals_.longest_id});
    add({"text", ColumnType::text, {"text"}, {totals_.texts()}, totals_.longest_text});
    count("sentence", totals_.sentences);
    if (has("tok_rank")) count("token", totals_.tokens);
    if (has("contents")) count("sample", totals_.samples), count("dim", totals_.dim);
  }
  void add_contents() {
    add({"content_len", ColumnType::f64, {"sentence", "sample"}, {totals_.sentences, totals_.samples}});
    add({"content_embedding",
         ColumnType::f64,
         {"sentence", "sample", "dim"},
         {totals_.sentences, totals_.samples, totals_.dim}});
  }

  const TraceTotals& totals_;
  std::vector<Column> columns_;
};

}  // namespace

std::pair<std::int64_t, bool> TextNumbers::of(const std::string& text) {
  if (text.empty()) return {0, false};
  const auto found = known_.find(text);
  if (found != known_.end()) return {found->second, false};
  const auto number = static_cast<std::int64_t>(next_++);
  if (bytes_ < kRememberedBytes) {
    known_.emplace(text, number);
    bytes_ += text.size() + 64;  // of the table too
  }
  return {number, true};
}

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
  for (std::size_t k = 0; k < std::size(kTextNames); ++k)
    if (auto p = problem(kTextNames[k], trace.*kTextFields[k])) return p;
  for (const std::string& answer : trace.answers)
    if (auto p = problem("ans", answer)) return p;
  return std::nullopt;
}

void TraceTotals::add(const Trace& t) {
  ++traces;
  sentences += t.sentences();
  tokens += t.tok_rank.size();
  longest_id = std::max(longest_id, t.id.size());
  const auto see = [&](const std::string& text) {
    if (texts_.of(text).second) longest_text = std::max(longest_text, text.size());
  };
  for (const auto field : kTextFields) see(t.*field);
  for (const std::int32_t a : t.ans)
    if (a >= 0) see(t.answers[static_cast<std::size_t>(a)]);
  each_optional([&](const char* name, auto member, auto) {
    if (!(t.*member).empty()) fields.insert(name);
  });
  if (!t.ans.empty()) fields.insert("ans");
  if (!t.tok_rank.empty()) fields.insert("tok_rank");
  if (t.content_dim == 0) return;
  fields.insert("contents");
  dim = std::max(dim, t.content_dim);
  for (const auto& c : t.contents) samples = std::max(samples, c.length.size());
}

struct TraceWriter::State {
  State(const std::string& path, store::Overwrite overwrite, const TraceTotals& totals_,
        const std::vector<store::Attribute>& attributes, const std::vector<Column>& columns)
      : source(path), totals(totals_), file(path, overwrite, attributes, columns) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      numbers.emplace(columns[i].name, i);
      pending.push_back(pending_of(columns[i].type));
    }
  }

  std::string source;
  TraceTotals totals;
  store::ColumnWriter file;
  std::map<std::string, std::size_t> numbers;
  std::vector<Pending> pending;
  TextNumbers texts;
  std::size_t traces = 0, sentences = 0, tokens = 0, buffered = 0;

  bool has(const std::string& field) const { return totals.fields.count(field) != 0; }

  template <class T>
  std::vector<T>& column(const std::string& name) {
    return std::get<std::vector<T>>(pending[numbers.at(name)]);
  }
  template <class T>
  void put(const std::string& name, T value) {
    column<T>(name).push_back(std::move(value));
    buffered += sizeof(T);
  }

  std::int64_t text(const std::string& text) {
    const auto [number, fresh] = texts.of(text);
    if (fresh) put("text", text);
    return number;
  }

  /// The sampled contents, filled up with NaN.
  void put_contents(const Trace& t) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    auto &lengths = column<double>("content_len"), &embeddings = column<double>("content_embedding");
    for (std::size_t k = 0; k < t.sentences(); ++k) {
      for (std::size_t i = 0; i < totals.samples; ++i) {
        const bool there = k < t.contents.size() && i < t.contents[k].length.size();
        lengths.push_back(there ? t.contents[k].length[i] : kNone);
        for (std::size_t d = 0; d < totals.dim; ++d)
          embeddings.push_back(there && d < t.content_dim ? t.contents[k].embedding[i * t.content_dim + d] : kNone);
      }
    }
    buffered += t.sentences() * totals.samples * (1 + totals.dim) * sizeof(double);
  }

  void put_trace(const Trace& t) {
    put("trace", t.id);
    for (std::size_t k = 0; k < std::size(kTextNames); ++k) put(kTextNames[k], text(t.*kTextFields[k]));
    each_number([&](const char* name, auto get, auto) { put(name, get(t)); });
    put("offset", static_cast<std::int64_t>(sentences));
    put("sentences", static_cast<std::int64_t>(t.sentences()));
    put("token_offset", static_cast<std::int64_t>(tokens));
    const auto note = [&](const std::string& field, bool given) {
      if (has(field)) put("has_" + field, static_cast<std::uint8_t>(given));
    };
    each_optional([&](const char* name, auto member, auto) { note(name, !(t.*member).empty()); });
    note("ans", !t.ans.empty());
    note("tok_rank", !t.tok_rank.empty());
    note("contents", t.content_dim != 0);
  }

  void put_sentences(const Trace& t) {
    for (std::size_t k = 0; k < t.sentences(); ++k) {
      put("sentence", static_cast<std::int64_t>(sentences + k));
      put("tok", static_cast<std::uint32_t>(t.tok[k]));
      put("rank", static_cast<std::uint32_t>(t.rank[k]));
      put("logp", t.logp[k]);
    }
    each_optional([&](const char* name, auto member, auto filler) {
      using T = Stored<decltype(filler)>;
      if (!has(name)) return;
      auto& values = column<T>(name);
      for (const auto& v : t.*member) values.push_back(static_cast<T>(v));
      if ((t.*member).empty()) values.resize(values.size() + t.sentences(), static_cast<T>(filler));
      buffered += t.sentences() * sizeof(T);
    });
    if (has("ans"))
      for (std::size_t k = 0; k < t.sentences(); ++k) {
        const std::int32_t a = t.ans.empty() ? -1 : t.ans[k];
        put("ans", a < 0 ? std::int64_t{-1} : text(t.answers[static_cast<std::size_t>(a)]));
      }
    for (const std::int32_t v : t.tok_rank) {
      put("token", static_cast<std::int64_t>(tokens++));
      put("tok_rank", static_cast<std::uint32_t>(v));
    }
    if (has("contents")) put_contents(t);
  }

  void flush() {
    for (std::size_t i = 0; i < pending.size(); ++i)
      std::visit(
          [&](auto& values) {
            using T = typename std::decay_t<decltype(values)>::value_type;
            file.append<T>(i, values);
            values.clear();
          },
          pending[i]);
    buffered = 0;
  }
};

namespace {

std::vector<store::Attribute> attributes(std::size_t skipped_lines) {
  return {{"Conventions", std::string("CF-1.10")},
          {"filetype", std::string(kTraceFileType)},
          {"schema_version", std::vector<std::int64_t>{1, 1}},
          {"format", std::string(early_exit::kTraceFormat)},
          {"source", std::string("lowbit")},
          {"skipped_lines", static_cast<std::int64_t>(skipped_lines)},
          {"complete", std::int64_t{1}}};
}

}  // namespace

TraceWriter::TraceWriter(const std::string& path, store::Overwrite overwrite, const TraceTotals& totals,
                         std::size_t skipped_lines)
    : state_(std::make_unique<State>(path, overwrite, totals, attributes(skipped_lines), Layout(totals).take())) {
  State& s = *state_;
  s.put("text", std::string());
  for (const auto& [name, n] : {std::pair{"sample", totals.samples}, std::pair{"dim", totals.dim}})
    for (std::size_t i = 0; s.has("contents") && i < n; ++i) s.put(name, static_cast<std::int64_t>(i));
}

TraceWriter::~TraceWriter() = default;

void TraceWriter::add(const Trace& trace) {
  State& s = *state_;
  try {
    s.put_trace(trace);
    s.put_sentences(trace);
    s.sentences += trace.sentences();
    ++s.traces;
    if (s.buffered >= kBufferedBytes) s.flush();
  } catch (const std::logic_error&) {  // more rows, or other fields, than were counted
    throw_error(ExitCode::bad_data, "the traces have changed while they were read; '{}' is not written", s.source);
  }
}

void TraceWriter::finish() {
  State& s = *state_;
  try {
    s.flush();
    s.file.finish();
  } catch (const std::logic_error&) {
    throw_error(ExitCode::bad_data, "the traces have changed while they were read; '{}' is not written", s.source);
  }
}

}  // namespace lowbit::rcp
