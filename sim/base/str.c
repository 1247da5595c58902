/* sim/base/str.c - borrowed strings and the string table.
 *
 * The table keeps all strings back to back, each terminated:
 *
 *   bytes   \0 w e i g h t \0 b i a s \0
 *   offset  0  1               8            (per id; the length is the distance to the
 *                                            next offset, less the terminator)
 *   slots   open addressing by hash, linear probing, at most half full, id + 1
 *
 * Arrays that are too small are copied to a block of twice the size; the old block stays
 * in the arena, so a borrowed string that lies in the table itself stays readable while it
 * is added. Ids are given in order of insertion; the hash only decides where to look. */
#include "sim/base/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- borrowed strings ------------------------------------------------------------ */

vs_str vs_str_of(const char *text)
{
    if (text == NULL) {
        return (vs_str){.ptr = "", .len = 0};
    }
    return (vs_str){.ptr = text, .len = strlen(text)};
}

/* memcmp and memcpy must not see NULL, even for a length of 0 */
static bool same_bytes(const char *a, const char *b, size_t count)
{
    return count == 0 || memcmp(a, b, count) == 0;
}

bool vs_str_equal(vs_str a, vs_str b)
{
    return a.len == b.len && same_bytes(a.ptr, b.ptr, a.len);
}

bool vs_str_is(vs_str a, const char *text)
{
    return vs_str_equal(a, vs_str_of(text));
}

char vs_lower_ascii(char c)
{
    if (c < 'A' || c > 'Z') {
        return c;
    }
    return (char)(c - 'A' + 'a');
}

bool vs_str_is_nocase(vs_str a, const char *text)
{
    const vs_str b = vs_str_of(text);
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (vs_lower_ascii(a.ptr[i]) != vs_lower_ascii(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool vs_str_starts(vs_str a, const char *prefix)
{
    const vs_str b = vs_str_of(prefix);
    return a.len >= b.len && same_bytes(a.ptr, b.ptr, b.len);
}

bool vs_str_ends(vs_str a, const char *suffix)
{
    const vs_str b = vs_str_of(suffix);
    return b.len == 0 || (a.len >= b.len && same_bytes(a.ptr + (a.len - b.len), b.ptr, b.len));
}

int vs_str_compare(vs_str a, vs_str b)
{
    const size_t common = a.len < b.len ? a.len : b.len;
    const int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    if (order != 0) {
        return order < 0 ? -1 : 1;
    }
    return (a.len > b.len) - (a.len < b.len);
}

char *vs_str_copy(vs_arena *arena, vs_str text)
{
    if (text.len == SIZE_MAX) {
        return vs_arena_array(arena, SIZE_MAX, 2, 1); /* exhausts the arena, as it must */
    }
    char *copy = vs_arena_alloc(arena, text.len + 1, 1); /* zeroed: terminated */
    if (copy != NULL && text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    return copy;
}

char *vs_arena_printf(vs_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    vs_assert(length >= 0); /* fails only for a broken format string */
    char *text = vs_arena_alloc(arena, (size_t)length + 1, 1);
    if (text == NULL) {
        return NULL;
    }
    va_start(args, format);
    (void)vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

/* ---- string table --------------------------------------------------------------------- */

#define MIN_STRINGS           16
#define EXPECTED_STRING_BYTES 16
#define MAX_TABLE_BYTES       (UINT32_MAX - 1)
#define MAX_STRINGS           (UINT32_C(1) << 30) /* slots, twice as many, still count in 32 bits */

static uint32_t hash_bytes(vs_str text)
{
    const uint64_t multiplier = UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio, odd */
    uint64_t hash = text.len * multiplier;
    size_t i = 0;
    for (; text.len - i >= 8; i += 8) {
        uint64_t word = 0;
        memcpy(&word, text.ptr + i, 8);
        hash = (hash ^ word) * multiplier;
        hash ^= hash >> 32;
    }
    if (i < text.len) {
        uint64_t word = 0;
        memcpy(&word, text.ptr + i, text.len - i);
        hash = (hash ^ word) * multiplier;
        hash ^= hash >> 32;
    }
    return (uint32_t)(hash ^ (hash >> 17));
}

static vs_str stored(const vs_strtab *table, uint32_t id)
{
    const uint32_t start = table->offset[id];
    const uint32_t end = id + 1 < table->count ? table->offset[id + 1] : table->bytes_used;
    return (vs_str){.ptr = table->bytes + start, .len = end - start - 1};
}

/* The slot that holds text, or the empty one where it belongs. */
static uint32_t find_slot(const vs_strtab *table, vs_str text)
{
    const uint32_t mask = table->slot_count - 1;
    uint32_t slot = hash_bytes(text) & mask;
    while (table->slots[slot] != 0) {
        if (vs_str_equal(stored(table, table->slots[slot] - 1), text)) {
            return slot;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

static uint32_t slots_for(uint32_t capacity)
{
    uint32_t slot_count = 2 * MIN_STRINGS;
    while (slot_count < 2 * capacity) {
        slot_count *= 2;
    }
    return slot_count;
}

static bool grow_ids(vs_strtab *table)
{
    if (table->capacity >= MAX_STRINGS) {
        return false;
    }
    const uint32_t capacity =
        table->capacity * 2 < MAX_STRINGS ? table->capacity * 2 : MAX_STRINGS;
    const uint32_t slot_count = slots_for(capacity);
    uint32_t *offset = VS_ARRAY(table->arena, uint32_t, capacity);
    uint32_t *slots = VS_ARRAY(table->arena, uint32_t, slot_count);
    if (offset == NULL || slots == NULL) {
        return false;
    }
    memcpy(offset, table->offset, table->count * sizeof *offset);
    table->offset = offset;
    table->slots = slots;
    table->capacity = capacity;
    table->slot_count = slot_count;
    for (uint32_t id = 0; id < table->count; id++) {
        slots[find_slot(table, stored(table, id))] = id + 1;
    }
    return true;
}

static bool grow_bytes(vs_strtab *table, uint64_t needed)
{
    uint64_t capacity = table->bytes_capacity;
    while (capacity < needed) {
        capacity *= 2;
    }
    if (capacity > MAX_TABLE_BYTES) {
        capacity = MAX_TABLE_BYTES;
    }
    char *bytes = vs_arena_alloc(table->arena, (size_t)capacity, 1);
    if (bytes == NULL) {
        return false;
    }
    memcpy(bytes, table->bytes, table->bytes_used);
    table->bytes = bytes;
    table->bytes_capacity = (uint32_t)capacity;
    return true;
}

bool vs_strtab_init(vs_strtab *table, vs_arena *arena, uint32_t expected_count)
{
    uint32_t capacity = MIN_STRINGS;
    while (capacity <= expected_count && capacity < MAX_STRINGS) {
        capacity *= 2;
    }
    uint64_t bytes_capacity = (uint64_t)capacity * EXPECTED_STRING_BYTES;
    if (bytes_capacity > MAX_TABLE_BYTES) {
        bytes_capacity = MAX_TABLE_BYTES;
    }
    const uint32_t slot_count = slots_for(capacity);
    vs_strtab made = {.arena = arena, .capacity = capacity, .slot_count = slot_count};
    made.bytes_capacity = (uint32_t)bytes_capacity;
    made.bytes = vs_arena_alloc(arena, made.bytes_capacity, 1);
    made.offset = VS_ARRAY(arena, uint32_t, capacity);
    made.slots = VS_ARRAY(arena, uint32_t, slot_count);
    if (made.bytes == NULL || made.offset == NULL || made.slots == NULL) {
        return false;
    }
    *table = made;
    return vs_strtab_add(table, vs_str_of("")) == 0;
}

uint32_t vs_strtab_add(vs_strtab *table, vs_str text)
{
    uint32_t slot = find_slot(table, text);
    if (table->slots[slot] != 0) {
        return table->slots[slot] - 1;
    }
    if (text.len >= MAX_TABLE_BYTES - table->bytes_used) {
        return UINT32_MAX;
    }
    const uint32_t needed = table->bytes_used + (uint32_t)text.len + 1;
    if (needed > table->bytes_capacity && !grow_bytes(table, needed)) {
        return UINT32_MAX;
    }
    if (table->count == table->capacity) {
        if (!grow_ids(table)) {
            return UINT32_MAX;
        }
        slot = find_slot(table, text);
    }
    if (text.len > 0) {
        memcpy(table->bytes + table->bytes_used, text.ptr, text.len);
    }
    const uint32_t id = table->count;
    table->offset[id] = table->bytes_used; /* the terminator is there: memory is zeroed */
    table->bytes_used = needed;
    table->slots[slot] = id + 1;
    table->count = id + 1;
    return id;
}

uint32_t vs_strtab_find(const vs_strtab *table, vs_str text)
{
    const uint32_t found = table->slots[find_slot(table, text)];
    return found != 0 ? found - 1 : UINT32_MAX;
}

const char *vs_strtab_get(const vs_strtab *table, uint32_t id)
{
    vs_assert(id < table->count);
    return table->bytes + table->offset[id];
}
