/* Tests of traces/read/detect.c: what a file is, told by its content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "traces/read/read.h"

typedef struct {
    char path[64];
    vs_err err;
    char line[2048];
} fixture;

static int begin(void **state)
{
    fixture *const f = calloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(f->path, sizeof f->path, "/tmp/test_detect_XXXXXX");
    const int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    (void)close(fd);
    *state = f;
    return 0;
}

static int end(void **state)
{
    fixture *const f = *state;
    (void)unlink(f->path);
    free(f);
    return 0;
}

static void write_plain(const fixture *f, const void *bytes, size_t count)
{
    FILE *const file = fopen(f->path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static void write_packed(const fixture *f, const void *bytes, unsigned count)
{
    gzFile const file = gzopen(f->path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes, count), count);
    assert_int_equal(gzclose(file), Z_OK);
}

typedef struct {
    const char *bytes;
    size_t count;
    vs_trace_format format;
} sample;

#define SAMPLE(text, format)                                                                   \
    {                                                                                          \
        (text), sizeof(text) - 1, (format)                                                     \
    }

static const sample samples[] = {
    SAMPLE("\x80\x04\x95", VS_TRACE_SNAPSHOT),
    SAMPLE("\x80\x02}(X", VS_TRACE_SNAPSHOT),
    SAMPLE("(dp0\nVsegments\n", VS_TRACE_SNAPSHOT),
    SAMPLE("}q\x00(X", VS_TRACE_SNAPSHOT),
    SAMPLE("SQLite format 3\0....", VS_TRACE_NSYS),
    SAMPLE("MTRACE1\n", VS_TRACE_RECORDER),
    SAMPLE("VSTAPE\x1a\x01", VS_TRACE_TAPE),
    SAMPLE("{\"schemaVersion\": 1, \"deviceProperties\": [", VS_TRACE_CHROME),
    SAMPLE(" \n{ \"traceEvents\": [", VS_TRACE_CHROME),
    SAMPLE("\xef\xbb\xbf[{\"ph\": \"X\"}", VS_TRACE_CHROME),
    SAMPLE("[[-1, 1, 4096, 0], ", VS_TRACE_TIMELINE),
    SAMPLE("[ [1.5, 2.5], [[0, 1]]]", VS_TRACE_TIMELINE),
    SAMPLE("Thread,Time,Action,Pointer,Size,Stream\n", VS_TRACE_RMM),
    SAMPLE("index, memory.used [MiB]\n0, 12 MiB\n", VS_TRACE_SMI),
    SAMPLE("0, 1\n1, 1\n", VS_TRACE_SMI),
    SAMPLE("0, 1234 MiB\r\n", VS_TRACE_SMI),
};

static void check_sample(fixture *f, const sample *of)
{
    vs_trace_format format = VS_TRACE_FORMAT_COUNT;
    if (!vs_trace_detect(f->path, &format, &f->err)) {
        fail_msg("%s", vs_err_line(&f->err, f->line, sizeof f->line));
    }
    assert_int_equal(format, of->format);
}

static void formats_are_told_by_their_content(void **state)
{
    fixture *const f = *state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        write_plain(f, samples[i].bytes, samples[i].count);
        check_sample(f, &samples[i]);
        write_packed(f, samples[i].bytes, (unsigned)samples[i].count);
        check_sample(f, &samples[i]);
    }
}

static void what_is_no_recording_is_refused_with_what_would_be_taken(void **state)
{
    fixture *const f = *state;

    static const struct {
        const char *bytes;
        size_t count;
        const char *said;
    } cases[] = {
        {"", 0, "the file is empty"},
        {"PK\x03\x04xxxx", 8, "`inspect` reads those"},
        {"GGUF\x03\0\0\0", 8, "is a model"},
        {"\x7f"
         "ELF\x02\x01\x01\0",
         8, "7f 45 4c 46 02 01 01 00"},
        {"hello, world\n", 13, "Taken are PyTorch memory snapshots"},
        {"{\"a\": 1}", 8, "neither a Chrome trace"},
        {"[1, 2]", 6, "neither a Chrome trace"},
        {"   \n", 4, "not a recording that is known"},
        {"\0\0\0\0", 4, "not a recording that is known"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vs_trace_format format = VS_TRACE_TAPE;
        f->err = (vs_err){0};
        write_plain(f, cases[i].bytes, cases[i].count);
        assert_false(vs_trace_detect(f->path, &format, &f->err));
        const char *const line = vs_err_line(&f->err, f->line, sizeof f->line);
        if (strstr(line, cases[i].said) == NULL) {
            fail_msg("expected \"%s\" in: %s", cases[i].said, line);
        }
        assert_non_null(strstr(line, f->path));
        assert_int_equal(format, VS_TRACE_TAPE);
    }
}

static void a_failed_read_leaves_the_arenas_as_they_were(void **state)
{
    fixture *const f = *state;
    vs_arena keep = {0};
    vs_arena scratch = {0};
    vs_recording rec = {0};
    assert_true(vs_arena_open(&keep, 64 << 20, &f->err));
    assert_true(vs_arena_open(&scratch, 64 << 20, &f->err));
    const vs_read_desc desc = {.keep = &keep, .scratch = &scratch};
    const void *const mine = vs_arena_alloc(&keep, 100, 1);
    assert_non_null(mine);
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        const size_t used = keep.used_bytes;
        f->err = (vs_err){0};
        write_plain(f, samples[i].bytes, samples[i].count < 4 ? samples[i].count : 4);
        if (!vs_recording_read(&rec, f->path, &desc, &f->err)) {
            assert_int_not_equal(f->err.code, VS_OK);
            assert_string_equal(f->err.input, f->path);
            assert_int_equal(keep.used_bytes, used);
        }
        assert_int_equal(scratch.used_bytes, 0);
    }
    vs_arena_close(&scratch);
    vs_arena_close(&keep);
}

static void names_of_formats_and_actions(void **state)
{
    (void)state;
    const vs_recording none = {0};
    assert_string_equal(vs_trace_format_key(VS_TRACE_SNAPSHOT), "snapshot");
    assert_string_equal(vs_trace_format_label(VS_TRACE_SNAPSHOT), "PyTorch memory snapshot");
    assert_string_equal(vs_rec_action_key(VS_REC_SEGMENT_UNMAP), "segment_unmap");
    assert_string_equal(vs_recording_string(&none, 7), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(formats_are_told_by_their_content),
        TEST(what_is_no_recording_is_refused_with_what_would_be_taken),
        TEST(a_failed_read_leaves_the_arenas_as_they_were),
        cmocka_unit_test(names_of_formats_and_actions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
