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

/* Weights of fewer than LANES outputs, copied and filled up with zeros. */
void fill_up_weights(const Product *p, Weights *w, Room *room);

/* The weights of the outputs from `output` on. */
INLINE Weights weights_of(const Product *p, ptrdiff_t output, Room *room)
{
    const ptrdiff_t at = output * p->depth + p->from, left = p->width - output;
    Weights w = {{p->w + at, p->up ? p->up + at : NULL}, p->up ? 2 : 1, p->depth, output,
                 left < LANES ? left : LANES};
    if (left < LANES)
        fill_up_weights(p, &w, room);
    return w;
}

/* `vectors` vectors of rows from `row` on, a block of columns, turned: column after column, each `step` after
 * the one before; what is past a step is written over. There are `rows` rows, the last of which stands for
 * those that are missing of the last vector. */
void turn_rows(const Product *p, ptrdiff_t row, ptrdiff_t rows, int vectors, ptrdiff_t step, float *to);

/* A product at the block of columns that another of the same rows is at. */
INLINE Product at_block(Product p, const Product *other)
{
    p.from = other->from, p.columns = other->columns;
    return p;
}

/* This thread's outputs of `count` products of the same rows: of at most FEW from `row` on, and of at most
 * PANEL. */
void few_rows(const Product *of, int count, ptrdiff_t row, ptrdiff_t rows, Room *room);
void many_rows(const Product *of, int count, ptrdiff_t row, ptrdiff_t rows, Room *room);

/* Rows of weights are addressed from two pointers: with one for each, they would not be in registers. */
#define ROW(w, upper, n) ((n) < LANES / 2 ? (w) + (n) * stride : (upper) + ((n) - LANES / 2) * stride)

/* Where a piece ends that begins at `first` of a block's columns. */
INLINE ptrdiff_t end_of_piece(const Product *p, ptrdiff_t first)
{
    return p->columns - first < PIECE ? p->columns : first + PIECE;
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
INLINE void note_row(const Product *p, const Weights *w, vec sums, vec raised, ptrdiff_t row)
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

/* The same of `rows` rows from `row` on, at most `most`. Whole vectors of a single matrix stay in registers. */
INLINE void note(const Product *p, const Weights *w, const int most, vec *sums, const vec *raised,
                 ptrdiff_t row, ptrdiff_t rows)
{
    if (p->up || w->count < LANES) {
        for (int r = 0; r < most && r < rows; r++)
            note_row(p, w, sums[r], raised[r], row + r);
        return;
    }
    float *const out = p->out + row * p->width + w->output;
    if (p->from)
        UNROLLED
        for (int r = 0; r < most; r++)
            if (r < rows)
                sums[r] += LOAD(out + r * p->width);
    if (p->bias && p->from + p->columns == p->depth)
        UNROLLED
        for (int r = 0; r < most; r++)
            sums[r] += LOAD(p->bias + w->output);
    UNROLLED
    for (int r = 0; r < most; r++)
        if (r < rows)
            STORE(out + r * p->width, sums[r]);
}
