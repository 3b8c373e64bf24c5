// Lines of text written as they come: to stdout, or to a file that appears when it is complete.
#pragma once
#include <cstdio>
#include <string>

#include "results/store/file_io.hpp"

namespace lowbit::rcp {

/// Writes to a temporary file beside `path`, which finish() forces to disk and renames; without finish() nothing stays.
/// An empty path or "-" is stdout.
class LineWriter {
 public:
  /// Error 73: the path is a folder, exists under Overwrite::refuse, or cannot be created.
  LineWriter(std::string path, store::Overwrite overwrite);
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  /// Adds the newline. Error 74 if it cannot be written.
  void write(const std::string& line);
  /// Puts the file in place. Error 74 if it cannot be written, or if another process has put one there meanwhile.
  void finish();

 private:
  [[noreturn]] void fail(const char* what);

  std::string path_, temporary_;
  store::Overwrite overwrite_;
  std::FILE* file_ = nullptr;
};

}  // namespace lowbit::rcp
