// lowbit cast: quantises a tensor and writes the values back, and the codes if asked.
#include <fmt/format.h>

#include <optional>
#include <span>

#include "experiments/tools/codes_file.hpp"
#include "experiments/tools/npy_output.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/stream_cast.hpp"
#include "experiments/tools/tensor_input.hpp"
#include "experiments/tools/threads.hpp"
#include "experiments/tools/verb.hpp"
#include "formats/error.hpp"
#include "formats/random.hpp"
#include "results/store/file_io.hpp"
#include "sim/metric/quantisation_error.hpp"
#include "sim/source/npy.hpp"
#include "sim/source/tensor_source.hpp"

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
  line.value("transform", "T", "id, had:N, rhad:N:seed=S, orth:N:seed=S or dct:N, along the axis, before quantising",
             "id");
  line.flag("keep-rotated", "leave the values as they are after the transform; otherwise it is undone");
  declare_threads(line);
  line.value("name", "NAME",
             "name of the tensor, from which stochastic rounding takes its random stream; "
             "default: the tensor's own, for .npy the file's name without .npy");
  declare_output(line);
  return line;
}

Record summary(const CommandLine& line, const StoredTensor& tensor, const Format& format, const Transform& transform,
               const ErrorSums& sums) {
  const QuantisationError error = quantisation_error(sums);
  Record record = {{"input", line.text("input")}, {"shape", tensor.shape},         {"dtype", to_string(tensor.dtype)},
                   {"format", to_string(format)}, {"transform", transform.name()}, {"out", line.text("out")}};
  if (line.given("codes")) record["codes"] = line.text("codes");
  if (line.given("keep-rotated") && transform.block() > 0) return record;  // another domain than the input
  record["qsnr_db"] = error.qsnr_db;
  record["mse"] = error.mse;
  record["max_abs_error"] = error.max_abs_error;
  return record;
}

// Values as they come to their places in the file.
ErrorSums write_values(store::AtomicFile& file, const CastJob& job) {
  const std::string header = npy_header(job.tensor.shape, "<f4");
  file.append(std::as_bytes(std::span(header)));
  return stream_cast(job, [&](std::size_t first, std::span<const float> values) {
    file.write_at(header.size() + first * sizeof(float), std::as_bytes(values));
  });
}

int run(const Words& words) {
  CommandLine line = declare();
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  const int threads = thread_count(line);
  const Format format = parse_format(line.text("format"));
  const auto transform = parse_transform(line.text("transform"));
  const bool force = line.given("force"), keep = line.given("keep-rotated");
  check_outputs({line.text("out"), line.text("codes")}, force);
  const StoredTensor tensor = open_tensor(line.text("input"));
  const Layout layout = layout_along(tensor.shape, line.text("axis"), tensor.place());
  check_fits(*transform, layout, tensor.place());
  const std::string name = line.given("name") ? line.text("name") : tensor.name;
  const std::uint64_t stream = stream_of(name);

  // both files are written whole before one of them is put in place
  const auto overwrite = force ? store::Overwrite::replace : store::Overwrite::refuse;
  std::optional<store::AtomicFile> codes;
  if (line.given("codes")) {  // all codes at once: the file's writer takes whole arrays
    const TensorInput input = read_tensor(line.text("input"), line.text("axis"));
    codes.emplace(line.text("codes"), overwrite);
    codes->append(encode_codes(line.text("codes"), {quantise_codes(format, *transform, input, stream), input.shape,
                                                    name, transform->name(), keep}));
  }
  store::AtomicFile values(line.text("out"), overwrite);
  const ErrorSums sums = write_values(values, {format, *transform, tensor, layout, stream, keep, threads});
  values.commit();
  if (codes) codes->commit();
  print_record(summary(line, tensor, format, *transform, sums), form);
  return 0;
}

LOWBIT_VERB(cast, "quantise a tensor and write the values back", run)

}  // namespace
}  // namespace lowbit
