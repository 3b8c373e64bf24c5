// Every named implementation against what the real code returned: all of tests/vectors/like, bit for bit.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include "formats/block.hpp"
#include "formats/like/like.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/like_inputs.hpp"

namespace {

using lowbit::Layout;
using lowbit::test::LikeRow;

constexpr std::size_t kDigestBlocks = 256;

struct VectorRow {
  LikeRow row;
  std::map<std::string, std::vector<std::uint64_t>> digests;                        // by kind
  std::map<std::string, std::map<std::size_t, std::vector<std::uint32_t>>> blocks;  // by kind, block
};

std::string read_gzip(const std::filesystem::path& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  REQUIRE(file != nullptr);
  std::string text;
  std::vector<char> buffer(1 << 16);
  int n = 0;
  while ((n = gzread(file, buffer.data(), static_cast<unsigned>(buffer.size()))) > 0) text.append(buffer.data(), n);
  REQUIRE(gzclose(file) == Z_OK);  // a truncated file is not OK
  REQUIRE(n == 0);
  return text;
}

LikeRow parse_row(std::istringstream& line) {
  LikeRow row;
  line >> row.format;
  for (std::string field; line >> field;) {
    const std::string key = field.substr(0, field.find('=')), value = field.substr(field.find('=') + 1);
    if (key == "group")
      row.group = std::stoul(value);
    else if (key == "blocks")
      row.blocks = std::stoul(value);
    else if (key == "tensor")
      row.tensor = std::stoul(value);
    else if (key == "tail")
      row.tail = std::stoul(value);
    else if (key == "low")
      row.low = static_cast<std::uint32_t>(std::stoul(value));
    else if (key == "run")
      row.run = value != "no";
    else if (key == "exclude") {
      std::istringstream list(value);
      for (std::string item; std::getline(list, item, ',');) row.exclude.insert(std::stoi(item));
    } else
      FAIL("unknown field " << field);
  }
  return row;
}

std::vector<VectorRow> read_vectors(const std::filesystem::path& path) {
  std::vector<VectorRow> rows;
  std::istringstream text(read_gzip(path));
  for (std::string line; std::getline(text, line);) {
    std::istringstream fields(line);
    std::string word, kind;
    fields >> word;
    if (word == "row") rows.push_back({parse_row(fields), {}, {}});
    if (word == "digest") {
      fields >> kind;
      for (std::string hex; fields >> hex;) rows.back().digests[kind].push_back(std::stoull(hex, nullptr, 16));
    }
    if (word == "block") {
      std::size_t index = 0;
      fields >> index >> kind;
      auto& cells = rows.back().blocks[kind][index];
      for (std::string hex; fields >> hex;) cells.push_back(static_cast<std::uint32_t>(std::stoul(hex, nullptr, 16)));
    }
  }
  return rows;
}

const std::vector<float>& cached_inputs(const LikeRow& row) {
  static std::map<LikeRow, std::vector<float>> cache;
  auto found = cache.find(row);
  if (found == cache.end()) {
    if (cache.size() >= 4) cache.clear();
    found = cache.emplace(row, lowbit::test::like_inputs(row)).first;
  }
  return found->second;
}

/// What our implementation makes of a row, by kind.
struct Ours {
  std::map<std::string, std::vector<std::uint32_t>> words;
  std::vector<std::uint8_t> codes;
};

void append_bits(std::vector<std::uint32_t>& out, const std::vector<float>& values) {
  for (const float v : values) out.push_back(std::bit_cast<std::uint32_t>(v));
}

void run_encode(const lowbit::Format& format, const Layout& layout, const float* x, std::size_t groups, Ours& ours) {
  const lowbit::Quantized q = lowbit::encode_ref(format, layout, x);
  for (std::size_t i = 0; i < layout.size(); ++i) ours.codes.push_back(static_cast<std::uint8_t>(q.code(i)));
  auto& scales = ours.words["scales"];
  scales.insert(scales.end(), q.scales.begin(), q.scales.end());
  auto& zeros = ours.words["zeros"];
  zeros.insert(zeros.end(), q.zero_points.begin(), q.zero_points.end());
  const std::uint32_t tensor_scale = std::bit_cast<std::uint32_t>(q.tensor_scale.value_or(0.0f));
  ours.words["tensor"].insert(ours.words["tensor"].end(), groups, tensor_scale);
  std::vector<float> y(layout.size());
  lowbit::decode_ref(q, y.data());
  append_bits(ours.words["decode"], y);
}

Ours run_row(const VectorRow& vector, const lowbit::Format& format) {
  const LikeRow& row = vector.row;
  const std::vector<float>& x = cached_inputs(row);
  const std::size_t blocks = row.tensor ? row.tensor : row.blocks;
  Ours ours;
  for (std::size_t first = 0; first < x.size(); first += blocks * row.group) {
    const Layout layout = row.tail ? Layout::vector(blocks * row.group - row.tail) : Layout::matrix(blocks, row.group);
    std::vector<float> y(x.begin() + static_cast<std::ptrdiff_t>(first),
                         x.begin() + static_cast<std::ptrdiff_t>(first + layout.size()));
    append_bits(ours.words["input"], y);
    if (vector.digests.count("codes")) run_encode(format, layout, y.data(), blocks, ours);
    lowbit::fake_quantize_ref(format, layout, y.data(), y.data());
    append_bits(ours.words["fake"], y);
  }
  return ours;
}

std::string hex(const std::vector<std::uint32_t>& cells) {
  std::string text;
  for (const std::uint32_t c : cells) text += fmt::format(" {:x}", c);
  return text;
}

/// The shown blocks that differ, for a human.
std::string explain(const VectorRow& vector, const std::string& kind, const std::vector<std::uint32_t>& ours,
                    std::size_t width) {
  std::string text;
  const auto shown = vector.blocks.find(kind);
  if (shown == vector.blocks.end()) return text;
  for (const auto& [block, theirs] : shown->second) {
    if ((block + 1) * width > ours.size()) continue;
    const std::vector<std::uint32_t> mine(ours.begin() + static_cast<std::ptrdiff_t>(block * width),
                                          ours.begin() + static_cast<std::ptrdiff_t>((block + 1) * width));
    if (mine != theirs) text += fmt::format("block {}\n theirs{}\n ours  {}\n", block, hex(theirs), hex(mine));
  }
  return text;
}

void check_row(const VectorRow& vector) {
  const lowbit::Format format = lowbit::parse_format(vector.row.format);
  const Ours ours = run_row(vector, format);
  for (const auto& [kind, theirs] : vector.digests) {
    const bool per_value = kind != "scales" && kind != "zeros" && kind != "tensor";
    const std::size_t width = per_value ? vector.row.group : 1;
    const std::vector<std::uint32_t> wide = kind == "codes"
                                                ? std::vector<std::uint32_t>(ours.codes.begin(), ours.codes.end())
                                            : ours.words.count(kind) ? ours.words.at(kind)
                                                                     : std::vector<std::uint32_t>{};
    const auto mine = kind == "codes" ? lowbit::test::like_digests(ours.codes, kDigestBlocks * width)
                                      : lowbit::test::like_digests(wide, kDigestBlocks * width);
    std::size_t differing = 0;
    for (std::size_t i = 0; i < std::min(mine.size(), theirs.size()); ++i) differing += mine[i] != theirs[i];
    INFO(vector.row.format << ", " << kind << ":\n" << explain(vector, kind, wide, width));
    CHECK(mine.size() == theirs.size());
    CHECK(differing == 0);
  }
  // Where the implementation decodes its codes to what its fake quantiser returns, so do we.
  if (vector.digests.count("codes") && !vector.digests.count("decode")) {
    INFO(vector.row.format << ": decode(encode(x)) and fake(x)");
    CHECK(ours.words.at("decode") == ours.words.at("fake"));
  }
}

std::vector<std::filesystem::path> vector_files() {
  std::vector<std::filesystem::path> files;
  const std::filesystem::path folder = std::filesystem::path(LOWBIT_SOURCE_DIR) / "tests" / "vectors" / "like";
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".gz") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::string name_of(const std::filesystem::path& file) {
  return file.stem().stem().string();
}

/// Every fourth file, from `first` on.
void check_files(std::size_t first) {
  const char* only = std::getenv("LIKE");  // one implementation, while working on it
  const auto files = vector_files();
  for (std::size_t i = first; i < files.size(); i += 4) {
    if (only != nullptr && name_of(files[i]) != only) continue;
    for (const VectorRow& vector : read_vectors(files[i])) {
      CHECK(vector.row.blocks >= 1u << 16);
      check_row(vector);
    }
  }
}

}  // namespace

// Four cases, so that they run side by side.
TEST_CASE("named implementations return the bits of the real code, files 0, 4, ..", "[like]") {
  check_files(0);
}
TEST_CASE("named implementations return the bits of the real code, files 1, 5, ..", "[like]") {
  check_files(1);
}
TEST_CASE("named implementations return the bits of the real code, files 2, 6, ..", "[like]") {
  check_files(2);
}
TEST_CASE("named implementations return the bits of the real code, files 3, 7, ..", "[like]") {
  check_files(3);
}

TEST_CASE("every named implementation has vectors", "[like]") {
  std::set<std::string> have;
  for (const auto& file : vector_files()) have.insert(name_of(file));
  for (const lowbit::like::Implementation* implementation : lowbit::like::implementations()) {
    INFO(implementation->name);
    CHECK(have.count(std::string(implementation->name)) == 1);
  }
  CHECK(have.size() == lowbit::like::implementations().size());
}
