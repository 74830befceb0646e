/* How a step's attention is split into what one thread does at a time. */
#include "plan.h"

int keys_of_a_run(void) { return RUN; }
int queries_of_a_problem(void) { return QUERIES; }

/* Split the segments into items; each entry of an item is one part of its row. */
void arrange(Plan *plan, int64_t heads_per_kv)
{
    const int64_t together = QUERIES / heads_per_kv > 0 ? QUERIES / heads_per_kv : 1;
    Item *item = plan->items;
    int32_t part = 0;
    memset(plan->part_start, 0, sizeof(int32_t) * (size_t)(plan->num_rows + 1));
    for (int32_t s = 0; s < plan->num_segments; s++) {
        const int64_t begin = plan->entry_start[s], end = plan->entry_start[s + 1];
        const int32_t num_keys = plan->num_keys[s], run = end - begin <= together ? RUN : num_keys;
        for (int64_t e = begin; e < end; e += together)
            for (int32_t low = 0; low < num_keys; low += run) {
                const int32_t entries = (int32_t)(end - e < together ? end - e : together);
                *item++ = (Item){s, (int32_t)e, entries, low,
                                 num_keys - low < run ? num_keys : low + run, part};
                part += entries;
                for (int32_t i = 0; i < entries; i++)
                    plan->part_start[plan->rows[e + i] + 1]++;
            }
    }
    plan->num_items = item - plan->items;
    plan->num_parts = part;
    for (int64_t r = 0; r < plan->num_rows; r++)
        plan->part_start[r + 1] += plan->part_start[r];
    for (const Item *i = plan->items; i < item; i++)
        for (int32_t n = 0; n < i->entries; n++)
            plan->parts[plan->part_start[plan->rows[i->entry + n]]++] = i->part + n;
    for (int64_t r = plan->num_rows; r > 0; r--)
        plan->part_start[r] = plan->part_start[r - 1];
    plan->part_start[0] = 0;
}
