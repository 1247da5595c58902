/* traces/write/pickle.h - writing plain data as a Python pickle, protocol 4.
 *
 * Only what plain data are made of: None, booleans, integers, floats, texts, lists, tuples of two, dicts. Everything that follows a
 * call is written as it comes; nothing is kept but one frame of 64 KiB. Opcodes and frames:
 * specs/torch-caching-allocator.md [16.2, 16.3]; lists and dicts are filled 1000 items at a time and frames have
 * 64 KiB, as CPython writes them.
 *
 * Texts of a tape are bytes. Where they are not UTF-8, a byte b becomes the lone surrogate U+DC00 + b, as in Python's
 * "surrogateescape": so every file loads and no byte is lost.
 *
 * Internal to traces/write/. */
#ifndef VS_TRACES_WRITE_PICKLE_H
#define VS_TRACES_WRITE_PICKLE_H

#include "vramscope/base.h"

#define PICKLE_FRAME_BYTES ((size_t)64 << 10)
#define PICKLE_BATCH       1000u
#define PICKLE_MAX_DEPTH   8u

/* What was written and memoised, to be written again in two or five bytes: its place in the memo + 1, 0 not yet. */
typedef uint32_t pickle_memo;

typedef struct {
    vs_outfile *out;
    uint8_t *frame;
    size_t used;
    uint32_t memo_count;
    bool has_failed;
    uint32_t depth;                   /* of lists and dicts that are open */
    uint32_t batch[PICKLE_MAX_DEPTH]; /* items since their MARK */
    bool is_dict[PICKLE_MAX_DEPTH];
} vs_pickle;

/* False: the arena has no room for a frame. */
VS_MUST_CHECK bool pickle_begin(vs_pickle *p, vs_outfile *out, vs_arena *arena, vs_err *err);
/* The one value is complete. False: a text was too long for the format. */
VS_MUST_CHECK bool pickle_end(vs_pickle *p, vs_err *err);

/* A list or dict; items follow, each after pickle_item or, in a dict, pickle_key. */
void pickle_list(vs_pickle *p);
void pickle_dict(vs_pickle *p);
void pickle_close(vs_pickle *p);
void pickle_item(vs_pickle *p);
void pickle_key(vs_pickle *p, const char *key, pickle_memo *memo);

void pickle_u64(vs_pickle *p, uint64_t value);
void pickle_minus_one(vs_pickle *p);
void pickle_bool(vs_pickle *p, bool value);
void pickle_float(vs_pickle *p, double value);
void pickle_none(vs_pickle *p);
/* The tuple (a, b) of small numbers. */
void pickle_pair(vs_pickle *p, uint8_t a, uint8_t b);
void pickle_text(vs_pickle *p, const char *text);
/* A text that comes again: written once. memo is 0 at first. */
void pickle_shared_text(vs_pickle *p, const char *text, pickle_memo *memo);
/* The value just written gets a place in the memo / is written again. */
void pickle_remember(vs_pickle *p, pickle_memo *memo);
void pickle_again(vs_pickle *p, pickle_memo memo);

#endif /* VS_TRACES_WRITE_PICKLE_H */
