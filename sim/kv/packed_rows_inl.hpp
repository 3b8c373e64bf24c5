// The kernels of packed_rows.cpp, compiled once for each instruction set: included inside a namespace of its own.
// 16 lanes are one vector of the compiler's; what the processor lacks is split by it. No step may be contracted or
// reordered: the bits are those of the scalar definition.

constexpr U16 kShift2 = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
constexpr U16 kShift4 = {0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28};

[[gnu::always_inline]] inline F16 load(const float* x) {
  F16 v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
[[gnu::always_inline]] inline void store(const F16& v, float* x) {
  std::memcpy(x, &v, sizeof v);
}

// 16 codes from the bytes of theirs.
template <int kBits>
[[gnu::always_inline]] inline F16 codes_of(const std::uint8_t* p) {
  std::uint32_t word[kBits / 2];
  std::memcpy(word, p, sizeof word);
  if constexpr (kBits == 2)
    return __builtin_convertvector((I16)((U16{} + word[0]) >> kShift2 & 3), F16);
  else {
    const U16 low = U16{} + word[0], high = U16{} + word[1];
    const U16 both = __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31);
    return __builtin_convertvector((I16)(both >> kShift4 & 15), F16);
  }
}

// What a row's 16 channels are: float32, codes with scale and zero a channel, codes alone.
struct FloatRows {
  ConstRows rows;
  [[gnu::always_inline]] inline F16 get(std::size_t t, std::size_t block) const {
    return load(rows.row(t) + 16 * block);
  }
};
template <int kBits>
struct ScaledCodes {
  PackedRows rows;
  const float *scale, *zero;
  [[gnu::always_inline]] inline F16 get(std::size_t t, std::size_t block) const {
    const F16 x = load(scale + 16 * block) * codes_of<kBits>(rows.codes + t * rows.row_bytes + 2 * kBits * block);
    return x + load(zero + 16 * block);
  }
};
template <int kBits>
struct Codes {
  PackedRows rows;
  [[gnu::always_inline]] inline F16 get(std::size_t t, std::size_t block) const {
    return codes_of<kBits>(rows.codes + t * rows.row_bytes + 2 * kBits * block);
  }
};

// Sums of 16 vectors, each pairwise (8, 4, 2, 1) as lane_dot: two vectors at a time share one.
[[gnu::always_inline]] inline F16 halves_of(F16 a, F16 b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
         __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
[[gnu::always_inline]] inline F16 quarters_of(F16 a, F16 b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
[[gnu::always_inline]] inline F16 pairs_of(F16 a, F16 b) {
  return __builtin_shufflevector(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
         __builtin_shufflevector(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
}
[[gnu::always_inline]] inline F16 ones_of(F16 a, F16 b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
         __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
[[gnu::always_inline]] inline F16 lane_sums(const F16* v) {
  F16 four[4];
#pragma GCC unroll 8
  for (int i = 0; i < 4; ++i)
    four[i] = quarters_of(halves_of(v[4 * i], v[4 * i + 1]), halves_of(v[4 * i + 2], v[4 * i + 3]));
  return ones_of(pairs_of(four[0], four[1]), pairs_of(four[2], four[3]));
}

template <int kBlocks, int kQueries, class Source>
[[gnu::always_inline]] inline void logits_of(const Source& source, std::size_t rows, const float* const* q,
                                             float* const* out) {
  F16 own[kQueries][kBlocks];
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) own[i][b] = load(q[i] + 16 * b);
  for (std::size_t t = 0; t < rows; t += 16) {
    const std::size_t n = rows - t < 16 ? rows - t : 16;
    F16 lane[kQueries][16] = {};
    for (std::size_t j = 0; j < n; ++j) {
      F16 sum[kQueries] = {};
#pragma GCC unroll 8
      for (int b = 0; b < kBlocks; ++b) {
        const F16 x = source.get(t + j, static_cast<std::size_t>(b));
#pragma GCC unroll 8
        for (int i = 0; i < kQueries; ++i) sum[i] += own[i][b] * x;
      }
#pragma GCC unroll 8
      for (int i = 0; i < kQueries; ++i) lane[i][j] = sum[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) {
      const F16 sums = lane_sums(lane[i]);
      std::memcpy(out[i] + t, &sums, n * sizeof(float));
    }
  }
}

template <int kBlocks, int kQueries, class Source>
[[gnu::always_inline]] inline void sums_of(const Source& source, std::size_t rows, const float* const* weights,
                                           float* const* sums) {
  F16 sum[kQueries][kBlocks];
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) sum[i][b] = load(sums[i] + 16 * b);
  for (std::size_t t = 0; t < rows; ++t)
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      const F16 x = source.get(t, static_cast<std::size_t>(b));
#pragma GCC unroll 8
      for (int i = 0; i < kQueries; ++i) sum[i][b] += weights[i][t] * x;
    }
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) store(sum[i][b], sums[i] + 16 * b);
}

// Values of a row with scale and zero for each group of channels.
template <int kBits>
struct GroupedCodes {
  PackedRows rows;
  const float *scale, *zero;
  std::size_t groups, blocks;  // of a row; blocks of 16 channels in a group
  [[gnu::always_inline]] inline F16 get(std::size_t t, std::size_t block) const {
    const std::size_t g = t * groups + block / blocks;
    const F16 x = scale[g] * codes_of<kBits>(rows.codes + t * rows.row_bytes + 2 * kBits * block);
    return x + zero[g];
  }
};

// Up to three queries at a time share what is read.
template <class Job>
[[gnu::always_inline]] inline void share(std::size_t queries, Job job) {
  std::size_t i = 0;
  for (; i + 3 <= queries; i += 3) job.template operator()<3>(i);
  if (i + 2 == queries) job.template operator()<2>(i);
  if (i + 1 == queries) job.template operator()<1>(i);
}

template <class Source>
[[gnu::always_inline]] inline void all_logits(const Source& source, std::size_t rows, ConstRows q, Rows out) {
  share(
      q.rows, [&]<int kQueries>(std::size_t first) __attribute__((always_inline)) {
        const float* queries[kQueries];
        float* logits[kQueries];
#pragma GCC unroll 8
        for (int i = 0; i < kQueries; ++i) {
          queries[i] = q.row(first + static_cast<std::size_t>(i));
          logits[i] = out.row(first + static_cast<std::size_t>(i));
        }
        q.columns == 64 ? logits_of<4, kQueries>(source, rows, queries, logits)
                        : logits_of<8, kQueries>(source, rows, queries, logits);
      });
}

template <class Source>
[[gnu::always_inline]] inline void all_sums(const Source& source, std::size_t rows, ConstRows weights, Rows sums) {
  share(
      sums.rows, [&]<int kQueries>(std::size_t first) __attribute__((always_inline)) {
        const float* own[kQueries];
        float* sum[kQueries];
#pragma GCC unroll 8
        for (int i = 0; i < kQueries; ++i) {
          own[i] = weights.row(first + static_cast<std::size_t>(i));
          sum[i] = sums.row(first + static_cast<std::size_t>(i));
        }
        sums.columns == 64 ? sums_of<4, kQueries>(source, rows, own, sum)
                           : sums_of<8, kQueries>(source, rows, own, sum);
      });
}

[[gnu::always_inline]] inline void run_float_logits(ConstRows rows, ConstRows q, Rows out) {
  all_logits(FloatRows{rows}, rows.rows, q, out);
}
[[gnu::always_inline]] inline void run_float_sums(ConstRows rows, ConstRows weights, Rows sums) {
  all_sums(FloatRows{rows}, rows.rows, weights, sums);
}
template <int kBits>
[[gnu::always_inline]] inline void run_logits(const PackedRows& rows, const float* scale, const float* zero,
                                              ConstRows q, Rows out) {
  if (scale == nullptr)
    all_logits(Codes<kBits>{rows}, rows.rows, q, out);
  else
    all_logits(ScaledCodes<kBits>{rows, scale, zero}, rows.rows, q, out);
}
template <int kBits>
[[gnu::always_inline]] inline void run_sums(const PackedRows& rows, std::size_t group, const float* scale,
                                            const float* zero, ConstRows weights, Rows sums) {
  if (scale == nullptr)
    all_sums(Codes<kBits>{rows}, rows.rows, weights, sums);
  else
    all_sums(GroupedCodes<kBits>{rows, scale, zero, rows.width / group, group / 16}, rows.rows, weights, sums);
}
