// The kernels of packed_rows.cpp, compiled once for each instruction set: included inside a namespace of its own.
// 16 lanes are one vector of the compiler's; what the processor lacks is split by it. No step may be contracted or
// reordered: the bits are those of the scalar definition. LOWBIT_KV_VECTORS: bits of the processor's vectors, 0 for
// any processor.

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

// 16 words whose lowest bits are 16 codes, from the bytes of theirs.
template <int kBits>
[[gnu::always_inline]] inline U16 shifted(const std::uint8_t* p) {
  std::uint32_t word[kBits / 2];
  std::memcpy(word, p, sizeof word);
  if constexpr (kBits == 2)
    return (U16{} + word[0]) >> kShift2;
  else {
    const U16 low = U16{} + word[0], high = U16{} + word[1];
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31) >> kShift4;
  }
}

#if LOWBIT_KV_VECTORS == 512
// What each of the 16 lowest bits of a word stands for: codes of 2 bits ignore two of them.
template <int kBits>
constexpr F16 kNumbers = kBits == 2 ? F16{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}
                                    : F16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

// Entries of a table like kNumbers for 16 codes. Looking up fl(fl(s c) + z) gives the bits of computing it.
template <int kBits>
[[gnu::always_inline]] inline F16 look_up(const std::uint8_t* p, const F16& table) {
  return (F16)_mm512_permutexvar_ps((__m512i)shifted<kBits>(p), (__m512)table);
}
#endif

// 16 codes as numbers.
template <int kBits>
[[gnu::always_inline]] inline F16 codes_of(const std::uint8_t* p) {
#if LOWBIT_KV_VECTORS == 512
  return look_up<kBits>(p, kNumbers<kBits>);
#else
  return __builtin_convertvector((I16)(shifted<kBits>(p) & ((1u << kBits) - 1)), F16);
#endif
}

[[gnu::always_inline]] inline F16 load_halves(const std::uint16_t* p) {
#if LOWBIT_KV_VECTORS == 512
  return (F16)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif LOWBIT_KV_VECTORS == 256
  float y[16];
  _mm256_storeu_ps(y, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  _mm256_storeu_ps(y + 8, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8))));
  return load(y);
#else
  float y[16];
  for (int j = 0; j < 16; ++j) y[j] = half_value(p[j]);
  return load(y);
#endif
}

// What a row's 16 channels are: float32, codes with scale and zero a channel, codes alone.
struct FloatRows {
  ConstRows rows;
  [[gnu::always_inline]] inline F16 get(std::size_t t, std::size_t block) const {
    return load(rows.row(t) + 16 * block);
  }
};
struct Halves {
  HalfRows rows;
  [[gnu::always_inline]] inline F16 get(std::size_t t, std::size_t block) const {
    return load_halves(rows.codes + t * rows.width + 16 * block);
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
// Halves of the lanes of each query times two rows: what they have in common (scales) is read once.
template <int kBlocks, int kQueries, class Source>
[[gnu::always_inline]] inline void add_two(const Source& source, std::size_t one, std::size_t two,
                                           const F16 (&own)[kQueries][kBlocks], F16 (&half)[kQueries]) {
  F16 first[kQueries] = {}, second[kQueries] = {};
#pragma GCC unroll 8
  for (int b = 0; b < kBlocks; ++b) {
    const F16 x = source.get(one, static_cast<std::size_t>(b)), y = source.get(two, static_cast<std::size_t>(b));
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) {
      first[i] += own[i][b] * x;
      second[i] += own[i][b] * y;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i) half[i] = halves_of(first[i], second[i]);
}

// sums(i) = dot products of q_i and 16 rows, lane by lane as lane_dot. place(j): which row is the j-th.
template <int kBlocks, int kQueries, class Source, class Place>
[[gnu::always_inline]] inline void dot_16(const Source& source, const F16 (&own)[kQueries][kBlocks], Place place,
                                          F16 (&sums)[kQueries]) {
  F16 four[kQueries][4];
  for (std::size_t j = 0; j < 4; ++j) {
    F16 half[2][kQueries];
    add_two<kBlocks, kQueries>(source, place(4 * j), place(4 * j + 1), own, half[0]);
    add_two<kBlocks, kQueries>(source, place(4 * j + 2), place(4 * j + 3), own, half[1]);
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) four[i][j] = quarters_of(half[0][i], half[1][i]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
    sums[i] = ones_of(pairs_of(four[i][0], four[i][1]), pairs_of(four[i][2], four[i][3]));
}

// base: added to the logits of each query; or none.
template <int kBlocks, int kQueries, class Source>
[[gnu::always_inline]] inline void logits_of(const Source& source, std::size_t rows, const float* const* q,
                                             const float* base, float* const* out) {
  F16 own[kQueries][kBlocks];
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) own[i][b] = load(q[i] + 16 * b);
  F16 sums[kQueries];
  std::size_t t = 0;
  for (; t + 16 <= rows; t += 16) {
    dot_16<kBlocks, kQueries>(
        source, own, [&](std::size_t j) __attribute__((always_inline)) { return t + j; }, sums);
#pragma GCC unroll 8
    for (int i = 0; i < kQueries; ++i) store(base != nullptr ? sums[i] + base[i] : sums[i], out[i] + t);
  }
  if (t == rows) return;
  const std::size_t last = rows - 1;  // stands for the rows that lack
  dot_16<kBlocks, kQueries>(
      source, own, [&](std::size_t j) __attribute__((always_inline)) { return t + j < last ? t + j : last; }, sums);
  for (int i = 0; i < kQueries; ++i) {
    float ends[16];
    store(base != nullptr ? sums[i] + base[i] : sums[i], ends);
    std::memcpy(out[i] + t, ends, (rows - t) * sizeof(float));
  }
}

template <int kBlocks, int kQueries, class Source>
[[gnu::always_inline]] inline void sums_of(const Source& source, std::size_t rows, const float* const* weights,
                                           const float* base, float* const* sums) {
  F16 sum[kQueries][kBlocks];
#pragma GCC unroll 8
  for (int i = 0; i < kQueries; ++i)
#pragma GCC unroll 8
    for (int b = 0; b < kBlocks; ++b) {
      sum[i][b] = load(sums[i] + 16 * b);
      if (base != nullptr) sum[i][b] += base[i];
    }
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

// Values of a row with scale and zero for each group of channels. kWhole: one group a row.
template <int kBits, bool kWhole>
struct GroupedCodes {
  PackedRows rows;
  const float *scale, *zero;
  std::size_t groups, blocks;  // of a row; blocks of 16 channels in a group
  [[gnu::always_inline]] inline F16 get(std::size_t t, std::size_t block) const {
    const std::size_t g = kWhole ? t : t * groups + block / blocks;
    const std::uint8_t* codes = rows.codes + t * rows.row_bytes + 2 * kBits * block;
#if LOWBIT_KV_VECTORS == 512
    const F16 x = scale[g] * kNumbers<kBits>;
    return look_up<kBits>(codes, x + zero[g]);
#else
    const F16 x = scale[g] * codes_of<kBits>(codes);
    return x + zero[g];
#endif
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
[[gnu::always_inline]] inline void all_logits(const Source& source, std::size_t rows, ConstRows q, Rows out,
                                              const float* base = nullptr) {
  share(
      q.rows, [&]<int kQueries>(std::size_t first) __attribute__((always_inline)) {
        const float* queries[kQueries];
        float* logits[kQueries];
#pragma GCC unroll 8
        for (int i = 0; i < kQueries; ++i) {
          queries[i] = q.row(first + static_cast<std::size_t>(i));
          logits[i] = out.row(first + static_cast<std::size_t>(i));
        }
        const float* own = base == nullptr ? nullptr : base + first;
        q.columns == 64 ? logits_of<4, kQueries>(source, rows, queries, own, logits)
                        : logits_of<8, kQueries>(source, rows, queries, own, logits);
      });
}

template <class Source>
[[gnu::always_inline]] inline void all_sums(const Source& source, std::size_t rows, ConstRows weights, Rows sums,
                                            const float* base = nullptr) {
  share(
      sums.rows, [&]<int kQueries>(std::size_t first) __attribute__((always_inline)) {
        const float* own[kQueries];
        float* sum[kQueries];
#pragma GCC unroll 8
        for (int i = 0; i < kQueries; ++i) {
          own[i] = weights.row(first + static_cast<std::size_t>(i));
          sum[i] = sums.row(first + static_cast<std::size_t>(i));
        }
        const float* start = base == nullptr ? nullptr : base + first;
        sums.columns == 64 ? sums_of<4, kQueries>(source, rows, own, start, sum)
                           : sums_of<8, kQueries>(source, rows, own, start, sum);
      });
}

[[gnu::always_inline]] inline void run_float_logits(ConstRows rows, ConstRows q, Rows out) {
  all_logits(FloatRows{rows}, rows.rows, q, out);
}
[[gnu::always_inline]] inline void run_float_sums(ConstRows rows, ConstRows weights, Rows sums) {
  all_sums(FloatRows{rows}, rows.rows, weights, sums);
}
[[gnu::always_inline]] inline void run_half_logits(const HalfRows& rows, ConstRows q, Rows out) {
  all_logits(Halves{rows}, rows.rows, q, out);
}
[[gnu::always_inline]] inline void run_half_sums(const HalfRows& rows, ConstRows weights, Rows sums) {
  all_sums(Halves{rows}, rows.rows, weights, sums);
}

// scaled(i) = x(i) * scale, base(i) = the sum of x(i) * zero, in lanes.
inline void fold(ConstRows x, const float* scale, const float* zero, Rows scaled, float* base) {
  for (std::size_t r = 0; r < x.rows; ++r) {
    const float* own = x.row(r);
    float *out = scaled.row(r), lane[16];
    F16 sum = {};
    std::size_t i = 0;
    for (; i + 16 <= x.columns; i += 16) {
      const F16 y = load(own + i);
      store(y * load(scale + i), out + i);
      sum += y * load(zero + i);
    }
    store(sum, lane);
    for (std::size_t j = 0; i < x.columns; ++i, ++j) {
      out[i] = own[i] * scale[i];
      lane[j] += own[i] * zero[i];
    }
    for (std::size_t width = 8; width > 0; width /= 2)
      for (std::size_t j = 0; j < width; ++j) lane[j] += lane[j + width];
    base[r] = lane[0];
  }
}

template <int kBits>
[[gnu::always_inline]] inline void run_logits(const PackedRows& rows, const float* scale, const float* zero,
                                              ConstRows q, Rows out) {
  all_logits(ScaledCodes<kBits>{rows, scale, zero}, rows.rows, q, out);
}
template <int kBits>
[[gnu::always_inline]] inline void run_sums(const PackedRows& rows, std::size_t group, const float* scale,
                                            const float* zero, ConstRows weights, Rows sums) {
  if (group == rows.width)
    all_sums(GroupedCodes<kBits, true>{rows, scale, zero, 1, 0}, rows.rows, weights, sums);
  else
    all_sums(GroupedCodes<kBits, false>{rows, scale, zero, rows.width / group, group / 16}, rows.rows, weights, sums);
}

// With scales in the queries or weights already.
template <int kBits>
[[gnu::always_inline]] inline void run_fused_logits(const PackedRows& rows, ConstRows q, const float* base, Rows out) {
  all_logits(Codes<kBits>{rows}, rows.rows, q, out, base);
}
template <int kBits>
[[gnu::always_inline]] inline void run_fused_sums(const PackedRows& rows, ConstRows weights, const float* base,
                                                  Rows sums) {
  all_sums(Codes<kBits>{rows}, rows.rows, weights, sums, base);
}
