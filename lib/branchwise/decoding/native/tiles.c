/* A tile's sums are all in registers, which is why there is a case for each number of rows and of vectors.
 *
 * What a product does not need itself it fetches meanwhile: asked for all at once, a block of keys and values
 * would come while nothing is computed, and memory would wait while something is. */
#include "tiles.h"

/* `rows` rows x `vectors` vectors of sums, begun with what `out` holds times `shrink` (NULL: with zero):
 * out[r] += sum over `count` of factors[r][i] * values[i], from `at` on. `values` are addresses; where they are
 * NULL, rows of KEYS `in_order`. */
INLINE void add_products(const int rows, const int vectors, const float *factors, ptrdiff_t factor_row,
                         const float *const *values, const float *in_order, ptrdiff_t at, ptrdiff_t count,
                         const float *shrink, float *out, ptrdiff_t out_row, const float *const *next)
{
    vec sum[TILE * 4];
    UNROLLED
    for (int r = 0; r < rows; r++)
        UNROLLED
        for (int v = 0; v < vectors; v++)
            sum[r * vectors + v] = FILL(0);
    if (shrink)
        UNROLLED
        for (int r = 0; r < rows; r++)
            UNROLLED
            for (int v = 0; v < vectors; v++)
                sum[r * vectors + v] = LOAD(out + r * out_row + at + v * LANES) * FILL(shrink[r]);
    for (ptrdiff_t i = 0; i < count; i++) {
        const float *from = values ? values[i] + at : in_order + i * KEYS;
        if (next) {
            /* Keys are gone through by their columns, of which there may be more than keys, or fewer. */
            const float *soon = values ? next[i] + at : next[i % KEYS] + i / KEYS * KEYS;
            for (int d = 0; d < (values ? vectors * LANES : KEYS); d += LINE)
                __builtin_prefetch(soon + d);
        }
        vec value[4];
        UNROLLED
        for (int v = 0; v < vectors; v++)
            value[v] = LOAD(from + v * LANES);
        UNROLLED
        for (int r = 0; r < rows; r++) {
            vec factor = FILL(factors[r * factor_row + i]);
            IN_REGISTER(factor);
            UNROLLED
            for (int v = 0; v < vectors; v++)
                sum[r * vectors + v] = FUSED(factor, value[v], sum[r * vectors + v]);
        }
    }
    UNROLLED
    for (int r = 0; r < rows; r++)
        UNROLLED
        for (int v = 0; v < vectors; v++)
            STORE(out + r * out_row + at + v * LANES, sum[r * vectors + v]);
}

#define CASES(ADD) \
    switch (count * 5 + vectors) { \
        ADD(1, 1) ADD(2, 1) ADD(3, 1) ADD(4, 1) ADD(5, 1) ADD(6, 1) \
        ADD(1, 2) ADD(2, 2) ADD(3, 2) ADD(4, 2) ADD(5, 2) ADD(6, 2) \
        ADD(1, 4) ADD(2, 4) ADD(3, 4) ADD(4, 4) ADD(5, 4) ADD(6, 4) \
    }

void score(int count, int vectors, ptrdiff_t width, const float *query, const float *turned, float *scores,
           const float *const *next)
{
#define ADD(r, v) case r * 5 + v: \
    add_products(r, v, query, width, NULL, turned, 0, width, NULL, scores, KEYS, next); break;
    CASES(ADD)
#undef ADD
}

void mix(int count, int vectors, ptrdiff_t at, const float *weights, const float *const *values, ptrdiff_t keys,
         const float *shrink, float *out, ptrdiff_t width, const float *const *next)
{
#define ADD(r, v) case r * 5 + v: \
    add_products(r, v, weights, KEYS, values, NULL, at, keys, shrink, out, width, next); break;
    CASES(ADD)
#undef ADD
}
