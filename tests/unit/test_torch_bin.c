/* tests/unit/test_torch_bin.c - whole files of torch.save, put together by hand: what is found in them and where. */
#include "sim/model/torch_bin.h"
#include "tests/support/torchfile.h"

#include <setjmp.h>

#include <cmocka.h>

typedef struct {
    vs_arena arena;
    vs_arena scratch;
    vs_err err;
    char line[1024];
    vs_model model; /* notes */
    zipped z;
    bytes file; /* legacy */
    vs_torch_header header;
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    *state = b;
    return b != NULL && vs_arena_open(&b->arena, 8 * VS_MIB, NULL) &&
                   vs_arena_open(&b->scratch, 64 * VS_MIB, NULL)
               ? 0
               : 1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    zip_free(&b->z);
    free_bytes(&b->file);
    vs_arena_close(&b->arena);
    vs_arena_close(&b->scratch);
    free(b);
    return 0;
}

static bool try_bytes(bench *b, const bytes *file)
{
    const vs_byte_source source = vs_byte_source_of(file->at, file->count);
    vs_arena_reset(&b->arena);
    vs_arena_reset(&b->scratch);
    b->err = (vs_err){0};
    b->model = (vs_model){0};
    b->header = (vs_torch_header){0};
    const vs_torch_reading r = {&b->arena, &b->scratch, &b->model, "dir/m.bin", &b->err};
    return vs_torch_bin_parse(&b->header, &source, &r);
}

static void reads(bench *b, const bytes *file)
{
    if (!try_bytes(b, file)) {
        print_error("%s\n", vs_err_line(&b->err, b->line, sizeof b->line));
        fail();
    }
}

static void refused(bench *b, const bytes *file, const char *what)
{
    assert_false(try_bytes(b, file));
    if (strstr(vs_err_line(&b->err, b->line, sizeof b->line), what) == NULL) {
        print_error("\"%s\" does not name \"%s\"\n", b->line, what);
        fail();
    }
    assert_int_equal(strncmp(b->line, "dir/m.bin", 9), 0);
}

static bool has_note(const bench *b, const char *what)
{
    for (uint32_t i = 0; i < b->model.note_count; i++) {
        if (strstr(b->model.notes[i], what) != NULL) {
            return true;
        }
    }
    return false;
}

static void notes(const bench *b, const char *what)
{
    if (!has_note(b, what)) {
        for (uint32_t i = 0; i < b->model.note_count; i++) {
            print_error("note: %s\n", b->model.notes[i]);
        }
        print_error("no note names \"%s\"\n", what);
        fail();
    }
}

/* Entry of `pickle` with storages 0 (24 bytes) and 1 (8 bytes). */
static void zip_of(bench *b, const bytes *pickle)
{
    static const uint8_t data[24] = {0};
    zip_free(&b->z);
    b->z = (zipped){0};
    zip_add(&b->z, "m/data.pkl", pickle->at, pickle->count, 64);
    zip_add(&b->z, "m/data/0", data, 24, 64);
    zip_add(&b->z, "m/data/1", data, 8, 64);
    zip_finish(&b->z, false);
}

static void is_two_tensors(const bench *b)
{
    const vs_tensor *const t = b->header.tensors;
    assert_int_equal(b->header.tensor_count, 2);
    assert_string_equal(t[0].name, "a");
    assert_int_equal(t[0].dtype, VS_DT_F16);
    assert_int_equal(t[0].dim_count, 2);
    assert_int_equal(t[0].shape[0], 3);
    assert_int_equal(t[0].shape[1], 4);
    assert_int_equal(t[0].elements, 12);
    assert_int_equal(t[0].size_bytes, 24);
    assert_int_equal(t[0].target, VS_NO_TARGET);
    assert_string_equal(t[1].name, "b");
    assert_int_equal(t[1].dtype, VS_DT_F32);
    assert_int_equal(t[1].size_bytes, 8);
    assert_int_equal(b->header.storage_count, 2);
    assert_string_equal(b->header.storages[0].key, "0");
    assert_int_equal(b->header.data_bytes, 32);
    assert_int_equal(b->header.shared_elements, 0);
    assert_true(b->header.views[0].is_contiguous);
    assert_int_equal(b->header.views[0].stride[0], 4);
}

/* ---- the two formats ------------------------------------------------------------------------------------ */

static void a_zip_archive_gives_names_shapes_and_places(void **state)
{
    bench *b = *state;
    torch_zip(&b->z);
    reads(b, &b->z.file);
    is_two_tensors(b);
    assert_false(b->header.is_legacy);
    assert_int_equal(b->header.tensors[0].file_offset, b->z.data[2]);
    assert_int_equal(b->header.tensors[1].file_offset, b->z.data[3]);
    assert_int_equal(b->model.note_count, 0);
}

static void the_format_before_1_6_gives_the_same(void **state)
{
    bench *b = *state;
    torch_legacy(&b->file);
    reads(b, &b->file);
    is_two_tensors(b);
    assert_true(b->header.is_legacy);
    assert_int_equal(b->header.tensors[1].file_offset, b->file.count - 8);
    assert_int_equal(b->header.tensors[0].file_offset, b->file.count - 8 - 8 - 24);
    notes(b, "before PyTorch 1.6");
}

static void pickles_longer_than_a_window_are_read(void **state)
{
    bench *b = *state;
    char *const text = calloc(1, 300001);
    assert_non_null(text);
    memset(text, 'x', 300000);
    legacy_preamble(&b->file, false);
    bytes object = {0};
    pk_two_tensors(&object, true);
    object.count -= 2; /* "u." */
    pk_text(&object, "about");
    pk_text(&object, text);
    put_text(&object, "u.");
    put(&b->file, object.at, object.count);
    legacy_storages(&b->file);
    reads(b, &b->file);
    is_two_tensors(b);
    assert_true(b->header.is_big_endian);
    notes(b, "1 value that is no tensor is left out: about");
    free_bytes(&object);
    free(text);
}

static void an_archive_that_was_written_again_is_read_from_its_headers(void **state)
{
    static const uint8_t data[24] = {0};
    bench *b = *state;
    bytes pickle = {0};
    pk_two_tensors(&pickle, false);
    zip_add(&b->z, "m/data.pkl", pickle.at, pickle.count, 0);
    zip_add(&b->z, "m/data/1", data, 8, 0); /* in another order, packed tight */
    zip_add(&b->z, "m/data/0", data, 24, 0);
    zip_finish(&b->z, false);
    reads(b, &b->z.file);
    is_two_tensors(b);
    assert_int_equal(b->header.tensors[0].file_offset, b->z.data[2]);
    assert_int_equal(b->header.tensors[1].file_offset, b->z.data[1]);
    free_bytes(&pickle);
}

static void another_alignment_is_told_by_its_record(void **state)
{
    static const uint8_t data[24] = {0};
    bench *b = *state;
    bytes pickle = {0};
    pk_two_tensors(&pickle, false);
    zip_add(&b->z, "m/data.pkl", pickle.at, pickle.count, 4096);
    zip_add(&b->z, "m/.storage_alignment", "4096", 4, 4096);
    zip_add(&b->z, "m/data/0", data, 24, 4096);
    zip_add(&b->z, "m/data/1", data, 8, 4096);
    zip_finish(&b->z, false);
    reads(b, &b->z.file);
    assert_int_equal(b->header.tensors[1].file_offset, b->z.data[3]);
    assert_int_equal(b->z.data[3] % 4096, 0);
    free_bytes(&pickle);
}

static void byte_order_is_read(void **state)
{
    static const uint8_t data[24] = {0};
    static const char *const orders[] = {"big", "middle", "a very long byte order"};
    bench *b = *state;
    bytes pickle = {0};
    pk_two_tensors(&pickle, false);
    for (size_t i = 0; i < 3; i++) {
        zip_free(&b->z);
        b->z = (zipped){0};
        zip_add(&b->z, "m/data.pkl", pickle.at, pickle.count, 64);
        zip_add(&b->z, "m/byteorder", orders[i], strlen(orders[i]), 64);
        zip_add(&b->z, "m/data/0", data, 24, 64);
        zip_add(&b->z, "m/data/1", data, 8, 64);
        zip_finish(&b->z, false);
        if (i == 0) {
            reads(b, &b->z.file);
            assert_true(b->header.is_big_endian);
            notes(b, "big-endian");
        } else {
            refused(b, &b->z.file,
                    i == 1 ? "byteorder is \"middle\"" : "byteorder has 22 bytes");
        }
    }
    free_bytes(&pickle);
}

/* ---- storages ------------------------------------------------------------------------------------------------ */

static void a_tensor_beyond_its_storage_is_named_with_both_numbers(void **state)
{
    const uint64_t shape[] = {3, 4};
    const uint64_t stride[] = {4, 1};
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}");
    pk_text(&p, "big");
    pk_global(&p, "torch._utils", "_rebuild_tensor_v2");
    put_text(&p, "(");
    pk_storage(&p, "HalfStorage", "0", 12, false);
    pk_view(&p, 1, shape, stride, 2);
    put_text(&p, "tRs.");
    zip_of(b, &p);
    refused(b, &b->z.file, "tensor \"big\" needs 26 bytes of storage \"0\", which has 24");
    free_bytes(&p);
}

static void a_storage_shorter_than_the_pickle_says_is_refused(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}");
    pk_text(&p, "big");
    pk_tensor(&p, "HalfStorage", "0", 13, false);
    put_text(&p, "s.");
    zip_of(b, &p);
    refused(b, &b->z.file, "storage \"0\" needs 26 bytes, its entry in the archive has 24");
    free_bytes(&p);
}

static void a_storage_longer_than_the_pickle_says_is_noted(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}");
    pk_text(&p, "small");
    pk_tensor(&p, "HalfStorage", "0", 11, false);
    put_text(&p, "s.");
    zip_of(b, &p);
    reads(b, &b->z.file);
    assert_int_equal(b->header.data_bytes, 22);
    notes(b, "1 storages are longer in the archive");
    free_bytes(&p);
}

static void a_storage_that_is_not_in_the_archive_is_named(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}");
    pk_text(&p, "x");
    pk_tensor(&p, "HalfStorage", "7", 4, false);
    put_text(&p, "s.");
    zip_of(b, &p);
    refused(b, &b->z.file, "storage \"7\" of 8 bytes is not in the archive: no entry m/data/7");
    free_bytes(&p);
}

static void an_empty_storage_needs_no_entry(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}");
    pk_text(&p, "x");
    pk_tensor(&p, "HalfStorage", "7", 0, false);
    put_text(&p, "s.");
    zip_of(b, &p);
    reads(b, &b->z.file);
    assert_int_equal(b->header.tensors[0].elements, 0);
    assert_int_equal(b->header.data_bytes, 0);
    free_bytes(&p);
}

static void a_storage_of_two_sizes_is_refused(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}(");
    pk_text(&p, "x");
    pk_tensor(&p, "HalfStorage", "0", 12, false);
    pk_text(&p, "y");
    pk_tensor(&p, "HalfStorage", "0", 10, false);
    put_text(&p, "u.");
    zip_of(b, &p);
    refused(b, &b->z.file,
            "storage \"0\" has 24 bytes in one place of the pickle and 20 in another");
    free_bytes(&p);
}

static void two_entries_for_one_storage_are_refused(void **state)
{
    static const uint8_t data[24] = {0};
    bench *b = *state;
    bytes pickle = {0};
    pk_two_tensors(&pickle, false);
    zip_add(&b->z, "m/data.pkl", pickle.at, pickle.count, 64);
    zip_add(&b->z, "m/data/0", data, 24, 64);
    zip_add(&b->z, "m/data/1", data, 8, 64);
    zip_add(&b->z, "m/data/0", data, 24, 64);
    zip_finish(&b->z, false);
    refused(b, &b->z.file, "two zip entries hold storage \"0\"");
    free_bytes(&pickle);
}

static void two_pickles_are_refused(void **state)
{
    bench *b = *state;
    bytes pickle = {0};
    pk_two_tensors(&pickle, false);
    zip_add(&b->z, "m/data.pkl", pickle.at, pickle.count, 64);
    zip_add(&b->z, "m/data.pkl", pickle.at, pickle.count, 64);
    zip_finish(&b->z, false);
    refused(b, &b->z.file, "two zip entries are called \"m/data.pkl\"");
    free_bytes(&pickle);
}

/* ---- sharing ---------------------------------------------------------------------------------------------------- */

/* A view of storage 0 (12 halves) of `count` elements from `offset`. */
static void put_view(bytes *p, const char *name, uint64_t offset, uint64_t count)
{
    const uint64_t one = 1;
    pk_text(p, name);
    pk_global(p, "torch._utils", "_rebuild_tensor_v2");
    put_text(p, "(");
    pk_storage(p, "HalfStorage", "0", 12, false);
    pk_view(p, offset, &count, &one, 1);
    put_text(p, "tR");
}

static void shared_bytes_are_counted_once_and_noted(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}(");
    put_view(&p, "head", 0, 12);
    put_view(&p, "tied", 0, 12);
    put_view(&p, "tail", 8, 4);
    put_text(&p, "u.");
    zip_of(b, &p);
    reads(b, &b->z.file);
    assert_int_equal(b->header.data_bytes, 24);
    assert_int_equal(b->header.shared_elements, 16);
    assert_false(b->header.views[0].is_shared);
    assert_true(b->header.views[1].is_shared);
    assert_true(b->header.views[2].is_shared);
    assert_int_equal(b->header.views[2].first_byte, 16);
    notes(b, "tied shares 24 bytes with head; counted once");
    notes(b, "tail shares 8 bytes with head; counted once");
    free_bytes(&p);
}

static void parts_of_a_storage_that_do_not_overlap_share_nothing(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}(");
    put_view(&p, "upper", 5, 6);
    put_view(&p, "lower", 0, 5);
    put_text(&p, "u.");
    zip_of(b, &p);
    reads(b, &b->z.file);
    assert_int_equal(b->header.shared_elements, 0);
    assert_string_equal(b->header.tensors[0].name, "upper"); /* the order of the dict */
    notes(b, "2 bytes of the storages belong to no tensor");
    assert_int_equal(b->model.note_count, 1);
    free_bytes(&p);
}

static void half_an_overlap_is_half_shared(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}(");
    put_view(&p, "lower", 0, 8);
    put_view(&p, "upper", 4, 8);
    put_text(&p, "u.");
    zip_of(b, &p);
    reads(b, &b->z.file);
    assert_int_equal(b->header.shared_elements, 4);
    assert_int_equal(b->model.note_count, 1);
    notes(b, "upper shares 8 bytes with lower");
    free_bytes(&p);
}

/* ---- dicts ------------------------------------------------------------------------------------------------------- */

static void a_wrapped_state_dict_is_found(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}(");
    pk_text(&p, "epoch");
    put_text(&p, "K\003");
    pk_text(&p, "model");
    put_text(&p, "}(");
    pk_text(&p, "w");
    pk_tensor(&p, "HalfStorage", "0", 12, false);
    put_text(&p, "u");
    pk_text(&p, "optimizer");
    put_text(&p, "}");
    pk_text(&p, "exp_avg");
    pk_tensor(&p, "FloatStorage", "9", 12, false);
    put_text(&p, "su.");
    zip_of(b, &p);
    reads(b, &b->z.file);
    assert_int_equal(b->header.tensor_count, 1);
    assert_string_equal(b->header.tensors[0].name, "w");
    notes(b, "the tensors are in \"model\", left out beside it: epoch, optimizer");
    free_bytes(&p);
}

static void nested_dicts_become_dotted_names(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}(");
    pk_text(&p, "gen");
    put_text(&p, "}");
    put_text(&p, "K\007}");
    pk_text(&p, "w");
    pk_tensor(&p, "HalfStorage", "0", 12, false);
    put_text(&p, "ss");
    pk_text(&p, "disc");
    put_text(&p, "}");
    pk_text(&p, "w");
    pk_tensor(&p, "FloatStorage", "1", 2, false);
    put_text(&p, "s");
    pk_text(&p, "lr_scheduler");
    put_text(&p, "}u.");
    zip_of(b, &p);
    reads(b, &b->z.file);
    assert_string_equal(b->header.tensors[0].name, "gen.7.w");
    assert_string_equal(b->header.tensors[1].name, "disc.w");
    notes(b, "left out, since it belongs to training: lr_scheduler");
    free_bytes(&p);
}

static void a_dict_in_itself_is_entered_once(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}q\001(");
    pk_text(&p, "w");
    pk_tensor(&p, "HalfStorage", "0", 12, false);
    pk_text(&p, "self");
    put_text(&p, "h\001u.");
    zip_of(b, &p);
    reads(b, &b->z.file);
    assert_int_equal(b->header.tensor_count, 1);
    notes(b, "1 value that is no tensor is left out: self");
    p.count = 0;
    pk_proto(&p, 2);
    put_text(&p, "}q\001(");
    pk_text(&p, "model");
    put_text(&p, "h\001u.");
    zip_of(b, &p);
    refused(b, &b->z.file, "dicts nested deeper than 16");
    free_bytes(&p);
}

static void dicts_in_dicts_have_a_limit(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    for (unsigned i = 0; i < 20; i++) {
        put_text(&p, "}");
        pk_text(&p, "x");
    }
    pk_tensor(&p, "HalfStorage", "0", 12, false);
    for (unsigned i = 0; i < 20; i++) {
        put_text(&p, "s");
    }
    put_text(&p, ".");
    zip_of(b, &p);
    refused(b, &b->z.file, "dicts nested deeper than 16");
    free_bytes(&p);
}

static void names_are_bounded_and_without_nul(void **state)
{
    bench *b = *state;
    char name[VS_TORCH_NAME_MAX + 2];
    bytes p = {0};
    memset(name, 'n', sizeof name);
    name[VS_TORCH_NAME_MAX + 1] = '\0';
    pk_proto(&p, 2);
    put_text(&p, "}");
    pk_text(&p, name);
    pk_tensor(&p, "HalfStorage", "0", 12, false);
    put_text(&p, "s.");
    zip_of(b, &p);
    refused(b, &b->z.file, "a tensor name of more than 1024 bytes");
    p.count = 0;
    pk_proto(&p, 2);
    put(&p, "}X\003\0\0\0a\0b", 9);
    pk_tensor(&p, "HalfStorage", "0", 12, false);
    put_text(&p, "s.");
    zip_of(b, &p);
    refused(b, &b->z.file, "a tensor name is empty or holds a NUL");
    free_bytes(&p);
}

static void a_name_that_stands_twice_is_refused(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}(");
    put_view(&p, "w", 0, 2);
    put_view(&p, "w", 2, 2);
    put_text(&p, "u.");
    zip_of(b, &p);
    refused(b, &b->z.file, "tensor \"w\" stands twice");
    free_bytes(&p);
}

static void what_holds_no_named_tensors_is_refused(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "}.");
    zip_of(b, &p);
    refused(b, &b->z.file, "no tensors in it; expected a dict of named tensors");
    p.count = 0;
    pk_proto(&p, 2);
    put_text(&p, "].");
    zip_of(b, &p);
    refused(b, &b->z.file, "the file holds a list; expected a dict of named tensors");
    free_bytes(&p);
}

/* ---- other files -------------------------------------------------------------------------------------------------- */

static void what_else_the_file_may_be_is_said(void **state)
{
    static const char *const cases[][2] = {
        {"", "an empty file"},
        {"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
        {"GGUF\003", "a GGUF file"},
        {"tjgg", "a GGML file"},
        {"PK\003\004 and no end", "a zip archive without its end"},
        {"<!DOCTYPE html>", "a web page"},
        {"\x08xxxxxxx{\"a\":1}", "a safetensors file"},
        {"hello", "not a file of torch.save"},
    };
    bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        b->file.count = 0;
        put_text(&b->file, cases[i][0]);
        refused(b, &b->file, cases[i][1]);
    }
    b->file.count = 0;
    put_zeros(&b->file, 257);
    put_text(&b->file, "ustar ");
    put_zeros(&b->file, 1000);
    refused(b, &b->file, "the tar format of PyTorch before");
}

static void other_archives_are_refused(void **state)
{
    bench *b = *state;
    zip_add(&b->z, "readme.txt", "", 0, 0);
    zip_finish(&b->z, false);
    refused(b, &b->z.file, "its entries are in no folder");
    zip_free(&b->z);
    b->z = (zipped){0};
    zip_add(&b->z, "docs/readme.txt", "", 0, 0);
    zip_finish(&b->z, false);
    refused(b, &b->z.file, "no entry docs/data.pkl");
    zip_free(&b->z);
    b->z = (zipped){0};
    zip_add(&b->z, "m/data.pkl", "", 0, 0);
    zip_add(&b->z, "m/constants.pkl", "", 0, 0);
    zip_finish(&b->z, false);
    refused(b, &b->z.file, "a TorchScript archive");
}

static void a_refused_opcode_is_placed_in_the_file(void **state)
{
    bench *b = *state;
    bytes p = {0};
    pk_proto(&p, 2);
    put_text(&p, "NN");
    pk_global(&p, "os", "system");
    zip_of(b, &p);
    refused(b, &b->z.file, "the pickle names os.system");
    assert_int_equal(b->err.offset, b->z.data[0] + 4);
    free_bytes(&p);
}

/* ---- the old format -------------------------------------------------------------------------------------------- */

static void the_preamble_must_be_torchs(void **state)
{
    bench *b = *state;
    pk_proto(&b->file, 2);
    put_text(&b->file, "}.");
    refused(b, &b->file, "does not begin with torch's magic number");
    b->file.count = 0;
    torch_legacy(&b->file);
    b->file.at[18] = 7; /* protocol version 1001 */
    refused(b, &b->file, "protocol version 1001");
}

static void storages_of_the_old_format_are_held_against_the_pickle(void **state)
{
    bench *b = *state;
    torch_legacy(&b->file);
    const size_t first = b->file.count - 8 - 8 - 24 - 8;
    b->file.at[first] = 11;
    refused(b, &b->file, "storage \"0\" has 12 elements in the pickle, 11 here");
    b->file.at[first] = 12;
    b->file.count -= 1;
    refused(b, &b->file,
            "storage \"1\" needs 8 bytes, the file has 7 left; is the download complete?");
    b->file.count += 1;
    put_text(&b->file, "xyz");
    reads(b, &b->file);
    notes(b, "3 bytes behind the last storage");
}

static void storages_that_the_list_leaves_out_are_named(void **state)
{
    bench *b = *state;
    legacy_preamble(&b->file, true);
    pk_two_tensors(&b->file, true);
    const size_t mark = b->file.count;
    pk_proto(&b->file, 2);
    put_text(&b->file, "](");
    pk_text(&b->file, "0");
    put_text(&b->file, "e.");
    put_number(&b->file, 12, 8);
    put_zeros(&b->file, 24);
    refused(b, &b->file, "storage \"1\" of 8 bytes is not in the file's list");
    b->file.count = mark;
    pk_proto(&b->file, 2);
    put_text(&b->file, "](");
    pk_text(&b->file, "0");
    pk_text(&b->file, "0");
    put_text(&b->file, "e.");
    put_number(&b->file, 12, 8);
    put_zeros(&b->file, 64);
    refused(b, &b->file, "names \"0\", which it named before");
    b->file.count = mark;
    pk_proto(&b->file, 2);
    put_text(&b->file, "](");
    pk_text(&b->file, "5");
    put_text(&b->file, "e.");
    refused(b, &b->file, "names \"5\", which the pickle does not");
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_zip_archive_gives_names_shapes_and_places),
        T(the_format_before_1_6_gives_the_same),
        T(pickles_longer_than_a_window_are_read),
        T(an_archive_that_was_written_again_is_read_from_its_headers),
        T(another_alignment_is_told_by_its_record),
        T(byte_order_is_read),
        T(a_tensor_beyond_its_storage_is_named_with_both_numbers),
        T(a_storage_shorter_than_the_pickle_says_is_refused),
        T(a_storage_longer_than_the_pickle_says_is_noted),
        T(a_storage_that_is_not_in_the_archive_is_named),
        T(an_empty_storage_needs_no_entry),
        T(a_storage_of_two_sizes_is_refused),
        T(two_entries_for_one_storage_are_refused),
        T(two_pickles_are_refused),
        T(shared_bytes_are_counted_once_and_noted),
        T(parts_of_a_storage_that_do_not_overlap_share_nothing),
        T(half_an_overlap_is_half_shared),
        T(a_wrapped_state_dict_is_found),
        T(nested_dicts_become_dotted_names),
        T(a_dict_in_itself_is_entered_once),
        T(dicts_in_dicts_have_a_limit),
        T(names_are_bounded_and_without_nul),
        T(a_name_that_stands_twice_is_refused),
        T(what_holds_no_named_tensors_is_refused),
        T(what_else_the_file_may_be_is_said),
        T(other_archives_are_refused),
        T(a_refused_opcode_is_placed_in_the_file),
        T(the_preamble_must_be_torchs),
        T(storages_of_the_old_format_are_held_against_the_pickle),
        T(storages_that_the_list_leaves_out_are_named),
    };
    return cmocka_run_group_tests_name("torch bin", tests, NULL, NULL);
}
