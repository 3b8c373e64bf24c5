// An HDF5 file that is written piece by piece: what tensor_stream.cpp and column_file.cpp share.
#pragma once
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "results/store/file_io.hpp"
#include "results/store/hdf5_handle.hpp"

namespace lowbit::store {

/// The file has a temporary name in the folder of `path` until finish(); everything else (an Error, the destructor)
/// removes it. After a failed write the library's own clean-up is not safe: handles are then left alone.
class StreamedFile {
 public:
  /// Error: an existing file under Overwrite::refuse, a folder that cannot be made or written.
  StreamedFile(const std::string& path, Overwrite overwrite);
  ~StreamedFile();
  StreamedFile(const StreamedFile&) = delete;
  StreamedFile& operator=(const StreamedFile&) = delete;

  hid_t id() const { return *file_; }
  const std::string& path() const { return path_; }
  /// Keeps an open handle until the end; close() closes one of them.
  std::size_t keep(Handle handle);
  hid_t kept(std::size_t number) const { return *handles_[number]; }
  /// Runs calls of the library; what fails becomes an Error (io) that names the file.
  template <class Work>
  void guarded(Work work) {
    errno = 0;
    try {
      work();
    } catch (const Hdf5Failure& failure) {
      fail(failure.what());
    }
  }
  /// Closes everything, forces to disk, renames.
  void finish();

 private:
  [[noreturn]] void fail(const char* what);

  std::string path_, temporary_;
  Overwrite overwrite_;
  std::unique_ptr<Handle> file_;
  std::vector<std::unique_ptr<Handle>> handles_;
  bool finished_ = false;
};

}  // namespace lowbit::store
