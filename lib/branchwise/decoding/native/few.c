/* Products of few rows: lanes are outputs, and weights are turned in registers as they are read. */
#include "block.h"

#define AHEAD (12 * LANES) /* columns between the weights in use and those that are fetched */

/* Sums of LANES outputs of `rows` rows, turned. */
INLINE void sum_few(const Product *p, const int rows, const float *x, const float *w, ptrdiff_t stride,
                    vec *total)
{
    const float *upper = w + LANES / 2 * stride;
    for (ptrdiff_t first = 0, k = 0; first < p->columns; first += PIECE) {
        const ptrdiff_t end = end_of_piece(p, first);
        vec sum[FEW], weight[LANES];
        UNROLLED
        for (int r = 0; r < rows; r++)
            sum[r] = FILL(0);
        for (; k + LANES <= end; k += LANES, w += LANES, upper += LANES, x += LANES * rows) {
            AS_IT_IS(w);
            AS_IT_IS(upper);
            const ptrdiff_t ahead = AHEAD + (p->from + k + AHEAD < p->depth ? 0 : LANES * stride - p->depth);
            const float *row[LANES];
            UNROLLED
            for (int n = 0; n < LANES; n++) {
                row[n] = ROW(w, upper, n);
                __builtin_prefetch(row[n] + ahead);
            }
            load_turned(row, 0, weight);
            UNROLLED
            for (int c = 0; c < LANES; c++)
                UNROLLED
                for (int r = 0; r < rows; r++)
                    sum[r] = FUSED(FILL(x[c * rows + r]), weight[c], sum[r]);
        }
        for (; k < end; k++, w++, upper++, x += rows) {
            float one[LANES];
            for (int n = 0; n < LANES; n++)
                one[n] = *ROW(w, upper, n);
            UNROLLED
            for (int r = 0; r < rows; r++)
                sum[r] = FUSED(FILL(x[r]), LOAD(one), sum[r]);
        }
        UNROLLED
        for (int r = 0; r < rows; r++) {
            if (first)
                sum[r] += total[r];
            total[r] = sum[r];
        }
    }
}

/* LANES outputs of `rows` rows from `row` on, turned. */
INLINE void few(const Product *p, const Weights *w, const int rows, const float *x, ptrdiff_t row)
{
    vec sums[2][FEW];
    for (int i = 0; i < w->matrices; i++)
        sum_few(p, rows, x, w->of[i], w->stride, sums[i]);
    note(p, w, rows, sums[0], sums[p->up ? 1 : 0], row, rows);
}

/* LANES outputs of the blocks of columns that are turned, from `first`'s to that which begins at `last`. */
INLINE void blocks(const Product *p, const Product *first, ptrdiff_t last, ptrdiff_t output, ptrdiff_t row,
                   ptrdiff_t rows, Room *room)
{
    for (Product block = at_block(*p, first); block.from <= last; next_block(&block)) {
        const Weights w = weights_of(&block, output, room);
        const float *x = room->rows + (block.from - first->from) * rows;
        switch (rows) {
#define CASE(r) case r: few(&block, &w, r, x, row); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if LANES == 16
        CASE(7) CASE(8) CASE(9) CASE(10)
#endif
#undef CASE
        }
    }
}

/* As many blocks of columns as there is room for are turned at a time, so that weights are read along their
 * rows. */
void few_rows(const Product *of, int count, ptrdiff_t row, ptrdiff_t rows, Room *room)
{
    Product p = *of;
    for (Product last = p; next_block(&p); p = last) {
        last = p;
        turn_rows(&p, row, rows, 1, rows, room->rows);
        /* A next block is no longer than the last. */
        while ((last.from + 2 * last.columns - p.from) * rows + LANES <= PANEL * BLOCK
               && last.from + last.columns < p.depth
               && next_block(&last))
            turn_rows(&last, row, rows, 1, rows, room->rows + (last.from - p.from) * rows);
        for (int m = 0; m < count; m++) {
            const ptrdiff_t stop = first_output(of[m].width, 1);
            for (ptrdiff_t n = first_output(of[m].width, 0); n < stop; n += LANES)
                blocks(of + m, &p, last.from, n, row, rows, room);
        }
    }
}
