/* Products of many rows: lanes are rows, turned before, and weights are read where they lie. */
#include "block.h"

#define DEEP 3             /* vectors of rows of a tile, at most */
#define ACROSS (LANES / 2) /* outputs of a tile of more than one vector; all of its sums are in registers */
#define AHEAD 128          /* columns between the weights in use and those that are fetched */

/* Vectors of rows in groups of at most DEEP, which are turned and multiplied together. */
typedef struct {
    ptrdiff_t vectors, groups;
} Groups;

INLINE Groups groups_of(ptrdiff_t rows)
{
    const ptrdiff_t vectors = (rows + LANES - 1) / LANES;
    return (Groups){vectors, (vectors + DEEP - 1) / DEEP};
}

INLINE ptrdiff_t first_vector(Groups of, ptrdiff_t group) { return of.vectors * group / of.groups; }

/* Sums of `outputs` outputs, `vectors` vectors of turned rows of each. With `fetches`, weights are fetched
 * ahead: those of the next outputs, past the rows' ends. */
INLINE void tile(const Product *p, const int outputs, const int vectors, const float *x, const float *w,
                 ptrdiff_t stride, int fetches, float *sums)
{
    const float *upper = w + LANES / 2 * stride;
    for (ptrdiff_t first = 0, k = 0; first < p->columns; first += PIECE) {
        const ptrdiff_t end = end_of_piece(p, first);
        vec sum[ACROSS * DEEP];
        UNROLLED
        for (int i = 0; i < outputs * vectors; i++)
            sum[i] = FILL(0);
#define COLUMN(c) { \
        vec value[DEEP]; \
        UNROLLED \
        for (int v = 0; v < vectors; v++) \
            value[v] = LOAD(x + ((c) * vectors + v) * LANES); \
        UNROLLED \
        for (int n = 0; n < outputs; n++) { \
            vec weight = FILL(ROW(w, upper, n)[c]); \
            if (vectors > 1) { \
                IN_REGISTER(weight); \
            } \
            UNROLLED \
            for (int v = 0; v < vectors; v++) \
                sum[n * vectors + v] = FUSED(weight, value[v], sum[n * vectors + v]); \
        } }
        for (; k + 4 <= end; k += 4, w += 4, upper += 4, x += 4 * vectors * LANES) {
            AS_IT_IS(w);
            if (outputs > LANES / 2)
                AS_IT_IS(upper);
            if (fetches && k % 16 == 0) {
                const ptrdiff_t past = k + AHEAD < p->columns ? 0 : outputs * stride - p->columns;
                UNROLLED
                for (int n = 0; n < outputs; n++)
                    __builtin_prefetch(w + AHEAD + past + n * stride);
            }
            COLUMN(0) COLUMN(1) COLUMN(2) COLUMN(3)
        }
        for (; k < end; k++, w++, upper++, x += vectors * LANES)
            COLUMN(0)
#undef COLUMN
        UNROLLED
        for (int i = 0; i < outputs * vectors; i++) {
            if (first)
                sum[i] += LOAD(sums + i * LANES);
            STORE(sums + i * LANES, sum[i]);
        }
    }
}

/* LANES outputs of `vectors` vectors of turned rows, of which `row` is the first and `rows` are there. */
INLINE void many(const Product *p, const Weights *w, const int vectors, const float *x, ptrdiff_t row,
                 ptrdiff_t rows, int fetches)
{
    const int outputs = vectors == 1 ? LANES : ACROSS;
    float sums[2][LANES * DEEP * LANES] __attribute__((aligned(64)));
    for (ptrdiff_t r = 0; r < vectors * LANES && r < rows; r++)
        __builtin_prefetch(p->out + (row + r) * p->width + w->output, 1);
    for (int i = 0; i < w->matrices; i++)
        for (int n = 0; n < LANES; n += outputs)
            tile(p, outputs, vectors, x, w->of[i] + n * w->stride, w->stride, fetches,
                 sums[i] + n * vectors * LANES);
    for (int v = 0; v < vectors; v++) {
        vec of_rows[2][LANES];
        for (int i = 0; i < w->matrices; i++) {
            const float *of_output[LANES];
            UNROLLED
            for (int n = 0; n < LANES; n++)
                of_output[n] = sums[i] + (n * vectors + v) * LANES;
            load_turned(of_output, 0, of_rows[i]);
        }
        note(p, w, LANES, of_rows[0], of_rows[p->up ? 1 : 0], row + v * LANES, rows - v * LANES);
    }
}

/* LANES outputs of all rows of a panel, a group of vectors at a time. */
INLINE void panel(const Product *p, ptrdiff_t output, ptrdiff_t row, ptrdiff_t rows, Room *room)
{
    const Weights w = weights_of(p, output, room);
    const Groups of = groups_of(rows);
    for (ptrdiff_t g = 0; g < of.groups; g++) {
        const ptrdiff_t v = first_vector(of, g), at = row + v * LANES, left = rows - v * LANES;
        const float *x = room->rows + v * LANES * BLOCK;
        switch (first_vector(of, g + 1) - v) {
        case 1: many(p, &w, 1, x, at, left, g == 0); break;
        case 2: many(p, &w, 2, x, at, left, g == 0); break;
        case 3: many(p, &w, 3, x, at, left, g == 0); break;
        }
    }
}

void many_rows(const Product *of, int count, ptrdiff_t row, ptrdiff_t rows, Room *room)
{
    const Groups vectors = groups_of(rows);
    for (Product block = *of; next_block(&block);) {
        for (ptrdiff_t g = 0; g < vectors.groups; g++) {
            const ptrdiff_t v = first_vector(vectors, g), next = first_vector(vectors, g + 1);
            turn_rows(&block, row + v * LANES, rows - v * LANES, (int)(next - v), (next - v) * LANES,
                      room->rows + v * LANES * BLOCK);
        }
        for (int m = 0; m < count; m++) {
            const Product p = at_block(of[m], &block);
            const ptrdiff_t stop = first_output(p.width, 1);
            for (ptrdiff_t n = first_output(p.width, 0); n < stop; n += LANES)
                panel(&p, n, row, rows, room);
        }
    }
}
