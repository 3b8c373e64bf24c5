// Owning HDF5 identifiers and checked calls. Included by hdf5_file.cpp alone.
#pragma once
#include <fmt/format.h>
#include <hdf5.h>

#include <stdexcept>
#include <utility>

namespace lowbit::store {

/// A call of the library failed; turned into an Error with the file's name further up.
struct Hdf5Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Result of a call that returns a negative number on failure.
template <class T>
T check(T result, const char* what) {
  if (result < 0) throw Hdf5Failure(what);
  return result;
}

/// An identifier with its closing function; close() checks, the destructor cannot.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t), const char* what) : id_(check(id, what)), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle& operator=(Handle&&) = delete;
  operator hid_t() const { return id_; }
  void close() { check(close_(std::exchange(id_, -1)), "close"); }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

inline Handle property_list(hid_t kind) { return {H5Pcreate(kind), H5Pclose, "property list"}; }

}  // namespace lowbit::store
