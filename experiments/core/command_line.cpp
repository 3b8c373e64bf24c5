#include "experiments/core/command_line.hpp"

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <new>
#include <system_error>

#include "formats/error.hpp"
#include "formats/format.hpp"
#include "formats/kernels/kernels.hpp"

namespace lowbit {
namespace po = boost::program_options;

namespace {

struct Option {
  std::string name, placeholder, help, fallback;
  enum { single, repeated, flag } kind = single;
  bool required = false;
  bool hidden = false;
  char letter = 0;
};

constexpr const char* kWords = "lowbit words";  // no option can have this name: it holds a blank

}  // namespace

struct CommandLine::State {
  std::string program, purpose, footer;
  std::vector<Option> options;
  std::string words_placeholder, words_help;
  std::size_t min_words = 0, max_words = 0;
  std::map<std::string, std::vector<std::string>, std::less<>> given;
  std::vector<std::string> words;

  Option* find(std::string_view name) {
    for (Option& o : options)
      if (o.name == name) return &o;
    return nullptr;
  }
  const Option& declared(std::string_view name) {
    Option* o = find(name);
    if (!o) throw std::logic_error(fmt::format("option --{} is read but not declared", name));
    return *o;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const Option& o : options)
      if (!o.hidden) all.push_back("--" + o.name);
    return all;
  }
};

CommandLine::CommandLine(std::string program, std::string purpose) : state_(std::make_unique<State>()) {
  state_->program = std::move(program);
  state_->purpose = std::move(purpose);
  flag("help", "this text").abbreviation('h', "help");
  flag("list-options", "the names of the options, one a line").hide("list-options");
}
CommandLine::~CommandLine() = default;
CommandLine::CommandLine(CommandLine&&) noexcept = default;

CommandLine& CommandLine::value(const std::string& name, const std::string& placeholder, const std::string& help,
                                const std::string& fallback) {
  if (state_->find(name)) throw std::logic_error("option --" + name + " is declared twice");
  state_->options.push_back({.name = name, .placeholder = placeholder, .help = help, .fallback = fallback});
  return *this;
}

CommandLine& CommandLine::value(const std::string& name, const std::string& placeholder, const std::string& help,
                                Required) {
  value(name, placeholder, help);
  state_->options.back().required = true;
  return *this;
}

CommandLine& CommandLine::repeated(const std::string& name, const std::string& placeholder, const std::string& help) {
  value(name, placeholder, help);
  state_->options.back().kind = Option::repeated;
  return *this;
}

CommandLine& CommandLine::flag(const std::string& name, const std::string& help) {
  value(name, "", help);
  state_->options.back().kind = Option::flag;
  return *this;
}

CommandLine& CommandLine::abbreviation(char letter, const std::string& name) {
  state_->declared(name);
  state_->find(name)->letter = letter;
  return *this;
}

CommandLine& CommandLine::words(const std::string& placeholder, const std::string& help, std::size_t min,
                                std::size_t max) {
  state_->words_placeholder = placeholder;
  state_->words_help = help;
  state_->min_words = min;
  state_->max_words = max;
  return *this;
}

CommandLine& CommandLine::hide(const std::string& name) {
  state_->declared(name);
  state_->find(name)->hidden = true;
  return *this;
}

CommandLine& CommandLine::footer(std::string text) {
  state_->footer = std::move(text);
  return *this;
}

namespace {

po::options_description boost_options(const std::vector<Option>& options) {
  po::options_description description;
  for (const Option& o : options) {
    const std::string name = o.letter ? fmt::format("{},{}", o.name, o.letter) : o.name;
    if (o.kind == Option::flag)
      description.add_options()(name.c_str(), "");
    else
      description.add_options()(name.c_str(), po::value<std::vector<std::string>>(), "");
  }
  description.add_options()(kWords, po::value<std::vector<std::string>>(), "");
  return description;
}

po::parsed_options parse_words(const std::string& program, const std::vector<std::string>& arguments,
                               const po::options_description& description, const std::vector<std::string>& names) {
  po::positional_options_description positional;
  positional.add(kWords, -1);
  namespace style = po::command_line_style;
  try {
    return po::command_line_parser(arguments)
        .options(description)
        .positional(positional)
        .style(style::unix_style & ~style::allow_guessing & ~style::allow_sticky)
        .run();
  } catch (const po::unknown_option& e) {
    const std::string& word = e.get_option_name();
    throw_error(ExitCode::usage, "{}: unknown option '{}'{}", program, word, suggestion(word, names));
  } catch (const po::error& e) {
    throw_error(ExitCode::usage, "{}: {} (see --help)", program, e.what());
  }
}

}  // namespace

bool CommandLine::parse(const std::vector<std::string>& arguments) {
  State& s = *state_;
  const po::options_description description = boost_options(s.options);
  for (const auto& parsed : parse_words(s.program, arguments, description, s.names()).options) {
    if (parsed.string_key == kWords) {
      s.words.insert(s.words.end(), parsed.value.begin(), parsed.value.end());
      continue;
    }
    auto& values = s.given[parsed.string_key];
    if (!values.empty() && s.declared(parsed.string_key).kind == Option::single)
      throw_error(ExitCode::usage, "{}: option --{} is given twice", s.program, parsed.string_key);
    if (s.declared(parsed.string_key).kind == Option::flag)
      values = {"1"};
    else
      values.insert(values.end(), parsed.value.begin(), parsed.value.end());
  }
  if (given("help")) return fmt::print("{}", help()), false;
  if (given("list-options")) {
    for (const std::string& name : s.names()) fmt::print("{}\n", name);
    return false;
  }
  for (const Option& o : s.options)
    if (o.required && !given(o.name))
      throw_error(ExitCode::usage, "{}: --{} {} is missing ({})", s.program, o.name, o.placeholder, o.help);
  if (s.words.size() > s.max_words)
    throw_error(ExitCode::usage, "{}: unexpected word '{}'; {}", s.program, s.words[s.max_words],
                s.max_words == 0 ? std::string("only options are accepted here (see --help)")
                                 : fmt::format("at most {} {} accepted", s.max_words, s.words_placeholder));
  if (s.words.size() < s.min_words)
    throw_error(ExitCode::usage, "{}: {} is missing ({})", s.program, s.words_placeholder, s.words_help);
  return true;
}

bool CommandLine::given(std::string_view name) const {
  state_->declared(name);
  return state_->given.find(name) != state_->given.end();
}

const std::string& CommandLine::text(std::string_view name) const {
  const auto found = state_->given.find(name);
  return found == state_->given.end() ? state_->declared(name).fallback : found->second.back();
}

std::vector<std::string> CommandLine::list(std::string_view name) const {
  state_->declared(name);
  const auto found = state_->given.find(name);
  return found == state_->given.end() ? std::vector<std::string>{} : found->second;
}

const std::vector<std::string>& CommandLine::words() const {
  return state_->words;
}
const std::string& CommandLine::program() const {
  return state_->program;
}

std::int64_t CommandLine::integer(std::string_view name, std::int64_t min, std::int64_t max) const {
  return parse_integer(text(name), fmt::format("--{}", name), min, max);
}

double CommandLine::real(std::string_view name, double min, double max) const {
  return parse_real(text(name), fmt::format("--{}", name), min, max);
}

const std::string& CommandLine::choice(std::string_view name, const std::vector<std::string>& choices) const {
  const std::string& value = text(name);
  for (const std::string& c : choices)
    if (value == c) return value;
  throw_error(ExitCode::usage, "--{}: '{}'{}", name, value, suggestion(value, choices));
}

std::string CommandLine::help() const {
  const State& s = *state_;
  std::string out = fmt::format("{}: {}\n\nusage: {} {}[options]\n", s.program, s.purpose, s.program,
                                s.words_placeholder.empty() ? "" : s.words_placeholder + " ");
  if (!s.words_help.empty()) out += fmt::format("  {:<28}{}\n", s.words_placeholder, s.words_help);
  out += "\noptions:\n";
  for (const Option& o : s.options) {
    if (o.hidden) continue;
    std::string left = o.letter ? fmt::format("-{}, --{}", o.letter, o.name) : "--" + o.name;
    if (o.kind != Option::flag) left += " " + o.placeholder;
    std::string right = o.help;
    if (!o.fallback.empty()) right += fmt::format(" (default {})", o.fallback);
    out +=
        left.size() > 26 ? fmt::format("  {}\n{:30}{}\n", left, "", right) : fmt::format("  {:<28}{}\n", left, right);
  }
  if (!s.footer.empty()) out += "\n" + s.footer;
  return out;
}

namespace {

template <class T>
bool parse_whole(std::string_view text, T& value) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  if (text.empty() || text.front() == '+') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

template <class T>
std::string range_text(T min, T max) {
  const bool low = min > std::numeric_limits<T>::lowest() && !(std::is_floating_point_v<T> && std::isinf(min));
  const bool high = max < std::numeric_limits<T>::max() && !(std::is_floating_point_v<T> && std::isinf(max));
  if (low && high) return fmt::format(" from {} to {}", min, max);
  if (low) return fmt::format(" of at least {}", min);
  if (high) return fmt::format(" of at most {}", max);
  return "";
}

}  // namespace

std::int64_t parse_integer(std::string_view text, std::string_view place, std::int64_t min, std::int64_t max) {
  std::int64_t value = 0;
  if (!parse_whole(text, value) || value < min || value > max)
    throw_error(ExitCode::usage, "{}: '{}' is not accepted; an integer{} is", place, text, range_text(min, max));
  return value;
}

double parse_real(std::string_view text, std::string_view place, double min, double max) {
  double value = 0;
  if (!parse_whole(text, value) || !std::isfinite(value) || value < min || value > max)
    throw_error(ExitCode::usage, "{}: '{}' is not accepted; a finite number{} is", place, text, range_text(min, max));
  return value;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& accepted) {
  std::string out;
  if (const auto near = did_you_mean(word, accepted)) out = fmt::format("; did you mean '{}'?", *near);
  if (accepted.empty()) return out;
  out += out.empty() ? "; accepted: " : " accepted: ";
  constexpr std::size_t kListed = 20;
  for (std::size_t i = 0; i < accepted.size() && i < kListed; ++i) out += (i ? ", " : "") + accepted[i];
  if (accepted.size() > kListed) out += fmt::format(", ... ({} in all)", accepted.size());
  return out;
}

namespace {

/// To the standard error, whoever may have closed it.
void complain(std::string_view program, std::string_view message) noexcept try {
  fmt::print(stderr, "{}: {}\n", program, message);
} catch (...) {
}

/// The exit code when the standard output failed. A reader that has seen enough (`| head`) is no error: silent, and
/// the code of a program that SIGPIPE ends.
int output_failed(std::string_view program, int error) {
  constexpr int kBrokenPipe = 128 + 13;
  if (error == EPIPE) return kBrokenPipe;
  complain(program,
           fmt::format("error: the standard output cannot be written: {}", std::generic_category().message(error)));
  return static_cast<int>(ExitCode::io);
}

int finish_output(std::string_view program, int code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
  return output_failed(program, errno != 0 ? errno : EIO);
}

}  // namespace

int guarded_main(std::string_view program, int (*body)(const std::vector<std::string>&),
                 const std::vector<std::string>& arguments) {
  try {
    kernels::target();  // a wrong LOWBIT_KERNEL is told before any work
    return finish_output(program, body(arguments));
  } catch (const Error& e) {
    std::fflush(stdout);
    std::string_view what = e.what();
    // commands put their name before what they refuse ("lowbit eval: ..."): of a program that is one command, once
    if (what.starts_with(fmt::format("{}: ", program))) what.remove_prefix(program.size() + 2);
    complain(program, fmt::format("error: {}", what));
    return static_cast<int>(e.code());
  } catch (const std::bad_alloc&) {
    complain(program, "error: out of memory");
  } catch (const std::filesystem::filesystem_error& e) {
    complain(program, fmt::format("error: '{}': {}", e.path1().string(), e.code().message()));
    return static_cast<int>(ExitCode::io);
  } catch (const std::system_error& e) {
    // fmt::print on a full disk or a closed pipe; or the system has no more of something, such as threads
    if (std::ferror(stdout) || std::ferror(stderr)) return output_failed(program, e.code().value());
    complain(program, fmt::format("error: {}", e.what()));
  } catch (const std::exception& e) {
    complain(program, fmt::format("internal error: {}", e.what()));
  }
  return static_cast<int>(ExitCode::internal);
}

}  // namespace lowbit
