// lowbit analyze: crest factors, kurtosis and quantisation errors of tensors in files.
#include <fmt/format.h>
#include <fnmatch.h>

#include <cmath>
#include <map>

#include "experiments/tools/analysis_output.hpp"
#include "experiments/tools/npy_output.hpp"
#include "experiments/tools/tensor_input.hpp"
#include "experiments/tools/threads.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "sim/source/tensor_source.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

// The eight formats of "INT v.s. FP" (arXiv 2510.25602), table 1, with its scale rule (eq. 9).
constexpr const char* kPaperFormats =
    "mxint8:rule=ceil,mxfp8_e4m3:rule=ceil,mxint6:rule=ceil,mxfp6_e2m3:rule=ceil,mxint4:rule=ceil,mxfp4:rule=ceil,"
    "nvint4,nvfp4";

CommandLine declare() {
  CommandLine line("lowbit analyze", "reports crest factors, excess kurtosis and the error of formats on tensors");
  line.words("FILE|FOLDER...", ".npy, .safetensors, .h5, a model folder; or FILE:NAME for one tensor", 1);
  line.value("formats", "LIST", "format names, separated by commas", kPaperFormats);
  line.value("transform", "LIST", "transforms, separated by commas: id, had:N, rhad:N:seed=S, orth:N:seed=S, dct:N",
             "id");
  declare_axis(line);
  line.repeated("include", "GLOB", "only tensors whose name matches (may be repeated)");
  line.repeated("exclude", "GLOB", "no tensors whose name matches (may be repeated)");
  line.value("out", "PATH", "the results in an HDF5 file too").abbreviation('o', "out");
  line.flag("force", "replace an output file that exists");
  declare_threads(line);
  declare_output(line);
  line.footer(
      "Crest factors: blocks without a value but zero are left out and counted. QSNR and fractions are of values\n"
      "after the transform. A format pair is an integer and a floating format of equal width, groups and scale.\n");
  return line;
}

std::vector<std::string> split_list(const std::string& text, const char* option) {
  std::vector<std::string> parts;
  for (std::size_t first = 0;;) {
    const std::size_t comma = text.find(',', first);
    parts.push_back(text.substr(first, comma == text.npos ? comma : comma - first));
    if (parts.back().empty())
      throw_error(ExitCode::usage, "--{}: {} has an empty name in the list", option, in_quotes(text));
    if (comma == text.npos) return parts;
    first = comma + 1;
  }
}

template <class T, class Parse>
std::vector<T> parse_list(const CommandLine& line, const char* option, Parse parse) {
  std::vector<T> parsed;
  std::vector<std::string> seen;
  for (const std::string& name : split_list(line.text(option), option)) {
    parsed.push_back(parse(name));
    for (const std::string& other : seen)
      if (other == name) throw_error(ExitCode::usage, "--{}: {} is listed twice", option, in_quotes(name));
    seen.push_back(name);
  }
  return parsed;
}

bool matches_any(const std::vector<std::string>& globs, const std::string& name) {
  for (const std::string& glob : globs)
    if (::fnmatch(glob.c_str(), name.c_str(), 0) == 0) return true;
  return false;
}

bool is_path(const std::string& word) {
  std::error_code ignored;
  return std::filesystem::exists(word, ignored);
}

struct Selection {
  std::vector<StoredTensor> tensors;
  std::vector<std::string> labels;
  std::size_t skipped = 0;  // not of a floating type
};

// Tensors of all files that are asked for; names that occur in several files are told apart by the file.
Selection select(const CommandLine& line) {
  Selection selection;
  const auto include = line.list("include"), exclude = line.list("exclude");
  std::map<std::string, int> uses;
  for (const std::string& word : line.words()) {
    std::vector<StoredTensor> found = is_path(word) ? open_tensors(word) : std::vector<StoredTensor>{open_tensor(word)};
    const bool one = found.size() == 1;
    for (StoredTensor& tensor : found) {
      if ((!include.empty() && !matches_any(include, tensor.name)) || matches_any(exclude, tensor.name)) continue;
      if (!tensor.is_float() && !one) {
        ++selection.skipped;
        continue;
      }
      ++uses[tensor.name];
      selection.tensors.push_back(std::move(tensor));
    }
  }
  for (const StoredTensor& tensor : selection.tensors) {
    const std::string place = tensor.place();
    selection.labels.push_back(uses[tensor.name] == 1 ? tensor.name : place.substr(1, place.size() - 2));
  }
  if (selection.tensors.empty())
    throw_error(
        ExitCode::no_input, "no tensor is left{}",
        include.empty() && exclude.empty() ? " to analyse: none is of a floating type" : " by --include and --exclude");
  return selection;
}

int run(const Words& words) {
  CommandLine line = declare();
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  const int threads = thread_count(line);
  const auto formats = parse_list<Format>(line, "formats", [](const std::string& name) { return parse_format(name); });
  const auto transforms = parse_list<std::shared_ptr<const Transform>>(
      line, "transform", [](const std::string& name) { return parse_transform(name); });
  check_outputs({line.text("out")}, line.given("force"));
  const Selection selection = select(line);
  std::vector<Layout> layouts;  // everything is checked before the first value is read
  for (std::size_t i = 0; i < selection.tensors.size(); ++i) {
    const StoredTensor& tensor = selection.tensors[i];
    layouts.push_back(layout_along(tensor.shape, line.text("axis"), tensor.place()));
    for (const auto& transform : transforms) check_fits(*transform, layouts.back(), tensor.place());
    for (const Format& format : formats) scale_shape(format, layouts.back());  // throws for what cannot be laid on it
  }
  std::vector<TensorAnalysis> results;
  for (std::size_t i = 0; i < selection.tensors.size(); ++i)
    results.push_back(analyse(selection.labels[i], selection.tensors[i], layouts[i], transforms, formats, threads));
  if (line.given("out")) write_analysis(line.text("out"), results, line.given("force"));
  print_analysis(results, form);
  if (selection.skipped > 0)
    fmt::print(stderr, "lowbit analyze: {} tensors of integer or other types were left out\n", selection.skipped);
  return 0;
}

LOWBIT_VERB(analyze, "crest factors, kurtosis and the error of formats on tensors", run)

}  // namespace
}  // namespace lowbit
