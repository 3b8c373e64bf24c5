#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <variant>

#include "experiments/papers/rcp/trace_fields.hpp"
#include "experiments/papers/rcp/trace_store.hpp"
#include "formats/error.hpp"
#include "results/store/column_file.hpp"

namespace lowbit::rcp {
namespace {

using early_exit::Outcome;
using early_exit::Trace;

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
constexpr std::size_t kRememberedTexts = 10000;

/// Rows of a column file through one block of each column: traces are read in order, so that each block is read once.
class Blocks {
 public:
  explicit Blocks(const std::string& path) : file_(path) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw_error(ExitCode::bad_data, "'{}': {}", file_.path(), what);
  }
  bool has(const std::string& name) const { return file_.column(name) != nullptr; }
  std::size_t length(const std::string& name) const { return column(name).shape[0]; }
  const store::Column& column(const std::string& name) const {
    const store::Column* column = file_.column(name);
    if (column == nullptr) fail(fmt::format("dataset '{}' is missing", name));
    return *column;
  }

  /// `n` rows from `first`.
  template <class T>
  std::vector<T> rows(const std::string& name, std::size_t first, std::size_t n) {
    const std::size_t row = column(name).row();
    if (n * row * sizeof(T) >= kBlockBytes) return file_.read<T>(name, first, n);
    Block& block = blocks_[name];
    if (!std::holds_alternative<std::vector<T>>(block.values)) block.values = std::vector<T>();
    auto& values = std::get<std::vector<T>>(block.values);
    if (first < block.first || first + n > block.first + block.rows) {
      const std::size_t all = length(name), most = std::max<std::size_t>(1, kBlockBytes / (row * sizeof(T)));
      block.first = std::min(first, all);
      block.rows = std::min(std::max(n, most), all - block.first);
      values = file_.read<T>(name, block.first, std::max(block.rows, first + n - block.first));
    }
    const auto from = values.begin() + static_cast<std::ptrdiff_t>((first - block.first) * row);
    return {from, from + static_cast<std::ptrdiff_t>(n * row)};
  }
  template <class T>
  T value(const std::string& name, std::size_t at) {
    return rows<T>(name, at, 1).front();
  }

 private:
  struct Block {
    std::size_t first = 0, rows = 0;
    std::variant<std::vector<std::uint8_t>, std::vector<std::uint32_t>, std::vector<std::int64_t>, std::vector<double>,
                 std::vector<std::string>>
        values;
  };
  store::ColumnReader file_;
  std::map<std::string, Block> blocks_;
};

/// One trace after another.
class Rows {
 public:
  explicit Rows(const std::string& path)
      : blocks_(path), traces_(blocks_.length("trace")), sentences_(blocks_.length("sentence")) {}

  std::size_t traces() const { return traces_; }

  Trace at(std::size_t i) {
    Trace t;
    t.id = blocks_.value<std::string>("trace", i);
    for (std::size_t k = 0; k < std::size(kTextNames); ++k)
      t.*kTextFields[k] = text(blocks_.value<std::int64_t>(kTextNames[k], i));
    each_number([&](const char* name, auto, auto set) {
      const auto v = blocks_.value<std::int64_t>(name, i);
      if (!set(t, v)) blocks_.fail(fmt::format("trace {} ('{}'): field '{}': {} is not accepted", i, t.id, name, v));
    });
    const std::size_t n = size_of("sentences", i), from = size_of("offset", i);
    if (from > sentences_ || n > sentences_ - from)
      blocks_.fail(fmt::format("trace {}: sentences {} to {} of {}", i, from, from + n, sentences_));
    copy(t.tok, blocks_.rows<std::uint32_t>("tok", from, n), from);
    copy(t.rank, blocks_.rows<std::uint32_t>("rank", from, n), from);
    t.logp = blocks_.rows<double>("logp", from, n);
    each_optional([&](const char* name, auto member, auto filler) {
      if (given(name, i)) copy(t.*member, blocks_.rows<Stored<decltype(filler)>>(name, from, n), from);
    });
    if (given("ans", i)) read_answers(t, from, n);
    if (given("tok_rank", i)) read_token_ranks(t, i);
    if (given("contents", i)) read_contents(t, from, n);
    if (const auto problem = early_exit::check(t))
      blocks_.fail(fmt::format("trace {} ('{}'): field '{}': {}", i, t.id, problem->field, problem->text));
    return t;
  }

 private:
  bool given(const std::string& field, std::size_t i) {
    if (!blocks_.has("has_" + field)) return false;
    const int flag = blocks_.value<std::uint8_t>("has_" + field, i);
    if (flag > 1) blocks_.fail(fmt::format("trace {}: has_{} is {}; accepted: 0, 1", i, field, flag));
    return flag == 1;
  }
  std::size_t size_of(const char* name, std::size_t i) {
    const auto v = blocks_.value<std::int64_t>(name, i);
    if (v < 0) blocks_.fail(fmt::format("trace {}: {} is {}", i, name, v));
    return static_cast<std::size_t>(v);
  }
  template <class To, class From>
  void copy(std::vector<To>& to, const std::vector<From>& from, std::size_t first) const {
    to.reserve(from.size());
    for (std::size_t k = 0; k < from.size(); ++k) {
      to.push_back(static_cast<To>(from[k]));
      if constexpr (std::is_integral_v<From>)
        if (static_cast<From>(to.back()) != from[k])
          blocks_.fail(fmt::format("sentence {}: {} is too large", first + k, from[k]));
    }
  }
  const std::string& text(std::int64_t index) {
    const auto found = texts_.find(index);
    if (found != texts_.end()) return found->second;
    if (index < 0 || static_cast<std::size_t>(index) >= blocks_.length("text"))
      blocks_.fail(fmt::format("text {} is named; there are {}", index, blocks_.length("text")));
    if (texts_.size() >= kRememberedTexts) texts_.clear();
    return texts_.emplace(index, blocks_.value<std::string>("text", static_cast<std::size_t>(index))).first->second;
  }
  void read_answers(Trace& t, std::size_t from, std::size_t n) {
    std::unordered_map<std::string, std::int32_t> ids;  // a text may have several numbers in a large file
    for (const std::int64_t number : blocks_.rows<std::int64_t>("ans", from, n)) {
      if (number == -1) {
        t.ans.push_back(-1);
        continue;
      }
      const auto [found, fresh] = ids.emplace(text(number), static_cast<std::int32_t>(ids.size()));
      if (fresh) t.answers.push_back(found->first);
      t.ans.push_back(found->second);
    }
  }
  void read_token_ranks(Trace& t, std::size_t i) {
    const std::size_t tokens = blocks_.length("token"), from = size_of("token_offset", i);
    const auto n = static_cast<std::size_t>(std::max<std::int64_t>(0, t.end.think_tok));
    if (from > tokens || n > tokens - from)
      blocks_.fail(fmt::format("trace {}: tokens {} to {} of {}", i, from, from + n, tokens));
    copy(t.tok_rank, blocks_.rows<std::uint32_t>("tok_rank", from, n), from);
  }
  /// NaN ends the samples of a sentence and the embeddings of a trace.
  void read_contents(Trace& t, std::size_t from, std::size_t n) {
    const store::Column &lengths = blocks_.column("content_len"), &embeddings = blocks_.column("content_embedding");
    if (lengths.shape.size() != 2 || embeddings.shape.size() != 3 || embeddings.shape[1] != lengths.shape[1])
      blocks_.fail("content_len and content_embedding do not lie over (sentence, sample) and (sentence, sample, dim)");
    const std::size_t samples = lengths.shape[1], dim = embeddings.shape[2];
    const auto length = blocks_.rows<double>("content_len", from, n);
    const auto embedding = blocks_.rows<double>("content_embedding", from, n);
    t.contents.resize(n);
    for (std::size_t k = 0; k < n; ++k)
      for (std::size_t i = 0; i < samples && !std::isnan(length[k * samples + i]); ++i) {
        const auto first = embedding.begin() + static_cast<std::ptrdiff_t>((k * samples + i) * dim);
        if (t.content_dim == 0)
          t.content_dim = static_cast<std::size_t>(
              std::find_if(first, first + static_cast<std::ptrdiff_t>(dim), [](double v) { return std::isnan(v); }) -
              first);
        t.contents[k].length.push_back(length[k * samples + i]);
        t.contents[k].embedding.insert(t.contents[k].embedding.end(), first,
                                       first + static_cast<std::ptrdiff_t>(t.content_dim));
      }
  }

  Blocks blocks_;
  std::size_t traces_, sentences_;
  std::unordered_map<std::int64_t, std::string> texts_;
};

void check_type(const std::string& path) {
  const store::ColumnReader file(path);
  const auto* type = file.attribute("filetype");
  const auto* name = type != nullptr ? std::get_if<std::string>(type) : nullptr;
  if (name == nullptr || *name != kTraceFileType)
    throw_error(ExitCode::bad_data, "'{}' is no trace file: its filetype is '{}', expected '{}'", path,
                name != nullptr ? *name : "", kTraceFileType);
}

}  // namespace

void read_columns(const std::string& path, const std::function<void(Trace&&)>& on_trace) {
  check_type(path);
  Rows rows(path);
  for (std::size_t i = 0; i < rows.traces(); ++i) on_trace(rows.at(i));
}

bool is_hdf5(const std::string& path) {
  static constexpr char kSignature[] = "\x89HDF\r\n\x1a\n";
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) return false;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw_error(ExitCode::no_input, "cannot open '{}'", path);
  char start[8] = {};
  file.read(start, sizeof start);
  return file.gcount() == 8 && std::memcmp(start, kSignature, 8) == 0;
}

}  // namespace lowbit::rcp
