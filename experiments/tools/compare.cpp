// lowbit compare: checks the user's own stack against ours.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "experiments/tools/comparison.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "formats/like/like.hpp"
#include "formats/random.hpp"
#include "formats/scale_rule.hpp"
#include "sim/source/tensor_source.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

CommandLine declare() {
  CommandLine line("lowbit compare",
                   "compares what another stack made of a tensor with what a format says, bit for bit");
  line.value("format", "F", "a format name, as lowbit formats lists them", Required{});
  line.value("input", "FILE[:NAME]", "the tensor before quantisation", Required{});
  line.value("against", "FILE[:NAME]", "the other stack's values (.npy, FILE:NAME), or its codes file (.h5)",
             Required{});
  declare_axis(line);
  line.value("transform", "T", "id, had:N, rhad:N:seed=S, orth:N:seed=S or dct:N, before quantising", "id");
  line.flag("keep-rotated", "the other stack's values are in the domain of the transform");
  line.value("name", "NAME",
             "name of the tensor, for the random stream of stochastic rounding; default: the tensor's own");
  line.flag("try-like", "name the rules and named implementations that give the other stack's values");
  declare_output(line);
  line.footer("The sign of zero counts, the payload of a NaN does not. Exit code 1 where anything differs.\n");
  return line;
}

bool is_codes_file(const std::string& spec) {
  return is_codes_path(spec);  // FILE.h5:NAME does not end in .h5
}

Other read_other(const std::string& spec, const Transform& transform, bool keep_rotated) {
  Other other;
  if (is_codes_file(spec)) {
    other.codes = read_codes(spec);
    const Quantized& q = other.codes->quantized;
    other.place = in_quotes(spec);
    other.shape = other.codes->shape;
    std::vector<float> values(q.layout.size());
    decode(q, values.data());
    if (!keep_rotated) apply_inverse(transform, q.layout, values.data(), values.data());
    other.values.assign(values.begin(), values.end());
    return other;
  }
  const StoredTensor stored = open_tensor(spec);
  other.place = stored.place();
  other.shape = stored.shape;
  other.values = stored.load_double();
  return other;
}

void check_comparable(const Format& format, const TensorInput& input, const Other& other, const Transform& transform) {
  if (input.shape != other.shape)
    throw_error(ExitCode::bad_data, "{} has shape {}, {} has {}: the same is expected", input.place,
                to_string(input.shape), other.place, to_string(other.shape));
  if (!other.codes) return;
  if (!has_codes(format))
    throw_error(ExitCode::usage, "{} has no codes; compare it with values (.npy), not with {}",
                in_quotes(to_string(format)), other.place);
  const Quantized& q = other.codes->quantized;
  const bool same_split = q.format.element == format.element && q.format.scale_element == format.scale_element &&
                          q.format.zero_point == format.zero_point && q.format.zero_element == format.zero_element &&
                          q.format.second_level == format.second_level &&
                          scale_shape(q.format, q.layout) == scale_shape(format, input.layout);
  if (!same_split)
    throw_error(ExitCode::usage, "{} holds {}, whose codes and scales cannot be set against those of {}", other.place,
                in_quotes(to_string(q.format)), in_quotes(to_string(format)));
  if (other.codes->transform != transform.name())
    throw_error(ExitCode::usage, "{} was made with transform {}, not {}", other.place,
                in_quotes(other.codes->transform), in_quotes(transform.name()));
}

// Our values in the domain in which the other stack's are.
std::vector<float> our_values(const Format& format, const Transform& transform, const TensorInput& input,
                              std::uint64_t stream, bool keep_rotated) {
  std::vector<float> y = quantise_values(format, transform, input, stream);
  if (!keep_rotated) apply_inverse(transform, input.layout, y.data(), y.data());
  return y;
}

// Names to try: the format as given and its base, under each rule and each named implementation that has them.
std::vector<std::string> candidates(const Format& format) {
  Format plain = format;
  plain.like.clear();
  std::set<std::string> names;
  const auto add = [&](const std::string& name) {
    try {
      names.insert(to_string(parse_format(name)));
    } catch (const Error&) {  // a combination that does not exist
    }
  };
  const std::string given = to_string(plain), base = given.substr(0, given.find(':'));
  for (const std::string& name : {given, base}) {
    add(name);
    for (const ScaleRuleRow& rule : scale_rules()) add(fmt::format("{}:rule={}", base, rule.name));
    for (const char* rounding : {"rna", "rtz", "rtsm"}) add(fmt::format("{}:round={}", name, rounding));
    for (const like::Implementation* implementation : like::implementations()) {
      add(fmt::format("{}:like={}", name, implementation->name));
      for (const ScaleRuleRow& rule : scale_rules())
        add(fmt::format("{}:rule={}:like={}", base, rule.name, implementation->name));
      for (const char* rounding : {"rne", "rna", "rtz"})
        add(fmt::format("{}:round={}:like={}", base, rounding, implementation->name));
    }
  }
  return {names.begin(), names.end()};
}

std::vector<Record> try_all(const Format& format, const Transform& transform, const TensorInput& input,
                            std::uint64_t stream, bool keep_rotated, const Other& other) {
  std::vector<Record> tried;
  for (const std::string& name : candidates(format)) {
    const std::vector<float> y = our_values(parse_format(name), transform, input, stream, keep_rotated);
    tried.push_back({{"format", name}, {"differing_values", count_differences(y, other.values)}});
  }
  std::stable_sort(tried.begin(), tried.end(), [](const Record& a, const Record& b) {
    return a["differing_values"].get<std::size_t>() < b["differing_values"].get<std::size_t>();
  });
  return tried;
}

Record record_of(const CommandLine& line, const Format& format, const Comparison& c) {
  const auto optional = [](const auto& value) { return value ? Record(*value) : Record(nullptr); };
  return {{"input", line.text("input")},
          {"against", line.text("against")},
          {"format", to_string(format)},
          {"equal", c.equal()},
          {"values", c.values},
          {"differing_values", c.differing_values},
          {"sign_of_zero_only", c.sign_of_zero},
          {"max_abs_difference", c.max_abs_difference},
          {"differing_scales", optional(c.differing_scales)},
          {"differing_codes", optional(c.differing_codes)},
          {"differing_zero_points", optional(c.differing_zero_points)},
          {"tensor_scale_differs", optional(c.tensor_scale_differs)}};
}

void print_result(Record record, const Comparison& c, const std::vector<Record>& tried, bool trying, OutputForm form) {
  std::vector<std::string> matches;
  for (const Record& row : tried)
    if (row["differing_values"] == 0) matches.push_back(row["format"]);
  if (form == OutputForm::json) {
    record["first"] = c.first;
    if (trying) {
      record["matches"] = matches;
      record["tried"] = tried;
    }
    return print_record(record, form);
  }
  if (form == OutputForm::csv) {
    fmt::print("{}", csv_table(c.first));
    return;
  }
  print_record(record, form);
  if (!c.first.empty()) fmt::print("\nThe first differences:\n\n{}", text_table(c.first));
  if (!trying) return;
  if (matches.empty())
    fmt::print("\nNone of {} formats and implementations matches; the nearest:\n\n{}", tried.size(),
               text_table({tried.begin(),
                           tried.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(tried.size(), 5))}));
  else
    fmt::print("\nThese match:\n\n  {}\n", fmt::join(matches, "\n  "));
}

int run(const Words& words) {
  CommandLine line = declare();
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  const Format format = parse_format(line.text("format"));
  const auto transform = parse_transform(line.text("transform"));
  const bool keep_rotated = line.given("keep-rotated");
  const TensorInput input = read_tensor(line.text("input"), line.text("axis"));
  check_fits(*transform, input.layout, input.place);
  const std::uint64_t stream = stream_of(line.given("name") ? line.text("name") : input.name);
  const Other other = read_other(line.text("against"), *transform, keep_rotated);
  check_comparable(format, input, other, *transform);

  std::vector<float> x(input.values.size());
  apply(*transform, input.layout, input.values.data(), x.data());
  std::optional<Quantized> q;
  if (has_codes(format) && !x.empty()) q = quantise_codes(format, *transform, input, stream);
  const Comparison result =
      compare_results(format, input, x, our_values(format, *transform, input, stream, keep_rotated), q, other);
  std::vector<Record> tried;
  if (line.given("try-like")) tried = try_all(format, *transform, input, stream, keep_rotated, other);
  print_result(record_of(line, format, result), result, tried, line.given("try-like"), form);
  return result.equal() ? 0 : static_cast<int>(ExitCode::check_failed);
}

LOWBIT_VERB(compare, "compare another stack's result with a format's, bit for bit", run)

}  // namespace
}  // namespace lowbit
