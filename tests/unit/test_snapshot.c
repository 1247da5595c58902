/* Tests of traces/read/snapshot*.c: what a memory snapshot says, and what is refused. Real ones are compared with Python's unpickler by
 * tests/tools/test_real_snapshots.sh, which asks this program for its lines: test_snapshot --dump FILE. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/dump_recording.h"
#include "tests/support/pickled.h"
#include "traces/read/read.h"

#define ARENA_BYTES ((size_t)1 << 30)
#define SECOND_US   UINT64_C(1700000000000000)

typedef struct {
    vs_arena keep;
    vs_arena scratch;
    vs_err err;
    vs_recording rec;
    pickled p;
    char line[2048];
} fixture;

static int begin(void **state)
{
    fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_true(vs_arena_open(&f->keep, ARENA_BYTES, &f->err));
    assert_true(vs_arena_open(&f->scratch, ARENA_BYTES, &f->err));
    *state = f;
    return 0;
}

static int end(void **state)
{
    fixture *const f = *state;
    vs_arena_close(&f->keep);
    vs_arena_close(&f->scratch);
    free(f);
    return 0;
}

static bool read_it(fixture *f)
{
    vs_input in = {0};
    const vs_read_desc desc = {.keep = &f->keep, .scratch = &f->scratch};
    vs_arena_reset(&f->keep);
    vs_arena_reset(&f->scratch);
    f->err = (vs_err){0};
    f->rec = (vs_recording){0};
    assert_true(input_of_bytes(&in, f->p.bytes, f->p.used, &f->scratch, &f->err));
    const bool is_read = read_snapshot(&f->rec, &in, &desc, &f->err);
    input_close(&in);
    assert_true(is_read == (f->err.code == VS_OK));
    return is_read;
}

static void must_read(fixture *f)
{
    if (!read_it(f)) {
        fail_msg("%s", vs_err_line(&f->err, f->line, sizeof f->line));
    }
}

/* Refused, with this in the message. */
static void must_refuse(fixture *f, const char *said)
{
    assert_false(read_it(f));
    const char *const line = vs_err_line(&f->err, f->line, sizeof f->line);
    if (strstr(line, said) == NULL) {
        fail_msg("expected \"%s\" in: %s", said, line);
    }
}

static const vs_rec_event *event(const fixture *f, uint32_t i)
{
    assert_true(f->rec.device_count > 0 && i < f->rec.devices[0].event_count);
    return &f->rec.devices[0].events[i];
}

static const char *text(const fixture *f, uint32_t id)
{
    return vs_recording_string(&f->rec, id);
}

/* ---- what is read ------------------------------------------------------------------------ */

static void entries_of_every_action_are_read(void **state)
{
    fixture *const f = *state;
    static const char *const actions[] = {"alloc",         "free_requested", "free_completed",
                                          "segment_alloc", "segment_free",   "segment_map",
                                          "segment_unmap", "snapshot"};
    pk_begin_trace(&f->p);
    for (unsigned i = 0; i < 8; i++) {
        pk_begin_entry(&f->p, actions[i], UINT64_C(0x7f0000000000) + i, UINT64_C(512) * i);
        pk_key_int(&f->p, "stream", i / 4);
        pk_ops(&f->p, "u");
    }
    pk_ops(&f->p, "}(");
    pk_key_text(&f->p, "action", "oom");
    pk_key_int(&f->p, "device_free", 77);
    pk_key_int(&f->p, "size", 1024);
    pk_ops(&f->p, "u");
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(f->rec.device_count, 1);
    assert_int_equal(f->rec.devices[0].event_count, 9);
    assert_false(f->rec.devices[0].has_segments);
    for (uint32_t i = 0; i < 8; i++) {
        assert_string_equal(vs_rec_action_key((vs_rec_action)event(f, i)->action), actions[i]);
        assert_int_equal(event(f, i)->addr, UINT64_C(0x7f0000000000) + i);
        assert_int_equal(event(f, i)->size, UINT64_C(512) * i);
        assert_int_equal(f->rec.streams[event(f, i)->stream], i / 4);
        assert_int_equal(event(f, i)->origin, i);
        assert_int_equal(event(f, i)->stack, VS_REC_NO_STACK);
        assert_int_equal(event(f, i)->pad, 0);
    }
    assert_int_equal(event(f, 8)->action, VS_REC_OOM);
    assert_int_equal(event(f, 8)->addr, 77);
    assert_int_equal(event(f, 8)->size, 1024);
    assert_false(f->rec.has_time);
}

static void keys_one_at_a_time_give_the_same(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    f->p.used--; /* no MARK: entries come one by one */
    for (unsigned i = 0; i < 3; i++) {
        pk_ops(&f->p, "}");
        pk_key_int(&f->p, "size", 512 + i);
        pk_ops(&f->p, "s");
        pk_text(&f->p, "frames");
        pk_ops(&f->p, "]}");
        pk_key_int(&f->p, "line", 7);
        pk_ops(&f->p, "s");
        pk_key_text(&f->p, "filename", "a.py");
        pk_ops(&f->p, "s");
        pk_key_text(&f->p, "name", "f");
        pk_ops(&f->p, "sas");
        pk_key_text(&f->p, "action", "alloc");
        pk_ops(&f->p, "s");
        pk_key_int(&f->p, "addr", 4096);
        pk_ops(&f->p, "sa");
    }
    pk_ops(&f->p, "eu.");
    must_read(f);
    assert_int_equal(f->rec.devices[0].event_count, 3);
    assert_int_equal(f->rec.frame_count, 1);
    assert_int_equal(f->rec.stack_count, 1);
    assert_int_equal(event(f, 2)->size, 514);
    assert_int_equal(event(f, 2)->addr, 4096);
    assert_int_equal(event(f, 2)->stack, 0);
    assert_string_equal(text(f, f->rec.frames[0].file), "a.py");
    assert_string_equal(text(f, f->rec.frames[0].function), "f");
    assert_int_equal(f->rec.frames[0].line, 7);
}

static void a_row_may_get_more_keys(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_entry(&f->p, "alloc", 4096, 512);
    pk_ops(&f->p, "(");
    pk_key_int(&f->p, "size", 1024);
    pk_key_int(&f->p, "stream", 5);
    pk_ops(&f->p, "u");
    pk_text(&f->p, "time_us");
    pk_int(&f->p, SECOND_US);
    pk_ops(&f->p, "s");
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(event(f, 0)->size, 1024);
    assert_int_equal(f->rec.streams[event(f, 0)->stream], 5);
    assert_int_equal(f->rec.epoch_ns, SECOND_US * 1000);
}

static void lists_come_in_batches(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    for (unsigned i = 0; i < 10; i++) {
        pk_entry(&f->p, "alloc", 4096 + i, 512);
        pk_ops(&f->p, i % 3 == 2 ? "e(" : "");
    }
    pk_ops(&f->p, "e");
    pk_entry(&f->p, "alloc", 9, 512);
    pk_ops(&f->p, "a(");
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(f->rec.devices[0].event_count, 11);
    assert_int_equal(event(f, 9)->addr, 4105);
    assert_int_equal(event(f, 10)->addr, 9);
}

/* A list that a person reordered before pickling again. */
static void entries_in_another_order_are_copied(void **state)
{
    fixture *const f = *state;
    pk_proto(&f->p, 4);
    pk_ops(&f->p, "}(");
    pk_text(&f->p, "aside");
    pk_ops(&f->p, "](");
    for (unsigned i = 0; i < 4; i++) {
        pk_entry(&f->p, "alloc", i, 512);
        pk_op(&f->p, 0x94);
    }
    pk_ops(&f->p, "e");
    pk_text(&f->p, "device_traces");
    pk_ops(&f->p, "](](");
    pk_raw(&f->p, "h\x03h\x02h\x00h\x01", 8);
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(f->rec.devices[0].event_count, 4);
    assert_int_equal(event(f, 0)->addr, 3);
    assert_int_equal(event(f, 1)->addr, 2);
    assert_int_equal(event(f, 2)->addr, 0);
    assert_int_equal(event(f, 0)->pad, 0);
    assert_int_equal(event(f, 3)->origin, 3);
}

static void devices_are_lists_by_number(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_entry(&f->p, "alloc", 1, 512);
    pk_ops(&f->p, "e](e](");
    pk_entry(&f->p, "alloc", 2, 512);
    pk_entry(&f->p, "free_requested", 2, 512);
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(f->rec.device_count, 2);
    assert_int_equal(f->rec.devices[1].ordinal, 2);
    assert_int_equal(f->rec.devices[1].event_count, 2);
    assert_int_equal(f->rec.devices[1].events[0].addr, 2);
    assert_int_equal(f->rec.devices[1].events[1].origin, 1);
}

static void times_begin_at_the_first(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    for (unsigned i = 0; i < 3; i++) {
        pk_begin_entry(&f->p, "alloc", 1, 512);
        pk_key_int(&f->p, "time_us", SECOND_US + (i == 0 ? 5 : i));
        pk_ops(&f->p, "u");
    }
    pk_end_trace(&f->p);
    must_read(f);
    assert_true(f->rec.has_time);
    assert_int_equal(f->rec.epoch_ns, (SECOND_US + 1) * 1000);
    assert_int_equal(event(f, 0)->time_ns, 4000);
    assert_int_equal(event(f, 1)->time_ns, 0);
    assert_int_equal(event(f, 2)->time_ns, 1000);
}

static void stacks_are_shared(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    for (unsigned i = 0; i < 3; i++) {
        pk_begin_entry(&f->p, "alloc", 1, 512);
        pk_text(&f->p, "frames");
        pk_ops(&f->p, "](");
        pk_frame(&f->p, "a.py", "inner", 3);
        pk_frame(&f->p, i == 2 ? "c.py" : "b.py", "outer", 4);
        pk_ops(&f->p, "eu");
    }
    pk_begin_entry(&f->p, "alloc", 1, 512);
    pk_text(&f->p, "frames");
    pk_ops(&f->p, "]u");
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(f->rec.stack_count, 2);
    assert_int_equal(f->rec.frame_count, 3);
    assert_int_equal(event(f, 0)->stack, event(f, 1)->stack);
    assert_int_not_equal(event(f, 0)->stack, event(f, 2)->stack);
    assert_int_equal(event(f, 3)->stack, VS_REC_NO_STACK);
    const uint32_t first = f->rec.stack_first[event(f, 2)->stack];
    assert_int_equal(f->rec.stack_first[event(f, 2)->stack + 1] - first, 2);
    const vs_rec_frame *const inner = &f->rec.frames[f->rec.stack_frames[first]];
    assert_string_equal(text(f, inner->function), "inner");
    assert_int_equal(inner->line, 3);
}

static void a_line_of_minus_one_is_not_known(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_begin_entry(&f->p, "alloc", 1, 512);
    pk_text(&f->p, "frames");
    pk_ops(&f->p, "]}(");
    pk_key_text(&f->p, "filename", "??");
    pk_key_text(&f->p, "name", "x");
    pk_text(&f->p, "line");
    pk_arg(&f->p, 'J', UINT32_MAX, 4);
    pk_ops(&f->p, "uau");
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(f->rec.frames[0].line, 0);
}

static void metadata_pools_and_streams_are_kept(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_begin_entry(&f->p, "alloc", 1, 512);
    pk_key_text(&f->p, "user_metadata", "step 3 \xff"); /* no UTF-8 */
    pk_text(&f->p, "pool_id");
    pk_raw(&f->p, "K\x00K\x07\x86", 5);
    pk_text(&f->p, "stream");
    pk_raw(&f->p, "J\xfe\xff\xff\xff", 5); /* a handle is 64 bits without a sign */
    pk_ops(&f->p, "u");
    pk_begin_entry(&f->p, "alloc", 1, 512);
    pk_text(&f->p, "pool_id");
    pk_int(&f->p, UINT64_MAX);
    pk_int(&f->p, 3);
    pk_op(&f->p, 0x86);
    pk_ops(&f->p, "u");
    pk_end_trace(&f->p);
    must_read(f);
    assert_string_equal(text(f, event(f, 0)->label), "step 3 \xff");
    assert_int_equal(f->rec.pools[event(f, 0)->pool].lo, 7);
    assert_int_equal(f->rec.streams[event(f, 0)->stream], UINT64_MAX - 1);
    assert_int_equal(f->rec.pools[event(f, 1)->pool].hi, UINT64_MAX);
    assert_string_equal(f->rec.made_by, "PyTorch 2.12 or later");
    assert_int_equal(f->rec.torch_since, 212);
}

static void unknown_keys_and_values_are_skipped(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_begin_entry(&f->p, "alloc", 1, 512);
    pk_text(&f->p, "forward_frames");
    pk_ops(&f->p, "](");
    pk_text(&f->p, "a");
    pk_text(&f->p, "b");
    pk_ops(&f->p, "e");
    pk_text(&f->p, "new");
    pk_ops(&f->p, "}(");
    pk_int(&f->p, 3);
    pk_ops(&f->p, "](N]}eN(NNNtu");
    pk_ops(&f->p, "NNu"); /* None: None */
    pk_end_trace(&f->p);
    f->p.used -= 2; /* u. */
    pk_text(&f->p, "more");
    pk_raw(&f->p, "G\x3f\xf0\0\0\0\0\0\0u.", 11);
    must_read(f);
    assert_int_equal(f->rec.devices[0].event_count, 1);
    assert_int_equal(f->rec.note_count, 0);
}

static void last_of_equal_keys_counts(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_begin_entry(&f->p, "user_defined", 1, 512);
    pk_key_int(&f->p, "size", 2048);
    pk_key_text(&f->p, "action", "alloc");
    pk_ops(&f->p, "u");
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(event(f, 0)->size, 2048);
    assert_int_equal(event(f, 0)->action, VS_REC_ALLOC);
}

static void user_defined_entries_are_left_out_with_a_note(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_entry(&f->p, "alloc", 1, 512);
    pk_ops(&f->p, "}");
    pk_key_text(&f->p, "action", "user_defined");
    pk_ops(&f->p, "s");
    pk_entry(&f->p, "free_requested", 1, 512);
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(f->rec.devices[0].event_count, 2);
    assert_int_equal(event(f, 1)->action, VS_REC_FREE_REQUESTED);
    assert_int_equal(event(f, 1)->origin, 2);
    assert_int_equal(f->rec.note_count, 1);
    assert_non_null(strstr(f->rec.notes[0], "1 trace entries"));
}

static void integers_of_every_form_are_read(void **state)
{
    fixture *const f = *state;

    static const struct {
        const char *bytes;
        size_t count;
        uint64_t value;
    } forms[] = {
        {"K\xff", 2, 255},
        {"M\xff\xff", 3, 65535},
        {"J\xff\xff\xff\x7f", 5, INT32_MAX},
        {"\x8a\x00", 2, 0},
        {"\x8a\x01\x7f", 3, 127},
        {"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 10, INT64_MAX},
        {"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00", 11, UINT64_MAX},
        {"\x8b\x02\x00\x00\x00\x34\x12", 7, 0x1234},
        {"I17\n", 4, 17},
        {"L18L\n", 5, 18},
        {"L18446744073709551615L\n", 23, UINT64_MAX},
    };

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        pk_begin_trace(&f->p);
        pk_begin_entry(&f->p, "alloc", 1, 512);
        pk_text(&f->p, "addr");
        pk_raw(&f->p, forms[i].bytes, forms[i].count);
        pk_ops(&f->p, "u");
        pk_end_trace(&f->p);
        must_read(f);
        assert_true(event(f, 0)->addr == forms[i].value);
    }
}

static void text_forms_of_protocol_0_are_read(void **state)
{
    fixture *const f = *state;
    f->p.used = 0;
    pk_ops(&f->p,
           "(dp0\nVdevice_traces\np1\n(lp2\n(lp3\n(dp4\nVaction\np5\nValloc\np6\nsVaddr\np7\n"
           "L140000000000L\nsVsize\np8\nI512\nsVuser_metadata\nV\\u00e9\\U0001f600\xe9\nsaas.");
    must_read(f);
    assert_int_equal(event(f, 0)->addr, UINT64_C(140000000000));
    assert_string_equal(text(f, event(f, 0)->label), "\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9");
}

static void values_that_are_popped_leave_nothing(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_entry(&f->p, "alloc", 1, 512);
    pk_ops(&f->p, "}");
    pk_key_int(&f->p, "line", 1);
    pk_ops(&f->p, "s0(](NNe}N2s1");
    pk_entry(&f->p, "alloc", 2, 512);
    pk_end_trace(&f->p);
    must_read(f);
    assert_int_equal(f->rec.devices[0].event_count, 2);
    assert_int_equal(event(f, 1)->addr, 2);
}

static void bytes_behind_the_end_are_noted(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_entry(&f->p, "alloc", 1, 512);
    pk_end_trace(&f->p);
    pk_ops(&f->p, "more");
    must_read(f);
    assert_int_equal(f->rec.note_count, 1);
    assert_non_null(strstr(f->rec.notes[0], "4 bytes behind the end"));
}

/* ---- segments and settings -------------------------------------------------------------------- */

static void begin_segments(fixture *f)
{
    pk_proto(&f->p, 2);
    pk_ops(&f->p, "}(");
    pk_text(&f->p, "segments");
    pk_ops(&f->p, "](");
}

static void segments_and_blocks_are_read(void **state)
{
    fixture *const f = *state;
    begin_segments(f);
    pk_begin_segment(&f->p, 1, 8 << 20, 2 << 20);
    pk_begin_block(&f->p, 512, "active_allocated");
    pk_key_int(&f->p, "requested_size", 400);
    pk_ops(&f->p, "u");
    pk_begin_block(&f->p, 1024, "active_awaiting_free");
    pk_ops(&f->p, "u");
    pk_begin_block(&f->p, 1024, "active_pending_free");
    pk_ops(&f->p, "u");
    pk_begin_block(&f->p, (2 << 20) - 2560, "inactive");
    pk_ops(&f->p, "ue");
    pk_key_text(&f->p, "segment_type", "small");
    pk_text(&f->p, "is_expandable");
    pk_op(&f->p, 0x88);
    pk_key_int(&f->p, "allocated_size", 512);
    pk_key_int(&f->p, "stream", 9);
    pk_ops(&f->p, "u");
    pk_begin_segment(&f->p, 1, 4 << 20, 2 << 20);
    pk_ops(&f->p, "eueu.");
    must_read(f);
    const vs_rec_device *const d = &f->rec.devices[0];
    assert_int_equal(d->ordinal, 1);
    assert_true(d->has_segments);
    assert_int_equal(d->segment_count, 2);
    assert_int_equal(d->segments[0].addr, 4 << 20); /* by address */
    const vs_rec_segment *const s = &d->segments[1];
    assert_int_equal(s->block_count, 4);
    assert_true(s->is_small && s->is_expandable);
    assert_int_equal(s->allocated, 512);
    assert_true(s->active == UINT64_MAX);
    assert_int_equal(f->rec.streams[s->stream], 9);
    const vs_rec_block *const b = &f->rec.blocks[s->block_first];
    assert_int_equal(b[0].requested, 400);
    assert_int_equal(b[1].addr, (8 << 20) + 512); /* not in the file: from the sizes so far */
    assert_int_equal(b[1].state, VS_REC_BLOCK_PENDING);
    assert_int_equal(b[2].state, VS_REC_BLOCK_PENDING);
    assert_int_equal(b[3].addr, (8 << 20) + 2560);
    assert_int_equal(b[3].state, VS_REC_BLOCK_INACTIVE);
    assert_int_equal(b[3].pad[0], 0);
}

static void history_of_2_0_tells_request_and_stack(void **state)
{
    fixture *const f = *state;
    begin_segments(f);
    pk_begin_segment(&f->p, 0, 4096, 512);
    pk_begin_block(&f->p, 512, "active_allocated");
    pk_text(&f->p, "history");
    pk_ops(&f->p, "](");
    for (unsigned i = 0; i < 2; i++) {
        pk_ops(&f->p, "}(");
        pk_key_int(&f->p, "addr", 4096);
        pk_key_int(&f->p, "real_size", 100 + i);
        pk_text(&f->p, "frames");
        pk_ops(&f->p, "](");
        pk_frame(&f->p, i == 0 ? "now.py" : "then.py", "f", 1);
        pk_ops(&f->p, "e");
        pk_text(&f->p, "cpp_frames");
        pk_ops(&f->p, "]u");
    }
    pk_ops(&f->p, "eueueu.");
    must_read(f);
    assert_string_equal(f->rec.made_by, "PyTorch 2.0");
    assert_int_equal(f->rec.blocks[0].requested, 100);
    const uint32_t frame = f->rec.stack_frames[f->rec.stack_first[f->rec.blocks[0].stack]];
    assert_string_equal(text(f, f->rec.frames[frame].file), "now.py");
}

static void a_list_of_segments_is_1_12(void **state)
{
    fixture *const f = *state;
    pk_proto(&f->p, 2);
    pk_ops(&f->p, "](");
    pk_begin_segment(&f->p, 0, 4096, 512);
    pk_begin_block(&f->p, 512, "inactive");
    pk_ops(&f->p, "ueue.");
    must_read(f);
    assert_string_equal(f->rec.made_by, "PyTorch 1.12 or 1.13");
    assert_int_equal(f->rec.devices[0].segment_count, 1);
}

static void settings_are_read(void **state)
{
    fixture *const f = *state;
    begin_segments(f);
    pk_ops(&f->p, "e");
    pk_text(&f->p, "allocator_settings");
    pk_ops(&f->p, "}(");
    pk_key_text(&f->p, "PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True");
    pk_text(&f->p, "max_split_size");
    pk_raw(&f->p, "J\xff\xff\xff\xff", 5);
    pk_text(&f->p, "garbage_collection_threshold");
    pk_raw(&f->p, "G\x3f\xe8\0\0\0\0\0\0", 9);
    pk_text(&f->p, "expandable_segments");
    pk_op(&f->p, 0x88);
    pk_text(&f->p, "roundup_power2_divisions");
    pk_ops(&f->p, "}(");
    pk_key_int(&f->p, "1", 4);
    pk_key_int(&f->p, "32768", 8);
    pk_ops(&f->p, "uu");
    pk_text(&f->p, "external_annotations");
    pk_ops(&f->p, "]}(");
    pk_key_text(&f->p, "stage", "START");
    pk_key_text(&f->p, "name", "step");
    pk_key_int(&f->p, "device", 2);
    pk_key_int(&f->p, "time_us", SECOND_US);
    pk_ops(&f->p, "uau.");
    must_read(f);
    assert_true(f->rec.has_settings && f->rec.expandable_segments);
    assert_string_equal(f->rec.alloc_conf, "expandable_segments:True");
    assert_true(f->rec.max_split_bytes == UINT64_MAX);
    assert_true(f->rec.gc_threshold == 0.75);
    assert_int_equal(f->rec.divisions[0], 4);
    assert_int_equal(f->rec.divisions[15], 8);
    assert_int_equal(f->rec.annotation_count, 1);
    assert_string_equal(text(f, f->rec.annotations[0].name), "step");
    assert_string_equal(text(f, f->rec.annotations[0].stage), "START");
    assert_int_equal(f->rec.annotations[0].device, 2);
    assert_int_equal(f->rec.epoch_ns, SECOND_US * 1000);
    assert_string_equal(f->rec.made_by, "PyTorch 2.6 or later");
}

static void releases_are_told_by_their_keys(void **state)
{
    fixture *const f = *state;

    static const struct {
        const char *key; /* of the entry, beside time_us */
        const char *top; /* of the top level */
        const char *said;
        uint32_t since;
    } cases[] = {
        {"none", "none", "PyTorch 2.1 or 2.2", 201},
        {"none", "allocator_settings", "PyTorch 2.3 to 2.5", 203},
        {"none", "external_annotations", "PyTorch 2.6 or 2.7", 206},
        {"compile_context", "external_annotations", "PyTorch 2.8", 208},
        {"user_metadata", "external_annotations", "PyTorch 2.9 to 2.11", 209},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pk_begin_trace(&f->p);
        pk_begin_entry(&f->p, "alloc", 1, 512);
        pk_key_int(&f->p, "time_us", SECOND_US);
        pk_key_text(&f->p, cases[i].key, "N/A");
        pk_ops(&f->p, "uee");
        pk_text(&f->p, cases[i].top);
        pk_ops(&f->p, strcmp(cases[i].top, "external_annotations") == 0 ? "]u." : "}u.");
        must_read(f);
        assert_string_equal(f->rec.made_by, cases[i].said);
        assert_int_equal(f->rec.torch_since, cases[i].since);
    }
}

/* ---- what is refused ------------------------------------------------------------------------------ */

static void opcodes_that_name_or_call_are_refused_by_name(void **state)
{
    fixture *const f = *state;

    static const struct {
        uint8_t op;
        const char *name;
    } refused[] = {
        {'P', "PERSID"},      {'Q', "BINPERSID"},
        {'R', "REDUCE"},      {'b', "BUILD"},
        {'o', "OBJ"},         {0x81, "NEWOBJ"},
        {0x92, "NEWOBJ_EX"},  {0x82, "EXT1"},
        {0x83, "EXT2"},       {0x84, "EXT4"},
        {0x96, "BYTEARRAY8"}, {0x97, "NEXT_BUFFER"},
        {'C', "SHORT_BINBY"}, {0x98, "READONLY_BUFFER"},
        {0x8f, "EMPTY_SET"},  {'S', "STRING"},
        {0x07, "0x07"},       {'Z', "'Z' is no opcode"},
    };

    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        pk_begin_trace(&f->p);
        const size_t at = f->p.used;
        pk_op(&f->p, refused[i].op);
        pk_ops(&f->p, "abcdefgh\nijklmn\n");
        must_refuse(f, refused[i].name);
        assert_int_equal(f->err.code, VS_ERR_FORMAT);
        assert_true(f->err.has_offset);
        assert_int_equal(f->err.offset, at);
    }
}

static void globals_are_refused_with_what_they_ask_for(void **state)
{
    fixture *const f = *state;
    pk_proto(&f->p, 2);
    pk_ops(&f->p, "cos\nsystem\n(");
    must_refuse(f, "GLOBAL asks for os.system");
    assert_int_equal(f->err.offset, 2);
    pk_proto(&f->p, 4);
    pk_text(&f->p, "builtins");
    pk_text(&f->p, "eval");
    pk_op(&f->p, 0x93);
    must_refuse(f, "STACK_GLOBAL asks for builtins.eval");
    pk_proto(&f->p, 2);
    pk_ops(&f->p, "(ios\nsystem\n.");
    must_refuse(f, "INST asks for os.system");
    pk_proto(&f->p, 2);
    pk_op(&f->p, 0x93);
    must_refuse(f, "STACK_GLOBAL");
}

static void checkpoints_are_told_from_snapshots(void **state)
{
    fixture *const f = *state;
    pk_proto(&f->p, 2);
    pk_ops(&f->p, "ctorch._utils\n_rebuild_tensor_v2\n");
    must_refuse(f, "checkpoint");
    pk_proto(&f->p, 2);
    pk_raw(&f->p, "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 13);
    must_refuse(f, "before PyTorch 1.6");
}

static void cycles_are_refused(void **state)
{
    fixture *const f = *state;

    static const struct {
        const char *ops;
        size_t count;
    } cycles[] = {
        {"]\x94h\0a.", 6},                        /* a list in itself */
        {"}\x94Nh\0s.", 7},                       /* a dict in itself */
        {"]\x94(h\0e.", 7},                       /* the same in batches */
        {"}\x94(Nh\0u.", 8}, {"]\x94]h\0aa.", 8}, /* a list in a list in itself */
    };

    for (size_t i = 0; i < sizeof cycles / sizeof cycles[0]; i++) {
        pk_proto(&f->p, 4);
        pk_raw(&f->p, cycles[i].ops, cycles[i].count);
        must_refuse(f, "cycle");
    }
}

static void deep_nesting_is_a_limit(void **state)
{
    fixture *const f = *state;
    pk_proto(&f->p, 4);
    for (unsigned i = 0; i < 1000; i++) {
        pk_ops(&f->p, "](");
    }
    must_refuse(f, "inside each other");
    assert_int_equal(f->err.code, VS_ERR_LIMIT);
    pk_proto(&f->p, 4);
    pk_ops(&f->p, ")");
    for (unsigned i = 0; i < 1000; i++) {
        pk_op(&f->p, 0x85);
    }
    must_refuse(f, "inside each other");
    pk_proto(&f->p, 4);
    for (unsigned i = 0; i < 1000; i++) {
        pk_ops(&f->p, "]");
    }
    for (unsigned i = 0; i < 999; i++) {
        pk_ops(&f->p, "a");
    }
    must_refuse(f, "inside each other");
}

static void memo_indices_must_be_dense(void **state)
{
    fixture *const f = *state;
    pk_proto(&f->p, 4);
    pk_ops(&f->p, "N");
    pk_arg(&f->p, 'r', 0x7fffffff, 4);
    must_refuse(f, "memo entry 2147483647");
    assert_int_equal(f->err.code, VS_ERR_LIMIT);
    pk_proto(&f->p, 4);
    pk_arg(&f->p, 'j', 3, 4);
    must_refuse(f, "never filled");
    pk_proto(&f->p, 4);
    pk_ops(&f->p, "Np9\ng8\n");
    must_refuse(f, "never filled");
}

static void lengths_beyond_the_file_are_refused_before_anything_is_taken(void **state)
{
    fixture *const f = *state;

    static const struct {
        uint8_t op;
        unsigned bytes;
        uint64_t length;
    } claims[] = {
        {0x8d, 8, UINT64_C(1) << 63}, {0x8d, 8, UINT64_MAX}, {'X', 4, UINT32_MAX},
        {0x95, 8, UINT64_C(1) << 63}, {0x8c, 1, 200},        {0x8a, 1, 8},
    };

    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        pk_proto(&f->p, 4);
        pk_arg(&f->p, claims[i].op, claims[i].length, claims[i].bytes);
        pk_ops(&f->p, "abc");
        must_refuse(f, "but the file has only 3 more");
    }
    pk_proto(&f->p, 4);
    pk_arg(&f->p, 0x8b, 0x7fffffff, 4);
    must_refuse(f, "an integer of 2147483647 bytes");
    pk_proto(&f->p, 4);
    pk_raw(&f->p, "\x8a\x09\0\0\0\0\0\0\0\0\x01", 11);
    must_refuse(f, "more than 64 bits");
}

static void a_stack_of_values_without_end_is_a_limit(void **state)
{
    fixture *const f = *state;
    pk_proto(&f->p, 4);
    memset(f->p.bytes + 2, 'N', 100000);
    f->p.used = 100002;
    must_refuse(f, "values are on the pickle's stack");
    assert_int_equal(f->err.code, VS_ERR_LIMIT);
}

/* Ten lists of ten of the one before: 10^40 values if anybody walked them. */
static void billion_laughs_cost_nothing(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_entry(&f->p, "alloc", 1, 512);
    pk_ops(&f->p, "ee");
    pk_text(&f->p, "more");
    pk_ops(&f->p, "](NNe");
    for (unsigned i = 0; i < 40; i++) {
        pk_arg(&f->p, 'q', i, 1);
        pk_ops(&f->p, "0](");
        for (unsigned k = 0; k < 10; k++) {
            pk_arg(&f->p, 'h', i, 1);
        }
        pk_ops(&f->p, "e");
    }
    pk_ops(&f->p, "u.");
    must_read(f);
    assert_int_equal(f->rec.devices[0].event_count, 1);
}

static void a_trace_is_used_once(void **state)
{
    fixture *const f = *state;
    pk_proto(&f->p, 4);
    pk_ops(&f->p, "}(");
    pk_text(&f->p, "device_traces");
    pk_ops(&f->p, "](](");
    pk_entry(&f->p, "alloc", 1, 512);
    pk_ops(&f->p, "e");
    pk_op(&f->p, 0x94);
    pk_raw(&f->p, "h\x00h\x00", 4);
    pk_ops(&f->p, "eu.");
    must_refuse(f, "device_traces[1][0]");
    pk_begin_trace(&f->p);
    pk_entry(&f->p, "alloc", 1, 512);
    pk_op(&f->p, 0x94);
    pk_raw(&f->p, "h\x00", 2);
    pk_end_trace(&f->p);
    must_refuse(f, "the same entry");
}

static void a_segment_and_a_block_are_used_once(void **state)
{
    fixture *const f = *state;
    begin_segments(f);
    pk_begin_segment(&f->p, 0, 4096, 512);
    pk_begin_block(&f->p, 512, "inactive");
    pk_ops(&f->p, "u");
    pk_op(&f->p, 0x94);
    pk_raw(&f->p, "h\x00", 2);
    pk_ops(&f->p, "eueu.");
    must_refuse(f, "segments[0].blocks[1]: the same block");
    begin_segments(f);
    pk_begin_segment(&f->p, 0, 4096, 512);
    pk_ops(&f->p, "eu");
    pk_op(&f->p, 0x94);
    pk_raw(&f->p, "h\x00", 2);
    pk_ops(&f->p, "eu.");
    must_refuse(f, "segments[1]: the same segment");
}

static void a_cut_pickle_gives_nothing(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_entry(&f->p, "alloc", 1, 512);
    const size_t cut = f->p.used;
    pk_end_trace(&f->p);
    f->p.used = cut;
    must_refuse(f, "nothing of it can be used");
    assert_int_equal(f->err.offset, cut);
}

static void values_of_the_wrong_kind_are_named(void **state)
{
    fixture *const f = *state;

    static const struct {
        const char *key;
        const char *value; /* opcodes */
        const char *said;
    } cases[] = {
        {"size", "N", "key \"size\" of trace entry 1: expected a whole number, found None"},
        {"size", "I-5\n", "expected a whole number, found a negative number"},
        {"addr", "]", "key \"addr\" of trace entry 1: expected a whole number, found a list"},
        {"action", "I1\n", "expected a text, found a whole number"},
        {"frames", "](NNe", "expected a list of frames"},
        {"frames", "}", "expected a list of frames (filename, line, name), found a dict"},
        {"stream", "Vx\n", "expected a whole number, found a text"},
        {"time_us", "L18446744073709551615L\n", "microseconds that fit"},
        {"pool_id", "I1\n", "expected a tuple of two whole numbers"},
        {"pool_id", "(NNt", "expected two whole numbers"},
        {"user_metadata", ")", "expected a text, found a tuple"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pk_begin_trace(&f->p);
        pk_entry(&f->p, "alloc", 1, 512);
        pk_begin_entry(&f->p, "alloc", 1, 512);
        pk_text(&f->p, cases[i].key);
        pk_ops(&f->p, cases[i].value);
        pk_ops(&f->p, "u");
        pk_end_trace(&f->p);
        must_refuse(f, cases[i].said);
        assert_int_equal(f->err.code, VS_ERR_VALUE);
    }
}

static void missing_keys_are_named_with_their_path(void **state)
{
    fixture *const f = *state;
    pk_begin_trace(&f->p);
    pk_entry(&f->p, "alloc", 1, 512);
    pk_ops(&f->p, "}(");
    pk_key_text(&f->p, "action", "free_requested");
    pk_key_int(&f->p, "size", 512);
    pk_ops(&f->p, "u");
    pk_end_trace(&f->p);
    must_refuse(
        f, "device_traces[0][1].addr: an entry with action \"free_requested\" has no addr");
    pk_begin_trace(&f->p);
    pk_ops(&f->p, "}(");
    pk_key_text(&f->p, "action", "oom");
    pk_key_int(&f->p, "size", 512);
    pk_ops(&f->p, "u");
    pk_end_trace(&f->p);
    must_refuse(f, "device_traces[0][0].device_free");
    begin_segments(f);
    pk_ops(&f->p, "}(");
    pk_key_int(&f->p, "total_size", 512);
    pk_text(&f->p, "blocks");
    pk_ops(&f->p, "]ueu.");
    must_refuse(f, "segments[0].address");
}

static void sums_beyond_64_bits_are_refused(void **state)
{
    fixture *const f = *state;
    begin_segments(f);
    pk_begin_segment(&f->p, 0, UINT64_MAX - 5, 512);
    pk_ops(&f->p, "eueu.");
    must_refuse(f, "ends beyond 2^64");
    begin_segments(f);
    pk_begin_segment(&f->p, 0, 4096, 512);
    pk_begin_block(&f->p, UINT64_MAX - 5, "inactive");
    pk_ops(&f->p, "ueueu.");
    must_refuse(f, "the block ends beyond 2^64");
}

static void other_pickles_are_no_snapshots(void **state)
{
    fixture *const f = *state;
    static const char *const others[] = {"].", "}.", "N.", "(NNt.", "](NNe.", "}(NNu."};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        pk_proto(&f->p, 4);
        pk_ops(&f->p, others[i]);
        must_refuse(f, "no PyTorch memory snapshot");
    }
    begin_segments(f);
    pk_ops(&f->p, "NNeu.");
    must_refuse(f, "segments: expected a list of segments, found a list of plain values");
    pk_begin_trace(&f->p);
    pk_ops(&f->p, "]]");
    pk_end_trace(&f->p);
    must_refuse(f, "device_traces[0][0]: expected a trace entry");
    pk_begin_trace(&f->p);
    pk_begin_block(&f->p, 512, "inactive");
    pk_ops(&f->p, "u");
    pk_end_trace(&f->p);
    must_refuse(f, "found a block");
}

static void malformed_programs_are_refused(void **state)
{
    fixture *const f = *state;

    static const struct {
        const char *ops;
        const char *said;
    } cases[] = {
        {"e", "APPENDS without a MARK"},
        {"u", "SETITEMS without a MARK"},
        {"(e", "APPENDS needs more values"},
        {"a", "APPEND needs more values"},
        {"]a", "APPEND needs more values"},
        {"s", "SETITEM needs more values"},
        {"}(Nu", "a key without a value"},
        {"}Na", "appended to a dict"},
        {"](NNu", "put into a list"},
        {"N(NNu", "something is put into None"},
        {"]](NNt(NNu", "put into a tuple"},
        {"0", "POP without a MARK"},
        {"2", "DUP needs more values"},
        {"(2", "DUP needs more values"},
        {".", "STOP with 0 values"},
        {"NN.", "STOP with 2 values"},
        {"(N.", "1 marks"},
        {"\x86", "TUPLE2 needs more values"},
        {"\x94", "MEMOIZE needs more values"},
        {"q", "the file ends inside BINPUT"},
        {"Iabc\n", "no whole number"},
        {"Fabc\n", "no number"},
        {"Nga\n", "no memo index"},
        {"", "the file ends where the next opcode should be"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pk_proto(&f->p, 4);
        pk_ops(&f->p, cases[i].ops);
        must_refuse(f, cases[i].said);
    }
    pk_proto(&f->p, 6);
    pk_ops(&f->p, "N.");
    must_refuse(f, "pickle protocol 6");
}

/* ---- dump ---------------------------------------------------------------------------------------------- */

static int dump(const char *path)
{
    vs_arena keep = {0};
    vs_arena scratch = {0};
    vs_err err = {0};
    vs_recording rec = {0};
    char line[2048];
    const vs_read_desc desc = {.keep = &keep, .scratch = &scratch};
    if (!vs_arena_open(&keep, 4 * ARENA_BYTES, &err) ||
        !vs_arena_open(&scratch, 4 * ARENA_BYTES, &err) ||
        !vs_recording_read(&rec, path, &desc, &err)) {
        (void)fprintf(stderr, "%s\n", vs_err_line(&err, line, sizeof line));
        return 1;
    }
    dump_recording(stdout, &rec);
    for (uint32_t i = 0; i < rec.note_count; i++) {
        (void)fprintf(stderr, "%s\n", rec.notes[i]);
    }
    vs_arena_close(&scratch);
    vs_arena_close(&keep);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_of_every_action_are_read),
        TEST(keys_one_at_a_time_give_the_same),
        TEST(a_row_may_get_more_keys),
        TEST(lists_come_in_batches),
        TEST(entries_in_another_order_are_copied),
        TEST(devices_are_lists_by_number),
        TEST(times_begin_at_the_first),
        TEST(stacks_are_shared),
        TEST(a_line_of_minus_one_is_not_known),
        TEST(metadata_pools_and_streams_are_kept),
        TEST(unknown_keys_and_values_are_skipped),
        TEST(last_of_equal_keys_counts),
        TEST(user_defined_entries_are_left_out_with_a_note),
        TEST(integers_of_every_form_are_read),
        TEST(text_forms_of_protocol_0_are_read),
        TEST(values_that_are_popped_leave_nothing),
        TEST(bytes_behind_the_end_are_noted),
        TEST(segments_and_blocks_are_read),
        TEST(history_of_2_0_tells_request_and_stack),
        TEST(a_list_of_segments_is_1_12),
        TEST(settings_are_read),
        TEST(releases_are_told_by_their_keys),
        TEST(opcodes_that_name_or_call_are_refused_by_name),
        TEST(globals_are_refused_with_what_they_ask_for),
        TEST(checkpoints_are_told_from_snapshots),
        TEST(cycles_are_refused),
        TEST(deep_nesting_is_a_limit),
        TEST(memo_indices_must_be_dense),
        TEST(lengths_beyond_the_file_are_refused_before_anything_is_taken),
        TEST(a_stack_of_values_without_end_is_a_limit),
        TEST(billion_laughs_cost_nothing),
        TEST(a_trace_is_used_once),
        TEST(a_segment_and_a_block_are_used_once),
        TEST(a_cut_pickle_gives_nothing),
        TEST(values_of_the_wrong_kind_are_named),
        TEST(missing_keys_are_named_with_their_path),
        TEST(sums_beyond_64_bits_are_refused),
        TEST(other_pickles_are_no_snapshots),
        TEST(malformed_programs_are_refused),
    };
    if (argc == 3 && strcmp(argv[1], "--dump") == 0) {
        return dump(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
