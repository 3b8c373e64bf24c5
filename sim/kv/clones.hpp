// Loops that are compiled for several instruction sets; -ffp-contract=off keeps their bits equal.
#pragma once

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define LOWBIT_KV_CLONES __attribute__((target_clones("default", "avx2", "arch=x86-64-v4"), optimize("O3")))
#else
#define LOWBIT_KV_CLONES
#endif
