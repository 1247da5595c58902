/* traces/read/input.c - a window over a file, unpacked on the way.
 *
 *   file or bytes --read--> packed buffer --inflate--> window [at .. end)
 *   file          --read-----------------------------> window
 *   bytes         -----------------------------------> window is the bytes themselves
 *
 * What is left of the window is moved to its front before more is read, so a whole pass copies each byte at most twice. A gzip
 * stream may have several members, one behind the other (RFC 1952, 2.2); what follows the last one and is no member is
 * ignored, as gzip itself does. A stream that ends early or is damaged gives what could be unpacked, and was_cut. */
#include "traces/read/read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define PACKED_BUFFER_BYTES ((size_t)256 << 10)
#define GZIP_WINDOW_BITS    (15 + 16) /* zlib.h, inflateInit2: 16 more for a gzip header */

typedef struct {
    vs_arena *scratch;
    int fd;                /* -1: bytes in memory */
    const uint8_t *packed; /* what of a gzip stream was read and not unpacked yet */
    size_t packed_left;
    uint8_t *packed_buffer;
    uint8_t *window;
    size_t window_bytes;
    z_stream z;
    bool is_inflating;
    bool is_packed_at_end; /* nothing of the file is left to read */
    vs_errcode failed;     /* what a former call reported: VS_OK for nothing */
} source;

/* ---- the file ------------------------------------------------------------------------ */

/* Reads until size_bytes are there or the file ends. */
static bool read_file(vs_input *in, uint8_t *to, size_t size_bytes, size_t *out_count,
                      vs_err *err)
{
    source *const s = in->priv;
    size_t count = 0;
    while (count < size_bytes) {
        const ssize_t got = read(s->fd, to + count, size_bytes - count);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            char reason[128] = "";
            (void)strerror_r(errno, reason, sizeof reason);
            s->failed = VS_ERR_IO;
            return vs_fail(err, VS_ERR_IO, "cannot read the file: %s", reason);
        }
        if (got == 0) {
            s->is_packed_at_end = true;
            break;
        }
        count += (size_t)got;
    }
    in->packed_read += count;
    *out_count = count;
    return true;
}

/* ---- gzip ------------------------------------------------------------------------------ */

static void *take_for_zlib(void *opaque, unsigned count, unsigned elem_bytes)
{
    return vs_arena_raw(opaque, count, elem_bytes, 16);
}

static void keep_for_arena(void *opaque, void *address)
{
    (void)opaque;
    (void)address;
}

static bool refill_packed(vs_input *in, vs_err *err)
{
    source *const s = in->priv;
    if (s->packed_left > 0 || s->is_packed_at_end || s->fd < 0) {
        return true;
    }
    s->packed = s->packed_buffer;
    return read_file(in, s->packed_buffer, PACKED_BUFFER_BYTES, &s->packed_left, err);
}

static bool at_gzip_magic(const source *s)
{
    return s->packed_left >= 2 && s->packed[0] == 0x1f && s->packed[1] == 0x8b;
}

static bool prepare_member(source *s)
{
    s->z.next_in = NULL;
    s->z.avail_in = 0;
    const int code =
        s->is_inflating ? inflateReset(&s->z) : inflateInit2(&s->z, GZIP_WINDOW_BITS);
    s->is_inflating = s->is_inflating || code == Z_OK;
    return code == Z_OK;
}

/* The end of a member: another one follows, or the stream is over. */
static bool end_member(vs_input *in, vs_err *err)
{
    source *const s = in->priv;
    if (s->packed_left == 1 && s->fd >= 0 && !s->is_packed_at_end) {
        /* the two bytes of a member's mark may lie on both sides of the buffer's end */
        s->packed_buffer[0] = s->packed[0];
        size_t count = 0;
        if (!read_file(in, s->packed_buffer + 1, PACKED_BUFFER_BYTES - 1, &count, err)) {
            return false;
        }
        s->packed = s->packed_buffer;
        s->packed_left = 1 + count;
    }
    if (!refill_packed(in, err)) {
        return false;
    }
    if (!at_gzip_magic(s)) {
        in->is_at_end = true;
        return true;
    }
    if (!prepare_member(s)) {
        s->failed = VS_ERR_MEMORY;
        return vs_fail_memory(err, s->scratch, "unpacking gzip");
    }
    return true;
}

/* Unpacks once, to at most size_bytes. */
static bool inflate_some(vs_input *in, uint8_t *to, size_t size_bytes, size_t *out_count,
                         vs_err *err)
{
    source *const s = in->priv;
    if (!refill_packed(in, err)) {
        return false;
    }
    /* zlib only reads through next_in, but its type is not const unless ZLIB_CONST is defined */
    const unsigned offered =
        s->packed_left < PACKED_BUFFER_BYTES ? (unsigned)s->packed_left : PACKED_BUFFER_BYTES;
    s->z.next_in = (Bytef *)(uintptr_t)s->packed;
    s->z.avail_in = offered;
    s->z.next_out = to;
    s->z.avail_out = (unsigned)size_bytes;
    const int code = inflate(&s->z, Z_NO_FLUSH);
    const size_t used = offered - s->z.avail_in;
    s->packed += used;
    s->packed_left -= used;
    if (s->fd < 0) {
        in->packed_read += used;
    }
    *out_count = size_bytes - s->z.avail_out;
    if (code == Z_STREAM_END) {
        return end_member(in, err);
    }
    if (code == Z_MEM_ERROR) {
        s->failed = VS_ERR_MEMORY;
        return vs_fail_memory(err, s->scratch, "unpacking gzip");
    }
    const bool is_starved = *out_count == 0 && used == 0;
    if ((code != Z_OK && code != Z_BUF_ERROR) || is_starved) {
        in->was_cut = true;
        in->is_at_end = true;
    }
    return true;
}

/* ---- the window ---------------------------------------------------------------------------- */

static bool widen(vs_input *in, uint64_t count, vs_err *err)
{
    source *const s = in->priv;
    size_t bytes = s->window_bytes > 0 ? s->window_bytes : INPUT_WINDOW_BYTES;
    if (count > INPUT_MAX_WINDOW_BYTES) {
        char size[VS_TEXT_BYTES];
        return vs_fail(err, VS_ERR_LIMIT,
                       "one item of the file is at least %s long; at most 64 MiB are taken",
                       vs_format_size(count, size));
    }
    while (bytes < count) {
        bytes *= 2;
    }
    if (bytes == s->window_bytes) {
        return true;
    }
    uint8_t *const wider = VS_RAW_ARRAY(s->scratch, uint8_t, bytes);
    if (wider == NULL) {
        s->failed = VS_ERR_MEMORY;
        return vs_fail_memory(err, s->scratch, "reading a file");
    }
    const size_t left = (size_t)(in->end - in->at);
    memcpy(wider, in->at, left);
    s->window = wider;
    s->window_bytes = bytes;
    in->at = wider;
    in->end = wider + left;
    return true;
}

/* What is left moves to the front, the rest of the window is filled once. */
static bool refill(vs_input *in, vs_err *err)
{
    source *const s = in->priv;
    const size_t left = (size_t)(in->end - in->at);
    if (in->at != s->window) {
        memmove(s->window, in->at, left);
        in->at = s->window;
        in->end = s->window + left;
    }
    size_t count = 0;
    if (in->is_gzip) {
        if (!inflate_some(in, s->window + left, s->window_bytes - left, &count, err)) {
            return false;
        }
    } else {
        if (!read_file(in, s->window + left, s->window_bytes - left, &count, err)) {
            return false;
        }
        in->is_at_end = s->is_packed_at_end;
    }
    in->end += count;
    in->offset_of_end += count;
    return true;
}

bool input_need(vs_input *in, uint64_t count, vs_err *err)
{
    source *const s = in->priv;
    while ((uint64_t)(in->end - in->at) < count) {
        if (s->failed != VS_OK) {
            return vs_fail(err, s->failed, "reading the file failed before");
        }
        if (in->is_at_end) {
            return false;
        }
        if (!widen(in, count, err) || !refill(in, err)) {
            return false;
        }
    }
    return true;
}

/* ---- opening ---------------------------------------------------------------------------------- */

static source *new_source(vs_input *in, int fd, vs_arena *scratch, vs_err *err)
{
    source *const s = VS_NEW(scratch, source);
    if (s == NULL) {
        (void)vs_fail_memory(err, scratch, "reading a file");
        return NULL;
    }
    s->scratch = scratch;
    s->fd = fd;
    s->z.zalloc = take_for_zlib;
    s->z.zfree = keep_for_arena;
    s->z.opaque = scratch;
    in->priv = s;
    return s;
}

/* The window of a gzip stream starts empty; the packed bytes are where they are. */
static bool begin_gzip(vs_input *in, vs_err *err)
{
    source *const s = in->priv;
    in->is_gzip = true;
    in->is_at_end = false;
    in->at = s->window;
    in->end = s->window;
    in->offset_of_end = 0;
    if (!prepare_member(s)) {
        return vs_fail_memory(err, s->scratch, "unpacking gzip");
    }
    return true;
}

bool input_of_bytes(vs_input *in, const void *bytes, size_t size_bytes, vs_arena *scratch,
                    vs_err *err)
{
    vs_input made = {.at = bytes, .is_at_end = true, .packed_total = size_bytes};
    if (size_bytes == 0) {
        made.at = (const uint8_t *)"";
    }
    made.end = made.at + size_bytes;
    made.offset_of_end = size_bytes;
    source *const s = new_source(&made, -1, scratch, err);
    if (s == NULL) {
        return false;
    }
    s->packed = made.at;
    s->packed_left = size_bytes;
    s->is_packed_at_end = true;
    if (!at_gzip_magic(s)) {
        made.packed_read = size_bytes;
        *in = made;
        return true;
    }
    made.end = made.at; /* these bytes are packed: nothing of them goes to the window */
    if (!widen(&made, 0, err) || !begin_gzip(&made, err)) {
        return false;
    }
    *in = made;
    return true;
}

/* Reads the first bytes and looks for the mark of gzip. */
static bool begin_file(vs_input *in, vs_err *err)
{
    source *const s = in->priv;
    in->at = (const uint8_t *)"";
    in->end = in->at;
    if (!widen(in, 1, err)) {
        return false;
    }
    s->packed_buffer = s->window; /* until we know */
    size_t count = 0;
    if (!read_file(in, s->window, PACKED_BUFFER_BYTES, &count, err)) {
        return false;
    }
    s->packed = s->window;
    s->packed_left = count;
    if (!at_gzip_magic(s)) {
        in->end = in->at + count;
        in->offset_of_end = count;
        in->is_at_end = s->is_packed_at_end;
        return true;
    }
    s->packed_buffer = VS_RAW_ARRAY(s->scratch, uint8_t, PACKED_BUFFER_BYTES);
    if (s->packed_buffer == NULL) {
        return vs_fail_memory(err, s->scratch, "reading a file");
    }
    memcpy(s->packed_buffer, s->window, count);
    s->packed = s->packed_buffer;
    return begin_gzip(in, err);
}

bool input_open(vs_input *in, const char *path, vs_arena *scratch, vs_err *err)
{
    vs_file checked = {0};
    vs_input made = {0};
    /* refuses what is no file, with what to do about it */
    if (!vs_file_open_head(&checked, path, 0, &made.packed_total, err)) {
        return false;
    }
    vs_file_close(&checked);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        (void)vs_fail(err, VS_ERR_IO, "cannot open the file");
        vs_err_at_input(err, path);
        return false;
    }
    if (new_source(&made, fd, scratch, err) == NULL || !begin_file(&made, err)) {
        vs_err_at_input(err, path);
        (void)close(fd);
        return false;
    }
    *in = made;
    return true;
}

void input_close(vs_input *in)
{
    source *const s = in->priv;
    if (s == NULL) {
        return;
    }
    if (s->is_inflating) {
        (void)inflateEnd(&s->z);
    }
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    *in = (vs_input){0};
}
