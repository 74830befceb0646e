/* A row over its root mean square (Zhang and Sennrich, arXiv 1910.07467). */
#pragma once
#include "lanes.h"

/* out = x / sqrt(mean(x^2) + eps) * (weight + offset), `width` values; out may be x. */
INLINE void norm_row(const float *x, const float *weight, ptrdiff_t width, float eps, float offset,
                     float *out)
{
    const ptrdiff_t whole = width / LANES * LANES;
    const vec zero = FILL(0), last = load_some(x + whole, width - whole);
    vec sums[4] = {zero, zero, zero, zero};
    for (ptrdiff_t k = 0, turn = 0; k < whole; k += LANES, turn++)
        sums[turn % 4] = FUSED(LOAD(x + k), LOAD(x + k), sums[turn % 4]);
    const four sum = sums_of_four((sums[0] + sums[1]) + (sums[2] + sums[3]) + last * last, zero, zero, zero);
    const vec share = FILL(1.0f / sqrtf(sum[0] / (float)width + eps));
    for (ptrdiff_t k = 0; k < whole; k += LANES)
        STORE(out + k, LOAD(x + k) * share * (LOAD(weight + k) + FILL(offset)));
    for (ptrdiff_t k = whole; k < width; k++)
        out[k] = x[k] * share[0] * (weight[k] + offset);
}
