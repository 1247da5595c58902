/* sim/tape/tapefile.c - tapes as files: the image, byte for byte, and its checksums.
 *
 * Opening maps the file and looks at all of it once (image.c: head, gaps, checksums; here: counts
 * that belong together; validate.c: contents). Nothing is copied. */
#include "sim/tape/internal.h"

#include <stdint.h>

bool vs_timeline_write(const vs_timeline *tl, const char *path, vs_err *err)
{
    vs_outfile *out = vs_outfile_open(path, err);
    if (out == NULL) {
        return false;
    }
    vs_assert(tl->image_bytes >= TAPE_HEAD_BYTES);
    uint8_t head[TAPE_HEAD_BYTES];
    image_file_head(tl->image, head);
    vs_outfile_write(out, head, sizeof head);
    vs_outfile_write(out, tl->image + sizeof head, (size_t)tl->image_bytes - sizeof head);
    return vs_outfile_commit(out, err);
}

/* Sections first .. last are columns of one table and must be equally long. */
static bool check_group(const tape_layout *layout, uint32_t first, uint32_t last,
                        uint64_t limit, vs_err *err)
{
    const uint64_t count = layout->count[first];
    if (count > limit) {
        return vs_fail(err, VS_ERR_LIMIT,
                       "section %s has %" PRIu64 " elements; at most %" PRIu64,
                       layout_section_name(first), count, limit);
    }
    for (uint32_t i = first + 1; i <= last; i++) {
        if (layout->count[i] != count) {
            return vs_fail(
                err, VS_ERR_FORMAT, "section %s has %" PRIu64 " elements where %s has %" PRIu64,
                layout_section_name(i), layout->count[i], layout_section_name(first), count);
        }
    }
    return true;
}

static bool check_counts(const tape_layout *layout, vs_err *err)
{
    return check_group(layout, SEC_EVENT_TIME, SEC_EVENT_FLAGS, TAPE_MAX_ROWS, err) &&
           check_group(layout, SEC_TRACKS, SEC_TRACKS, TAPE_MAX_ROWS, err) &&
           check_group(layout, SEC_SAMPLE_TIME, SEC_SAMPLE_EVENT, UINT64_MAX, err) &&
           check_group(layout, SEC_PYRAMID_MIN, SEC_PYRAMID_WHERE, UINT64_MAX, err) &&
           check_group(layout, SEC_DEVICES, SEC_DEVICES, TAPE_MAX_ROWS, err) &&
           check_group(layout, SEC_LANES, SEC_LANES, TAPE_MAX_ROWS, err) &&
           check_group(layout, SEC_SPAN_START, SEC_SPAN_CATEGORY, UINT64_MAX, err) &&
           check_group(layout, SEC_BLOCKS, SEC_BLOCKS, TAPE_MAX_ROWS, err) &&
           check_group(layout, SEC_METAS, SEC_METAS, TAPE_MAX_ROWS, err) &&
           check_group(layout, SEC_STRING_OFFSET, SEC_STRING_OFFSET, TAPE_MAX_ROWS, err) &&
           check_group(layout, SEC_STRING_BYTES, SEC_STRING_BYTES, UINT32_MAX, err);
}

bool vs_timeline_bind(vs_timeline *tl, const void *image, uint64_t image_bytes, vs_err *err)
{
    if (image_bytes > 0 && (uintptr_t)image % sizeof(uint64_t) != 0) {
        return vs_fail(err, VS_ERR_VALUE,
                       "a tape in memory must begin at a multiple of 8 bytes");
    }
    tape_layout layout = {0};
    vs_ns end_ns = 0;
    if (!image_read(image, image_bytes, &layout, &end_ns, err) || !check_counts(&layout, err)) {
        return false;
    }
    vs_timeline bound = {0};
    image_view(image, &layout, end_ns, &bound);
    if (!timeline_validate(&bound, err)) {
        return false;
    }
    *tl = bound;
    return true;
}

bool vs_timeline_open(vs_timeline *tl, const char *path, vs_err *err)
{
    vs_file file = {0};
    if (!vs_file_open(&file, path, err)) {
        return false;
    }
    vs_timeline bound = {0};
    if (!vs_timeline_bind(&bound, file.bytes, file.size_bytes, err)) {
        vs_err_at_input(err, path);
        vs_file_close(&file);
        return false;
    }
    bound.map = file.map;
    *tl = bound;
    return true;
}

void vs_timeline_close(vs_timeline *tl)
{
    if (tl->map != NULL) {
        vs_file file = {.bytes = tl->image, .size_bytes = tl->image_bytes, .map = tl->map};
        vs_file_close(&file);
    }
    *tl = (vs_timeline){0};
}
