/* Products of rows and weights, out = x @ w.T (+ bias) in fp32, the weights as they lie in memory, for one row or thousands.
 *
 * An output is a sum over LANES columns at a time in blocks of at most BLOCK columns, whatever the number
 * of rows or threads: a row's result does not depend on what else is computed. For few rows the time is
 * that of reading the weights once; for many it is that of the multiply-adds, and each thread first lays
 * some weights out in the order of their use.
 */
#include "rows.h"

#define BLOCK 640          /* columns; a tile of rows and one of weights stay in the L1 cache */
#define KEPT (3 << 15)     /* weights used by all rows in turn; they stay in the L2 cache */
#define FEW 96             /* rows up to which laying out weights does not pay */
#if LANES == 16
#define TALL 12            /* rows of a tile of 2 outputs */
#define WIDE 6             /* rows of a tile of 4 outputs */
#else
#define TALL 4
#define WIDE 2
#endif

/* Vectors of some rows: row r begins at `at + r * row`, and its next vector is `next` further. */
typedef struct {
    const float *at;
    ptrdiff_t row, next;
} Rows;

/* Note sums of four outputs, or of fewer, from `output` on. */
INLINE void note(const Product *p, four sums, const int outputs, ptrdiff_t row, ptrdiff_t output)
{
    float *to = p->out + row * p->width + output;
    const float *bias = p->from + p->columns == p->depth && p->bias ? p->bias + output : NULL;
    if (outputs == 4) {
        if (p->from)
            sums += *(four *)to;
        *(four *)to = bias ? sums + *(const four *)bias : sums;
    } else
        for (int n = 0; n < outputs; n++) {
            const float sum = p->from ? sums[n] + to[n] : sums[n];
            to[n] = bias ? sum + bias[n] : sum;
        }
}

/* `rows` x `outputs` sums over a block of columns; they are outputs from (row, output) on. With `ahead`,
 * what lies there is fetched meanwhile: the weights of the next tile. */
INLINE void tile(const Product *p, const int rows, const int outputs, Rows x, Rows w, Rows ahead,
                 const ptrdiff_t columns, const ptrdiff_t row, const ptrdiff_t output)
{
    vec sum[TALL * 2 > WIDE * 4 ? TALL * 2 : WIDE * 4];
    UNROLLED
    for (int i = 0; i < rows * outputs; i++)
        sum[i] = FILL(0);
    ptrdiff_t k = 0;
    for (; k + LANES <= columns; k += LANES, x.at += x.next, w.at += w.next) {
        vec weight[4];
        UNROLLED
        for (int n = 0; n < outputs; n++)
            weight[n] = LOAD(w.at + n * w.row);
        if (ahead.at) {
            UNROLLED
            for (int n = 0; n < outputs; n++)
                __builtin_prefetch(ahead.at + n * ahead.row);
            ahead.at += ahead.next;
        }
        UNROLLED
        for (int r = 0; r < rows; r++) {
            vec value = LOAD(x.at + r * x.row);
            IN_REGISTER(value);
            UNROLLED
            for (int n = 0; n < outputs; n++)
                sum[r * outputs + n] = FUSED(value, weight[n], sum[r * outputs + n]);
        }
    }
    if (k < columns)
        UNROLLED
        for (int r = 0; r < rows; r++)
            UNROLLED
            for (int n = 0; n < outputs; n++)
                sum[r * outputs + n] =
                    FUSED(load_some(x.at + r * x.row, columns - k),
                          load_some(w.at + n * w.row, columns - k), sum[r * outputs + n]);
    const vec zero = FILL(0);
    UNROLLED
    for (int r = 0; r < rows; r++) {
        const vec *s = sum + r * outputs;
        note(p, sum_four(s[0], outputs > 1 ? s[1] : zero, outputs > 2 ? s[2] : zero,
                         outputs > 2 ? s[3] : zero), outputs, row + r, output);
    }
}

/* A tile of weights as they lie in memory. */
static void in_place(const Product *p, int rows, int outputs, int is_first, ptrdiff_t row, ptrdiff_t output)
{
    const ptrdiff_t depth = p->depth;
    const Rows x = {p->x + row * depth + p->from, depth, LANES};
    const Rows w = {p->w + output * depth + p->from, depth, LANES}, none = {NULL, 0, 0};
    /* Fetched far enough ahead; where rows follow each other, in the order of memory. */
    const float *next = w.at + (outputs == 4 ? 4 : 8) * depth;
    const Rows along = {next, LANES, outputs * LANES}, across = {next, depth, LANES};
    const Rows ahead = !is_first ? none : p->columns == depth ? along : across;
#define CASE(r) case r: \
    if (r <= TALL && outputs == 2) tile(p, r, 2, x, w, ahead, p->columns, row, output); \
    else if (r <= WIDE && outputs == 4) tile(p, r, 4, x, w, ahead, p->columns, row, output); \
    else if (r <= TALL) tile(p, r, 1, x, w, none, p->columns, row, output); \
    break;
#define CASES_WIDE CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
    switch (rows) { CASES_WIDE CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) }
#undef CASE
}

/* A tile of four outputs, rows and weights laid out. */
static void laid_out(const Product *p, int rows, const float *x, const float *w, ptrdiff_t row,
                     ptrdiff_t output)
{
    const Rows weights = {w, LANES, 4 * LANES}, none = {NULL, 0, 0};
#define CASE(r) case r: \
    if (r <= WIDE) \
        tile(p, r, 4, (Rows){x, LANES, r * LANES}, weights, none, ROUNDED(p->columns), row, output); \
    break;
    switch (rows) { CASES_WIDE }
#undef CASE
}

/* `rows` rows, a vector of each in turn, padded with zeros. */
static void lay_out(const float *from, ptrdiff_t rows, ptrdiff_t stride, ptrdiff_t columns, float *to)
{
    for (ptrdiff_t k = 0; k < columns; k += LANES)
        for (ptrdiff_t r = 0; r < rows; r++, to += LANES)
            STORE(to, columns - k < LANES ? load_some(from + r * stride + k, columns - k)
                                          : LOAD(from + r * stride + k));
}

/* A block of columns for all rows, a tile of them at a time, and outputs that stay in the cache. */
static void few_rows(const Product *p, ptrdiff_t rows, ptrdiff_t output, ptrdiff_t stop)
{
    const ptrdiff_t most = rows <= WIDE ? WIDE : TALL, wide = rows <= WIDE ? 4 : 2;
    const ptrdiff_t tiles = (rows + most - 1) / most;
    for (ptrdiff_t t = 0; t < tiles; t++) {
        const ptrdiff_t row = rows * t / tiles, count = rows * (t + 1) / tiles - row;
        ptrdiff_t n = output;
        for (; n + wide <= stop; n += wide)
            in_place(p, (int)count, (int)wide, t == 0, row, n);
        for (; n < stop; n++)
            in_place(p, (int)count, 1, 0, row, n);
    }
}

/* The same for a multiple of four outputs; there is room for what is laid out. */
static void many_rows(const Product *p, ptrdiff_t rows, ptrdiff_t output, ptrdiff_t stop, float *room)
{
    float *weights = room, *x = room + KEPT;
    const ptrdiff_t size = ROUNDED(p->columns), tiles = (rows + WIDE - 1) / WIDE;
    for (ptrdiff_t n = output; n < stop; n += 4)
        lay_out(p->w + n * p->depth + p->from, 4, p->depth, p->columns, weights + (n - output) * size);
    for (ptrdiff_t t = 0; t < tiles; t++) {
        const ptrdiff_t row = rows * t / tiles, count = rows * (t + 1) / tiles - row;
        lay_out(p->x + row * p->depth + p->from, count, p->depth, p->columns, x);
        for (ptrdiff_t n = output; n < stop; n += 4)
            laid_out(p, (int)count, x, weights + (n - output) * size, row, n);
    }
}

void share(Product p, ptrdiff_t rows)
{
    static _Thread_local float *room;
    if (rows > FEW && !room)
        room = aligned_alloc(64, sizeof(float) * (KEPT + WIDE * (BLOCK + LANES)));
    const ptrdiff_t blocks = (p.depth + BLOCK - 1) / BLOCK;
    const ptrdiff_t block = ROUNDED((p.depth + blocks - 1) / blocks), kept = KEPT / block / 4 * 4;
    const ptrdiff_t first = first_output(p.width, 0), stop = first_output(p.width, 1);
    const ptrdiff_t whole = first + (stop - first) / 4 * 4;
    for (ptrdiff_t n = first; n < stop; n += kept)
        for (p.from = 0; p.from < p.depth; p.from += block) {
            p.columns = p.depth - p.from < block ? p.depth - p.from : block;
            const ptrdiff_t end = n + kept < stop ? n + kept : stop;
            if (rows <= FEW || !room)
                few_rows(&p, rows, n, end);
            else {
                many_rows(&p, rows, n, end < whole ? end : whole, room);
                if (end > whole)
                    few_rows(&p, rows, whole, end);
            }
        }
}

/* x (rows, depth), w (width, depth), bias (width) or NULL, out (rows, width). */
void multiply(const float *x, const float *w, const float *bias, ptrdiff_t rows, ptrdiff_t depth,
              ptrdiff_t width, float *out, int threads)
{
    const Product p = {x, w, bias, out, depth, width, 0, 0};
    threads = worth(threads, products_of(rows, depth, width));
#pragma omp parallel num_threads(threads) if (threads > 1)
    share(p, rows);
}
