// Values of axes and parameters: their kinds, the lists an axis sweeps, and the texts a user may give for them.
//
// A list is items separated by commas; the order is kept, an item given twice is refused. An item of a numeric axis is
//   V            a number
//   LO:HI:STEP   LO, LO + STEP, ... up to HI (included when a step lands on it); each value is rounded to 12
//                significant digits, so that 0:1:0.1 holds the 0.3 that 0.3 means
//   LO-HI        integers LO to HI; LO-HI+STEP every STEP-th; LO-HI*FACTOR by multiplication (1-64*2)
// An item of a text axis is taken as it is.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lowbit {

enum class Kind { real, integer, text };

/// One coordinate or parameter value. Numbers compare by value, whatever their kind.
class Value {
 public:
  Value(double v) : v_(v) {}                    // NOLINT: values are written as plain literals
  Value(int v) : v_(std::int64_t{v}) {}         // NOLINT
  Value(std::int64_t v) : v_(v) {}              // NOLINT
  Value(const char* v) : v_(std::string(v)) {}  // NOLINT
  Value(std::string v) : v_(std::move(v)) {}    // NOLINT
  Kind kind() const { return static_cast<Kind>(v_.index()); }
  double real() const;              ///< a number as double; std::logic_error for a text
  std::int64_t integer() const;     ///< std::logic_error unless an integer
  const std::string& text() const;  ///< std::logic_error unless a text
  std::string print() const;        ///< as a user would type it; numbers read back to the same bits
  std::string seed_text() const;    ///< what random streams are made of: exact, the same in every library version
  bool operator==(const Value& other) const;

 private:
  std::variant<double, std::int64_t, std::string> v_;
};

/// What is stored about a format beside its name.
struct FormatFacts {
  std::string long_form;
  double bits_per_value = 0;
};

/// Which values are accepted, beyond their kind.
struct Domain {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices{};                          ///< not empty: texts must be one of these
  std::function<std::string(const std::string&)> canonical{};  ///< checks a text (Error) and returns its canonical form
  bool input = false;  ///< texts may be paths of files that the run reads: their content is part of the configuration
  FormatFacts (*format_facts)(const std::string&) = nullptr;  ///< set where the texts are names of formats
};
Domain at_least(double min);
Domain between(double min, double max);
Domain one_of(std::vector<std::string> choices);
/// Texts that `canonical` accepts: it throws Error for the others and returns the one spelling that is stored.
Domain checked(std::function<std::string(const std::string&)> canonical);
/// Path of a file or folder that the run reads, or a word that the experiment knows: what is stored and compared is the
/// content too, so that --resume never reuses a result of other data.
Domain input_path();
/// Names of formats (formats/name.cpp); the file stores their long form and bits per value.
Domain format_names();

/// The list that an axis sweeps by default, and what else a user may put in its place.
struct Values {
  Kind kind = Kind::real;
  std::vector<Value> list;
  Domain domain;
};
Values numbers(std::vector<double> list);
/// `count` >= 2 equally spaced numbers from `first` to `last`, both included.
Values linspace(double first, double last, std::size_t count);
/// `count` >= 2 numbers from `first` to `last` > 0 with a constant ratio.
Values logspace(double first, double last, std::size_t count);
Values integers(std::vector<std::int64_t> list);
/// 0, 1, ..., count - 1; a user may choose among these only.
Values indices(std::size_t count);
/// A closed set: a user may choose among these texts only.
Values texts(std::vector<std::string> list);
/// Texts with another domain, for example checked(...): the list is only the default.
Values texts(std::vector<std::string> list, Domain domain);
/// Names of formats; a user may give any format.
Values formats(std::vector<std::string> list);

/// Reads one value of `kind` in `domain`; Error naming `place`, the text and what is accepted.
Value parse_value(std::string_view text, Kind kind, const Domain& domain, std::string_view place);
/// Reads a list in the grammar above; at most 10^6 values.
std::vector<Value> parse_list(std::string_view text, Kind kind, const Domain& domain, std::string_view place);
/// The list as one text that parse_list reads back to the same values.
std::string print_list(const std::vector<Value>& list);
/// Throws Error unless the values are of `kind` and in `domain`; returns them in canonical form.
std::vector<Value> check_values(std::vector<Value> list, Kind kind, const Domain& domain, std::string_view place);

}  // namespace lowbit
