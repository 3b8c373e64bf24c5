// Damaged files: every byte flipped, every truncation. A reader may return values or throw an Error, nothing else.
#include <cstdint>
#include <cstring>

#include "formats/error.hpp"
#include "sim/source/tensor_source.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace lowbit;

namespace {

struct Outcome {
  std::size_t read = 0, refused = 0;
};

void load_all(const std::string& path, Outcome& outcome) {
  try {
    for (const StoredTensor& tensor : open_tensors(path)) {
      if (tensor.is_float()) CHECK(tensor.load_float().size() == tensor.size());
      if (!tensor.fortran_order) tensor.load_bytes();
    }
    ++outcome.read;
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.find('\n') != std::string::npos || message.size() > 2000) FAIL(message);
    ++outcome.refused;
  }
}

Outcome damage(const std::string& name, const std::string& good) {
  const test::TemporaryFolder folder;
  Outcome outcome;
  for (std::size_t i = 0; i < good.size(); ++i)
    for (const unsigned char mask : {0x01, 0x04, 0x20, 0x80, 0xff}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ mask);
      load_all(folder.file(name, bad), outcome);
    }
  for (std::size_t length = 0; length < good.size(); ++length) {
    Outcome cut;
    load_all(folder.file(name, good.substr(0, length)), cut);
    CHECK(cut.refused == 1);
  }
  return outcome;
}

}  // namespace

TEST_CASE("damaged .npy files are read or refused", "[damage]") {
  const std::string header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }\n";
  const std::string good =
      std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header + std::string(24, '\x3f');
  const Outcome outcome = damage("a.npy", good);
  CHECK(outcome.read >= 24 * 5);  // values may change unseen: the format has no checksum
  CHECK(outcome.refused > 200);
}

TEST_CASE("damaged .safetensors files are read or refused", "[damage]") {
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
      R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]},"__metadata__":{"format":"pt"}})";
  std::string good(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(good.data(), &length, 8);
  const Outcome outcome = damage("a.safetensors", good + header + std::string(24, '\x3f'));
  CHECK(outcome.read >= 24 * 5);
  CHECK(outcome.refused > 400);
}
