/* Norms of rows by their root mean square, fp32. */
#include "norms.h"

/* `rows` rows of `width` values, each normed. */
void norm(const float *x, const float *weight, ptrdiff_t rows, ptrdiff_t width, float eps, float offset,
          float *out, int threads)
{
    threads = worth(threads, 4.0 * (double)rows * (double)width);
#pragma omp parallel for num_threads(threads) schedule(static) if (threads > 1)
    for (ptrdiff_t r = 0; r < rows; r++)
        norm_row(x + r * width, weight, width, eps, offset, out + r * width);
}
