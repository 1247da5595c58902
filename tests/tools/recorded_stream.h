/* tests/tools/recorded_stream.h - reads what tests/tools/extract_stream.py writes. */
#ifndef VS_TESTS_RECORDED_STREAM_H
#define VS_TESTS_RECORDED_STREAM_H

#include <stdlib.h>
#include <string.h>

#include "vramscope/base.h"

/* One line; the meaning of the fields follows from op, see extract_stream.py. The words small and
 * allocated read as 1, large and free as 0. */
typedef struct {
    char op;
    uint64_t field[4];
} stream_line;

typedef struct {
    stream_line *lines;
    uint32_t count;
    uint32_t allocs; /* A lines: ids run from 0 */
} recorded_stream;

static inline bool stream_parse_line(const char *text, stream_line *out)
{
    *out = (stream_line){.op = text[0]};
    const char *at = text + 1;
    for (uint32_t i = 0; i < 4 && *at == ' '; i++) {
        at++;
        if (*at >= '0' && *at <= '9') {
            char *end = NULL;
            out->field[i] = strtoull(at, &end, 10);
            at = end;
        } else {
            out->field[i] = strncmp(at, "small", 5) == 0 || strncmp(at, "allocated", 9) == 0;
            at += strcspn(at, " \n");
        }
    }
    return strchr("SFAROLBT", out->op) != NULL && (*at == '\n' || *at == '\0');
}

/* text must be terminated. False when a line is not understood or the arena is full. */
static inline bool stream_parse(const char *text, vs_arena *arena, recorded_stream *out)
{
    uint32_t count = 0;
    for (const char *c = text; *c != '\0'; c++) {
        count += *c == '\n';
    }
    *out = (recorded_stream){.lines = VS_ARRAY(arena, stream_line, count)};
    if (out->lines == NULL) {
        return false;
    }
    for (; *text != '\0'; text = strchr(text, '\n') + 1) {
        if (strchr(text, '\n') == NULL || !stream_parse_line(text, &out->lines[out->count])) {
            return false;
        }
        out->allocs += out->lines[out->count].op == 'A';
        out->count++;
    }
    return true;
}

#endif /* VS_TESTS_RECORDED_STREAM_H */
