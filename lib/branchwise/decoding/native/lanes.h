/* What the kernels share: vectors of LANES fp32 values on whatever processor this is built for.
 *
 * Fused multiply-adds are asked for by name: left to itself the compiler fuses for some numbers of rows
 * and not for others, and sums then differ in their last bit. */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* STREAM stores past the caches, what is not read soon, to whole vectors' addresses; what was stored so other
 * threads may read after STREAMED. */
#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>
#define LANES 16
typedef __m512 vec;
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define STREAM(p, v) _mm512_stream_ps(p, v)
#define STREAMED() _mm_sfence()
#define FILL(x) _mm512_set1_ps(x)
#define FUSED(a, b, c) _mm512_fmadd_ps(a, b, c)
#define LARGER(a, b) _mm512_max_ps(a, b)
#define SMALLER(a, b) _mm512_min_ps(a, b)
#define UNPACK(part, a, b) _mm512_unpack##part##_ps(a, b)
#define UNPACK_PAIRS(part, a, b) \
    _mm512_castpd_ps(_mm512_unpack##part##_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
/* The compiler is to load a value once, not again for each product that it is part of. */
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#elif defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#define LANES 8
typedef __m256 vec;
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define STREAM(p, v) _mm256_stream_ps(p, v)
#define STREAMED() _mm_sfence()
#define FILL(x) _mm256_set1_ps(x)
#define FUSED(a, b, c) _mm256_fmadd_ps(a, b, c)
#define LARGER(a, b) _mm256_max_ps(a, b)
#define SMALLER(a, b) _mm256_min_ps(a, b)
#define UNPACK(part, a, b) _mm256_unpack##part##_ps(a, b)
#define UNPACK_PAIRS(part, a, b) \
    _mm256_castpd_ps(_mm256_unpack##part##_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)))
#define IN_REGISTER(v) __asm__("" : "+x"(v))
#else
#define LANES 8
typedef float vec __attribute__((vector_size(4 * LANES)));
static inline vec LOAD(const float *p) { vec v; memcpy(&v, p, sizeof v); return v; }
static inline void STORE(float *p, vec v) { memcpy(p, &v, sizeof v); }
#define STREAM(p, v) STORE(p, v)
#define STREAMED()
static inline vec FILL(float x) { return (vec){x, x, x, x, x, x, x, x}; }
static inline vec FUSED(vec a, vec b, vec c) { return a * b + c; }
static inline vec LARGER(vec a, vec b)
{
    for (int i = 0; i < LANES; i++)
        a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}
#define IN_REGISTER(v)
#endif

/* The compiler is not to know what a pointer or number was computed from. */
#define AS_IT_IS(p) __asm__("" : "+r"(p))

/* Sums stay in registers only where loops over them are written out. */
#define UNROLLED _Pragma("GCC unroll 24")
/* A count of values, up to a whole number of vectors. */
#define ROUNDED(n) (((n) + LANES - 1) / LANES * LANES)

#define INLINE static inline __attribute__((always_inline))

/* The first `count` values at p, then zeros. */
INLINE vec load_some(const float *p, ptrdiff_t count)
{
    float padded[LANES] = {0};
    memcpy(padded, p, sizeof(float) * (size_t)count);
    return LOAD(padded);
}

/* LANES rows of LANES values, turned: v[j] has value j of each row from `at` on. Half of the work is done by
 * where the parts of a row are loaded to. */
INLINE void load_turned(const float *const *rows, ptrdiff_t at, vec *v)
{
#if LANES == 16 || (defined(__AVX2__) && defined(__FMA__))
    UNROLLED
    for (int q = 0; q < LANES; q += 4) {
        vec a[4];
        UNROLLED
        for (int i = 0; i < 4; i++) {
#define PART(n) _mm_loadu_ps(rows[i + 4 * (n)] + at + q)
#if LANES == 16
            a[i] = _mm512_castps128_ps512(PART(0));
            a[i] = _mm512_insertf32x4(a[i], PART(1), 1);
            a[i] = _mm512_insertf32x4(a[i], PART(2), 2);
            a[i] = _mm512_insertf32x4(a[i], PART(3), 3);
#else
            a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(PART(0)), PART(1), 1);
#endif
#undef PART
        }
        const vec low = UNPACK(lo, a[0], a[1]), low2 = UNPACK(lo, a[2], a[3]);
        const vec high = UNPACK(hi, a[0], a[1]), high2 = UNPACK(hi, a[2], a[3]);
        v[q] = UNPACK_PAIRS(lo, low, low2);
        v[q + 1] = UNPACK_PAIRS(hi, low, low2);
        v[q + 2] = UNPACK_PAIRS(lo, high, high2);
        v[q + 3] = UNPACK_PAIRS(hi, high, high2);
    }
#else
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++)
            v[j][i] = rows[i][at + j];
#endif
}

typedef float four __attribute__((vector_size(16), aligned(4)));

/* The sums over the lanes of four vectors, and the largest of each; the same whichever of the four it is. */
#if LANES == 16 || (defined(__AVX2__) && defined(__FMA__))
#if LANES == 16
#define OF(op, a, b) _mm512_##op##_ps(a, b)
#define HALVED(op, v) _mm256_##op##_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1))
#else
#define OF(op, a, b) _mm256_##op##_ps(a, b)
#define HALVED(op, v) (v)
#endif
#define OF_FOUR(name, op) \
    INLINE four name(vec a, vec b, vec c, vec d) \
    { \
        const vec ab = OF(op, UNPACK(lo, a, b), UNPACK(hi, a, b)), cd = OF(op, UNPACK(lo, c, d), UNPACK(hi, c, d)); \
        const __m256 half = HALVED(op, OF(op, UNPACK_PAIRS(lo, ab, cd), UNPACK_PAIRS(hi, ab, cd))); \
        return _mm_##op##_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)); \
    }
#else
INLINE float add_of(float a, float b) { return a + b; }
INLINE float max_of(float a, float b) { return a > b ? a : b; }
#define OF_FOUR(name, op) \
    INLINE four name(vec a, vec b, vec c, vec d) \
    { \
        const vec each[4] = {a, b, c, d}; \
        four of; \
        for (int i = 0; i < 4; i++) \
            of[i] = op##_of(op##_of(op##_of(each[i][0], each[i][4]), op##_of(each[i][2], each[i][6])), \
                            op##_of(op##_of(each[i][1], each[i][5]), op##_of(each[i][3], each[i][7]))); \
        return of; \
    }
#endif
OF_FOUR(sums_of_four, add)
OF_FOUR(most_of_four, max)

/* exp, to the last bit or two; zero up to -87, infinite from 88.4 on; of what is no number, the same. */
INLINE vec exp_of(vec x)
{
#if LANES == 16 || (defined(__AVX2__) && defined(__FMA__))
    const vec least = FILL(-87.0f);
    /* The second of two is taken where one is no number. */
    x = SMALLER(FILL(89.0f), LARGER(least, x));
#if LANES == 16
    const vec n = _mm512_roundscale_ps(x * FILL(1.44269504f), 0);
#else
    const vec n = _mm256_round_ps(x * FILL(1.44269504f), 0);
#endif
    const vec r = FUSED(n, FILL(-1.428606765330187e-06f), FUSED(n, FILL(-0.693145751953125f), x));
    vec y = FILL(1.9875691500e-4f);
    y = FUSED(y, r, FILL(1.3981999507e-3f));
    y = FUSED(y, r, FILL(8.3334519073e-3f));
    y = FUSED(y, r, FILL(4.1665795894e-2f));
    y = FUSED(y, r, FILL(1.6666665459e-1f));
    y = FUSED(y, r, FILL(5.0000001201e-1f));
    y = FUSED(y, r * r, r + FILL(1.0f));
#if LANES == 16
    const vec whole = _mm512_scalef_ps(y, n);
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, least, _CMP_NLE_UQ), whole);
#else
    const __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n),
                                                             _mm256_set1_epi32(127)), 23);
    const vec whole = y * _mm256_castsi256_ps(power);
    return _mm256_and_ps(whole, _mm256_cmp_ps(x, least, _CMP_NLE_UQ));
#endif
#else
    for (int i = 0; i < LANES; i++)
        x[i] = x[i] <= -87.0f ? 0 : expf(x[i]);
    return x;
#endif
}

/* Threads that are worth their while: below so many multiply-adds for each, waiting for them takes longer. */
INLINE int worth(int threads, double products)
{
    const double most = products / (1 << 19);
    return most < 2 ? 1 : most < threads ? (int)most : threads;
}

INLINE int this_thread(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

INLINE int num_threads(void)
{
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}
