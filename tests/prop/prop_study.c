/* tests/prop/prop_study.c - peak, largest blocks and chart of random tapes against naive twins. */
#include "vramscope/study.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/tape_random.h"

#define SEEDS   40u
#define LARGEST 5u

static vs_timeline make(scratch *s, uint64_t seed)
{
    random_tape r = {0};
    vs_timeline tl = {0};
    vs_err err = {0};
    vs_arena_reset(&s->arena);
    assert_true(random_tape_make(&r, &s->arena, seed, 20 + (uint32_t)seed * 9));
    if (!vs_tape_seal(r.tape, &tl, &err)) {
        print_message("seed %" PRIu64 "\n", seed);
        scratch_fail(&err);
    }
    return tl;
}

/* Every event looked at by itself. */
static uint32_t naive_peak(const vs_timeline *tl, uint8_t device)
{
    const uint32_t used = vs_timeline_find_track(tl, device, VS_TRACK_USED, VS_CAT_CONTEXT);
    const uint32_t allocated =
        vs_timeline_find_track(tl, device, VS_TRACK_ALLOCATED, VS_CAT_CONTEXT);
    uint32_t best = 0;
    vs_bytes best_used = 0;
    vs_bytes best_allocated = 0;
    bool has_any = false;
    for (uint32_t e = tl->sample_event[tl->tracks[used].first]; e < tl->event_count; e++) {
        const vs_bytes u = vs_track_at_event(tl, used, e);
        const vs_bytes a = allocated == VS_NO_TRACK ? 0 : vs_track_at_event(tl, allocated, e);
        if (!has_any || u > best_used || (u == best_used && a > best_allocated)) {
            has_any = true;
            best = e;
            best_used = u;
            best_allocated = a;
        }
    }
    return best;
}

static void check_peak(const vs_timeline *tl, uint8_t device, uint64_t seed)
{
    const uint32_t used = vs_timeline_find_track(tl, device, VS_TRACK_USED, VS_CAT_CONTEXT);
    const bool has_track = used != VS_NO_TRACK && tl->tracks[used].count > 0;
    vs_moment peak = {0};
    assert_int_equal(vs_study_peak(tl, device, &peak), has_track);
    if (has_track && peak.event != naive_peak(tl, device)) {
        fail_msg("seed %" PRIu64 ", device %u: event %" PRIu32 ", a full scan finds %" PRIu32,
                 seed, device, peak.event, naive_peak(tl, device));
    }
}

static void the_peak_is_that_of_a_full_scan(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const vs_timeline tl = make(*state, seed);
        for (uint8_t d = 0; d < RANDOM_DEVICES; d++) {
            check_peak(&tl, d, seed);
        }
    }
}

static void the_composition_adds_up_to_what_is_used(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const vs_timeline tl = make(*state, seed);
        for (uint32_t e = 0; e < tl.event_count; e += 7) {
            const uint8_t device = (uint8_t)(e % RANDOM_DEVICES);
            vs_moment moment = {0};
            vs_bytes sum = 0;
            vs_study_at_event(&tl, device, e, &moment);
            for (uint32_t c = 0; c < VS_CAT_COUNT; c++) {
                sum += moment.categories[c];
            }
            assert_int_equal(sum, moment.used_bytes);
        }
    }
}

/* The next largest after the one before, found by looking at every block. */
static bool naive_next(const vs_timeline *tl, uint8_t device, uint32_t event,
                       const vs_live *before, vs_live *out)
{
    bool is_found = false;
    for (uint32_t b = 0; b < tl->block_count; b++) {
        const vs_block_info *info = &tl->blocks[b];
        if (info->device != device || info->born_event > event || info->dead_event <= event) {
            continue;
        }
        const vs_bytes size = tl->event_size[info->born_event];
        const bool is_after = before == NULL || size < before->size_bytes ||
                              (size == before->size_bytes && b > before->block);
        if (is_after && (!is_found || size > out->size_bytes)) {
            is_found = true;
            *out = (vs_live){.block = b, .size_bytes = size};
        }
    }
    for (uint32_t e = 0; is_found && e <= event; e++) {
        if (tl->event_block[e] == out->block &&
            (tl->event_kind[e] == VS_EV_ALLOC || tl->event_kind[e] == VS_EV_RECAT)) {
            out->category = (vs_category)tl->event_category[e];
        }
    }
    return is_found;
}

static bool same_live(const vs_live *a, const vs_live *b)
{
    return a->block == b->block && a->size_bytes == b->size_bytes && a->category == b->category;
}

static void check_largest(const vs_timeline *tl, uint8_t device, uint32_t event, uint64_t seed)
{
    vs_live ours[LARGEST];
    vs_live twin = {0};
    const uint32_t count = vs_study_largest(tl, device, event, ours, LARGEST);
    for (uint32_t i = 0; i < count; i++) {
        if (!naive_next(tl, device, event, i > 0 ? &ours[i - 1] : NULL, &twin) ||
            !same_live(&twin, &ours[i])) {
            fail_msg("seed %" PRIu64 ", event %" PRIu32 ", rank %" PRIu32, seed, event, i);
        }
    }
    if (count < LARGEST) { /* and no other is left */
        assert_false(naive_next(tl, device, event, count > 0 ? &ours[count - 1] : NULL, &twin));
    }
}

static void the_largest_blocks_are_those_of_a_full_scan(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const vs_timeline tl = make(*state, seed);
        for (uint32_t e = 0; e < tl.event_count; e += 23) {
            check_largest(&tl, (uint8_t)(e % RANDOM_DEVICES), e, seed);
        }
    }
}

/* Characters of a UTF-8 line: bytes that do not continue one. */
static uint32_t width_of(const char *line, size_t length)
{
    uint32_t width = 0;
    for (size_t i = 0; i < length; i++) {
        width += ((unsigned char)line[i] & 0xc0u) != 0x80u ? 1 : 0;
    }
    return width;
}

static void check_chart(scratch *s, const vs_timeline *tl, uint8_t device, uint32_t columns,
                        uint32_t rows)
{
    vs_err err = {0};
    for (int is_utf8 = 0; is_utf8 < 2; is_utf8++) {
        const char *path = scratch_path(s, "chart.txt");
        vs_outfile *out = vs_outfile_open(path, &err);
        assert_non_null(out);
        vs_study_chart(tl, device, out, columns, rows, is_utf8 != 0);
        assert_true(vs_outfile_commit(out, &err));
        vs_file file = {0};
        assert_true(vs_file_open(&file, path, &err));
        const char *text = (const char *)file.bytes;
        uint32_t lines = 0;
        for (size_t from = 0; from < file.size_bytes; lines++) {
            const char *end = memchr(text + from, '\n', file.size_bytes - from);
            assert_non_null(end);
            const size_t length = (size_t)(end - text) - from;
            assert_true(width_of(text + from, length) <= columns);
            assert_true(is_utf8 != 0 || width_of(text + from, length) == length);
            from += length + 1;
        }
        assert_true(lines == 0 || lines >= rows + 2);
        vs_file_close(&file);
    }
}

static void a_chart_of_anything_stays_within_its_width(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS / 4; seed++) {
        const vs_timeline tl = make(*state, seed);
        for (uint8_t d = 0; d < RANDOM_DEVICES; d++) {
            check_chart(*state, &tl, d, 40 + (uint32_t)seed * 20, 4 + (uint32_t)seed * 6);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_peak_is_that_of_a_full_scan),
        TEST(the_composition_adds_up_to_what_is_used),
        TEST(the_largest_blocks_are_those_of_a_full_scan),
        TEST(a_chart_of_anything_stays_within_its_width),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
