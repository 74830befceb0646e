/* Products of rows and weights, out = x @ w.T (+ bias) in fp32, the weights as they lie in memory, for one row
 * or thousands.
 *
 * An output is summed column after column in one lane of a vector, over pieces of at most PIECE columns that
 * are added up in turn, whatever the number of rows or threads: a row's result does not depend on what else
 * is computed. For few rows the lanes are outputs, and weights are turned in registers as they are read: the
 * time is that of reading them once. For many the lanes are rows, turned before, and each weight, read where
 * it lies, multiplies vectors of them: the time is that of the multiply-adds.
 */
#include "block.h"

#define LEFT_OVER (LANES / 4)       /* rows past whole vectors that are multiplied as few */

int next_block(Product *p)
{
    const ptrdiff_t blocks = (p->depth + BLOCK - 1) / BLOCK, block = ROUNDED((p->depth + blocks - 1) / blocks);
    p->from += p->columns;
    p->columns = p->depth - p->from < block ? p->depth - p->from : block;
    return p->columns > 0;
}

void fill_up_weights(const Product *p, Weights *w, Room *room)
{
    w->stride = BLOCK;
    for (int i = 0; i < w->matrices; i++) {
        memset(room->weights[i], 0, sizeof room->weights[i]);
        for (ptrdiff_t n = 0; n < w->count; n++)
            memcpy(room->weights[i] + n * BLOCK, w->of[i] + n * p->depth, sizeof(float) * (size_t)p->columns);
        w->of[i] = room->weights[i];
    }
}

void turn_rows(const Product *p, ptrdiff_t row, ptrdiff_t rows, int vectors, ptrdiff_t step, float *to)
{
    for (int v = 0; v < vectors; v++, to += LANES) {
        const float *at[LANES];
        for (int i = 0; i < LANES; i++) {
            const ptrdiff_t r = v * LANES + i < rows ? v * LANES + i : rows - 1;
            at[i] = p->x + (row + r) * p->depth + p->from;
        }
        ptrdiff_t k = 0;
        for (; k + LANES <= p->columns; k += LANES) {
            vec values[LANES];
            load_turned(at, k, values);
            UNROLLED
            for (int c = 0; c < LANES; c++)
                STORE(to + (k + c) * step, values[c]);
        }
        for (; k < p->columns; k++)
            for (int i = 0; i < LANES; i++)
                to[k * step + i] = at[i][k];
    }
}

void share(const Product *of, int count, ptrdiff_t rows)
{
    static _Thread_local Room room __attribute__((aligned(64)));
    const ptrdiff_t few = rows <= FEW ? rows : rows % LANES <= LEFT_OVER ? rows % LANES : 0;
    const ptrdiff_t vectors = (rows - few + LANES - 1) / LANES;
    const ptrdiff_t panels = (vectors * LANES + PANEL - 1) / PANEL;
    for (ptrdiff_t q = 0; q < panels; q++) {
        const ptrdiff_t row = vectors * q / panels * LANES, next = vectors * (q + 1) / panels * LANES;
        many_rows(of, count, row, (next < rows - few ? next : rows - few) - row, &room);
    }
    if (few)
        few_rows(of, count, rows - few, few, &room);
}

/* x (rows, depth), w (width, depth), bias (width) or NULL, out (rows, width). */
void multiply(const float *x, const float *w, const float *bias, ptrdiff_t rows, ptrdiff_t depth,
              ptrdiff_t width, float *out, int threads)
{
    const Product p = {.x = x, .w = w, .bias = bias, .out = out, .depth = depth, .width = width};
    threads = worth(threads, products_of(rows, depth, width));
#pragma omp parallel num_threads(threads) if (threads > 1)
    share(&p, 1, rows);
}
