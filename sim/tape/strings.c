/* sim/tape/strings.c - the strings of a tape that is being written.
 *
 *   refs    id -> {text, length, hash}     texts stay where they are: in the caller's memory, or in
 *   slots   hash -> id + 1, 0 empty        the arena when the caller's will not last
 *
 * A load names some 90,000 tensors of 60 bytes, all different: they are appended loose, neither looked up nor hashed,
 * and copied once, into the image. They are put into the slots when a text is asked for that could be one of them,
 * which ends as one of them does: `endings` knows, by a bit for the last 16 bytes. Open addressing, at most half
 * full; ids depend on the order of adding only, never on hashes or addresses. */
#include "sim/tape/internal.h"

#include <string.h>

#define MIN_STRINGS 16u
#define MAX_STRINGS (UINT32_C(1) << 30) /* slots, twice as many, still count in 32 bits */
#define MAX_BYTES   (UINT32_MAX - 1u)   /* of all strings, offsets are 32 bits */

static inline uint64_t word_at(const char *text)
{
    uint64_t word = 0;
    memcpy(&word, text, sizeof word);
    return word;
}

static inline uint64_t mix(uint64_t hash, uint64_t word)
{
    /* 2^64 / golden ratio, odd */
    return ((hash << 23 | hash >> 41) ^ word) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Two words at a time, in two chains that do not wait for one another. */
static uint32_t hash_of(const char *text, size_t len)
{
    uint64_t even = len;
    uint64_t odd = ~(uint64_t)len;
    size_t left = len;
    for (; left >= 16; left -= 16, text += 16) {
        even = mix(even, word_at(text));
        odd = mix(odd, word_at(text + 8));
    }
    uint64_t tail[2] = {0, 0};
    memcpy(tail, text, left);
    even = mix(even, tail[0]);
    odd = mix(odd, tail[1]);
    const uint64_t both = mix(even ^ even >> 32, odd ^ odd >> 32);
    return (uint32_t)(both >> 32);
}

/* The slot that holds text, or the empty one where it belongs. */
static uint32_t slot_for(const tape_strings *s, vs_str text, uint32_t hash)
{
    const uint32_t mask = s->slot_count - 1;
    uint32_t slot = hash & mask;
    while (s->slots[slot] != 0) {
        const tape_string *other = &s->refs[s->slots[slot] - 1];
        if (other->hash == hash && other->len == text.len &&
            memcmp(other->text, text.ptr, text.len) == 0) {
            break;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

/* ---- strings that were not looked up ------------------------------------------------------ */

/* The bit of `endings` that stands for texts that end like this one. */
static inline uint32_t ending_bit(vs_str text)
{
    uint64_t words[2] = {0, 0};
    if (text.len >= sizeof words) {
        words[0] = word_at(text.ptr + text.len - 16);
        words[1] = word_at(text.ptr + text.len - 8);
    } else {
        memcpy(words, text.ptr, text.len);
    }
    return (uint32_t)(mix(mix(0, words[0]), words[1]) >> (64 - STRING_ENDING_BITS));
}

static inline bool may_be_loose(const tape_strings *s, vs_str text)
{
    const uint32_t bit = ending_bit(text);
    return (s->endings[bit / 64] >> bit % 64 & 1u) != 0;
}

/* Puts what was appended into the slots. */
static void settle_loose(tape_strings *s)
{
    for (uint32_t i = 0; i < s->loose_count; i++) {
        const uint32_t id = s->loose_first + i;
        tape_string *ref = &s->refs[id];
        ref->hash = hash_of(ref->text, ref->len);
        const uint32_t slot = slot_for(s, (vs_str){ref->text, ref->len}, ref->hash);
        if (s->slots[slot] == 0) { /* the first of equal ones is the one that is found */
            s->slots[slot] = id + 1;
        }
    }
    s->loose_count = 0;
    memset(s->endings, 0, sizeof s->endings);
}

/* ---- the table ------------------------------------------------------------------------------ */

/* An empty table for `capacity` strings; those of `old` go over to it. */
static bool make_table(tape_strings *out, vs_arena *arena, uint32_t capacity,
                       const tape_strings *old)
{
    tape_strings s = {.capacity = capacity, .slot_count = 2 * capacity};
    s.refs = VS_RAW_ARRAY(arena, tape_string, capacity);
    s.slots = VS_ARRAY(arena, uint32_t, s.slot_count);
    if (s.refs == NULL || s.slots == NULL) {
        return false;
    }
    if (old != NULL) {
        s.count = old->count;
        s.bytes = old->bytes;
        memcpy(s.refs, old->refs, old->count * sizeof *s.refs);
    }
    for (uint32_t id = 0; id < s.count; id++) {
        const vs_str text = {s.refs[id].text, s.refs[id].len};
        const uint32_t slot = slot_for(&s, text, s.refs[id].hash);
        if (s.slots[slot] == 0) { /* as in settle_loose */
            s.slots[slot] = id + 1;
        }
    }
    *out = s;
    return true;
}

bool strings_init(tape_strings *s, vs_arena *arena, uint32_t expected_count)
{
    uint32_t capacity = MIN_STRINGS;
    while (capacity <= expected_count && capacity < MAX_STRINGS) {
        capacity *= 2;
    }
    return make_table(s, arena, capacity, NULL) &&
           strings_add(s, arena, vs_str_of(""), false) == VS_NO_NAME;
}

/* Room for one more of `len` bytes. */
static bool make_room(tape_strings *s, vs_arena *arena, size_t len)
{
    if (len >= MAX_BYTES - s->bytes) {
        return false;
    }
    if (s->count < s->capacity) {
        return true;
    }
    settle_loose(s);
    return s->capacity < MAX_STRINGS && make_table(s, arena, s->capacity * 2, s);
}

static uint32_t take_id(tape_strings *s, const char *text, size_t len, uint32_t hash)
{
    const uint32_t id = s->count++;
    s->refs[id] = (tape_string){.text = text, .len = (uint32_t)len, .hash = hash};
    s->bytes += (uint32_t)len + 1;
    return id;
}

uint32_t strings_add(tape_strings *s, vs_arena *arena, vs_str text, bool must_copy)
{
    text.ptr = text.len > 0 ? text.ptr : ""; /* it may be NULL */
    const uint32_t hash = hash_of(text.ptr, text.len);
    if (may_be_loose(s, text)) {
        settle_loose(s);
    }
    uint32_t slot = slot_for(s, text, hash);
    if (s->slots[slot] != 0) {
        return s->slots[slot] - 1;
    }
    const uint32_t slot_count = s->slot_count;
    if (!make_room(s, arena, text.len)) {
        return UINT32_MAX;
    }
    if (s->slot_count != slot_count) {
        slot = slot_for(s, text, hash);
    }
    const char *kept = must_copy ? vs_str_copy(arena, text) : text.ptr;
    if (kept == NULL) {
        return UINT32_MAX;
    }
    const uint32_t id = take_id(s, kept, text.len, hash);
    s->slots[slot] = id + 1;
    return id;
}

uint32_t strings_append(tape_strings *s, vs_arena *arena, vs_str text)
{
    if (!make_room(s, arena, text.len)) {
        return UINT32_MAX;
    }
    if (s->loose_first + s->loose_count != s->count) { /* others came between */
        settle_loose(s);
        s->loose_first = s->count;
    }
    const uint32_t bit = ending_bit(text);
    s->endings[bit / 64] |= UINT64_C(1) << bit % 64;
    s->loose_count++;
    return take_id(s, text.ptr, text.len, 0);
}

void strings_put(const tape_strings *s, uint32_t *offset, char *bytes)
{
    uint32_t at = 0;
    for (uint32_t id = 0; id < s->count; id++) {
        const tape_string *ref = &s->refs[id];
        offset[id] = at;
        memcpy(bytes + at, ref->text, ref->len);
        bytes[at + ref->len] = '\0';
        at += ref->len + 1;
    }
}
