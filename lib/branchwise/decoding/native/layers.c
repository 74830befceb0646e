/* What a layer computes around its attention in one call each: a gated unit, and the inputs of attention. */
#include "norms.h"
#include "rows.h"

#define AT_ONCE 192        /* rows of a gated product; what is between its products stays in the cache */

int rows_at_once(void) { return AT_ONCE; }

/* out = (silu(x @ gate.T) * (x @ up.T)) @ down.T: x (rows, depth), gate and up (inner, depth), down
 * (width, inner), out (rows, width); room for 2 * min(rows, AT_ONCE) * inner values. */
void gated(const float *x, const float *gate, const float *up, const float *down, ptrdiff_t rows,
           ptrdiff_t depth, ptrdiff_t inner, ptrdiff_t width, float *room, float *out, int threads)
{
    threads = worth(threads, products_of(rows, depth, 2 * inner) + products_of(rows, inner, width));
    float *const opened = room, *const raised = room + (rows < AT_ONCE ? rows : AT_ONCE) * inner;
#pragma omp parallel num_threads(threads) if (threads > 1)
    for (ptrdiff_t r = 0; r < rows; r += AT_ONCE) {
        const ptrdiff_t some = rows - r < AT_ONCE ? rows - r : AT_ONCE;
        const Product open = {.x = x + r * depth, .w = gate, .up = up, .out = opened, .raised = raised,
                              .depth = depth, .width = inner};
        const Product close = {.x = opened, .w = down, .out = out + r * width, .depth = inner, .width = width};
        share(&open, 1, some);
#pragma omp barrier
        share(&close, 1, some);
#pragma omp barrier
    }
}

/* A projection: weights (heads * width, depth), biases or NULL, weights of a norm of each head or NULL;
 * out (rows, heads, width). */
typedef struct {
    const float *w, *bias, *norm;
    float *out;
    ptrdiff_t heads;
} Projection;

/* A head turned by its position's angles (RoPE, arXiv 2104.09864): the first half of a head's values with
 * the second. cos and sin hold `width` values. */
INLINE void turn_head(float *head, const float *cos, const float *sin, ptrdiff_t width)
{
    const ptrdiff_t half = width / 2;
    ptrdiff_t d = 0;
    for (; d + LANES <= half; d += LANES) {
        const vec a = LOAD(head + d), b = LOAD(head + half + d);
        STORE(head + d, a * LOAD(cos + d) - b * LOAD(sin + d));
        STORE(head + half + d, b * LOAD(cos + half + d) + a * LOAD(sin + half + d));
    }
    for (; d < half; d++) {
        const float a = head[d], b = head[half + d];
        head[d] = a * cos[d] - b * sin[d];
        head[half + d] = b * cos[half + d] + a * sin[half + d];
    }
}

/* Queries, keys and values of rows x (rows, depth); the first two normed where they have a norm, and
 * turned by cos and sin (rows, width). */
void project(const float *x, const float *cos, const float *sin, const Projection *of_qkv, ptrdiff_t rows,
             ptrdiff_t depth, ptrdiff_t width, float eps, float offset, int threads)
{
    threads = worth(threads, products_of(rows, depth, (of_qkv[0].heads + 2 * of_qkv[1].heads) * width));
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Product products[3];
        for (int i = 0; i < 3; i++) {
            const Projection *p = of_qkv + i;
            products[i] = (Product){.x = x, .w = p->w, .bias = p->bias, .out = p->out, .depth = depth,
                                    .width = p->heads * width};
        }
        share(products, 3, rows);
#pragma omp barrier
        const ptrdiff_t first = rows * this_thread() / num_threads();
        const ptrdiff_t stop = rows * (this_thread() + 1) / num_threads();
        for (const Projection *p = of_qkv; p < of_qkv + 2; p++)
            for (ptrdiff_t r = first; r < stop; r++)
                for (float *head = p->out + r * p->heads * width,
                           *end = p->out + (r + 1) * p->heads * width; head < end; head += width) {
                    if (p->norm)
                        norm_row(head, p->norm, width, eps, offset, head);
                    turn_head(head, cos + r * width, sin + r * width, width);
                }
    }
}
