/* sim/base/cursor.c - bounds-checked little-endian reading.
 *
 * Invariant: pos <= size_bytes, so `size_bytes - pos` never wraps and every bound is
 * checked by comparing a count with what is left. */
#include "sim/base/internal.h"

vs_cursor vs_cursor_of(const void *bytes, uint64_t size_bytes, vs_err *err)
{
    vs_assert(bytes != NULL || size_bytes == 0);
    const void *start = bytes != NULL ? bytes : ""; /* NULL + 0 is undefined in C */
    return (vs_cursor){.bytes = start, .size_bytes = size_bytes, .err = err};
}

uint64_t vs_cursor_left(const vs_cursor *c)
{
    return c->size_bytes - c->pos;
}

bool vs_cursor_fail(vs_cursor *c, const char *format, ...)
{
    if (c->has_failed) {
        return false;
    }
    c->has_failed = true;
    const bool is_first = c->err != NULL && c->err->code == VS_OK;
    va_list args;
    va_start(args, format);
    (void)vs_vfail(c->err, VS_ERR_FORMAT, format, args);
    va_end(args);
    if (is_first) { /* an older error keeps its own place */
        vs_err_at_offset(c->err, c->pos);
    }
    return false;
}

bool vs_cursor_bytes(vs_cursor *c, uint64_t count, const uint8_t **out)
{
    if (c->has_failed) {
        return false;
    }
    if (count > vs_cursor_left(c)) {
        return vs_cursor_fail(c,
                              "expected %" PRIu64 " more bytes, found %" PRIu64
                              ": the file is cut short or a length in it is wrong",
                              count, vs_cursor_left(c));
    }
    *out = c->bytes + c->pos;
    c->pos += count;
    return true;
}

bool vs_cursor_skip(vs_cursor *c, uint64_t count)
{
    const uint8_t *ignored = NULL;
    return vs_cursor_bytes(c, count, &ignored);
}

bool vs_cursor_u8(vs_cursor *c, uint8_t *out)
{
    const uint8_t *p = c->bytes;
    if (!vs_cursor_bytes(c, 1, &p)) {
        return false;
    }
    *out = p[0];
    return true;
}

bool vs_cursor_u16le(vs_cursor *c, uint16_t *out)
{
    const uint8_t *p = c->bytes;
    if (!vs_cursor_bytes(c, 2, &p)) {
        return false;
    }
    *out = (uint16_t)(p[0] | ((unsigned)p[1] << 8));
    return true;
}

static uint32_t load_u32le(const uint8_t *p)
{
    return (uint32_t)p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) |
           ((uint32_t)p[3] << 24);
}

bool vs_cursor_u32le(vs_cursor *c, uint32_t *out)
{
    const uint8_t *p = c->bytes;
    if (!vs_cursor_bytes(c, 4, &p)) {
        return false;
    }
    *out = load_u32le(p);
    return true;
}

bool vs_cursor_u64le(vs_cursor *c, uint64_t *out)
{
    const uint8_t *p = c->bytes;
    if (!vs_cursor_bytes(c, 8, &p)) {
        return false;
    }
    *out = (uint64_t)load_u32le(p) | ((uint64_t)load_u32le(p + 4) << 32);
    return true;
}
