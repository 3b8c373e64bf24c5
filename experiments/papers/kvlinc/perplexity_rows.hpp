// The report of T2.
#pragma once
#include <vector>

#include "experiments/core/report.hpp"

namespace lowbit::kvlinc {

/// Perplexity added by each cache in each view, methods against each other, the share of KIVI's loss that KVLinC's
/// parts win back, and codes that differ between decoding and one pass. Paired over texts.
std::vector<Row> perplexity_rows(const Results& results);

}  // namespace lowbit::kvlinc
