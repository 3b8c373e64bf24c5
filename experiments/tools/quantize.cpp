// lowbit quantize: weights of a model, or of one layer of the user's own, put on the grid of a format.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "experiments/tools/codes_file.hpp"
#include "experiments/tools/model_options.hpp"
#include "experiments/tools/npy_output.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/tensor_input.hpp"
#include "experiments/tools/threads.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "results/store/file_io.hpp"
#include "sim/model/model.hpp"
#include "sim/model/tokens.hpp"
#include "sim/weights/gptq.hpp"
#include "sim/weights/saved_model.hpp"
#include "sim/weights/statistics.hpp"

namespace lowbit {
namespace {

namespace fs = std::filesystem;
using weights::Matrix;

CommandLine declare() {
  CommandLine line("lowbit quantize", "puts the weights of a model, or of one layer, on the grid of a format");
  line.value("model", "M", "a name that scripts/get-model knows, or a Hugging Face model folder");
  line.value("weight", "W", "one layer instead: its weight, out x in (.npy or FILE:NAME)");
  line.value("inputs", "X", "with --weight: inputs of the layer, tokens x in");
  line.value("hessian", "H", "with --weight: the Hessian (sum or mean of x x^T), in x in");
  line.value("format", "F", "format of the weights; mxfp4_dagger: 256 scale levels", Required{});
  line.value("activations", "F", "format of the inputs of the linear layers; same: as --format");
  line.value("method", "M",
             "rtn, gptq, mr_gptq or smoothquant, with options: gptq:grid=mse:order=act:damp=0.01:block=128", "gptq");
  line.value("transform", "T",
             "id, had:N, rhad:N:seed=S, orth:N:seed=S or dct:N of the input features, on both operands", "id");
  line.value("calibration", "FILE", "with --model: token numbers (.npy), read in windows of --context");
  line.value("calibration-tokens", "N", "use the first N of them; 0: all", "4096");
  line.value("context", "N", "tokens of a window", "512");
  line.value("skip-layers", "LIST", "layers left as they are: 0,29 or 0-2");
  line.flag("fuse-scales", "one second-level scale for q, k and v, and for gate and up");
  line.flag("static-scales", "second-level scales of activations from calibration (ts=static)");
  line.value("codes", "FILE", "with --weight: its codes too, a codes file (.h5)");
  declare_threads(line);
  declare_out(line, "a folder (--model) or a .npy file (--weight)");
  declare_output(line);
  return line;
}

weights::Target target_of(const CommandLine& line) {
  weights::Target target;
  target.weight = weights::OperandFormat::parse(line.text("format"));
  if (line.given("activations"))
    target.activation =
        line.text("activations") == "same" ? target.weight : weights::OperandFormat::parse(line.text("activations"));
  target.transform = line.text("transform");
  target.fuse_scales = line.given("fuse-scales");
  target.static_scales = line.given("static-scales");
  target.keep_codes = true;
  return target;
}

Matrix matrix_of(const std::string& spec) {
  const TensorInput input = read_tensor(spec, "-1");
  if (input.shape.size() != 2)
    throw_error(ExitCode::bad_data, "{}: {} axes, a matrix is expected", input.place, input.shape.size());
  if (input.values.empty()) throw_error(ExitCode::bad_data, "{}: holds no values", input.place);
  for (std::size_t i = 0; i < input.values.size(); ++i)
    if (!std::isfinite(input.values[i]))
      throw_error(ExitCode::bad_data, "{}: value {} is {}, finite values are accepted", input.place, i,
                  input.values[i]);
  Matrix m(input.shape[0], input.shape[1]);
  std::copy(input.values.begin(), input.values.end(), m.data());
  return m;
}

weights::Statistics layer_statistics(const CommandLine& line, const weights::Needs& needs, std::size_t width,
                                     Threads& threads) {
  if (line.given("inputs") && line.given("hessian")) throw_error(ExitCode::usage, "give either --inputs or --hessian");
  if (line.given("inputs")) {
    const Matrix x = matrix_of(line.text("inputs"));
    if (x.columns() != width)
      throw_error(ExitCode::bad_data, "'{}': {} features, the weight has {}", line.text("inputs"), x.columns(), width);
    weights::Needs all = needs;
    all.moment = true;  // errors are weighted by it
    weights::StatisticsSum sum(all, width, x.rows(), nullptr);
    sum.add(x, threads);
    return sum.take();
  }
  weights::Statistics statistics;
  if (line.given("hessian")) {
    const TensorInput h = read_tensor(line.text("hessian"), "-1");
    if (h.shape != Shape{width, width})
      throw_error(ExitCode::bad_data, "'{}': shape {}, {} is expected", line.text("hessian"), to_string(h.shape),
                  to_string(Shape{width, width}));
    statistics.moment.set_size(width, width);
    for (std::size_t i = 0; i < width; ++i)
      for (std::size_t j = 0; j < width; ++j)
        statistics.moment(i, j) = h.wide.empty() ? h.values[i * width + j] : h.wide[i * width + j];
    weights::gptq_factor(statistics.moment, std::vector<bool>(width, false),
                         {});  // refuses NaN and the like for all methods
  }
  if (needs.channel_amax) throw_error(ExitCode::usage, "--method {} needs --inputs", line.text("method"));
  if (needs.moment && statistics.moment.is_empty())
    throw_error(ExitCode::usage, "--method {} needs --inputs or --hessian", line.text("method"));
  return statistics;
}

void write_layer_codes(const CommandLine& line, const std::string& name, const weights::Solution& solution,
                       const std::string& transform) {
  const auto& codes = solution.linears.front().representation.codes;
  if (!codes || !solution.input.channel_divisor.empty())
    throw_error(ExitCode::usage, "--codes: {}",
                codes ? "a codes file does not hold the channel divisors of this method"
                      : solution.linears.front().report.note);
  write_codes(line.text("codes"), {*codes, {codes->layout.outer(), codes->layout.length()}, name, transform, false},
              line.given("force"));
}

int run_layer(const CommandLine& line, OutputForm form, Threads& threads) {
  for (const char* option :
       {"calibration", "calibration-tokens", "context", "skip-layers", "fuse-scales", "static-scales"})
    if (line.given(option)) throw_error(ExitCode::usage, "--{} belongs to --model", option);
  std::vector<std::string> outputs{line.text("out")};
  if (line.given("codes")) outputs.push_back(line.text("codes"));
  check_outputs(outputs, line.given("force"));
  const auto method = weights::parse_method(line.text("method"));
  const weights::Target target = target_of(line);
  const Matrix w = matrix_of(line.text("weight"));
  weights::InputGroup group;
  group.name = fs::path(line.text("weight")).stem().string();
  group.linears.push_back({group.name, w});
  const weights::InputMap nominal = weights::nominal_input(group, target);
  const weights::Statistics statistics = layer_statistics(line, method->needs(), w.columns(), threads);
  const weights::Solution solution =
      method->solve(group, statistics, target, Rng(1, std::string_view(group.name)), threads);
  const weights::SolvedLinear& solved = solution.linears.front();
  std::vector<float> values(solved.effective.data(), solved.effective.data() + w.rows() * w.columns());
  apply_inverse(*nominal.transform, Layout::matrix(w.rows(), w.columns()), values.data(), values.data());
  for (std::size_t i = 0; !solution.input.channel_divisor.empty() && i < values.size(); ++i)
    values[i] /= solution.input.channel_divisor[i % w.columns()];
  if (line.given("codes")) write_layer_codes(line, group.name, solution, nominal.transform->name());
  write_npy(line.text("out"), {w.rows(), w.columns()}, values, line.given("force"));
  if (!solved.report.note.empty()) fmt::print(stderr, "lowbit quantize: {}\n", solved.report.note);
  print_record({{"weight", line.text("weight")},
                {"method", method->name()},
                {"format", target.weight.name()},
                {"transform", nominal.transform->name()},
                {"bits", solved.bits},
                {"error_rounded", solved.report.rounding_error},
                {"error", solved.report.error},
                {"dead_columns", solved.report.dead_columns},
                {"fell_back", solved.report.fell_back},
                {"out", line.text("out")}},
               form);
  return 0;
}

int run_model(const CommandLine& line, OutputForm form, Threads& threads) {
  for (const char* option : {"inputs", "hessian", "codes"})
    if (line.given(option)) throw_error(ExitCode::usage, "--{} belongs to --weight", option);
  const std::string out = line.text("out");
  std::error_code error;
  if (fs::exists(out, error) && !line.given("force"))
    throw_error(ExitCode::cannot_create, "'{}' exists; --force writes into it", out);
  const auto method = weights::parse_method(line.text("method"));
  weights::ModelJob job;
  job.method = method.get();
  job.target = target_of(line);
  job.skip_layers = parse_numbers(line.text("skip-layers"), "--skip-layers");
  const auto context = static_cast<std::size_t>(line.integer("context", 2, 1 << 30));
  const auto wanted = static_cast<std::size_t>(line.integer("calibration-tokens", 0, 1 << 30));
  const std::string folder = model::find_model(line.text("model"));
  const model::Config config = model::read_config(folder);
  std::vector<std::int32_t> tokens;
  if (line.given("calibration")) tokens = model::read_tokens(line.text("calibration"), config.vocabulary);
  if (wanted > 0 && tokens.size() > wanted) tokens.resize(wanted);
  for (std::size_t first = 0; first < tokens.size(); first += context)
    job.calibration.push_back(std::span(tokens).subspan(first, std::min(context, tokens.size() - first)));
  std::size_t done = 0;
  weights::CodesWriter codes;
  job.solved = [&](const weights::InputGroup& group, const weights::Solution& solution) {
    done += solution.linears.size();
    for (std::size_t i = 0; i < group.linears.size(); ++i)
      if (const auto& q = solution.linears[i].representation.codes) codes.add(group.linears[i].name, *q);
    for (const auto& solved : solution.linears)
      if (!solved.report.note.empty()) fmt::print(stderr, "lowbit quantize: {}: {}\n", group.name, solved.report.note);
    if (isatty(STDERR_FILENO) != 0)
      fmt::print(stderr, "\r{} of {} linear layers ", done, config.layers * model::kLinears);
  };
  const model::Model m = model::Model::load(folder, threads);
  model::Hooks hooks(m);
  const weights::ModelReport report = weights::quantise_model(hooks, job, threads);
  if (isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\n");
  const std::string activations = job.target.activation ? job.target.activation->name() : "";
  weights::save_model(hooks, report,
                      {method->name(), job.target.weight.name(), activations, job.target.transform, tokens}, codes,
                      [&](const std::string& name, std::span<const std::byte> bytes) {
                        store::write_atomically(out + "/" + name, bytes, store::Overwrite::replace);
                      });
  double rounded = 0, solved = 0;
  std::size_t fell_back = 0;
  for (const auto& linear : report.linears) {
    rounded += linear.report.rounding_error / static_cast<double>(report.linears.size());
    solved += linear.report.error / static_cast<double>(report.linears.size());
    fell_back += linear.report.fell_back;
  }
  print_record({{"model", line.text("model")},
                {"method", method->name()},
                {"format", job.target.weight.name()},
                {"activations", activations.empty() ? Record(nullptr) : Record(activations)},
                {"transform", job.target.transform},
                {"bits_weight", report.bits_weight},
                {"linears", report.linears.size()},
                {"mean_error_rounded", rounded},
                {"mean_error", solved},
                {"fell_back", fell_back},
                {"calibration_tokens", tokens.size()},
                {"out", out}},
               form);
  return 0;
}

int run(const Words& words) {
  CommandLine line = declare();
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  if (line.given("model") == line.given("weight")) throw_error(ExitCode::usage, "give either --model or --weight");
  Threads threads(static_cast<std::size_t>(thread_count(line)));
  return line.given("weight") ? run_layer(line, form, threads) : run_model(line, form, threads);
}

LOWBIT_VERB(quantize, "put the weights of a model or of one layer on the grid of a format", run)

}  // namespace
}  // namespace lowbit
