// Loops that are compiled for several instruction sets and chosen at run time, with equal bits: no contraction, no
// reassociation.
#pragma once

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define LOWBIT_WEIGHTS_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4"), optimize("O3")))
#define LOWBIT_WEIGHTS_INLINE inline __attribute__((always_inline))
#else
#define LOWBIT_WEIGHTS_CLONES
#define LOWBIT_WEIGHTS_INLINE inline
#endif
