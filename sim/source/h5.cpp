#include "sim/source/h5.hpp"

#include <hdf5.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "formats/error.hpp"
#include "sim/source/guard.hpp"
#include "sim/source/input_file.hpp"
#include "sim/source/text.hpp"

namespace lowbit {
namespace {

// An HDF5 identifier with its closing function.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }  // NOLINT: the C functions take it
  bool good() const { return id_ >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

void prepare_library() {
  static const bool done = [] {
    ::setenv("HDF5_USE_FILE_LOCKING", "BEST_EFFORT", 0);
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors become our own one-line messages
    return true;
  }();
  (void)done;
}

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw_error(ExitCode::bad_data, "{}: {}", in_quotes(path), what);
}

// The type by its bits, not by the library's idea of it.
DType dtype_of(hid_t type) {
  if (H5Tget_class(type) != H5T_FLOAT) return DType::other;
  const std::size_t bytes = H5Tget_size(type);
  std::size_t sign, exponent, exponent_bits, mantissa, mantissa_bits;
  if (H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) < 0) return DType::other;
  const bool packed = mantissa == 0 && exponent == mantissa_bits && sign == exponent + exponent_bits &&
                      sign + 1 == 8 * bytes && H5Tget_offset(type) == 0 && H5Tget_norm(type) == H5T_NORM_IMPLIED;
  const std::size_t bias = H5Tget_ebias(type);
  const auto is = [&](std::size_t e, std::size_t m) {
    return packed && exponent_bits == e && mantissa_bits == m && bias == (std::size_t{1} << (e - 1)) - 1;
  };
  if (is(11, 52)) return DType::f64;
  if (is(8, 23)) return DType::f32;
  if (is(5, 10)) return DType::f16;
  if (is(8, 7)) return DType::bf16;
  return DType::other;
}

std::string name_of_type(hid_t type) {
  const std::size_t bits = 8 * H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return fmt::format("{}int{}", H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "", bits);
    case H5T_FLOAT:
      return fmt::format("float of {} bits", bits);
    case H5T_ENUM:
      return "enum";
    default:
      return "not a number";
  }
}

struct OpenFile {
  explicit OpenFile(const std::string& name)
      : path(name), file(H5Fopen(name.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose) {}
  std::string path;
  Handle file;
};

Handle open_dataset(const OpenFile& file, const std::string& name) {
  return {H5Dopen2(file.file, name.c_str(), H5P_DEFAULT), H5Dclose};
}

// All stored bytes, little-endian, in the dataset's own type.
std::vector<std::byte> read_dataset(const OpenFile& file, const StoredTensor& tensor) {
  const Handle dataset = open_dataset(file, tensor.name);
  const Handle type(dataset.good() ? H5Dget_type(dataset) : -1, H5Tclose);
  std::vector<std::byte> bytes(tensor.bytes);
  if (!type.good() || H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()) < 0)
    fail(file.path + ":" + tensor.name, "cannot be read: damaged");
  const std::size_t width = H5Tget_size(type);
  if (H5Tget_order(type) == H5T_ORDER_BE)
    for (std::size_t i = 0; i + width <= bytes.size(); i += width)
      std::reverse(bytes.begin() + i, bytes.begin() + i + width);
  return bytes;
}

// Shape, type and size of a dataset; false for what is not an array of numbers.
bool describe(const OpenFile& file, const std::string& name, std::uint64_t file_size, StoredTensor& tensor) {
  const Handle dataset = open_dataset(file, name);
  if (!dataset.good()) fail(file.path + ":" + name, "cannot be opened: damaged");
  const Handle type(H5Dget_type(dataset), H5Tclose);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (!type.good() || !space.good() || !creation.good()) fail(file.path + ":" + name, "damaged dataset");
  const H5T_class_t kind = H5Tget_class(type);
  const int axes = H5Sget_simple_extent_ndims(space);
  if ((kind != H5T_FLOAT && kind != H5T_INTEGER) || axes < 0 || H5Sget_simple_extent_type(space) == H5S_NULL)
    return false;
  std::vector<hsize_t> extents(static_cast<std::size_t>(axes));
  if (axes > 0 && H5Sget_simple_extent_dims(space, extents.data(), nullptr) < 0)
    fail(file.path + ":" + name, "damaged shape");
  tensor.name = name;
  tensor.file = file.path;
  tensor.shape.assign(extents.begin(), extents.end());
  tensor.dtype = dtype_of(type);
  tensor.dtype_name = tensor.is_float() ? std::string(to_string(tensor.dtype)) : name_of_type(type);
  const std::size_t width = H5Tget_size(type), count = element_count(tensor.shape, tensor.place());
  const bool external = H5Pget_layout(creation) == H5D_VIRTUAL || H5Pget_external_count(creation) > 0;
  if (external) fail(file.path + ":" + name, "its data lie in another file; a self-contained file is expected");
  // deflate, the strongest filter there is without plugins, reaches 1032 : 1
  if (count > 0 && width > 1032 * file_size / count)
    fail(file.path + ":" + name,
         fmt::format("shape {} cannot fit in a file of {} bytes", to_string(tensor.shape), file_size));
  tensor.bytes = count * width;
  return true;
}

// Every name of a dataset counts: one dataset may be linked under several.
herr_t collect(hid_t group, const char* name, const H5L_info_t* link, void* names) {
  if (link->type != H5L_TYPE_HARD) return 0;
  const Handle object(H5Oopen(group, name, H5P_DEFAULT), H5Oclose);
  if (!object.good()) return -1;
  if (H5Iget_type(object) == H5I_DATASET) static_cast<std::vector<std::string>*>(names)->push_back(name);
  return 0;
}

std::shared_ptr<OpenFile> open_file(const std::string& path) {
  prepare_library();
  auto file = std::make_shared<OpenFile>(path);
  if (!file->file.good()) fail(path, "is not an HDF5 file, or damaged, or open for writing elsewhere");
  return file;
}

std::vector<StoredTensor> list(const std::shared_ptr<OpenFile>& file, std::uint64_t file_size) {
  std::vector<std::string> names;
  if (H5Lvisit(file->file, H5_INDEX_NAME, H5_ITER_INC, collect, &names) < 0) fail(file->path, "damaged group");
  std::vector<StoredTensor> tensors;
  for (const std::string& name : names) {
    StoredTensor tensor;
    if (describe(*file, name, file_size, tensor)) tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

std::vector<StoredTensor> open_h5(const std::string& path) {
  const std::uint64_t size = InputFile(path).size();
  try_in_child(
      [&] {
        const auto file = open_file(path);
        for (const StoredTensor& tensor : list(file, size)) read_dataset(*file, tensor);
      },
      in_quotes(path), size);
  const auto file = open_file(path);
  std::vector<StoredTensor> tensors = list(file, size);
  for (StoredTensor& tensor : tensors)
    tensor.read = [file, copy = tensor, bytes = std::make_shared<std::vector<std::byte>>()](
                      std::size_t offset, std::size_t count, std::byte* out) {
      if (bytes->empty()) *bytes = read_dataset(*file, copy);
      std::copy_n(bytes->begin() + static_cast<std::ptrdiff_t>(offset), count, out);
    };
  return tensors;
}

}  // namespace lowbit
