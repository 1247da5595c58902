/* Tapes as files: what opens, what is refused and how it is said (sim/tape/image.c, validate.c, tapefile.c).
 * Every truncation and every flipped byte are in tests/fault/fault_tapefile.c. */
#include "sim/tape/internal.h"
#include "tests/tape_random.h"
#include "tests/tape_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct {
    vs_arena arena;
    vs_timeline tl;
    uint8_t *copy; /* of the image, to damage */
    char path[32];
} fixture;

/* From here on the image of the fixture is what a file of it would be; and there is a copy, to damage. */
static bool use_file_image(fixture *f)
{
    uint8_t *file = vs_arena_raw(&f->arena, f->tl.image_bytes, 1, TAPE_ALIGN);
    f->copy = vs_arena_raw(&f->arena, f->tl.image_bytes, 1, TAPE_ALIGN);
    if (file == NULL || f->copy == NULL) {
        return false;
    }
    memcpy(file, f->tl.image, f->tl.image_bytes);
    image_file_head(f->tl.image, file);
    memcpy(f->copy, file, f->tl.image_bytes);
    f->tl.image = file;
    return true;
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    vs_err err = {0};
    random_tape r;
    if (f == NULL || !vs_arena_open(&f->arena, 64 * VS_MIB, &err) ||
        !random_tape_make(&r, &f->arena, 7, 100) || !vs_tape_seal(r.tape, &f->tl, &err) ||
        !use_file_image(f)) {
        return -1;
    }
    (void)snprintf(f->path, sizeof f->path, "/tmp/vs-tapefile-XXXXXX");
    const int fd = mkstemp(f->path);
    *state = f;
    return fd >= 0 ? close(fd) : -1;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    (void)unlink(f->path);
    vs_arena_close(&f->arena);
    free(f);
    return 0;
}

static tape_layout layout_of(const fixture *f)
{
    tape_layout layout = {0};
    vs_ns end_ns = 0;
    vs_err err = {0};
    assert_true(image_read(f->tl.image, f->tl.image_bytes, &layout, &end_ns, &err));
    return layout;
}

static void assert_refused(const fixture *f, const char *needle)
{
    vs_timeline tl = {.event_count = 77};
    vs_err err = {0};
    assert_false(vs_timeline_bind(&tl, f->copy, f->tl.image_bytes, &err));
    if (strstr(err.text, needle) == NULL) {
        fail_msg("expected \"%s\" in: %s", needle, err.text);
    }
    assert_int_equal(tl.event_count, 77);
}

/* Changes one byte of one section and makes the checksums right again, so that only the contents are wrong. */
static void spoil(fixture *f, uint32_t section, uint64_t byte, uint8_t value)
{
    const tape_layout layout = layout_of(f);
    assert_true(byte < layout.count[section] * layout_element_bytes(section));
    f->copy[layout.offset[section] + byte] = value;
    image_resum(f->copy, &layout);
}

static void a_written_tape_opens_and_answers(void **state)
{
    fixture *f = *state;
    vs_err err = {0};
    vs_timeline opened = {0};
    assert_true(vs_timeline_write(&f->tl, f->path, &err));
    assert_true(vs_timeline_open(&opened, f->path, &err));
    assert_non_null(opened.map);
    assert_int_equal(walk_timeline(&opened), walk_timeline(&f->tl));
    vs_timeline_close(&opened);
    assert_null(opened.image);
}

static void closing_a_timeline_of_an_arena_leaves_the_arena_alone(void **state)
{
    fixture *f = *state;
    vs_timeline tl = f->tl;
    vs_timeline_close(&tl);
    assert_null(tl.image);
    assert_int_equal(f->tl.image[0], 'V');
}

static void errors_of_a_file_name_the_file(void **state)
{
    fixture *f = *state;
    FILE *file = fopen(f->path, "wb");
    assert_non_null(file);
    (void)fputs("not a tape", file);
    (void)fclose(file);
    vs_timeline tl = {0};
    vs_err err = {0};
    assert_false(vs_timeline_open(&tl, f->path, &err));
    assert_string_equal(err.input, f->path);
    assert_non_null(strstr(err.text, "not a vramscope tape"));
}

static void an_empty_file_is_no_tape(void **state)
{
    fixture *f = *state;
    vs_timeline tl = {0};
    vs_err err = {0};
    assert_false(vs_timeline_open(&tl, f->path, &err));
    assert_non_null(strstr(err.text, "not a vramscope tape"));
}

static void a_file_that_is_not_there_is_an_input_error(void **state)
{
    (void)state;
    vs_timeline tl = {0};
    vs_err err = {0};
    assert_false(vs_timeline_open(&tl, "/nonexistent/x.tape", &err));
    assert_int_equal(err.code, VS_ERR_IO);
}

static void a_directory_that_is_not_there_cannot_be_written_to(void **state)
{
    fixture *f = *state;
    vs_err err = {0};
    assert_false(vs_timeline_write(&f->tl, "/nonexistent/x.tape", &err));
    assert_int_equal(err.code, VS_ERR_IO);
}

static void the_other_byte_order_is_refused_with_advice(void **state)
{
    fixture *f = *state;
    const uint32_t swapped = TAPE_ENDIAN_TAG_SWAPPED;
    memcpy(f->copy + offsetof(tape_header, endian_tag), &swapped, sizeof swapped);
    assert_refused(f, "other byte order");
}

static void an_older_version_says_what_to_do(void **state)
{
    fixture *f = *state;
    f->copy[offsetof(tape_header, version)] = 1;
    assert_refused(f, "format version 1");
    assert_refused(f, "made by an older vramscope; simulate the run again");
}

static void a_newer_version_says_both_numbers(void **state)
{
    fixture *f = *state;
    f->copy[offsetof(tape_header, version)] = 9;
    assert_refused(f, "format version 9, this program (" VS_VERSION ") reads version 2");
}

static void a_short_file_says_how_many_bytes_are_missing(void **state)
{
    fixture *f = *state;
    vs_timeline tl = {0};
    vs_err err = {0};
    assert_false(vs_timeline_bind(&tl, f->copy, f->tl.image_bytes - 64, &err));
    assert_non_null(strstr(err.text, "cut short"));
}

static void memory_at_an_odd_address_is_refused(void **state)
{
    fixture *f = *state;
    vs_timeline tl = {0};
    vs_err err = {0};
    assert_false(vs_timeline_bind(&tl, f->copy + 1, f->tl.image_bytes - 1, &err));
    assert_non_null(strstr(err.text, "multiple of 8"));
}

static void an_image_that_was_never_a_file_has_no_checksums(void **state)
{
    fixture *f = *state;
    vs_err err = {0};
    random_tape r;
    assert_true(random_tape_make(&r, &f->arena, 7, 100));
    assert_true(vs_tape_seal(r.tape, &f->tl, &err));
    vs_timeline tl = {0};
    assert_false(vs_timeline_bind(&tl, f->tl.image, f->tl.image_bytes, &err));
    assert_non_null(strstr(err.text, "checksum of the tape header"));
    assert_true(use_file_image(f));
    vs_err no_err = {0};
    assert_true(vs_timeline_bind(&tl, f->tl.image, f->tl.image_bytes, &no_err));
}

/* What is opened and written again is the same file. */
static void a_copy_of_an_opened_tape_has_the_same_bytes(void **state)
{
    fixture *f = *state;
    vs_err err = {0};
    vs_timeline opened = {0};
    vs_timeline again = {0};
    assert_true(vs_timeline_write(&f->tl, f->path, &err));
    assert_true(vs_timeline_open(&opened, f->path, &err));
    assert_true(vs_timeline_write(&opened, f->path, &err));
    vs_timeline_close(&opened);
    assert_true(vs_timeline_open(&again, f->path, &err));
    assert_int_equal(again.image_bytes, f->tl.image_bytes);
    assert_memory_equal(again.image, f->tl.image, f->tl.image_bytes);
    vs_timeline_close(&again);
}

static void a_flipped_byte_names_the_section(void **state)
{
    fixture *f = *state;
    const tape_layout layout = layout_of(f);
    f->copy[layout.offset[SEC_SPAN_BYTES]] ^= 1;
    assert_refused(f, "section span_bytes");
}

static void a_gap_that_is_not_zero_is_refused(void **state)
{
    fixture *f = *state;
    const tape_layout layout = layout_of(f);
    f->copy[layout.offset[SEC_TRACKS] - 1] = 1;
    assert_refused(f, "gap");
}

static void absurd_counts_do_not_overflow(void **state)
{
    fixture *f = *state;
    const uint64_t count = UINT64_C(1) << 61;
    memcpy(f->copy + sizeof(tape_header) + offsetof(tape_section, count), &count, sizeof count);
    const uint64_t sum = image_header_sum(f->copy);
    memcpy(f->copy + offsetof(tape_header, header_sum), &sum, sizeof sum);
    assert_refused(f, "do not add up");
}

/* One wrong byte each, behind right checksums. */
static void contents_that_would_mislead_readers_are_refused(void **state)
{
    fixture *f = *state;

    static const struct {
        uint32_t section;
        uint32_t byte;
        uint32_t value;
        const char *needle;
    } cases[] = {
        {SEC_EVENT_TIME, 7, 0xff, "earlier"},
        {SEC_EVENT_KIND, 0, VS_EV_COUNT, "event 0"},
        {SEC_EVENT_DEVICE, 3, RANDOM_DEVICES, "event 3"},
        {SEC_EVENT_CATEGORY, 3, VS_CAT_COUNT, "event 3"},
        {SEC_EVENT_NAME, 3, 0xff, "event 0"},
        {SEC_EVENT_FLAGS, 9, 1, "event 9"},
        {SEC_EVENT_BLOCK, 3, 0x7f, "event 0"},
        {SEC_TRACKS, offsetof(vs_track_info, first), 1, "outside their columns"},
        {SEC_TRACKS, offsetof(vs_track_info, count) + 7, 0xff, "outside their columns"},
        {SEC_TRACKS, offsetof(vs_track_info, pyramid_first), 99, "outside their columns"},
        {SEC_TRACKS, offsetof(vs_track_info, max) + 7, 1, "maximum"},
        {SEC_TRACKS, offsetof(vs_track_info, name) + 3, 1, "track 0"},
        {SEC_TRACKS, offsetof(vs_track_info, device), RANDOM_DEVICES, "track 0"},
        {SEC_TRACKS, offsetof(vs_track_info, category), VS_CAT_COUNT, "category"},
        {SEC_TRACKS, offsetof(vs_track_info, role), VS_TRACK_PROGRESS + 1, "role"},
        {SEC_TRACKS, offsetof(vs_track_info, pad), 1, "track 0"},
        {SEC_SAMPLE_TIME, 7, 1, "at the time of its event"},
        {SEC_SAMPLE_EVENT, 3, 1, "follow the events"},
        {SEC_PYRAMID_MIN, 6, 0xff, "pyramid"},
        {SEC_PYRAMID_MAX, 6, 0xff, "pyramid"},
        {SEC_PYRAMID_WHERE, 0, 0xff, "pyramid"},
        {SEC_DEVICES, offsetof(vs_device_info, name) + 3, 1, "memory 0"},
        {SEC_DEVICES, offsetof(vs_device_info, kind), VS_DEVICE_DISK + 1, "memory 0"},
        {SEC_LANES, offsetof(vs_lane_info, name) + 3, 1, "lane 0"},
        {SEC_LANES, offsetof(vs_lane_info, first), 1, "lane 0"},
        {SEC_LANES, offsetof(vs_lane_info, count) + 7, 0xff, "lane 0"},
        {SEC_SPAN_START, 7, 0xff, "span 0: it ends before"},
        {SEC_SPAN_END, 7, 1, "busy time"},
        {SEC_SPAN_BUSY, 7, 1, "busy time"},
        {SEC_SPAN_REACH, 7, 1, "busy time"},
        {SEC_SPAN_NAME, 3, 1, "span 0"},
        {SEC_SPAN_CATEGORY, 0, VS_CAT_COUNT, "span 0"},
        {SEC_BLOCKS, offsetof(vs_block_info, born_event) + 3, 0x7f, "block 0"},
        {SEC_BLOCKS, offsetof(vs_block_info, dead_event), 0, "block 0"},
        {SEC_BLOCKS, offsetof(vs_block_info, name) + 3, 1, "block 0"},
        {SEC_BLOCKS, offsetof(vs_block_info, device), RANDOM_DEVICES, "block 0"},
        {SEC_METAS, offsetof(vs_meta_info, value) + 3, 1, "fact 0"},
        {SEC_STRING_OFFSET, 4 + 3, 0xff, "string"},
        {SEC_STRING_OFFSET, 0, 1, "empty string"},
        {SEC_STRING_BYTES, 6, 'x', "not terminated"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(f->copy, f->tl.image, f->tl.image_bytes);
        spoil(f, cases[i].section, cases[i].byte, (uint8_t)cases[i].value);
        assert_refused(f, cases[i].needle);
    }
}

/* Replaces the fixture's tape by one of a block that lives from event 0 to event 1, at one instant. */
static void use_short_life(fixture *f)
{
    vs_err err = {0};
    vs_tape *tape = vs_tape_new(&f->arena, NULL);
    (void)vs_tape_add_device(tape, VS_DEVICE_HOST, "host", VS_GIB);
    vs_event event = {.kind = VS_EV_ALLOC, .block = vs_tape_new_block(tape), .size_bytes = 512};
    vs_tape_event(tape, &event);
    event.kind = VS_EV_FREE;
    vs_tape_event(tape, &event);
    assert_true(vs_tape_seal(tape, &f->tl, &err));
    assert_true(use_file_image(f));
}

static void two_samples_after_one_event_are_refused(void **state)
{
    fixture *f = *state;
    use_short_life(f);
    spoil(f, SEC_SAMPLE_EVENT, 4, 0);
    assert_refused(f, "follow the events");
}

static void a_death_before_the_birth_is_refused(void **state)
{
    fixture *f = *state;
    use_short_life(f);
    spoil(f, SEC_EVENT_KIND, 0, VS_EV_FREE);
    spoil(f, SEC_EVENT_KIND, 1, VS_EV_ALLOC);
    spoil(f, SEC_BLOCKS, offsetof(vs_block_info, born_event), 1);
    spoil(f, SEC_BLOCKS, offsetof(vs_block_info, dead_event), 0);
    assert_refused(f, "does not die where it says");
}

static void an_end_that_is_not_the_end_is_refused(void **state)
{
    fixture *f = *state;
    const tape_layout layout = layout_of(f);
    f->copy[offsetof(tape_header, end_ns)] ^= 1;
    image_resum(f->copy, &layout);
    assert_refused(f, "says it ends at");
}

/* Values of the reference implementation, xxHash 0.8.4, through python-xxhash 4.1.0. */
static void checksums_are_those_of_xxh64(void **state)
{
    (void)state;
    assert_true(tape_sum("", 0) == UINT64_C(0xef46db3751d8e999));
    assert_true(tape_sum("a", 1) == UINT64_C(0xd24ec4f1a98c6e5b));
    assert_true(tape_sum("abc", 3) == UINT64_C(0x44bc2cf5ad770999));
    static const char long_text[] = "Nobody inspects the spammish repetition";
    assert_true(tape_sum(long_text, sizeof long_text - 1) == UINT64_C(0xfbcea83c8a378bf1));
    uint8_t counting[101]; /* stripes, words, one half word and single bytes */
    for (size_t i = 0; i < sizeof counting; i++) {
        counting[i] = (uint8_t)i;
    }
    assert_true(tape_sum(counting, sizeof counting) == UINT64_C(0xe99038495f85381e));
}

static void the_layout_is_the_documented_one(void **state)
{
    fixture *f = *state;
    const tape_layout layout = layout_of(f);
    assert_int_equal(layout.offset[0], 1088);
    for (uint32_t i = 0; i < SEC_COUNT; i++) {
        assert_int_equal(layout.offset[i] % TAPE_ALIGN, 0);
    }
    assert_memory_equal(f->tl.image, "VSTAPE\x1a\x01\x02\x00\x00\x00\x04\x03\x02\x01", 16);
}

/* The same on every compiler and at every level of optimisation. When this changes on purpose, files
 * written before no longer open as what they are: TAPE_VERSION changes with it. */
static void a_known_tape_has_known_bytes(void **state)
{
    fixture *f = *state;
    assert_true(tape_sum(f->tl.image, f->tl.image_bytes) == UINT64_C(0xf78d112585be8d94));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_written_tape_opens_and_answers),
        TEST(closing_a_timeline_of_an_arena_leaves_the_arena_alone),
        TEST(errors_of_a_file_name_the_file),
        TEST(an_empty_file_is_no_tape),
        TEST(a_file_that_is_not_there_is_an_input_error),
        TEST(a_directory_that_is_not_there_cannot_be_written_to),
        TEST(the_other_byte_order_is_refused_with_advice),
        TEST(an_older_version_says_what_to_do),
        TEST(a_newer_version_says_both_numbers),
        TEST(a_short_file_says_how_many_bytes_are_missing),
        TEST(memory_at_an_odd_address_is_refused),
        TEST(an_image_that_was_never_a_file_has_no_checksums),
        TEST(a_copy_of_an_opened_tape_has_the_same_bytes),
        TEST(a_flipped_byte_names_the_section),
        TEST(a_gap_that_is_not_zero_is_refused),
        TEST(absurd_counts_do_not_overflow),
        TEST(contents_that_would_mislead_readers_are_refused),
        TEST(two_samples_after_one_event_are_refused),
        TEST(a_death_before_the_birth_is_refused),
        TEST(an_end_that_is_not_the_end_is_refused),
        TEST(checksums_are_those_of_xxh64),
        TEST(the_layout_is_the_documented_one),
        TEST(a_known_tape_has_known_bytes),
    };
    return cmocka_run_group_tests_name("tapefile", tests, NULL, NULL);
}
