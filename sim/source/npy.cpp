#include "sim/source/npy.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>

#include "formats/error.hpp"
#include "sim/source/input_file.hpp"
#include "sim/source/npy_header.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::uint64_t kLongestHeader = 1 << 20;

struct TypeRow {
  std::string_view code;  // descr without its byte order
  DType dtype;
};
constexpr TypeRow kTypes[] = {{"f2", DType::f16}, {"f4", DType::f32}, {"f8", DType::f64}, {"V2", DType::bf16}};

DType find_type(std::string_view code) {
  for (const TypeRow& row : kTypes)
    if (row.code == code) return row.dtype;
  return DType::other;
}

// Bytes a value of any NumPy type with a fixed width: the number after the kind ("U" counts 4-byte characters).
std::size_t item_size(const std::string& descr, const std::string& place) {
  unsigned long long size = 0;
  const std::size_t start = descr.find_first_of("0123456789");
  if (descr == "|O" || start == std::string::npos || !parse_unsigned(descr.substr(start), size) || size > (1u << 30))
    throw_error(ExitCode::bad_data, "{}: dtype {} is not accepted (accepted: f2, f4, f8, V2 as bfloat16)", place,
                in_quotes(descr));
  return size * (descr.find('U') == std::string::npos ? 1 : 4);
}

void swap_bytes(std::byte* bytes, std::size_t count, std::size_t width) {
  for (std::size_t i = 0; i + width <= count; i += width) std::reverse(bytes + i, bytes + i + width);
}

struct DataRange {
  std::uint64_t header_start, header_length;
};

DataRange find_header(const InputFile& file) {
  const std::string place = in_quotes(file.path());
  char start[12] = {};
  file.read(0, std::min<std::uint64_t>(file.size(), sizeof start), start);
  if (file.size() < 10 || std::string_view(start, 6) != kMagic)
    throw_error(ExitCode::bad_data, "{}: is not a .npy file: it does not start with \\x93NUMPY", place);
  const int major = static_cast<unsigned char>(start[6]), minor = static_cast<unsigned char>(start[7]);
  if (major < 1 || major > 3 || minor != 0)
    throw_error(ExitCode::bad_data, "{}: .npy version {}.{} is not accepted (accepted: 1.0, 2.0, 3.0)", place, major,
                minor);
  std::uint64_t length = 0;
  std::memcpy(&length, start + 8, major == 1 ? 2 : 4);
  const std::uint64_t begin = major == 1 ? 10 : 12;
  if (length > kLongestHeader || file.size() < begin || length > file.size() - begin)
    throw_error(ExitCode::bad_data, "{}: header of {} bytes in a file of {}: truncated or damaged", place, length,
                file.size());
  return {begin, length};
}

}  // namespace

StoredTensor open_npy(const std::string& path) {
  auto file = std::make_shared<InputFile>(path);
  const DataRange range = find_header(*file);
  std::string text(range.header_length, '\0');
  file->read(range.header_start, text.size(), text.data());
  const std::string place = in_quotes(path);
  const NpyHeader header = parse_npy_header(text, place);

  StoredTensor tensor;
  tensor.name = std::filesystem::path(path).stem().string();
  tensor.file = path;
  tensor.shape = header.shape;
  tensor.dtype_name = header.descr;
  tensor.fortran_order = header.fortran_order;
  const bool has_order = !header.descr.empty() && std::string_view("<>=|").find(header.descr[0]) != std::string::npos;
  tensor.dtype = find_type(std::string_view(header.descr).substr(has_order ? 1 : 0));
  const std::size_t width = item_size(header.descr, place), count = element_count(header.shape, place);
  const std::uint64_t data = range.header_start + range.header_length, present = file->size() - data;
  if (width && count > present / width)
    throw_error(
        ExitCode::bad_data,
        "{}: truncated: shape {} of dtype {} needs {} bytes of data for each of {} values, the file has {} bytes",
        place, to_string(header.shape), in_quotes(header.descr), width, count, present);
  if (count * width != present)
    throw_error(ExitCode::bad_data, "{}: {} bytes follow the {} bytes that shape {} of dtype {} needs", place,
                present - count * width, count * width, to_string(header.shape), in_quotes(header.descr));
  tensor.bytes = count * width;
  tensor.random_access = true;
  const bool swapped = header.descr[0] == '>' && tensor.dtype != DType::bf16;
  tensor.read = [file, data, width, swapped](std::size_t offset, std::size_t bytes, std::byte* out) {
    file->read(data + offset, bytes, out);
    if (swapped) swap_bytes(out, bytes, width);
  };
  return tensor;
}

std::string npy_header(const Shape& shape, const std::string& descr) {
  std::string text = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + to_string(shape) + ", }";
  text.append((64 - (10 + text.size() + 1) % 64) % 64, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace lowbit
