/* A matrix product, shared between threads. */
#pragma once
#include "lanes.h"

#define READING 8          /* multiply-adds in the time that reading a weight takes */

/* One product's matrices, and the block of columns that is being added up: none at first. Where there is
 * `up`, out = silu(x @ w.T) * (x @ up.T), with no bias; `raised` has room for the second factor. */
typedef struct {
    const float *x, *w, *up, *bias;
    float *out, *raised;
    ptrdiff_t depth, width, from, columns;
} Product;

/* The multiply-adds of a product; reading a weight takes as long as some. */
static inline double products_of(ptrdiff_t rows, ptrdiff_t depth, ptrdiff_t width)
{
    return (double)(rows + READING) * (double)depth * (double)width;
}

/* Where the outputs of this thread begin, or those of the next; multiples of LANES but for the end. */
static inline ptrdiff_t first_output(ptrdiff_t width, int next)
{
    const ptrdiff_t first = ROUNDED(width) / LANES * (this_thread() + next) / num_threads() * LANES;
    return first < width ? first : width;
}

/* This thread's share of `count` products of the same rows: a run of outputs of each. */
void share(const Product *of, int count, ptrdiff_t rows);
