/* A step's attention in segments and items; see attend.c. */
#pragma once
#include "lanes.h"

#define QUERIES 72         /* rows times query heads of a problem, where there is one row in it or more */
#define RUN 512            /* keys of a run, where few rows see many keys */

typedef struct {
    int32_t segment, entry, entries, low, high, part;
} Item;

typedef struct {
    int64_t num_rows, num_segments;
    const int32_t *rows, *lows, *highs;  /* by entry: a row of a segment, and which of its keys it sees */
    const int64_t *entry_start;          /* by segment, and the end */
    const int32_t *keys;                 /* slots */
    const int64_t *key_start;            /* by segment */
    const int32_t *num_keys;             /* by segment */
    int64_t num_items, num_parts;        /* what `arrange` finds, as all below */
    Item *items;
    int32_t *part_start, *parts;         /* by row, and the end: its parts in order */
} Plan;
