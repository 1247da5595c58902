/* tests/unit/test_file.c - sim/base/file.c */
#include "vramscope/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every test runs in an empty directory of its own, which is the current one. */
typedef struct {
    char directory[64];
    int old_directory;
} place;

static int enter_empty_directory(void **state)
{
    place *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->old_directory = open(".", O_RDONLY);
    (void)snprintf(p->directory, sizeof p->directory, "/tmp/vs-test-file-XXXXXX");
    assert_non_null(mkdtemp(p->directory));
    assert_int_equal(chdir(p->directory), 0);
    *state = p;
    return 0;
}

/* Removing the directory fails, and the test with it, when a file is left over. */
static int leave_directory(void **state)
{
    place *p = *state;
    (void)unlink("a");
    (void)unlink("link");
    (void)unlink("pipe");
    assert_int_equal(fchdir(p->old_directory), 0);
    (void)close(p->old_directory);
    const int removed = rmdir(p->directory);
    free(p);
    return removed;
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static void expect_file(const char *path, const char *text)
{
    vs_file file = {0};
    assert_true(vs_file_open(&file, path, NULL));
    assert_int_equal(file.size_bytes, strlen(text));
    assert_memory_equal(file.bytes, text, strlen(text));
    vs_file_close(&file);
}

static void expect_cannot_open(const char *path, const char *reason)
{
    vs_err err = {0};
    vs_file file = {.size_bytes = 77};
    assert_false(vs_file_open(&file, path, &err));
    assert_int_equal(err.code, VS_ERR_IO);
    assert_string_equal(err.input, path);
    assert_non_null(strstr(err.text, reason));
    assert_int_equal(file.size_bytes, 77);
}

/* ---- reading ------------------------------------------------------------------------ */

static void a_file_is_mapped_whole(void **state)
{
    (void)state;
    put_file("a", "hello");
    expect_file("a", "hello");
}

static void an_empty_file_has_bytes_that_may_be_pointed_at(void **state)
{
    (void)state;
    put_file("a", "");
    vs_file file = {0};
    assert_true(vs_file_open(&file, "a", NULL));
    assert_non_null(file.bytes);
    assert_int_equal(file.size_bytes, 0);
    vs_file_close(&file);
    vs_file_close(&file);
}

static void the_head_of_a_huge_file_is_enough(void **state)
{
    (void)state;
    put_file("a", "0123456789");
    assert_int_equal(truncate("a", (off_t)1 << 40), 0); /* a hole: takes no space */
    vs_file file = {0};
    uint64_t full = 0;
    assert_true(vs_file_open_head(&file, "a", 4, &full, NULL));
    assert_int_equal(file.size_bytes, 4);
    assert_memory_equal(file.bytes, "0123", 4);
    assert_true(full == UINT64_C(1) << 40);
    vs_file_close(&file);
    assert_true(vs_file_open_head(&file, "a", 0, &full, NULL));
    assert_int_equal(file.size_bytes, 0);
    vs_file_close(&file);
}

static void a_head_longer_than_the_file_is_the_file(void **state)
{
    (void)state;
    put_file("a", "abc");
    vs_file file = {0};
    uint64_t full = 0;
    assert_true(vs_file_open_head(&file, "a", 1000, &full, NULL));
    assert_int_equal(file.size_bytes, 3);
    assert_int_equal(full, 3);
    vs_file_close(&file);
}

static void what_is_no_file_is_refused_with_a_reason(void **state)
{
    (void)state;
    expect_cannot_open("missing", "check the spelling");
    expect_cannot_open("", "No such file");
    expect_cannot_open(".", "found a directory");
    expect_cannot_open("/dev/null", "found a device");
    assert_int_equal(mkfifo("pipe", 0600), 0);
    expect_cannot_open("pipe", "found a pipe");
    assert_int_equal(symlink("link", "link"), 0);
    expect_cannot_open("link", "symbolic link that leads back to itself");
    put_file("a", "x");
    expect_cannot_open("a/b", "not a directory");
    char longest[5000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    vs_err err = {0};
    vs_file file = {0};
    assert_false(vs_file_open(&file, longest, &err));
    assert_non_null(strstr(err.text, "shorter name"));
}

/* ---- writing ------------------------------------------------------------------------ */

static void the_target_appears_only_when_committed(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_outfile *out = vs_outfile_open("a", &err);
    assert_non_null(out);
    vs_outfile_write(out, "one ", 4);
    vs_outfile_printf(out, "%s %d", "two", 3);
    assert_int_not_equal(access("a", F_OK), 0);
    assert_true(vs_outfile_commit(out, &err));
    expect_file("a", "one two 3");
}

static void abandoning_leaves_the_old_file_and_nothing_else(void **state)
{
    (void)state;
    put_file("a", "old");
    vs_outfile *out = vs_outfile_open("a", NULL);
    assert_non_null(out);
    vs_outfile_write(out, "new", 3);
    vs_outfile_abandon(out);
    vs_outfile_abandon(NULL);
    expect_file("a", "old");
}

static void replacing_keeps_the_mode_of_the_old_file(void **state)
{
    (void)state;
    put_file("a", "old");
    assert_int_equal(chmod("a", 0640), 0);
    vs_outfile *out = vs_outfile_open("a", NULL);
    assert_non_null(out);
    vs_outfile_write(out, "new", 3);
    assert_true(vs_outfile_commit(out, NULL));
    expect_file("a", "new");
    struct stat info;
    assert_int_equal(stat("a", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
}

static void writing_through_a_link_keeps_the_link(void **state)
{
    (void)state;
    put_file("a", "old");
    assert_int_equal(symlink("a", "link"), 0);
    vs_outfile *out = vs_outfile_open("link", NULL);
    assert_non_null(out);
    vs_outfile_write(out, "new", 3);
    assert_true(vs_outfile_commit(out, NULL));
    struct stat info;
    assert_int_equal(lstat("link", &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    expect_file("a", "new");
}

static void large_writes_and_lines_arrive_whole(void **state)
{
    (void)state;

    enum { LARGE = 200000, WHOLE = 3 * LARGE };

    char *expected = malloc(WHOLE + 1);
    assert_non_null(expected);
    memset(expected, 'x', WHOLE);
    expected[WHOLE] = '\0';
    vs_outfile *out = vs_outfile_open("a", NULL);
    assert_non_null(out);
    vs_outfile_write(out, expected, 7);
    vs_outfile_write(out, expected, LARGE);
    vs_outfile_printf(out, "%.*s", LARGE, expected);
    for (size_t i = 0; i < LARGE - 7; i++) {
        vs_outfile_write(out, "x", 1);
    }
    assert_true(vs_outfile_commit(out, NULL));
    expect_file("a", expected);
    free(expected);
}

static void expect_cannot_write(const char *path, const char *reason)
{
    vs_err err = {0};
    assert_null(vs_outfile_open(path, &err));
    assert_int_equal(err.code, VS_ERR_IO);
    assert_string_equal(err.input, path);
    assert_non_null(strstr(err.text, reason));
}

static void targets_that_cannot_be_are_refused_when_opened(void **state)
{
    (void)state;
    expect_cannot_write(".", "found a directory");
    expect_cannot_write("", "is empty");
    expect_cannot_write("missing/a", "check the spelling");
    put_file("a", "x");
    expect_cannot_write("a/b", "not a directory");
}

static void a_temporary_file_of_somebody_else_is_not_touched(void **state)
{
    (void)state;
    char temporary[64];
    (void)snprintf(temporary, sizeof temporary, "a.tmp-%ld", (long)getpid());
    put_file(temporary, "theirs");
    expect_cannot_write("a", "exists already");
    expect_file(temporary, "theirs");
    assert_int_equal(unlink(temporary), 0);
}

static void a_full_disk_is_reported_by_commit(void **state)
{
    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        print_message("skipped: no /dev/full here\n");
        return;
    }
    vs_err err = {0};
    vs_outfile *out = vs_outfile_open("/dev/full", &err);
    assert_non_null(out);
    char block[100000] = "";
    vs_outfile_write(out, block, sizeof block);
    vs_outfile_write(out, "more", 4);
    assert_false(vs_outfile_commit(out, &err));
    assert_int_equal(err.code, VS_ERR_IO);
    assert_string_equal(err.input, "/dev/full");
    assert_non_null(strstr(err.text, "free some space"));
}

static void devices_are_written_directly(void **state)
{
    (void)state;
    vs_outfile *out = vs_outfile_open("/dev/null", NULL);
    assert_non_null(out);
    vs_outfile_write(out, "gone", 4);
    assert_true(vs_outfile_commit(out, NULL));
    struct stat info;
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
}

static void a_failed_rename_removes_the_temporary(void **state)
{
    (void)state;
    vs_err err = {0};
    vs_outfile *out = vs_outfile_open("a", &err);
    assert_non_null(out);
    assert_int_equal(mkdir("a", 0700), 0); /* a directory took the name meanwhile */
    assert_false(vs_outfile_commit(out, &err));
    assert_int_equal(err.code, VS_ERR_IO);
    assert_string_equal(err.input, "a");
    assert_int_equal(rmdir("a"), 0);
}

static void a_dash_is_standard_output(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)fputs("before ", stdout);
        vs_outfile *out = vs_outfile_open("-", NULL);
        if (out == NULL) {
            _exit(1);
        }
        vs_outfile_write(out, "written ", 8);
        const bool ok = vs_outfile_commit(out, NULL);
        (void)fputs("after", stdout);
        (void)fflush(stdout);
        _exit(ok ? 0 : 1);
    }
    assert_true(child > 0);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    char said[64] = "";
    assert_int_equal(read(ends[0], said, sizeof said - 1), 20);
    assert_string_equal(said, "before written after");
    (void)close(ends[0]);
    (void)close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter_empty_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_mapped_whole),
        TEST(an_empty_file_has_bytes_that_may_be_pointed_at),
        TEST(the_head_of_a_huge_file_is_enough),
        TEST(a_head_longer_than_the_file_is_the_file),
        TEST(what_is_no_file_is_refused_with_a_reason),
        TEST(the_target_appears_only_when_committed),
        TEST(abandoning_leaves_the_old_file_and_nothing_else),
        TEST(replacing_keeps_the_mode_of_the_old_file),
        TEST(writing_through_a_link_keeps_the_link),
        TEST(large_writes_and_lines_arrive_whole),
        TEST(targets_that_cannot_be_are_refused_when_opened),
        TEST(a_temporary_file_of_somebody_else_is_not_touched),
        TEST(a_full_disk_is_reported_by_commit),
        TEST(devices_are_written_directly),
        TEST(a_failed_rename_removes_the_temporary),
        TEST(a_dash_is_standard_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
