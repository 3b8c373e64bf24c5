// lowbit decode: the values of a codes file.
#include "experiments/tools/codes_file.hpp"
#include "experiments/tools/npy_output.hpp"
#include "experiments/tools/output.hpp"
#include "experiments/tools/verb.hpp"
#include "sim/transform/transform.hpp"

namespace lowbit {
namespace {

int run(const Words& words) {
  CommandLine line("lowbit decode",
                   "writes the values of a codes file as float32 in C order: the inverse of cast --codes");
  line.value("input", "CODES.h5", "a codes file of lowbit cast or unpack", Required{});
  declare_out(line, "the values: a .npy file");
  line.flag("keep-rotated", "leave the values in the domain of the file's transform");
  declare_output(line);
  if (!line.parse(words)) return 0;
  const OutputForm form = output_form(line);
  check_outputs({line.text("out")}, line.given("force"));
  const CodesFile file = read_codes(line.text("input"));
  const auto transform = parse_transform(file.transform);
  std::vector<float> values(file.quantized.layout.size());
  decode(file.quantized, values.data());
  if (!file.keep_rotated && !line.given("keep-rotated"))
    apply_inverse(*transform, file.quantized.layout, values.data(), values.data());
  write_npy(line.text("out"), file.shape, values, line.given("force"));
  print_record({{"input", line.text("input")},
                {"tensor", file.name},
                {"shape", file.shape},
                {"format", to_string(file.quantized.format)},
                {"transform", file.transform},
                {"out", line.text("out")}},
               form);
  return 0;
}

LOWBIT_VERB(decode, "write the values of a codes file", run)

}  // namespace
}  // namespace lowbit
