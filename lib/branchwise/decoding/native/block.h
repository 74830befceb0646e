/* What products of few rows and of many share: blocks of columns, the weights of a few outputs, and rows that
 * are turned. */
#pragma once
#include "rows.h"

#define BLOCK 640          /* columns at a time; the weights of a tile of many rows stay in the L1 cache */
#define PIECE 192          /* columns of a sum; longer ones round worse */
#define PANEL 96           /* rows that are turned at a time; a block of their columns stays in the L2 cache */
#define FEW (LANES == 16 ? 10 : 6)  /* rows up to which turning weights is less than filling up a vector of rows */

/* What a thread lays out: rows turned, and the last weights filled up to LANES outputs. */
typedef struct {
    float rows[PANEL * BLOCK], weights[2][LANES * BLOCK];
} Room;

/* Weights of LANES outputs from `output` on, a block of columns, `stride` after each other; `count` of the
 * outputs are there. There are one or two matrices. */
typedef struct {
    const float *of[2];
    int matrices;
    ptrdiff_t stride, output, count;
} Weights;

/* On to the next block of columns, or from none to the first; false where there is none. */
int next_block(Product *p);

/* The weights of the outputs from `output` on. */
Weights weights_of(const Product *p, ptrdiff_t output, Room *room);

/* `vectors` vectors of rows from `row` on, a block of columns, turned: column after column, each `step` after
 * the one before; what is past a step is written over. There are `rows` rows, the last of which stands for
 * those that are missing of the last vector. */
void turn_rows(const Product *p, ptrdiff_t row, ptrdiff_t rows, int vectors, ptrdiff_t step, float *to);

/* A product of at most FEW rows from `row` on, and of at most PANEL: outputs from `output` to `stop`. */
void few_rows(Product p, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t output, ptrdiff_t stop, Room *room);
void many_rows(Product p, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t output, ptrdiff_t stop, Room *room);

/* Rows of weights are addressed from two pointers: with one for each, they would not be in registers. */
#define ROW(w, upper, n) ((n) < LANES / 2 ? (w) + (n) * stride : (upper) + ((n) - LANES / 2) * stride)

/* Where a piece ends that begins at `first` of a block's columns. */
INLINE ptrdiff_t end_of_piece(const Product *p, ptrdiff_t first)
{
    return p->columns - first < PIECE ? p->columns : first + PIECE;
}

/* Add a piece's sums to those of the pieces before. */
INLINE void add_to(float *total, vec sums, int is_first)
{
    if (!is_first)
        sums += LOAD(total);
    STORE(total, sums);
}

INLINE vec get(const float *from, ptrdiff_t count)
{
    return count == LANES ? LOAD(from) : load_some(from, count);
}

INLINE void put(float *to, vec values, ptrdiff_t count)
{
    float all[LANES];
    STORE(count == LANES ? to : all, values);
    if (count < LANES)
        memcpy(to, all, sizeof(float) * (size_t)count);
}

/* Add a row's sums over a block of columns to its outputs; `raised` are those with the second matrix. */
INLINE void note(const Product *p, const Weights *w, vec sums, vec raised, ptrdiff_t row)
{
    const ptrdiff_t at = row * p->width + w->output;
    const int is_last = p->from + p->columns == p->depth;
    if (p->from)
        sums += get(p->out + at, w->count);
    if (p->bias && is_last)
        sums += get(p->bias + w->output, w->count);
    if (p->up) {
        if (p->from)
            raised += get(p->raised + at, w->count);
        if (is_last)
            sums = sums / (FILL(1.0f) + exp_of(-sums)) * raised;
        else
            put(p->raised + at, raised, w->count);
    }
    put(p->out + at, sums, w->count);
}
