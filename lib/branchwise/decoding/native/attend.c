/* The attention of a step over the token tree, in one call a layer.
 *
 * A plan lists segments: keys that the same rows see, each row a run of them (`lows` to `highs`). Query
 * heads that share a key head are rows of one problem. A segment is worked through in blocks of keys with
 * a running maximum (Milakov and Gimelshein, arXiv 1805.02867), some rows at a time; what a row has seen
 * in several segments, or in several runs of keys of a long one, is merged by the log-sum-exps. Which
 * sums are made, and in which order, does not depend on the number of threads.
 */
#include "plan.h"
#include "tiles.h"

#define MOST_GROUP 96      /* query heads that share a key head */
#define MOST_WIDTH 256     /* values of a head */
#define MUCH (1 << 20)     /* values of all parts that are stored past the caches */
#define MOST_QUERIES (MOST_GROUP > QUERIES ? MOST_GROUP : QUERIES) /* a multiple of LANES */

int most_group(void) { return MOST_GROUP; }
int most_width(void) { return MOST_WIDTH; }
int lanes(void) { return LANES; }
int much(void) { return MUCH; }

/* LANES rows of LANES values, turned: to[d * stride + k] = rows[k][d]. */
INLINE void turn_keys(const float *const *rows, ptrdiff_t at, float *to, ptrdiff_t stride)
{
    vec values[LANES];
    load_turned(rows, at, values);
    UNROLLED
    for (int d = 0; d < LANES; d++)
        STORE(to + d * stride, values[d]);
}

/* Where the keys and values of a block lie. */
typedef struct {
    const float *keys[KEYS], *values[KEYS];
} Block;

/* Of so many vectors of keys left, how many are taken at a time: 4, 2 or 1. */
INLINE int at_a_time(ptrdiff_t left) { return left > 2 ? 4 : (int)left; }

/* Room of one thread: query vectors, what they have gathered, turned keys, scores. */
typedef struct {
    float query[MOST_QUERIES * MOST_WIDTH], out[MOST_QUERIES * MOST_WIDTH];
    float padded[2 * KEYS * MOST_WIDTH];
    float turned[MOST_WIDTH * KEYS], scores[MOST_QUERIES * KEYS];
    float most[MOST_QUERIES], sum[MOST_QUERIES], shrink[MOST_QUERIES];
    int32_t low[MOST_QUERIES], high[MOST_QUERIES];
    Block block, next;
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

/* Of an item's keys, the first that one of its rows sees, and the last + 1. */
typedef struct {
    int32_t first, stop;
} Run;

INLINE Run seen(const Plan *plan, const Item *item)
{
    int32_t first = item->high, stop = item->low;
    for (int32_t e = item->entry; e < item->entry + item->entries; e++) {
        first = plan->lows[e] < first ? plan->lows[e] : first;
        stop = plan->highs[e] > stop ? plan->highs[e] : stop;
    }
    return (Run){first > item->low ? first : item->low, stop < item->high ? stop : item->high};
}

/* A query vector of an entry: the `g`th of those that share key head `head`. */
INLINE const float *query_of(const Plan *plan, const Call *c, int32_t entry, int64_t head, int64_t g)
{
    return c->query + (head * c->heads_per_kv + g) * c->query_head + plan->rows[entry] * c->query_row;
}

/* The query vectors of an item, and what each sees. */
static void take_queries(const Plan *plan, const Call *c, const Item *item, int64_t head, Room *room)
{
    const int64_t group = c->heads_per_kv, padded = ROUNDED(c->width);
    for (int e = 0; e < item->entries; e++) {
        const int32_t entry = item->entry + e;
        for (int64_t g = 0; g < group; g++) {
            const int64_t q = e * group + g;
            copy(query_of(plan, c, entry, head, g), c->width, c->scale, room->query + q * padded);
            room->low[q] = plan->lows[entry], room->high[q] = plan->highs[entry];
            room->most[q] = -INFINITY, room->sum[q] = 0;
        }
    }
}

/* Find the block that begins with a segment's key `first`; the last of its keys stands for missing ones. */
static void find(const Plan *plan, const Call *c, const Item *item, int64_t head, Run run, Block *block)
{
    const int32_t *slots = plan->keys + plan->key_start[item->segment] + run.first;
    const int32_t num = run.stop - run.first < KEYS ? run.stop - run.first : KEYS;
    const float *keys = c->keys + head * c->key_head, *values = c->values + head * c->value_head;
    for (int32_t k = 0; k < num; k++)
        block->keys[k] = keys + slots[k] * c->key_row;
    for (int32_t k = 0; k < num; k++)
        block->values[k] = values + slots[k] * c->value_row;
    for (int32_t k = num; k < KEYS; k++)
        block->keys[k] = block->keys[num - 1], block->values[k] = block->values[num - 1];
}

/* Find what follows a block: the item's next, or the first of its next head or of the next item; false where
 * there is nothing. */
static int find_next(const Plan *plan, const Call *c, const Item *item, int64_t head, Run rest, Block *block)
{
    if (rest.first < rest.stop) {
        find(plan, c, item, head, rest, block);
        return 1;
    }
    if (++head == c->num_kv)
        head = 0, item++;
    if (item == plan->items + plan->num_items)
        return 0;
    const Run run = seen(plan, item);
    if (run.first >= run.stop)
        return 0;
    find(plan, c, item, head, run, block);
    for (int32_t e = item->entry; e < item->entry + item->entries; e++)
        for (int64_t g = 0; g < c->heads_per_kv; g++)
            for (int64_t d = 0; d < c->width; d += LINE)
                __builtin_prefetch(query_of(plan, c, e, head, g) + d);
    return 1;
}

/* The first `rows` keys and values of a block, whose heads may be no whole number of vectors wide, filled up to
 * one. */
static void widen(const Call *c, int rows, Room *room)
{
    const int64_t width = ROUNDED(c->width), value_width = ROUNDED(c->value_width);
    if (width == c->width && value_width == c->value_width)
        return;
    for (int k = 0; k < rows; k++) {
        float *to = room->padded + k * (width + value_width);
        copy(room->block.keys[k], c->width, 1, to);
        copy(room->block.values[k], c->value_width, 1, to + width);
        room->block.keys[k] = to, room->block.values[k] = to + width;
    }
}

/* What an item's query vectors have gathered, as their rows' output or as a part of it. Parts that the caches do
 * not hold until they are merged are stored past them. */
static void hand_on(const Plan *plan, const Call *c, const Item *item, int64_t head, Room *room)
{
    const int64_t group = c->heads_per_kv, heads = c->num_kv * group, padded = ROUNDED(c->value_width);
    const int is_much = plan->num_parts * heads * padded >= MUCH && (uintptr_t)c->parts % sizeof(vec) == 0;
    for (int64_t q = 0; q < item->entries * group; q++) {
        const int64_t a = head * group + q % group, part = item->part + q / group;
        const int64_t row = plan->rows[item->entry + q / group];
        const int is_all = plan->part_start[row + 1] - plan->part_start[row] == 1;
        const float sum = room->sum[q];
        float *const out = room->out + q * padded, *const to = c->parts + (part * heads + a) * padded;
        for (int64_t d = 0; d < padded; d += LANES) {
            const vec value = LOAD(out + d) * FILL(sum > 0 ? 1 / sum : 0);
            if (is_all)
                STORE(out + d, value);
            else if (is_much)
                STREAM(to + d, value);
            else
                STORE(to + d, value);
        }
        if (is_all)
            memcpy(c->out + (row * heads + a) * c->value_width, out, sizeof(float) * (size_t)c->value_width);
        else
            c->logs[part * heads + a] = sum == 0 ? -INFINITY : room->most[q] + logf(sum);
    }
}

/* Scores of a block, weights of them, and values mixed by those. The next block is fetched meanwhile. */
static void work_through(const Call *c, int count, Run run, Room *room, const Block *next)
{
    const int64_t width = ROUNDED(c->width), value_width = ROUNDED(c->value_width);
    const int32_t num = run.stop - run.first < KEYS ? run.stop - run.first : KEYS;
    const int vectors = at_a_time((num + LANES - 1) / LANES);
    widen(c, vectors * LANES, room);
    for (int k = 0; k < vectors * LANES; k += LANES)
        for (int64_t d = 0; d < width; d += LANES)
            turn_keys(room->block.keys + k, d, room->turned + d * KEYS + k, KEYS);
    for (int q = 0; q < count; q += TILE)
        score(count - q < TILE ? count - q : TILE, vectors, width, room->query + q * width, room->turned,
              room->scores + q * KEYS, next && !q ? next->keys : NULL);
    if (c->cap != 0)
        for (int i = 0; i < count * KEYS; i++)
            room->scores[i] = c->cap * tanhf(room->scores[i] / c->cap);
    weigh(room, count, vectors, run.first, num);
    for (int64_t d = 0; d < value_width;) {
        const ptrdiff_t more = (value_width - d) / LANES;
        const int at_once = more >= 4 ? 4 : more >= 2 ? 2 : 1;
        for (int q = 0; q < count; q += TILE)
            mix(count - q < TILE ? count - q : TILE, at_once, d, room->scores + q * KEYS, room->block.values, num,
                room->shrink + q, room->out + q * value_width, value_width, next && !q ? next->values : NULL);
        d += at_once * LANES;
    }
}

static void work(const Plan *plan, const Call *c, const Item *item, int64_t head, Room *room)
{
    const int count = item->entries * (int)c->heads_per_kv;
    take_queries(plan, c, item, head, room);
    memset(room->out, 0, sizeof(float) * (size_t)(count * ROUNDED(c->value_width)));
    Run run = seen(plan, item);
    if (run.first < run.stop)
        find(plan, c, item, head, run, &room->block);
    while (run.first < run.stop) {
        const Run rest = {run.first + KEYS, run.stop};
        const int is_next = find_next(plan, c, item, head, rest, &room->next);
        work_through(c, count, run, room, is_next ? &room->next : NULL);
        room->block = room->next;
        run = rest;
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
    /* What is no number stays none, whichever part it is in. */
    for (int32_t p = 0; p < count; p++)
        if (c->logs[parts[p] * heads + a] != -INFINITY)
            sum += expf(c->logs[parts[p] * heads + a] - most);
    for (int32_t p = 0; p < count && sum != 0; p++) {
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
    /* Work is handed out in parts of a sixteenth of a thread's share, so that a slower one takes less. */
    const int64_t chunk = 1 + plan->num_items * call->num_kv / (16 * threads);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        static _Thread_local Room *room;
        if (!room)
            room = aligned_alloc(64, (sizeof(Room) + 63) / 64 * 64);
#pragma omp for collapse(2) schedule(dynamic, chunk) nowait
        for (int64_t i = 0; i < plan->num_items; i++)
            for (int64_t h = 0; h < call->num_kv; h++)
                work(plan, call, plan->items + i, h, room);
        STREAMED();
#pragma omp barrier
#pragma omp for collapse(2) schedule(static)
        for (int64_t r = 0; r < plan->num_rows; r++)
            for (int64_t a = 0; a < heads; a++)
                if (plan->part_start[r + 1] - plan->part_start[r] != 1)
                    merge(plan, call, r, a);
    }
}
