// lowbit cast: quantises a tensor and writes the values back, and the codes if asked.
#include <fmt/format.h>

#include <cstring>

#include "experiments/tools/codes_file.hpp"
#include "experiments/tools/npy_output.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/tensor_input.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "formats/random.hpp"
#include "results/store/file_io.hpp"
#include "sim/metric/quantisation_error.hpp"

namespace lowbit {
namespace {

CommandLine declare() {
  CommandLine line("lowbit cast",
                   "quantises a tensor and writes the values that the codes stand for, as float32 in C order");
  line.value("format", "F", "a format name, as lowbit formats lists them", Required{});
  line.value("input", "FILE[:NAME]", ".npy, or FILE:NAME of .safetensors, .h5 or a model folder", Required{});
  declare_out(line, "the values: a .npy file");
  line.value("codes", "PATH", "the split form too: codes, scales, zero points in an HDF5 file");
  declare_axis(line);
  line.value("transform", "T", "id, had:N or rhad:N:seed=S, along the axis, before quantising", "id");
  line.flag("keep-rotated", "leave the values as they are after the transform; otherwise it is undone");
  line.value("name", "NAME",
             "name of the tensor, from which stochastic rounding takes its random stream; "
             "default: the tensor's own, for .npy the file's name without .npy");
  declare_output(line);
  return line;
}

Record summary(const CommandLine& line, const TensorInput& input, const Format& format, const Transform& transform,
               const std::vector<float>& values) {
  const QuantisationError error = quantisation_error(input.values.data(), values.data(), values.size());
  Record record = {{"input", line.text("input")}, {"shape", input.shape},          {"dtype", to_string(input.dtype)},
                   {"format", to_string(format)}, {"transform", transform.name()}, {"out", line.text("out")}};
  if (line.given("codes")) record["codes"] = line.text("codes");
  if (line.given("keep-rotated") && transform.block() > 0) return record;  // another domain than the input
  record["qsnr_db"] = error.qsnr_db;
  record["mse"] = error.mse;
  record["max_abs_error"] = error.max_abs_error;
  return record;
}

int run(const Words& words) {
  CommandLine line = declare();
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  const Format format = parse_format(line.text("format"));
  const auto transform = parse_transform(line.text("transform"));
  const bool force = line.given("force"), keep = line.given("keep-rotated");
  check_outputs({line.text("out"), line.text("codes")}, force);
  const TensorInput input = read_tensor(line.text("input"), line.text("axis"));
  check_fits(*transform, input.layout, input.place);
  const std::string name = line.given("name") ? line.text("name") : input.name;
  const std::uint64_t stream = stream_of(name);

  std::vector<float> values = quantise_values(format, *transform, input, stream);
  if (!keep) apply_inverse(*transform, input.layout, values.data(), values.data());
  if (line.given("codes"))
    write_codes(line.text("codes"),
                {quantise_codes(format, *transform, input, stream), input.shape, name, transform->name(), keep}, force);
  try {
    write_npy(line.text("out"), input.shape, values, force);
  } catch (const Error&) {
    if (line.given("codes") && !force) store::remove_file(line.text("codes"));  // both outputs or none
    throw;
  }
  print_record(summary(line, input, format, *transform, values), form);
  return 0;
}

LOWBIT_VERB(cast, "quantise a tensor and write the values back", run)

}  // namespace
}  // namespace lowbit
