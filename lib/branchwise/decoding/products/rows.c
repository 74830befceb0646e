/* out = x @ weight.T for a few rows of fp32, at the speed at which the weights can be read.
 *
 * The weights come in blocks of BLOCK columns (depth), each block in panels of LANES outputs, so that
 * every weight is read once, in order, for up to MOST rows together. Whatever the number of rows, each
 * output is the same sum in the same order: a row's result does not depend on what else is computed.
 */
#include <stddef.h>
#ifdef __FMA__
#include <immintrin.h>
#endif

/* Fused multiply-adds are asked for by name: left to itself the compiler fuses for some numbers of rows
 * and not for others, and sums then differ in their last bit. */
#if defined(__AVX512F__)
#define LANES 16
#define ADD_PRODUCT(sum, value, weight) _mm512_fmadd_ps(_mm512_set1_ps(value), weight, sum)
#elif defined(__FMA__)
#define LANES 8
#define ADD_PRODUCT(sum, value, weight) _mm256_fmadd_ps(_mm256_set1_ps(value), weight, sum)
#else
#define LANES 8
#define ADD_PRODUCT(sum, value, weight) ((sum) + (value) * (weight))
#endif
#define BLOCK 512
#define MOST 12   /* sums that stay in registers, beside a panel's weights and one value of a row */
#define AHEAD 1024 /* floats; how far ahead of use weights are fetched */

typedef float vec __attribute__((vector_size(4 * LANES), aligned(4)));

int lanes(void) { return LANES; }
int block(void) { return BLOCK; }

/* `rows` x LANES outputs over one block; x is turned: all rows' first value, all rows' second, ... */
static inline __attribute__((always_inline)) void
tile(const int rows, const float *x, const float *panel, ptrdiff_t depth, float *out, ptrdiff_t stride,
     int is_first)
{
    vec sum[MOST];
    for (int r = 0; r < rows; r++)
        sum[r] = (vec){0};
    for (ptrdiff_t k = 0; k < depth; k++) {
        const vec weight = *(const vec *)(panel + LANES * k);
        __builtin_prefetch(panel + LANES * k + AHEAD);
        for (int r = 0; r < rows; r++)
            sum[r] = ADD_PRODUCT(sum[r], x[rows * k + r], weight);
    }
    for (int r = 0; r < rows; r++) {
        vec *to = (vec *)(out + stride * r);
        *to = is_first ? sum[r] : *to + sum[r];
    }
}

static void tile_of(int rows, const float *x, const float *panel, ptrdiff_t depth, float *out,
                    ptrdiff_t stride, int is_first)
{
#define CASE(r) case r: tile(r, x, panel, depth, out, stride, is_first); break;
    switch (rows) {
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
        CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
    }
}

/* x (rows, depth), panels (depth * width, as packed), turned (room for rows * depth), out (rows, width);
 * width is a multiple of LANES. */
void multiply(const float *x, const float *panels, ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t width,
              float *turned, float *out, int threads)
{
    const ptrdiff_t tiles = (rows + MOST - 1) / MOST;
    for (ptrdiff_t from = 0; from < depth; from += BLOCK) {
        const ptrdiff_t size = depth - from < BLOCK ? depth - from : BLOCK;
        for (ptrdiff_t t = 0; t < tiles; t++) {
            const ptrdiff_t first = rows * t / tiles, count = rows * (t + 1) / tiles - first;
            float *to = turned + from * rows + first * size;
            for (ptrdiff_t k = 0; k < size; k++)
                for (ptrdiff_t r = 0; r < count; r++)
                    to[k * count + r] = x[(first + r) * depth + from + k];
        }
    }
#pragma omp parallel num_threads(threads) if (threads > 1)
    for (ptrdiff_t from = 0; from < depth; from += BLOCK) {
        const ptrdiff_t size = depth - from < BLOCK ? depth - from : BLOCK;
        /* The static schedule gives a thread the same outputs in every block: no two write to one. */
#pragma omp for schedule(static) nowait
        for (ptrdiff_t n = 0; n < width; n += LANES)
            for (ptrdiff_t t = 0; t < tiles; t++) {
                const ptrdiff_t first = rows * t / tiles, count = rows * (t + 1) / tiles - first;
                tile_of(count, turned + from * rows + first * size, panels + from * width + n * size,
                        size, out + first * width + n, width, from == 0);
            }
    }
}
