#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "formats/error.hpp"
#include "sim/early_exit/trace_file.hpp"

namespace lowbit::early_exit {

namespace {

/// A file descriptor that closes itself.
class InputFile {
 public:
  explicit InputFile(const std::string& path) : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) throw_error(ExitCode::no_input, "cannot open '{}': {}", path, std::strerror(errno));
    struct stat info {};
    if (::fstat(fd_, &info) == 0 && S_ISDIR(info.st_mode)) {
      ::close(fd_);
      throw_error(ExitCode::no_input, "'{}' is a folder; accepted: a file of traces, one JSON object a line", path);
    }
  }
  ~InputFile() { ::close(fd_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::size_t read(char* data, std::size_t size) {
    for (;;) {
      const ssize_t n = ::read(fd_, data, size);
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) throw_error(ExitCode::io, "cannot read '{}': {}", path_, std::strerror(errno));
    }
  }

 private:
  std::string path_;
  int fd_;
};

/// Whole lines of the file, with the padding that the parser wants behind them.
struct Batch {
  std::vector<char> text;
  std::size_t size = 0;        ///< bytes of lines in `text`
  std::size_t first_line = 0;  ///< 1-based number of the first line
  std::size_t lines = 0;
  bool too_long = false;  ///< instead of text: one line above the limit
};

struct Parsed {
  std::size_t line;
  Trace trace;
  std::optional<Problem> problem;
};

/// Cuts the file into batches at line ends; lines above the limit are passed over byte by byte.
class LineSource {
 public:
  LineSource(const std::string& path, const ReadOptions& options) : file_(path), options_(options) {}

  std::uint64_t bytes() const { return bytes_; }
  std::size_t lines() const { return next_line_ - 1; }

  bool next(Batch& batch) {
    batch = Batch{};
    batch.first_line = next_line_;
    batch.text = std::move(rest_);
    rest_.clear();
    std::size_t filled = batch.text.size();
    for (;;) {
      if (filled > options_.max_line && !std::memchr(batch.text.data(), '\n', filled)) return skip_long_line(batch);
      batch.text.resize(filled + options_.batch + TraceParser::kPadding);
      const std::size_t n = at_end_ ? 0 : file_.read(batch.text.data() + filled, options_.batch);
      if (n == 0) at_end_ = true;
      bytes_ += n;
      filled += n;
      if (at_end_) break;
      if (std::memchr(batch.text.data() + filled - n, '\n', n)) break;
    }
    return finish(batch, filled);
  }

 private:
  bool finish(Batch& batch, std::size_t filled) {
    batch.size = filled;
    if (!at_end_) {
      while (batch.size > 0 && batch.text[batch.size - 1] != '\n') --batch.size;
      rest_.assign(batch.text.begin() + static_cast<std::ptrdiff_t>(batch.size),
                   batch.text.begin() + static_cast<std::ptrdiff_t>(filled));
    }
    if (batch.size == 0) return false;
    const auto begin = batch.text.begin(), end = begin + static_cast<std::ptrdiff_t>(batch.size);
    batch.lines = static_cast<std::size_t>(std::count(begin, end, '\n')) + (batch.text[batch.size - 1] != '\n');
    next_line_ += batch.lines;
    return true;
  }

  bool skip_long_line(Batch& batch) {
    std::vector<char> buffer(options_.batch);
    batch.text.clear();
    batch.too_long = true;
    batch.lines = 1;
    ++next_line_;
    while (!at_end_) {
      const std::size_t n = file_.read(buffer.data(), buffer.size());
      if (n == 0) at_end_ = true;
      bytes_ += n;
      const void* newline = n ? std::memchr(buffer.data(), '\n', n) : nullptr;
      if (newline) {
        const auto after = static_cast<const char*>(newline) + 1;
        rest_.assign(after, static_cast<const char*>(buffer.data() + n));
        break;
      }
    }
    return true;
  }

  InputFile file_;
  ReadOptions options_;
  std::vector<char> rest_;
  bool at_end_ = false;
  std::uint64_t bytes_ = 0;
  std::size_t next_line_ = 1;
};

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

std::vector<Parsed> parse_batch(const Batch& batch, TraceParser& parser, std::size_t max_line) {
  std::vector<Parsed> parsed;
  const auto too_long = [&](std::size_t line) {
    parsed.push_back({line, {}, Problem{"", fmt::format("the line is longer than {} bytes", max_line)}});
  };
  if (batch.too_long) {
    too_long(batch.first_line);
    return parsed;
  }
  std::string_view rest(batch.text.data(), batch.size);
  for (std::size_t line = batch.first_line; !rest.empty(); ++line) {
    const std::string_view text = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), text.size() + 1));
    if (is_blank(text)) continue;
    if (text.size() > max_line) {
      too_long(line);
      continue;
    }
    parsed.push_back({line, {}, std::nullopt});
    parsed.back().problem = parser.parse(text, parsed.back().trace);
  }
  return parsed;
}

}  // namespace

ReadReport read_traces(const std::string& path, const ReadOptions& options,
                       const std::function<void(Trace&&, std::size_t)>& on_trace,
                       const std::function<void(std::size_t, const Problem&)>& on_bad) {
  LineSource source(path, options);
  const auto threads = static_cast<std::size_t>(std::max(1, options.threads));
  std::vector<TraceParser> parsers(threads);
  ReadReport report;
  for (bool more = true; more;) {
    // a round: one batch a thread, parsed side by side, handed over in file order
    std::vector<Batch> batches;
    while (more && batches.size() < threads) {
      Batch batch;
      more = source.next(batch);
      if (more) batches.push_back(std::move(batch));
    }
    std::vector<std::vector<Parsed>> results(batches.size());
    std::vector<std::thread> workers;
    for (std::size_t i = 1; i < batches.size(); ++i) {
      workers.emplace_back([&, i] { results[i] = parse_batch(batches[i], parsers[i], options.max_line); });
    }
    if (!batches.empty()) results[0] = parse_batch(batches[0], parsers[0], options.max_line);
    for (std::thread& worker : workers) worker.join();
    for (auto& result : results) {
      for (Parsed& parsed : result) {
        if (parsed.problem) {
          ++report.bad;
          on_bad(parsed.line, *parsed.problem);
        } else {
          ++report.traces;
          on_trace(std::move(parsed.trace), parsed.line);
        }
      }
    }
  }
  report.lines = source.lines();
  report.bytes = source.bytes();
  if (report.bytes == 0) throw_error(ExitCode::bad_data, "'{}' is empty; expected one JSON trace a line", path);
  return report;
}

}  // namespace lowbit::early_exit
