/* tests/unit/test_csv.c - traces/write/csv.c: what is written is read back and compared. */
#include "vramscope/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/scratch.h"
#include "tests/tape_random.h"

#define COLUMNS 12

static const char *written(scratch *s, const vs_timeline *tl)
{
    vs_err err = {0};
    vs_file file = {0};
    const char *path = scratch_path(s, "out.csv");
    if (!vs_trace_write_csv(tl, path, &err)) {
        scratch_fail(&err);
    }
    assert_true(vs_file_open(&file, path, &err));
    const char *text =
        vs_str_copy(&s->arena, (vs_str){(const char *)file.bytes, file.size_bytes});
    vs_file_close(&file);
    assert_non_null(text);
    return text;
}

static vs_timeline sealed(vs_tape *tape)
{
    vs_timeline tl = {0};
    vs_err err = {0};
    if (!vs_tape_seal(tape, &tl, &err)) {
        scratch_fail(&err);
    }
    return tl;
}

/* One record of RFC 4180 into COLUMNS fields, quotes undone; returns what follows it. */
static const char *read_record(const char *at, char fields[COLUMNS][64])
{
    for (size_t f = 0; f < COLUMNS; f++) {
        const bool is_quoted = *at == '"';
        size_t n = 0;
        at += is_quoted ? 1 : 0;
        while (is_quoted ? *at != '"' || at[1] == '"' : *at != ',' && *at != '\r') {
            assert_true(*at != '\0' && n < 63);
            at += is_quoted && *at == '"' ? 1 : 0;
            fields[f][n++] = *at++;
        }
        fields[f][n] = '\0';
        at += is_quoted ? 1 : 0;
        if (f + 1 < COLUMNS) {
            assert_int_equal(*at, ',');
            at++;
        }
    }
    assert_memory_equal(at, "\r\n", 2);
    return at + 2;
}

static uint64_t number(const char *field)
{
    uint64_t value = 0;
    assert_true(vs_parse_u64(vs_str_of(field), &value, NULL));
    return value;
}

static void the_first_line_names_the_columns(void **state)
{
    scratch *s = *state;
    vs_tape *tape = vs_tape_new(&s->arena, &(vs_tape_desc){0});
    const vs_timeline tl = sealed(tape);
    assert_string_equal(written(s, &tl),
                        "time_ns,event,device,category,size_bytes,asked_bytes,addr,block,name,"
                        "allocated_bytes,reserved_bytes,used_bytes\r\n");
}

static void a_small_tape_is_written_exactly(void **state)
{
    scratch *s = *state;
    vs_tape *tape = vs_tape_new(&s->arena, &(vs_tape_desc){0});
    (void)vs_tape_add_device(tape, VS_DEVICE_GPU, "card, \"big\"", VS_GIB);
    vs_tape_event(tape, &(vs_event){.time_ns = 5,
                                    .kind = VS_EV_SEGMENT_ALLOC,
                                    .size_bytes = 2097152,
                                    .addr = 7340032,
                                    .block = VS_NO_BLOCK});
    vs_tape_event(tape, &(vs_event){.time_ns = 6,
                                    .kind = VS_EV_ALLOC,
                                    .size_bytes = 1024,
                                    .asked_bytes = 1000,
                                    .addr = 7340032,
                                    .category = VS_CAT_W_16,
                                    .name = vs_tape_string(tape, vs_str_of("a\nb")),
                                    .block = vs_tape_new_block(tape)});
    vs_tape_event(tape, &(vs_event){.time_ns = 7, .kind = VS_EV_PHASE, .block = VS_NO_BLOCK});
    const vs_timeline tl = sealed(tape);
    const char *text = strstr(written(s, &tl), "\r\n") + 2;
    assert_string_equal(
        text, "5,segment_alloc,\"card, \"\"big\"\"\",,2097152,0,7340032,,,0,2097152,2097152\r\n"
              "6,alloc,\"card, \"\"big\"\"\",w_bf16,1024,1000,7340032,0,\"a\nb\",1024,"
              "2097152,2097152\r\n"
              "7,phase,\"card, \"\"big\"\"\",,0,0,,,,1024,2097152,2097152\r\n");
}

static void check_row(const vs_timeline *tl, uint32_t index, char fields[COLUMNS][64])
{
    const vs_event event = vs_timeline_event(tl, index);
    static const vs_track_role roles[3] = {VS_TRACK_ALLOCATED, VS_TRACK_RESERVED,
                                           VS_TRACK_USED};
    assert_int_equal(number(fields[0]), event.time_ns);
    assert_string_equal(fields[1], vs_event_kind_key((vs_event_kind)event.kind));
    assert_string_equal(fields[2], vs_timeline_string(tl, tl->devices[event.device].name));
    assert_int_equal(number(fields[4]), event.size_bytes);
    assert_int_equal(number(fields[5]), event.asked_bytes);
    assert_string_equal(fields[8], vs_timeline_string(tl, event.name));
    for (size_t i = 0; i < 3; i++) {
        const uint32_t track =
            vs_timeline_find_track(tl, event.device, roles[i], VS_CAT_CONTEXT);
        if (track == VS_NO_TRACK) {
            assert_string_equal(fields[9 + i], "");
        } else {
            assert_int_equal(number(fields[9 + i]), vs_track_at_event(tl, track, index));
        }
    }
}

static void every_event_is_a_row_with_the_totals_of_that_moment(void **state)
{
    scratch *s = *state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        random_tape r = {0};
        char fields[COLUMNS][64] = {{0}};
        vs_arena_reset(&s->arena);
        assert_true(random_tape_make(&r, &s->arena, seed, 300));
        const vs_timeline tl = sealed(r.tape);
        const char *at = read_record(written(s, &tl), fields);
        for (uint32_t i = 0; i < tl.event_count; i++) {
            at = read_record(at, fields);
            check_row(&tl, i, fields);
        }
        assert_int_equal(*at, '\0');
    }
}

static void a_place_that_cannot_be_written_is_an_error(void **state)
{
    scratch *s = *state;
    vs_err err = {0};
    vs_tape *tape = vs_tape_new(&s->arena, &(vs_tape_desc){0});
    const vs_timeline tl = sealed(tape);
    const char *path = vs_arena_printf(&s->arena, "%s/absent/out.csv", s->dir);
    assert_false(vs_trace_write_csv(&tl, path, &err));
    assert_int_equal(err.code, VS_ERR_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_open, scratch_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_line_names_the_columns),
        TEST(a_small_tape_is_written_exactly),
        TEST(every_event_is_a_row_with_the_totals_of_that_moment),
        TEST(a_place_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
