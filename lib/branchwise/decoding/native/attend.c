/* The attention of a step over the token tree, in one call a layer.
 *
 * A plan lists segments: keys that the same rows see, each row a run of them (`lows` to `highs`). Query
 * heads that share a key head are rows of one problem. A segment is worked through in blocks of keys with
 * a running maximum (Milakov and Gimelshein, arXiv 1805.02867), some rows at a time; what a row has seen
 * in several segments, or in several runs of keys of a long one, is merged by the log-sum-exps. Which
 * sums are made, and in which order, does not depend on the number of threads.
 */
#include "plan.h"

#define KEYS (4 * LANES)   /* keys of a block */
#define MOST_GROUP 96      /* query heads that share a key head */
#define MOST_WIDTH 256     /* values of a head */
#define TILE 6             /* query vectors of a tile */
#define MOST_QUERIES (MOST_GROUP > QUERIES ? MOST_GROUP : QUERIES) /* a multiple of LANES */

int most_group(void) { return MOST_GROUP; }
int most_width(void) { return MOST_WIDTH; }
int lanes(void) { return LANES; }

/* LANES rows of LANES values, turned: to[d * stride + k] = rows[k][d]. */
INLINE void turn_keys(const float *const *rows, ptrdiff_t at, float *to, ptrdiff_t stride)
{
    vec values[LANES];
    load_turned(rows, at, values);
    UNROLLED
    for (int d = 0; d < LANES; d++)
        STORE(to + d * stride, values[d]);
}

/* `rows` x four vectors of sums, kept or begun with what `out` holds times `shrink` (NULL: with zero):
 * out[r] += sum over `count` of factor[r][i] * values[i], four vectors of them. */
INLINE void add_products(const int rows, const int vectors, const float *factors, ptrdiff_t factor_row,
                         ptrdiff_t factor_next, const float *const *values, const float *in_order,
                         ptrdiff_t order, ptrdiff_t count, const float *shrink, float *out,
                         ptrdiff_t out_row)
{
    vec sum[TILE * 4];
    UNROLLED
    for (int r = 0; r < rows; r++)
        UNROLLED
        for (int v = 0; v < vectors; v++)
            sum[r * vectors + v] = FILL(0);
    if (shrink)
        UNROLLED
        for (int r = 0; r < rows; r++)
            UNROLLED
            for (int v = 0; v < vectors; v++)
                sum[r * vectors + v] = LOAD(out + r * out_row + v * LANES) * FILL(shrink[r]);
    for (ptrdiff_t i = 0; i < count; i++) {
        const float *from = values ? values[i] : in_order + i * order;
        vec value[4];
        UNROLLED
        for (int v = 0; v < vectors; v++)
            value[v] = LOAD(from + v * LANES);
        UNROLLED
        for (int r = 0; r < rows; r++) {
            vec factor = FILL(factors[r * factor_row + i * factor_next]);
            IN_REGISTER(factor);
            UNROLLED
            for (int v = 0; v < vectors; v++)
                sum[r * vectors + v] = FUSED(factor, value[v], sum[r * vectors + v]);
        }
    }
    UNROLLED
    for (int r = 0; r < rows; r++)
        UNROLLED
        for (int v = 0; v < vectors; v++)
            STORE(out + r * out_row + v * LANES, sum[r * vectors + v]);
}

/* One case a number of rows and of vectors, so that all sums are in registers. */
#define CASES(ADD) \
    switch (count * 5 + vectors) { \
        ADD(1, 1) ADD(2, 1) ADD(3, 1) ADD(4, 1) ADD(5, 1) ADD(6, 1) \
        ADD(1, 2) ADD(2, 2) ADD(3, 2) ADD(4, 2) ADD(5, 2) ADD(6, 2) \
        ADD(1, 4) ADD(2, 4) ADD(3, 4) ADD(4, 4) ADD(5, 4) ADD(6, 4) \
    }

/* The scores of `count` query vectors, `width` wide, with `vectors` vectors of turned keys. */
static void score(int count, int vectors, ptrdiff_t width, const float *query, const float *turned,
                  float *scores)
{
#define ADD(r, v) case r * 5 + v: \
    add_products(r, v, query, width, 1, NULL, turned, KEYS, width, NULL, scores, KEYS); break;
    CASES(ADD)
#undef ADD
}

/* out = out * shrink + weights @ values, `count` query vectors, `vectors` vectors of a head at a time. */
static void mix(int count, int vectors, const float *weights, const float *const *values, ptrdiff_t keys,
                const float *shrink, float *out, ptrdiff_t width)
{
#define ADD(r, v) case r * 5 + v: \
    add_products(r, v, weights, KEYS, 1, values, NULL, 0, keys, shrink, out, width); break;
    CASES(ADD)
#undef ADD
}

/* Of so many left, how many vectors are taken at a time: 4, 2 or 1. */
INLINE int at_a_time(ptrdiff_t left) { return left > 2 ? 4 : (int)left; }

/* Room of one thread: query vectors, what they have gathered, turned keys, scores. */
typedef struct {
    float query[MOST_QUERIES * MOST_WIDTH], out[MOST_QUERIES * MOST_WIDTH];
    float padded[2 * KEYS * MOST_WIDTH];
    float turned[MOST_WIDTH * KEYS], scores[MOST_QUERIES * KEYS];
    float most[MOST_QUERIES], sum[MOST_QUERIES], shrink[MOST_QUERIES];
    int32_t low[MOST_QUERIES], high[MOST_QUERIES];
    const float *keys[KEYS], *values[KEYS];
} Room;

/* A query vector's scores of a block, those of hidden keys out; `vectors` is zero past the last. */
INLINE vec shown(Room *room, int q, int vectors, int32_t first, int32_t num_keys)
{
    float *s = room->scores + q * KEYS;
    const int32_t low = room->low[q] - first, high = room->high[q] - first;
    const int32_t stop = high < num_keys ? high : num_keys;
    for (int k = 0; k < low && k < vectors * LANES; k++)
        s[k] = -INFINITY;
    for (int k = stop > 0 ? stop : 0; k < vectors * LANES; k++)
        s[k] = -INFINITY;
    vec most = FILL(-INFINITY);
    for (int v = 0; v < vectors; v++)
        most = LARGER(most, LOAD(s + v * LANES));
    return most;
}

/* Its weights, and the sum of them, lane by lane. */
INLINE vec weights(Room *room, int q, int vectors)
{
    float *s = room->scores + q * KEYS;
    const vec base = FILL(room->most[q] == -INFINITY ? 0 : room->most[q]);
    vec sum = FILL(0);
    for (int v = 0; v < vectors; v++) {
        const vec weight = exp_of(LOAD(s + v * LANES) - base);
        STORE(s + v * LANES, weight);
        sum += weight;
    }
    return sum;
}

/* Scores of a block to weights: hidden ones out, the running maximum and sum brought up to date. */
static void weigh(Room *room, int count, int vectors, int32_t first, int32_t num_keys)
{
    /* Of the last four some may not be there: they have no scores. */
#define EACH(i, of, ...) (q + (i) < count ? of(room, q + (i), vectors, ##__VA_ARGS__) : FILL(-INFINITY))
    for (int q = 0; q < count; q += 4) {
        const four found = most_of_four(EACH(0, shown, first, num_keys), EACH(1, shown, first, num_keys),
                                        EACH(2, shown, first, num_keys), EACH(3, shown, first, num_keys));
        for (int i = 0; i < 4; i++) {
            const float before = room->most[q + i];
            room->most[q + i] = found[i] > before ? found[i] : before;
            /* What was seen before; where that is nothing, there is nothing to shrink. */
            room->shrink[q + i] = before == -INFINITY ? -INFINITY : before - room->most[q + i];
        }
    }
    for (int q = 0; q < count; q += LANES)
        STORE(room->shrink + q, exp_of(LOAD(room->shrink + q)));
    for (int q = 0; q < count; q += 4) {
        const four sum = sums_of_four(EACH(0, weights), EACH(1, weights), EACH(2, weights), EACH(3, weights));
        for (int i = 0; i < 4; i++)
            room->sum[q + i] = room->sum[q + i] * room->shrink[q + i] + sum[i];
    }
#undef EACH
}

/* One call's tensors: query (A, N, D) and keys (H, S, D) with strides, values (H, S, V), all fp32. */
typedef struct {
    const float *query, *keys, *values;
    float *out, *parts, *logs;  /* out (N, A, V); of a part: (A, V padded), and its log-sum-exps (A) */
    int64_t query_head, query_row, key_head, key_row, value_head, value_row;
    int64_t num_kv, heads_per_kv, width, value_width;
    float scale, cap;  /* scores are capped by `cap * tanh(score / cap)` where that is not 0 */
} Call;

/* `count` values, and zeros up to a whole number of vectors, times a factor. */
INLINE void copy(const float *from, int64_t count, float factor, float *to)
{
    for (int64_t d = 0; d < count; d += LANES)
        STORE(to + d, (count - d < LANES ? load_some(from + d, count - d) : LOAD(from + d)) * FILL(factor));
}

/* The query vectors of an item, and what each sees; returns the first and last + 1 key that one sees. */
static void take_queries(const Plan *plan, const Call *c, const Item *item, int64_t head, Room *room,
                         int32_t *lowest, int32_t *highest)
{
    const int64_t group = c->heads_per_kv, padded = ROUNDED(c->width);
    *lowest = item->high, *highest = item->low;
    for (int e = 0; e < item->entries; e++) {
        const int32_t entry = item->entry + e, low = plan->lows[entry], high = plan->highs[entry];
        *lowest = low < *lowest ? low : *lowest;
        *highest = high > *highest ? high : *highest;
        for (int64_t g = 0; g < group; g++) {
            const int64_t q = e * group + g;
            copy(c->query + (head * group + g) * c->query_head + plan->rows[entry] * c->query_row, c->width,
                 c->scale, room->query + q * padded);
            room->low[q] = low, room->high[q] = high;
            room->most[q] = -INFINITY, room->sum[q] = 0;
        }
    }
    *lowest = *lowest > item->low ? *lowest : item->low;
    *highest = *highest < item->high ? *highest : item->high;
}

/* Where the keys and values of a block lie. */
static void take_keys(const Call *c, const int32_t *slots, int32_t num, int32_t rows, int64_t head, Room *room)
{
    const float *keys = c->keys + head * c->key_head, *values = c->values + head * c->value_head;
    const int64_t width = ROUNDED(c->width), value_width = ROUNDED(c->value_width);
    for (int32_t k = 0; k < rows; k++) {
        const int64_t slot = slots[k < num ? k : num - 1];
        room->keys[k] = keys + slot * c->key_row;
        room->values[k] = values + slot * c->value_row;
        if (width != c->width || value_width != c->value_width) {
            float *to = room->padded + k * (width + value_width);
            copy(room->keys[k], c->width, 1, to);
            copy(room->values[k], c->value_width, 1, to + width);
            room->keys[k] = to, room->values[k] = to + width;
        }
    }
}

/* Begin to fetch the keys and values of a block. */
static void fetch(const Call *c, const int32_t *slots, int32_t num, int64_t head)
{
    const float *keys = c->keys + head * c->key_head, *values = c->values + head * c->value_head;
    for (int32_t k = 0; k < num && k < KEYS; k++) {
        for (int64_t d = 0; d < c->width; d += 16)
            __builtin_prefetch(keys + slots[k] * c->key_row + d);
        for (int64_t d = 0; d < c->value_width; d += 16)
            __builtin_prefetch(values + slots[k] * c->value_row + d);
    }
}

/* The same for what follows an item of a head: those of the next head, or of the next item. */
static void fetch_next(const Plan *plan, const Call *c, const Item *item, int64_t head)
{
    const int64_t next = head + 1 < c->num_kv ? head + 1 : 0;
    if (!next && ++item == plan->items + plan->num_items)
        return;
    fetch(c, plan->keys + plan->key_start[item->segment] + item->low, item->high - item->low, next);
}

/* What an item's query vectors have gathered, as their rows' output or as a part of it. */
static void hand_on(const Plan *plan, const Call *c, const Item *item, int64_t head, Room *room)
{
    const int64_t group = c->heads_per_kv, heads = c->num_kv * group, padded = ROUNDED(c->value_width);
    for (int64_t q = 0; q < item->entries * group; q++) {
        const int64_t a = head * group + q % group, part = item->part + q / group;
        const int64_t row = plan->rows[item->entry + q / group];
        const int is_all = plan->part_start[row + 1] - plan->part_start[row] == 1;
        const float sum = room->sum[q], *out = room->out + q * padded;
        float *to = is_all ? room->out + q * padded : c->parts + (part * heads + a) * padded;
        copy(out, padded, sum > 0 ? 1 / sum : 0, to);
        if (is_all)
            memcpy(c->out + (row * heads + a) * c->value_width, to, sizeof(float) * (size_t)c->value_width);
        else
            c->logs[part * heads + a] = sum > 0 ? room->most[q] + logf(sum) : -INFINITY;
    }
}

static void work(const Plan *plan, const Call *c, const Item *item, int64_t head, Room *room)
{
    const int64_t width = ROUNDED(c->width), value_width = ROUNDED(c->value_width);
    const int32_t *slots = plan->keys + plan->key_start[item->segment];
    const int count = item->entries * (int)c->heads_per_kv;
    int32_t from, to;
    take_queries(plan, c, item, head, room, &from, &to);
    memset(room->out, 0, sizeof(float) * (size_t)(count * value_width));
    for (int32_t first = from; first < to; first += KEYS) {
        const int32_t num = to - first < KEYS ? to - first : KEYS, left = to - first - num;
        const int vectors = at_a_time((num + LANES - 1) / LANES);
        take_keys(c, slots + first, num, vectors * LANES, head, room);
        if (left > 0)
            fetch(c, slots + first + num, left, head);
        else
            fetch_next(plan, c, item, head);
        for (int k = 0; k < vectors * LANES; k += LANES)
            for (int64_t d = 0; d < width; d += LANES)
                turn_keys(room->keys + k, d, room->turned + d * KEYS + k, KEYS);
        for (int q = 0; q < count; q += TILE)
            score(count - q < TILE ? count - q : TILE, vectors, width, room->query + q * width,
                  room->turned, room->scores + q * KEYS);
        if (c->cap != 0)
            for (int i = 0; i < count * KEYS; i++)
                room->scores[i] = c->cap * tanhf(room->scores[i] / c->cap);
        weigh(room, count, vectors, first, num);
        for (int64_t d = 0; d < value_width;) {
            const int64_t more = (value_width - d) / LANES;
            const int at_once = more >= 4 ? 4 : more >= 2 ? 2 : 1;
            for (int q = 0; q < count; q += TILE)
                mix(count - q < TILE ? count - q : TILE, at_once, room->scores + q * KEYS, room->values,
                    num, room->shrink + q, room->out + q * value_width + d, value_width);
            d += at_once * LANES;
            for (int k = 0; k < num; k++)
                room->values[k] += at_once * LANES;
        }
    }
    hand_on(plan, c, item, head, room);
}

/* A row's output of one head out of its parts. */
static void merge(const Plan *plan, const Call *c, int64_t row, int64_t a)
{
    const int32_t *parts = plan->parts + plan->part_start[row];
    const int32_t count = plan->part_start[row + 1] - plan->part_start[row];
    const int64_t heads = c->num_kv * c->heads_per_kv, padded = ROUNDED(c->value_width);
    float most = -INFINITY, sum = 0, out[MOST_WIDTH] = {0};
    for (int32_t p = 0; p < count; p++)
        most = fmaxf(most, c->logs[parts[p] * heads + a]);
    for (int32_t p = 0; p < count && most > -INFINITY; p++)
        sum += expf(c->logs[parts[p] * heads + a] - most);
    for (int32_t p = 0; p < count && sum > 0; p++) {
        const vec share = FILL(expf(c->logs[parts[p] * heads + a] - most) / sum);
        for (int64_t d = 0; d < padded; d += LANES)
            STORE(out + d, FUSED(share, LOAD(c->parts + (parts[p] * heads + a) * padded + d), LOAD(out + d)));
    }
    memcpy(c->out + (row * heads + a) * c->value_width, out, sizeof(float) * (size_t)c->value_width);
}

void attend(const Plan *plan, const Call *call, int threads)
{
    const int64_t heads = call->num_kv * call->heads_per_kv;
    double pairs = 0;
    for (int64_t i = 0; i < plan->num_items; i++)
        pairs += (double)plan->items[i].entries * (plan->items[i].high - plan->items[i].low);
    threads = worth(threads, 3 * pairs * (double)(heads * call->width));
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        static _Thread_local Room *room;
        if (!room)
            room = aligned_alloc(64, (sizeof(Room) + 63) / 64 * 64);
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t i = 0; i < plan->num_items; i++)
            for (int64_t h = 0; h < call->num_kv; h++)
                work(plan, call, plan->items + i, h, room);
#pragma omp for collapse(2) schedule(static)
        for (int64_t r = 0; r < plan->num_rows; r++)
            for (int64_t a = 0; a < heads; a++)
                if (plan->part_start[r + 1] - plan->part_start[r] != 1)
                    merge(plan, call, r, a);
    }
}
