/* tests/unit/test_write_files.c - a checkpoint arrives whole or not at all, and nothing of anybody else's is lost. */
#include <signal.h>
#include <sys/resource.h>

#include "sim/model/write.h"
#include "tests/support/written.h"

static const char *const one_tensor[] = {"a F32 100,100 0"};
static const char *const two_shards[] = {"a F32 10 0", "b F32 20 1"};

static bool try_to_write(written *w, const char *const *lines, uint32_t count,
                         const char *folder, bool is_forced)
{
    const vs_model model = written_model(w, lines, count);
    const vs_write_desc desc = {.folder = written_path(w, folder), .is_forced = is_forced};
    vs_write_result result = {0};
    w->err = (vs_err){0};
    return vs_model_write(&result, &w->arena, &model, &desc, &w->err);
}

/* Asks for files of at most limit_bytes; answers what was before. */
static struct rlimit limit_files(rlim_t limit_bytes)
{
    struct rlimit before = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit now = {.rlim_cur = limit_bytes, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
    return before;
}

static void folders_are_made_with_their_parents(void **state)
{
    written *w = *state;
    assert_true(try_to_write(w, one_tensor, 1, "a/b//c/", false));
    assert_true(written_exists(w, "a/b/c/model.safetensors"));
}

static void data_takes_no_room(void **state)
{
    static const char *const large[] = {"a F32 1000,1000,100 0"};
    written *w = *state;
    struct stat info;
    assert_true(try_to_write(w, large, 1, "", false));
    assert_int_equal(stat(written_path(w, "model.safetensors"), &info), 0);
    assert_true(info.st_size > 400000000);
    assert_true(info.st_blocks * 512 <= 65536);
}

static void when_the_second_file_cannot_be_finished_nothing_is_left(void **state)
{
    static const char *const lines[] = {"a I8 1000 0", "b I8 100000 1"};
    written *w = *state;
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct rlimit before = limit_files(20000);
    const bool is_written = try_to_write(w, lines, 2, "x/y", false);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(is_written);
    assert_int_equal(w->err.code, VS_ERR_IO);
    written_says(w, "/x/y/model-00002-of-00002.safetensors: cannot make room for the data");
    assert_int_equal(written_count(w, ""), 0);
}

static void when_a_header_cannot_be_written_nothing_is_left(void **state)
{
    written *w = *state;
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct rlimit before = limit_files(100);
    const bool is_written = try_to_write(w, one_tensor, 1, "x", false);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(is_written);
    written_says(w, "/x/model.safetensors: cannot write: File too large");
    assert_int_equal(written_count(w, ""), 0);
}

static void when_a_file_cannot_get_its_name_the_others_lose_theirs(void **state)
{
    written *w = *state;
    assert_int_equal(mkdir(written_path(w, "x"), 0700), 0);
    assert_int_equal(mkdir(written_path(w, "x/second"), 0700), 0);
    written_put(w, "x/second/keep", "me", 2);
    vs_staging s = {0};
    const vs_str text = vs_str_of("text");
    assert_true(vs_staging_open(&s, &w->arena, written_path(w, "x"), 2, &w->err));
    assert_true(vs_staging_add(&s, "first", text, 10, &w->err));
    assert_true(vs_staging_add(&s, "second", text, 10, &w->err));
    assert_false(vs_staging_commit(&s, &w->err));
    written_says(w, "/x/second: cannot put the finished file in place");
    assert_int_equal(written_count(w, "x"), 1);
    assert_true(written_exists(w, "x/second/keep"));
}

static void a_file_where_the_folder_should_be_is_said(void **state)
{
    written *w = *state;
    written_put(w, "x", "", 0);
    assert_false(try_to_write(w, one_tensor, 1, "x/y", false));
    written_says(w, "/x: expected a folder to write into, found a file");
    assert_int_equal(written_count(w, ""), 1);
}

static void a_folder_without_a_name_is_said(void **state)
{
    written *w = *state;
    const vs_model model = WRITTEN_MODEL(w, one_tensor);
    const vs_write_desc desc = {.folder = ""};
    vs_write_result result = {0};
    assert_false(vs_model_write(&result, &w->arena, &model, &desc, &w->err));
    written_says(w, "the name of the folder to write into is empty");
}

static void a_folder_that_holds_a_checkpoint_is_left_alone(void **state)
{
    static const char *const names[] = {"model.safetensors",
                                        "other.safetensors",
                                        "config.json",
                                        "pytorch_model.bin",
                                        "m.gguf",
                                        "model.safetensors.index.json"};
    written *w = *state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        written_put(w, names[i], "", 0);
        assert_false(try_to_write(w, one_tensor, 1, "", false));
        written_says(w, names[i]);
        written_says(w, "is there already");
        assert_int_equal(written_count(w, ""), 1);
        assert_int_equal(unlink(written_path(w, names[i])), 0);
    }
}

static void other_files_of_the_folder_stay(void **state)
{
    written *w = *state;
    written_put(w, "tokenizer.json", "{}", 2);
    assert_true(try_to_write(w, one_tensor, 1, "", false));
    assert_true(written_exists(w, "tokenizer.json"));
    assert_int_equal(written_count(w, ""), 2);
}

static void force_replaces_what_holds_no_data(void **state)
{
    written *w = *state;
    assert_true(try_to_write(w, two_shards, 2, "", false));
    assert_true(try_to_write(w, two_shards, 2, "", true));
    assert_int_equal(written_count(w, ""), 3);
    /* shards of another split are neither replaced nor left beside the new files */
    assert_false(try_to_write(w, one_tensor, 1, "", true));
    written_says(w, "belongs to another checkpoint");
    assert_int_equal(written_count(w, ""), 3);
}

static void force_never_replaces_data(void **state)
{
    written *w = *state;
    uint64_t bytes = 0;
    assert_true(try_to_write(w, one_tensor, 1, "", false));
    FILE *const file = fopen(written_path(w, "model.safetensors"), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    assert_int_equal(fputc(1, file), 1);
    assert_int_equal(fclose(file), 0);
    assert_false(try_to_write(w, one_tensor, 1, "", true));
    written_says(w, "model.safetensors: holds data, so it is not replaced");
    (void)written_text(w, "model.safetensors", &bytes);
    assert_int_equal(written_count(w, ""), 1);
}

static void force_never_replaces_what_is_no_header(void **state)
{
    written *w = *state;
    written_put(w, "model.safetensors", "some text", 9);
    assert_false(try_to_write(w, one_tensor, 1, "", true));
    written_says(w, "holds data");
    written_put(w, "model.safetensors", "x", 1);
    assert_false(try_to_write(w, one_tensor, 1, "", true));
    written_says(w, "holds data");
}

/* A reader takes model.safetensors before an index, so shards beside it would be written for nobody. */
static void what_would_be_read_instead_is_in_the_way_even_of_force(void **state)
{
    written *w = *state;
    assert_true(try_to_write(w, one_tensor, 1, "", false));
    assert_false(try_to_write(w, two_shards, 2, "", true));
    written_says(w, "model.safetensors: belongs to another checkpoint");
    assert_int_equal(written_count(w, ""), 1);
}

static void somebody_elses_temporary_file_is_not_touched(void **state)
{
    written *w = *state;
    char name[64];
    (void)snprintf(name, sizeof name, "model.safetensors.tmp-%ld", (long)getpid());
    written_put(w, name, "mine", 4);
    assert_false(try_to_write(w, one_tensor, 1, "", false));
    written_says(w, "cannot create the file: File exists");
    assert_true(written_exists(w, name));
    assert_int_equal(written_count(w, ""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITTEN(folders_are_made_with_their_parents),
        WITH_WRITTEN(data_takes_no_room),
        WITH_WRITTEN(when_the_second_file_cannot_be_finished_nothing_is_left),
        WITH_WRITTEN(when_a_header_cannot_be_written_nothing_is_left),
        WITH_WRITTEN(when_a_file_cannot_get_its_name_the_others_lose_theirs),
        WITH_WRITTEN(a_file_where_the_folder_should_be_is_said),
        WITH_WRITTEN(a_folder_without_a_name_is_said),
        WITH_WRITTEN(a_folder_that_holds_a_checkpoint_is_left_alone),
        WITH_WRITTEN(other_files_of_the_folder_stay),
        WITH_WRITTEN(force_replaces_what_holds_no_data),
        WITH_WRITTEN(force_never_replaces_data),
        WITH_WRITTEN(force_never_replaces_what_is_no_header),
        WITH_WRITTEN(what_would_be_read_instead_is_in_the_way_even_of_force),
        WITH_WRITTEN(somebody_elses_temporary_file_is_not_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
