/* The two products of attention: query vectors by keys, and weights by values. */
#pragma once
#include "lanes.h"

#define KEYS (4 * LANES)   /* keys of a block */
#define TILE 6             /* query vectors of a tile */
#define LINE 16            /* values that are fetched at a time */

/* Scores, KEYS after each other, of `count` query vectors, `width` wide, with `vectors` vectors (1, 2 or 4) of
 * turned keys. Meanwhile rows of `next` are fetched, as many as there are columns; none where it is NULL. */
void score(int count, int vectors, ptrdiff_t width, const float *query, const float *turned, float *scores,
           const float *const *next);

/* out = out * shrink + weights @ values, `count` query vectors, `vectors` vectors (1, 2 or 4) of a head, which
 * is `width` wide, from `at` on. The same of as many rows of `next` is fetched. */
void mix(int count, int vectors, ptrdiff_t at, const float *weights, const float *const *values, ptrdiff_t keys,
         const float *shrink, float *out, ptrdiff_t width, const float *const *next);
