#include "sim/source/npy_header.hpp"

#include <algorithm>

#include "formats/error.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

constexpr std::size_t kMostAxes = 64;  // what NumPy 2 allows

class Parser {
 public:
  Parser(std::string_view text, const std::string& place) : rest_(text), place_(place) {}

  NpyHeader dictionary() {
    NpyHeader header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      bool* seen = key == "descr"           ? &has_descr
                   : key == "fortran_order" ? &has_order
                   : key == "shape"         ? &has_shape
                                            : nullptr;
      if (!seen) fail("unknown key " + in_quotes(key));
      if (*seen) fail("key " + in_quotes(key) + " occurs twice");
      *seen = true;
      if (seen == &has_descr)
        header.descr = descr();
      else if (seen == &has_order)
        header.fortran_order = boolean();
      else
        header.shape = tuple();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!(has_descr && has_order && has_shape)) fail("descr, fortran_order and shape must all be given");
    skip_blanks();
    if (!rest_.empty()) fail("text after the dictionary: " + in_quotes(rest_));
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& what) {
    throw_error(ExitCode::bad_data, "{}: malformed .npy header: {}", place_, what);
  }
  void skip_blanks() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n\t"), rest_.size())); }
  bool accept(char c) {
    skip_blanks();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("'") + c + "' is expected at " + in_quotes(rest_.substr(0, 20)));
  }
  std::string string() {
    skip_blanks();
    const char quote = rest_.empty() ? '\0' : rest_[0];
    const std::size_t end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : rest_.npos;
    if (end == rest_.npos) fail("a quoted string is expected at " + in_quotes(rest_.substr(0, 20)));
    const std::string value(rest_.substr(1, end - 1));
    if (value.find('\\') != value.npos) fail("escape in " + in_quotes(value));
    rest_.remove_prefix(end + 1);
    return value;
  }
  std::string descr() {
    skip_blanks();
    if (!rest_.empty() && rest_[0] == '[')
      throw_error(ExitCode::bad_data, "{}: a structured dtype is not accepted (accepted: f2, f4, f8, V2 as bfloat16)",
                  place_);
    return string();
  }
  bool boolean() {
    skip_blanks();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (rest_.substr(0, word.size()) == word) {
        rest_.remove_prefix(word.size());
        return value;
      }
    }
    fail("True or False is expected at " + in_quotes(rest_.substr(0, 20)));
  }
  Shape tuple() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      const std::size_t end = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
      unsigned long long extent = 0;
      if (!parse_unsigned(rest_.substr(0, end), extent))
        fail("an extent from 0 to 2^64 - 1 is expected at " + in_quotes(rest_.substr(0, 24)));
      rest_.remove_prefix(end);
      accept('L');  // Python 2 wrote long integers so
      shape.push_back(extent);
      if (shape.size() > kMostAxes) fail("more than 64 axes");
      if (!accept(',')) {
        if (shape.size() == 1) fail("a tuple is expected, '(N)' is a number: write '(N,)'");
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view rest_;
  const std::string& place_;
};

}  // namespace

NpyHeader parse_npy_header(std::string_view text, const std::string& place) {
  return Parser(text, place).dictionary();
}

}  // namespace lowbit
