#include <algorithm>
#include <cstring>
#include <sstream>

#include "formats/error.hpp"
#include "results/store/hdf5_file.hpp"
#include "results/store/hdf5_parts.hpp"

namespace lowbit::store {
namespace {

bool is_text(const Array& array) {
  return std::holds_alternative<std::vector<std::string>>(array.data);
}

constexpr const char* kScaleAttributes[] = {
    "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_Encoding", kDims};

std::string unpadded(const char* text, std::size_t length) {
  return std::string(text, std::find(text, text + length, '\0'));
}

struct Reader {
  std::size_t file_bytes;

  /// Element count, after checking that so much data can be in the file at all.
  std::size_t value_count(hid_t space, hid_t type) const {
    const hssize_t n = check(H5Sget_simple_extent_npoints(space), "dataspace");
    const std::size_t bytes = H5Tget_size(type);
    if (bytes == 0 || static_cast<std::size_t>(n) > file_bytes / bytes)
      throw Hdf5Failure("claims more data than the file has");
    return static_cast<std::size_t>(n);
  }

  template <class T, class Read>
  static std::vector<T> numbers(std::size_t n, const Read& read) {
    std::vector<T> values(n);
    check(read(number_type<T>(), values.data()), "is damaged (checksum)");
    return values;
  }

  template <class Read>
  ArrayData data(hid_t type, std::size_t n, const Read& read) const {
    const std::size_t bytes = H5Tget_size(type);
    switch (H5Tget_class(type)) {
      case H5T_STRING: {
        if (check(H5Tis_variable_str(type), "text"))
          throw Hdf5Failure("holds variable-length texts, which are not read");
        std::string packed(n * bytes, '\0');
        check(read(type, packed.data()), "is damaged (checksum)");
        std::vector<std::string> texts(n);
        for (std::size_t i = 0; i < n; ++i) texts[i] = unpadded(&packed[i * bytes], bytes);
        return texts;
      }
      case H5T_FLOAT:
        if (check(H5Tequal(type, H5T_IEEE_F64LE), "type") > 0) return numbers<double>(n, read);
        if (check(H5Tequal(type, H5T_IEEE_F32LE), "type") > 0) return numbers<float>(n, read);
        break;
      case H5T_INTEGER:
        if (bytes == 1 && H5Tget_sign(type) == H5T_SGN_NONE) return numbers<std::uint8_t>(n, read);
        if (bytes == 2 && H5Tget_sign(type) == H5T_SGN_NONE) return numbers<std::uint16_t>(n, read);
        if (bytes == 4 && H5Tget_sign(type) == H5T_SGN_NONE) return numbers<std::uint32_t>(n, read);
        if (bytes <= 8 && H5Tget_sign(type) == H5T_SGN_2) return numbers<std::int64_t>(n, read);
        break;
      default:
        break;
    }
    throw Hdf5Failure("has a type that is not read (integers, float32, float64 and fixed-length texts are)");
  }

  Attribute attribute(hid_t object, const std::string& name) const {
    const Handle id(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "attribute");
    const Handle type(H5Aget_type(id), H5Tclose, "attribute");
    const Handle space(H5Aget_space(id), H5Sclose, "attribute");
    const std::size_t n = value_count(space, type);
    const bool scalar = H5Sget_simple_extent_ndims(space) == 0;
    const ArrayData values = data(type, n, [&](hid_t t, void* to) { return H5Aread(id, t, to); });
    return {name, std::visit([&](const auto& v) { return as_attribute(v, scalar); }, values)};
  }

  template <class T>
  static AttributeValue as_attribute(const std::vector<T>& values, bool scalar) {
    if constexpr (std::is_same_v<T, std::string>) {
      if (values.size() != 1) throw Hdf5Failure("list of texts");
      return values[0];
    } else {
      using Wide = std::conditional_t<std::is_floating_point_v<T>, double, std::int64_t>;
      if (scalar && values.size() == 1) return static_cast<Wide>(values[0]);
      return std::vector<Wide>(values.begin(), values.end());
    }
  }

  std::vector<Attribute> attributes(hid_t object) const {
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* to) -> herr_t {
      static_cast<std::vector<std::string>*>(to)->push_back(name);
      return 0;
    };
    check(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), "attributes");
    std::vector<Attribute> found;
    for (const std::string& name : names)
      if (std::find(std::begin(kScaleAttributes), std::end(kScaleAttributes), name) == std::end(kScaleAttributes))
        found.push_back(attribute(object, name));
    return found;
  }

  /// The names in the attribute `dims`. The library's own lists of references are not touched: they lie outside its
  /// checksums, and one flipped byte in them crashes it.
  std::vector<std::string> dim_names(hid_t set, std::size_t rank) const {
    if (check(H5Aexists(set, kDims), "attribute") == 0) return {};
    const Attribute names = attribute(set, kDims);
    const auto* text = std::get_if<std::string>(&names.value);
    std::vector<std::string> dims;
    std::istringstream words(text ? *text : "");
    for (std::string word; words >> word;) dims.push_back(word);
    if (dims.size() != rank) throw Hdf5Failure("has an attribute 'dims' that does not match its shape");
    return dims;
  }

  Array array(hid_t group, const std::string& name) const {
    const Handle set(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose, "cannot be opened");
    const Handle type(H5Dget_type(set), H5Tclose, "type");
    const Handle space(H5Dget_space(set), H5Sclose, "dataspace");
    const int rank = check(H5Sget_simple_extent_ndims(space), "dataspace");
    std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
    check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), "dataspace");
    Array array{name, {}, {extents.begin(), extents.end()}, {}, {}};
    array.data = data(type, value_count(space, type),
                      [&](hid_t t, void* to) { return H5Dread(set, t, H5S_ALL, H5S_ALL, H5P_DEFAULT, to); });
    if (is_text(array) && rank == 2 && check(H5DSis_scale(set), "dimension scale") > 0) join_characters(array);
    array.dims = dim_names(set, array.shape.size());
    array.attributes = attributes(set);
    return array;
  }

  /// The texts of a coordinate stored as characters.
  static void join_characters(Array& array) {
    const auto& characters = std::get<std::vector<std::string>>(array.data);
    std::vector<std::string> texts(array.shape[0]);
    for (std::size_t i = 0; i < characters.size(); ++i) texts[i / array.shape[1]] += characters[i];
    array.shape = {texts.size()};
    array.data = std::move(texts);
  }

  /// A dimension that has no coordinates, such as the length of texts.
  static bool is_bare_dimension(hid_t group, const std::string& name) {
    const Handle set(H5Dopen2(group, name.c_str(), H5P_DEFAULT), H5Dclose, "cannot be opened");
    char scale[128] = {};
    if (check(H5DSis_scale(set), "dimension scale") == 0) return false;
    check(H5DSget_scale_name(set, scale, sizeof scale), "dimension scale");
    return std::string_view(scale).starts_with(kNoVariable);
  }

  Group group(hid_t id, const std::string& name, int depth) const {
    if (depth > 8) throw Hdf5Failure("groups nest deeper than 8 levels");
    Group result{name, attributes(id), {}, {}};
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* link, const H5L_info_t* info, void* to) -> herr_t {
      if (info->type != H5L_TYPE_HARD) return -1;  // a link out of the file is no part of a result
      static_cast<std::vector<std::string>*>(to)->push_back(link);
      return 0;
    };
    check(H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), "links");
    for (const std::string& child : names) {
      try {
        const Handle object(H5Oopen(id, child.c_str(), H5P_DEFAULT), H5Oclose, "cannot be opened");
        if (H5Iget_type(object) == H5I_GROUP)
          result.groups.push_back(group(object, child, depth + 1));
        else if (!is_bare_dimension(id, child))
          result.arrays.push_back(array(id, child));
      } catch (const Hdf5Failure& e) {
        throw Hdf5Failure(fmt::format("'{}' {}", child, e.what()));
      }
    }
    return result;
  }
};

}  // namespace

std::vector<Attribute> read_attributes(hid_t object, std::size_t file_bytes) {
  return Reader{file_bytes}.attributes(object);
}

Group read_tree(const std::string& path) {
  start_library();
  std::vector<std::byte> bytes = read_whole(path);
  try {
    const Handle access = file_access();
    check(H5Pset_fapl_core(access, std::size_t{1} << 20, false), "memory driver");
    check(H5Pset_file_image(access, bytes.data(), bytes.size()), "is no HDF5 file");
    const Handle file(H5Fopen("lowbit", H5F_ACC_RDONLY, access), H5Fclose, "is no HDF5 file or is cut short");
    return Reader{bytes.size()}.group(file, "", 0);
  } catch (const Hdf5Failure& e) {
    throw_error(ExitCode::bad_data, "'{}' {}", path, e.what());
  }
}

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

}  // namespace lowbit::store
