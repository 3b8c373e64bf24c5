// Finished points of a run that is not complete yet: one file per attempt beside the result, from which --resume goes
// on. Points are appended as they finish; a torn tail (a kill in the middle of a write) is recognised and dropped.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lowbit {

class Journal {
 public:
  /// Journals of one result: `stem` is the path of the result without ".h5"; `key` names configuration and program, so
  /// that points of different code never meet in one file.
  Journal(const std::string& stem, const std::string& key, std::size_t values_per_point);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  /// Points in all journals of this result and key: number -> values of all outputs.
  std::map<std::size_t, std::vector<double>> load(std::size_t point_count) const;
  /// True if there is a journal of this result, of whatever key.
  bool any() const;
  /// Appends a point; Error 74 if it cannot be written. The file appears with the first point.
  void append(std::size_t point, const std::vector<double>& values);
  /// Removes all journals of this result, of every key.
  void remove_all();

 private:
  std::vector<std::string> files(const std::string& key) const;  ///< "" for every key

  std::string folder_, prefix_, key_, path_;
  std::size_t values_per_point_;
  int fd_ = -1;
};

}  // namespace lowbit
