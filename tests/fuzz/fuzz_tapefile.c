/* Foreign bytes as a tape. Each input is bound twice: as it is, and with its checksums made right where its
 * section table allows, so that the fuzzer gets past them to the validator. What binds is asked everything. */
#include "sim/tape/internal.h"
#include "tests/tape_walk.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The layout the image claims, if it is one; contents are not looked at. */
static bool claimed_layout(const uint8_t *image, size_t size, tape_layout *out)
{
    if (size < sizeof(tape_header) + SEC_COUNT * sizeof(tape_section)) {
        return false;
    }
    for (uint32_t i = 0; i < SEC_COUNT; i++) {
        tape_section entry = {0};
        memcpy(&entry, image + sizeof(tape_header) + i * sizeof entry, sizeof entry);
        out->count[i] = entry.count;
    }
    return layout_place(out) && out->total_bytes == size;
}

static void bind_and_walk(const uint8_t *image, size_t size)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    if (vs_timeline_bind(&tl, image, size, &err)) {
        volatile uint64_t seen = walk_timeline(&tl);
        (void)seen;
        vs_err check_err = {0};
        volatile bool is_sound = vs_timeline_check(&tl, &check_err);
        (void)is_sound;
    } else if (err.code == VS_OK) {
        abort(); /* refused without a reason */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = calloc(size > 0 ? size : 1, 1); /* aligned, and guarded at its end */
    if (copy == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    bind_and_walk(copy, size);
    tape_layout layout = {0};
    if (claimed_layout(copy, size, &layout)) {
        image_resum(copy, &layout);
        bind_and_walk(copy, size);
    }
    free(copy);
    return 0;
}
