/* key_order.c - the order in which Transformers 5 loads the tensors of a checkpoint.
 *
 * specs/transformers-loading.md [2.3]: a key is split at dots; an all-digit part comes before text and
 * by value; text parts compare bytewise. Newest rule (woct0rdho/transformers core_model_loading.py @
 * 038ff0ad, 5.16.0.dev0, dot_natural_key): a text part with trailing digits compares as (text, number), and text
 * without a number comes first. Python compares lists, so a shorter key that is a prefix comes first.
 *
 * Sorting: the distinct parts of all names are few (a few hundred in a model with 90,000 tensors), so they are
 * ranked once and each name becomes a row of 16-bit ranks, compared as three 64-bit words. Names with
 * more than 12 parts, or more than 65,534 distinct parts, fall back on comparing the text. */
#include <stdlib.h>
#include <string.h>

#include "sim/model/internal.h"

typedef struct {
    const char *ptr;
    uint32_t len;
    uint32_t id;
    uint32_t hash;
} key_part;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Compares digit strings by value; any length. */
static int compare_numbers(const char *a, size_t a_len, const char *b, size_t b_len)
{
    while (a_len > 0 && *a == '0') {
        a++;
        a_len--;
    }
    while (b_len > 0 && *b == '0') {
        b++;
        b_len--;
    }
    if (a_len != b_len) {
        return a_len < b_len ? -1 : 1;
    }
    return memcmp(a, b, a_len);
}

static size_t text_length(const char *part, size_t len)
{
    while (len > 0 && is_digit(part[len - 1])) {
        len--;
    }
    return len;
}

static int sign_of(int value)
{
    return (value > 0) - (value < 0);
}

/* One part against another. An empty part is text: Python's "".isdigit() is false. */
static int compare_parts(const char *a, size_t a_len, const char *b, size_t b_len)
{
    const size_t a_text = text_length(a, a_len);
    const size_t b_text = text_length(b, b_len);
    const bool a_number = a_text == 0 && a_len > 0;
    const bool b_number = b_text == 0 && b_len > 0;
    if (a_number != b_number) {
        return a_number ? -1 : 1;
    }
    if (a_number) {
        return sign_of(compare_numbers(a, a_len, b, b_len));
    }
    const int text = vs_str_compare((vs_str){a, a_text}, (vs_str){b, b_text});
    if (text != 0) {
        return sign_of(text);
    }
    const bool a_suffixed = a_len > a_text;
    const bool b_suffixed = b_len > b_text;
    if (!a_suffixed || !b_suffixed) {
        return (int)a_suffixed - (int)b_suffixed;
    }
    return sign_of(compare_numbers(a + a_text, a_len - a_text, b + b_text, b_len - b_text));
}

int vs_key_compare(const char *a, const char *b)
{
    const char *x = a;
    const char *y = b;
    for (;;) {
        const size_t x_len = strcspn(x, ".");
        const size_t y_len = strcspn(y, ".");
        const int order = compare_parts(x, x_len, y, y_len);
        if (order != 0) {
            return order;
        }
        const bool x_ends = x[x_len] == '\0';
        const bool y_ends = y[y_len] == '\0';
        if (x_ends || y_ends) {
            /* "1" and "01" are equal to Python; we want a total order. */
            return x_ends && y_ends ? sign_of(strcmp(a, b)) : (int)y_ends - (int)x_ends;
        }
        x += x_len + 1;
        y += y_len + 1;
    }
}

/* ---- ranks of the parts -------------------------------------------------------------------- */

#define RANK_PARTS 12u
#define PARTS_MAX  65534u
#define NO_PART    UINT16_MAX /* ends a row of ids */

typedef struct {
    key_part *parts;
    uint32_t *slots; /* part + 1 */
    uint32_t count;
    uint32_t capacity;
    uint32_t mask;
    uint64_t steps; /* slots passed on the way to a part */
} part_table;

/* The table is at most half full: 2.5 slots a look-up (Knuth, 6.4, theorem K). Parts made to collide need more; names
 * are then compared as text. */
#define STEPS_PER_SLOT 256u

static int compare_key_parts(const void *a, const void *b)
{
    const key_part *const x = a;
    const key_part *const y = b;
    return compare_parts(x->ptr, x->len, y->ptr, y->len);
}

/* Number of the part that begins at ptr; *len is its length. UINT32_MAX: the table is full, or made to be slow. */
static uint32_t intern_part(part_table *table, const char *ptr, size_t *len)
{
    uint32_t hash = UINT32_C(2166136261); /* FNV-1a */
    const char *end = ptr;
    for (; *end != '.' && *end != '\0'; end++) {
        hash = (hash ^ (uint8_t)*end) * UINT32_C(16777619);
    }
    *len = (size_t)(end - ptr);
    uint32_t slot = (hash ^ hash >> 15) & table->mask;
    while (table->slots[slot] != 0) {
        const key_part *const part = &table->parts[table->slots[slot] - 1];
        if (part->hash == hash && part->len == *len && memcmp(part->ptr, ptr, *len) == 0) {
            return table->slots[slot] - 1;
        }
        slot = (slot + 1) & table->mask;
        table->steps++;
    }
    if (table->count == table->capacity || *len > UINT32_MAX ||
        table->steps > (uint64_t)STEPS_PER_SLOT * table->mask) {
        return UINT32_MAX;
    }
    table->parts[table->count] = (key_part){ptr, (uint32_t)*len, table->count, hash};
    table->slots[slot] = table->count + 1;
    return table->count++;
}

/* Room for one new part per name and some: real models have a few hundred. When it is not enough, names are
 * compared as text. */
static bool open_table(part_table *table, uint32_t count, vs_arena *arena)
{
    table->capacity = count < PARTS_MAX - 512 ? count + 512 : PARTS_MAX;
    uint32_t slot_count = 64;
    while (slot_count < 2 * table->capacity) {
        slot_count *= 2;
    }
    table->mask = slot_count - 1;
    table->count = 0;
    table->parts = VS_ARRAY(arena, key_part, table->capacity);
    table->slots = VS_ARRAY(arena, uint32_t, slot_count);
    return table->parts != NULL && table->slots != NULL;
}

/* Part numbers of one name; parts shared with the name before are taken from there. Returns how many were
 * written (at most RANK_PARTS), or UINT32_MAX when the table is full. */
static uint32_t split_name(part_table *table, const char *name, const char *before,
                           uint16_t *ids)
{
    uint32_t done = 0;
    const char *start = name;
    const char *c = name;
    for (; *c != '\0' && *c == *before && done < RANK_PARTS; c++, before++) {
        if (*c == '.') {
            done++;
            start = c + 1;
        }
    }
    const char *part = start;
    while (done < RANK_PARTS) {
        size_t len = 0;
        const uint32_t id = intern_part(table, part, &len);
        if (id == UINT32_MAX) {
            return UINT32_MAX;
        }
        ids[done++] = (uint16_t)id;
        if (part[len] == '\0') {
            break;
        }
        part += len + 1;
    }
    return done;
}

/* ids -> ranks, from 1; parts that compare equal share a rank. */
static bool rank_parts(part_table *table, uint16_t *ranks, vs_arena *arena)
{
    const size_t mark = arena->used_bytes;
    key_part *const sorted = VS_ARRAY(arena, key_part, table->count);
    if (sorted == NULL) {
        return false;
    }
    if (table->count == 0) {
        return true;
    }
    memcpy(sorted, table->parts, table->count * sizeof *sorted);
    qsort(sorted, table->count, sizeof *sorted, compare_key_parts);
    uint16_t rank = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        rank =
            (uint16_t)(rank + (i == 0 || compare_key_parts(&sorted[i - 1], &sorted[i]) != 0));
        ranks[sorted[i].id] = rank;
    }
    vs_arena_rewind(arena, mark);
    return true;
}

static void pack_ranks(vs_sort_key *key, const uint16_t *ids, const uint16_t *ranks)
{
    for (uint32_t p = 0; p < RANK_PARTS && ids[p] != NO_PART; p++) {
        key->word[p / 4] |= (uint64_t)ranks[ids[p]] << (48 - p % 4 * 16);
    }
}

/* Fills keys[i].word from the names; leaves them zero when there are too many distinct parts, which makes
 * vs_sort_keys compare the names themselves. */
static bool make_keys(vs_sort_key *keys, const char *const *names, uint32_t count,
                      vs_arena *arena)
{
    part_table table = {0};
    uint16_t *const ids = VS_RAW_ARRAY(arena, uint16_t, (size_t)count * RANK_PARTS);
    if (ids == NULL || !open_table(&table, count, arena)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        keys[i].index = i;
        uint16_t *const row = ids + (size_t)i * RANK_PARTS;
        const char *const before = i == 0 ? "" : names[i - 1];
        if (i > 0) {
            memcpy(row, row - RANK_PARTS, RANK_PARTS * sizeof *row);
        } /* what is not shared is overwritten */
        const uint32_t filled = split_name(&table, names[i], before, row);
        if (filled == UINT32_MAX) {
            for (uint32_t k = 0; k < count; k++) {
                keys[k].index = k;
            }
            return true;
        }
        if (filled < RANK_PARTS) {
            row[filled] = NO_PART;
        }
    }
    uint16_t *const ranks = VS_ARRAY(arena, uint16_t, table.count);
    if (ranks == NULL || !rank_parts(&table, ranks, arena)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        pack_ranks(&keys[i], ids + (size_t)i * RANK_PARTS, ranks);
    }
    return true;
}

/* order[i]: which of the tensors comes to place i. */
static bool place_tensors(vs_tensor *tensors, uint32_t count, const uint32_t *order,
                          uint32_t *old_to_new, vs_arena *arena)
{
    vs_tensor *const copy = VS_RAW_ARRAY(arena, vs_tensor, count);
    if (copy == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        copy[i] = tensors[order[i]];
        if (old_to_new != NULL) {
            old_to_new[order[i]] = i;
        }
    }
    if (count > 0) {
        memcpy(tensors, copy, count * sizeof *tensors);
    }
    return true;
}

bool vs_key_order(const char *const *names, uint32_t count, uint32_t *order, vs_arena *arena)
{
    const size_t mark = arena->used_bytes;
    vs_sort_key *const keys = VS_ARRAY(arena, vs_sort_key, count);
    if (keys == NULL || !make_keys(keys, names, count, arena) ||
        !vs_sort_keys(keys, count, names, arena)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        order[i] = keys[i].index;
    }
    vs_arena_rewind(arena, mark);
    return true;
}

static bool sort_tensors(vs_tensor *tensors, uint32_t count, uint32_t *old_to_new,
                         vs_arena *arena)
{
    const char **const names = VS_RAW_ARRAY(arena, const char *, count);
    uint32_t *const order = VS_RAW_ARRAY(arena, uint32_t, count);
    if (names == NULL || order == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        names[i] = tensors[i].name;
    }
    return vs_key_order(names, count, order, arena) &&
           place_tensors(tensors, count, order, old_to_new, arena);
}

bool vs_key_sort(vs_tensor *tensors, uint32_t count, uint32_t *old_to_new, vs_arena *arena,
                 vs_err *err)
{
    const size_t mark = arena->used_bytes;
    if (!sort_tensors(tensors, count, old_to_new, arena)) {
        return vs_fail_memory(err, arena, "sorting tensors by key");
    }
    vs_arena_rewind(arena, mark);
    return true;
}

bool vs_key_place(vs_tensor *tensors, uint32_t count, const uint32_t *order,
                  uint32_t *old_to_new, vs_arena *arena, vs_err *err)
{
    const size_t mark = arena->used_bytes;
    if (!place_tensors(tensors, count, order, old_to_new, arena)) {
        return vs_fail_memory(err, arena, "sorting tensors by key");
    }
    vs_arena_rewind(arena, mark);
    return true;
}
