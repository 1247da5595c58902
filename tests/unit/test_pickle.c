/* tests/unit/test_pickle.c - the machine that reads tensor tables: what it makes of opcodes, and what it refuses. */
#include "sim/model/pickle.h"
#include "tests/support/torchfile.h"

#include <setjmp.h>

#include <cmocka.h>

typedef struct {
    vs_arena arena;
    vs_err err;
    char line[1024];
    bytes p;
    vs_pickle_result result;
} bench;

static int open_bench(void **state)
{
    bench *b = calloc(1, sizeof *b);
    *state = b;
    return b != NULL && vs_arena_open(&b->arena, 256 * VS_MIB, NULL) ? 0 : 1;
}

static int close_bench(void **state)
{
    bench *b = *state;
    free_bytes(&b->p);
    vs_arena_close(&b->arena);
    free(b);
    return 0;
}

static bool try_pickle(bench *b)
{
    vs_arena_reset(&b->arena);
    b->err = (vs_err){0};
    b->result = (vs_pickle_result){0};
    return vs_pickle_run(&b->result, &b->arena, (vs_str){(const char *)b->p.at, b->p.count}, 0,
                         &b->err);
}

static const vs_pickle_value *runs(bench *b)
{
    if (!try_pickle(b)) {
        print_error("%s\n", vs_err_line(&b->err, b->line, sizeof b->line));
        fail();
    }
    return &b->result.value;
}

/* Refused at the opcode that stands at byte `at`. */
static void refused_at(bench *b, size_t at, const char *what)
{
    assert_false(try_pickle(b));
    if (strstr(vs_err_line(&b->err, b->line, sizeof b->line), what) == NULL) {
        print_error("\"%s\" does not name \"%s\"\n", b->line, what);
        fail();
    }
    assert_true(b->err.has_offset);
    assert_int_equal(b->err.offset, at);
}

/* A pickle of protocol 2 with these opcodes. */
static void start(bench *b, const char *text)
{
    b->p.count = 0;
    pk_proto(&b->p, 2);
    put_text(&b->p, text);
}

/* ---- values ---------------------------------------------------------------------------------------------- */

static void constants_have_their_kinds(void **state)
{
    static const struct {
        const char *ops;
        vs_pickle_kind kind;
    } cases[] = {
        {"N.", VS_PK_NONE},
        {"\x88.", VS_PK_BOOL},
        {"\x89.", VS_PK_BOOL},
        {"K\x07.", VS_PK_INT},
        {"G12345678.", VS_PK_FLOAT},
        {"U\x03"
         "abc.",
         VS_PK_TEXT},
        {"C\x03"
         "abc.",
         VS_PK_BYTES},
        {").", VS_PK_TUPLE},
        {"].", VS_PK_LIST},
        {"}.", VS_PK_DICT},
    };

    bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(b, cases[i].ops);
        assert_int_equal(runs(b)->kind, cases[i].kind);
        assert_int_equal(b->result.used_bytes, b->p.count);
    }
}

static int64_t integer(bench *b, unsigned op, const void *data, size_t count)
{
    start(b, "");
    put_byte(&b->p, op);
    put(&b->p, data, count);
    put_byte(&b->p, '.');
    assert_int_equal(runs(b)->kind, VS_PK_INT);
    return b->result.value.as.integer;
}

static void integers_of_every_width_keep_their_sign(void **state)
{
    bench *b = *state;
    assert_int_equal(integer(b, 'K', "\xff", 1), 255);
    assert_int_equal(integer(b, 'M', "\x01\x80", 2), 32769);
    assert_int_equal(integer(b, 'J', "\xfe\xff\xff\xff", 4), -2);
    assert_int_equal(integer(b, 'J', "\x00\x00\x00\x7f", 4), 2130706432);
    assert_int_equal(integer(b, 0x8a, "\x00", 1), 0); /* no bytes: zero */
    assert_int_equal(integer(b, 0x8a, "\x01\xff", 2), -1);
    assert_int_equal(integer(b, 0x8a, "\x02\x00\x80", 3), -32768);
    assert_int_equal(integer(b, 0x8a, "\x03\x00\x80\x00", 4), 32768);
    assert_true(integer(b, 0x8a, "\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 9) == INT64_MAX);
    assert_true(integer(b, 0x8a, "\x08\x00\x00\x00\x00\x00\x00\x00\x80", 9) == INT64_MIN);
    assert_int_equal(integer(b, 0x8b, "\x01\x00\x00\x00\x05", 5), 5);
    start(b, "\x8a\x09"
             "123456789.");
    assert_int_equal(runs(b)->kind, VS_PK_LONG);
    assert_int_equal(b->result.value.count, 9);
}

static void lists_and_dicts_grow_where_they_stand(void **state)
{
    bench *b = *state;
    start(b, "]q\001(K\001K\002eK\003ah\001\x86.");
    const vs_pickle_value *const pair = runs(b);
    assert_int_equal(pair->kind, VS_PK_TUPLE);
    assert_int_equal(pair->count, 2);
    assert_ptr_equal(pair->as.items[0].as.container, pair->as.items[1].as.container);
    const vs_pickle_container *const list = pair->as.items[0].as.container;
    assert_int_equal(list->count, 3);
    vs_pickle_walk walk = vs_pickle_walk_of(list);
    for (int64_t i = 1; i <= 3; i++) {
        assert_int_equal(vs_pickle_walk_next(&walk)->as.integer, i);
    }
    assert_null(vs_pickle_walk_next(&walk));
}

static void tuples_take_what_is_above_the_mark(void **state)
{
    bench *b = *state;
    start(b, "K\001(K\002K\003t\x86.");
    const vs_pickle_value *const outer = runs(b);
    assert_int_equal(outer->count, 2);
    assert_int_equal(outer->as.items[0].as.integer, 1);
    assert_int_equal(outer->as.items[1].count, 2);
    assert_int_equal(outer->as.items[1].as.items[1].as.integer, 3);
    start(b, "K\001K\002K\003\x87\x85.");
    assert_int_equal(runs(b)->as.items[0].count, 3);
}

static void the_memo_counts_as_python_does(void **state)
{
    bench *b = *state;
    pk_proto(&b->p, 4);
    put(&b->p, "(K\001\x94K\002\x94h\000h\001t.", 13);
    const vs_pickle_value *const v = runs(b);
    assert_int_equal(v->count, 4);
    assert_int_equal(v->as.items[2].as.integer, 1);
    assert_int_equal(v->as.items[3].as.integer, 2);
    start(b, "K\005r");
    put_number(&b->p, 14, 4);
    put_text(&b->p, "j");
    put_number(&b->p, 14, 4);
    put_text(&b->p, "\x86.");
    assert_int_equal(runs(b)->as.items[1].as.integer, 5);
}

static void frames_and_short_text_of_protocol_4_are_read(void **state)
{
    bench *b = *state;
    pk_proto(&b->p, 4);
    put_byte(&b->p, 0x95);
    put_number(&b->p, 6, 8);
    put(&b->p, "\x8c\003abc.", 6);
    assert_true(vs_pickle_is_text(runs(b), "abc"));
}

/* ---- tensors ------------------------------------------------------------------------------------------------ */

static void a_tensor_is_described_by_its_arguments(void **state)
{
    const uint64_t shape[] = {3, 4};
    const uint64_t stride[] = {8, 2};
    bench *b = *state;
    start(b, "");
    pk_global(&b->p, "torch._utils", "_rebuild_tensor_v2");
    put_text(&b->p, "(");
    pk_storage(&b->p, "HalfStorage", "17", 100, false);
    pk_view(&b->p, 5, shape, stride, 2);
    put_text(&b->p, "tR.");
    const vs_pickle_value *const v = runs(b);
    assert_int_equal(v->kind, VS_PK_TENSOR);
    const vs_pickle_tensor *const t = v->as.tensor;
    assert_int_equal(t->dtype, VS_DT_F16);
    assert_int_equal(t->dim_count, 2);
    assert_int_equal(t->shape[1], 4);
    assert_int_equal(t->stride[0], 8);
    assert_int_equal(t->elements, 12);
    assert_int_equal(t->size_bytes, 24);
    assert_int_equal(t->first_byte, 10);
    assert_int_equal(t->end_byte, 10 + 2 * (2 * 8 + 3 * 2 + 1));
    assert_false(t->is_contiguous);
    assert_true(vs_str_is(t->storage->key, "17"));
    assert_int_equal(t->storage->size_bytes, 200);
    assert_int_equal(b->result.storage_count, 1);
}

static void a_parameter_is_its_tensor(void **state)
{
    bench *b = *state;
    start(b, "");
    pk_global(&b->p, "torch._utils", "_rebuild_parameter");
    put_text(&b->p, "(");
    pk_tensor(&b->p, "BFloat16Storage", "0", 6, false);
    put_text(&b->p, "\x88");
    pk_global(&b->p, "collections", "OrderedDict");
    put_text(&b->p, ")RtR.");
    assert_int_equal(runs(b)->kind, VS_PK_TENSOR);
    assert_int_equal(b->result.value.as.tensor->dtype, VS_DT_BF16);
}

/* _rebuild_tensor_v3 with the named dtype. */
static void put_v3(bench *b, const char *dtype)
{
    const uint64_t size = 4;
    const uint64_t one = 1;
    start(b, "");
    pk_global(&b->p, "torch._utils", "_rebuild_tensor_v3");
    put_text(&b->p, "((");
    pk_text(&b->p, "storage");
    pk_global(&b->p, "torch.storage", "UntypedStorage");
    pk_text(&b->p, "0");
    pk_text(&b->p, "cpu");
    pk_int(&b->p, 8);
    put_text(&b->p, "tQ");
    pk_view(&b->p, 0, &size, &one, 1);
    pk_global(&b->p, "torch", dtype);
    put_text(&b->p, "tR.");
}

static void an_untyped_storage_takes_the_dtype_that_is_given(void **state)
{
    bench *b = *state;
    put_v3(b, "float8_e4m3fn");
    assert_int_equal(runs(b)->as.tensor->dtype, VS_DT_F8_E4M3);
    assert_int_equal(b->result.value.as.tensor->size_bytes, 4);
    put_v3(b, "uint16");
    assert_int_equal(runs(b)->as.tensor->size_bytes, 8);
    put_v3(b, "float8_e4m3fnuz");
    assert_false(try_pickle(b));
    assert_non_null(strstr(b->err.text, "tensors of torch.float8_e4m3fnuz cannot be read"));
    put_v3(b, "Size");
    assert_false(try_pickle(b));
    assert_non_null(strstr(b->err.text, "_rebuild_tensor_v3 wants a dtype"));
}

static void an_ordered_dict_of_python_2_is_made_from_pairs(void **state)
{
    bench *b = *state;
    start(b, "");
    pk_global(&b->p, "collections", "OrderedDict");
    put_text(&b->p, "](](U\001aK\001e](U\001bK\002ee\x85R.");
    const vs_pickle_value *const v = runs(b);
    assert_int_equal(v->kind, VS_PK_DICT);
    assert_int_equal(v->as.container->count, 4);
    vs_pickle_walk walk = vs_pickle_walk_of(v->as.container);
    assert_true(vs_pickle_is_text(vs_pickle_walk_next(&walk), "a"));
    assert_int_equal(vs_pickle_walk_next(&walk)->as.integer, 1);
}

static void attributes_of_a_dict_are_read_over(void **state)
{
    bench *b = *state;
    start(b, "");
    pk_global(&b->p, "collections", "OrderedDict");
    put_text(&b->p, ")R}U\011_metadataNsb.");
    assert_int_equal(runs(b)->kind, VS_PK_DICT);
    assert_int_equal(b->result.value.as.container->count, 0);
}

/* ---- code ----------------------------------------------------------------------------------------------------- */

static void a_name_outside_the_table_is_refused_with_its_place(void **state)
{
    static const char *const evil[][2] = {
        {"os", "system"},
        {"posix", "system"},
        {"nt", "system"},
        {"builtins", "eval"},
        {"__builtin__", "eval"},
        {"builtins", "getattr"},
        {"builtins", "__import__"},
        {"subprocess", "Popen"},
        {"torch.storage", "_load_from_bytes"},
        {"torch", "load"},
        {"torch.serialization", "load"},
        {"torch", "_utils._rebuild_tensor_v2"},
        {"torch.hub", "load"},
        {"numpy", "load"},
        {"collections", "OrderedDict.fromkeys"},
        {"copyreg", "_reconstructor"},
        {"torch._utils", "_rebuild_tensor_v2 "},
        {"", ""},
    };
    bench *b = *state;
    for (size_t i = 0; i < sizeof evil / sizeof evil[0]; i++) {
        char full[128];
        (void)snprintf(full, sizeof full, "the pickle names %s.%s, which is refused",
                       evil[i][0], evil[i][1]);
        start(b, "K\001");
        pk_global(&b->p, evil[i][0], evil[i][1]);
        put_text(&b->p, "U\002ls\x85R.");
        refused_at(b, 4, full);
        assert_non_null(strstr(b->line, "nothing was run"));
        b->p.count = 0;
        pk_proto(&b->p, 4);
        pk_text(&b->p, evil[i][0]);
        pk_text(&b->p, evil[i][1]);
        const size_t at = b->p.count;
        put_text(&b->p, "\x93)R.");
        refused_at(b, at, full);
    }
}

static void names_that_are_no_functions_cannot_be_called(void **state)
{
    static const char *const names[][2] = {{"torch", "HalfStorage"},
                                           {"torch", "float16"},
                                           {"torch.storage", "UntypedStorage"},
                                           {"torch.nn.parameter", "Parameter"}};
    bench *b = *state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        start(b, "");
        pk_global(&b->p, names[i][0], names[i][1]);
        put_text(&b->p, ")");
        const size_t at = b->p.count;
        put_text(&b->p, "R.");
        refused_at(b, at, "is called, which is refused; nothing was run");
    }
    start(b, "U\003abc)R.");
    refused_at(b, 8, "only the names of a tensor table can be called");
    start(b, "");
    pk_global(&b->p, "collections", "OrderedDict");
    put_text(&b->p, "NR.");
    refused_at(b, b->p.count - 2, "with a tuple");
}

static void opcodes_that_no_table_needs_are_refused_by_name(void **state)
{
    static const struct {
        unsigned op;
        const char *name;
    } cases[] = {{'0', "POP"},        {'1', "POP_MARK"},     {'2', "DUP"},
                 {'F', "FLOAT"},      {'I', "INT"},          {'L', "LONG"},
                 {'P', "PERSID"},     {'S', "STRING"},       {'V', "UNICODE"},
                 {'d', "DICT"},       {'g', "GET"},          {'i', "INST"},
                 {'l', "LIST"},       {'o', "OBJ"},          {'p', "PUT"},
                 {0x82, "EXT1"},      {0x83, "EXT2"},        {0x84, "EXT4"},
                 {0x8f, "EMPTY_SET"}, {0x90, "ADDITEMS"},    {0x91, "FROZENSET"},
                 {0x92, "NEWOBJ_EX"}, {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};

    bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "opcode %s is refused", cases[i].name);
        start(b, "N");
        put_byte(&b->p, cases[i].op);
        put_text(&b->p, "1\n.");
        refused_at(b, 3, text);
    }
    start(b, "N\xff.");
    refused_at(b, 3, "0xff is no pickle opcode");
}

static void a_state_for_anything_but_a_dict_is_refused(void **state)
{
    bench *b = *state;
    start(b, "");
    pk_tensor(&b->p, "HalfStorage", "0", 4, false);
    put_text(&b->p, "}");
    const size_t at = b->p.count;
    put_text(&b->p, "b.");
    refused_at(b, at, "BUILD gives a state to a tensor");
    start(b, "}Nb.");
    refused_at(b, 4, "BUILD gives a state to a dict");
}

static void persistent_ids_are_of_storages_only(void **state)
{
    bench *b = *state;
    start(b, "K\001Q.");
    refused_at(b, 4, "found an int; nothing was run");
    start(b, ")Q.");
    refused_at(b, 3, "found a tuple");
    start(b, "(U\006moduleK\001K\001K\001tQ.");
    refused_at(b, b->p.count - 2, "found one of \"module\"");
    start(b, "(K\001K\001K\001K\001K\001tQ.");
    refused_at(b, b->p.count - 2, "found one of \"an int\"");
    start(b, "(U\007storageK\001tQ.");
    refused_at(b, b->p.count - 2, "found 2 values");
    start(b, "(U\007storageK\001U\0010U\003cpuK\001tQ.");
    refused_at(b, b->p.count - 2, "the type is an int");
}

static void storages_have_sane_parts(void **state)
{
    bench *b = *state;
    start(b, "");
    pk_storage(&b->p, "ComplexFloatStorage", "0", 4, false);
    put_text(&b->p, ".");
    refused_at(b, b->p.count - 2, "a ComplexFloatStorage");
    start(b, "");
    pk_storage(&b->p, "HalfStorage", "123456789012345678901234", 4, false);
    put_text(&b->p, ".");
    refused_at(b, b->p.count - 2, "a string of at most 23");
    start(b, "");
    pk_storage(&b->p, "HalfStorage", "0", UINT64_MAX, false); /* -1 */
    put_text(&b->p, ".");
    refused_at(b, b->p.count - 2, "the length of a storage has to be an int of 0 to 2^63 - 1");
    start(b, "");
    pk_storage(&b->p, "DoubleStorage", "0", INT64_MAX, false);
    put_text(&b->p, ".");
    refused_at(b, b->p.count - 2, "the size of a storage overflows 64 bits");
}

/* ---- shapes ----------------------------------------------------------------------------------------------------- */

static void put_shaped(bench *b, uint64_t offset, const uint64_t *shape, const uint64_t *stride,
                       size_t dims)
{
    start(b, "");
    pk_global(&b->p, "torch._utils", "_rebuild_tensor_v2");
    put_text(&b->p, "(");
    pk_storage(&b->p, "FloatStorage", "0", 4, false);
    pk_view(&b->p, offset, shape, stride, dims);
    put_text(&b->p, "tR.");
}

static void shapes_that_overflow_are_refused(void **state)
{
    const uint64_t huge[] = {INT64_MAX, INT64_MAX};
    const uint64_t negative[] = {UINT64_MAX};
    const uint64_t ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const uint64_t zeros[] = {0, 0};
    bench *b = *state;
    put_shaped(b, 0, huge, zeros, 2);
    refused_at(b, b->p.count - 2, "the shape of a tensor overflows");
    put_shaped(b, 0, huge, huge, 2);
    refused_at(b, b->p.count - 2, "the shape of a tensor overflows");
    put_shaped(b, 0, huge, zeros, 1);
    refused_at(b, b->p.count - 2, "the size of a tensor overflows");
    put_shaped(b, INT64_MAX, ones, ones, 1);
    refused_at(b, b->p.count - 2, "the size of a tensor overflows");
    put_shaped(b, 0, negative, ones, 1);
    refused_at(b, b->p.count - 2,
               "the shape of a tensor has to be an int of 0 to 2^63 - 1, found "
               "a negative one");
    put_shaped(b, 0, ones, ones, 9);
    refused_at(b, b->p.count - 2, "a tensor of 9 dimensions; the limit is 8");
}

static void an_empty_tensor_reaches_nothing(void **state)
{
    const uint64_t shape[] = {0, 1000};
    const uint64_t stride[] = {1000, 1};
    bench *b = *state;
    put_shaped(b, 0, shape, stride, 2);
    const vs_pickle_tensor *const t = runs(b)->as.tensor;
    assert_int_equal(t->elements, 0);
    assert_int_equal(t->size_bytes, 0);
    assert_int_equal(t->end_byte, 0);
}

static void a_scalar_has_one_element(void **state)
{
    bench *b = *state;
    put_shaped(b, 3, NULL, NULL, 0);
    const vs_pickle_tensor *const t = runs(b)->as.tensor;
    assert_int_equal(t->elements, 1);
    assert_int_equal(t->first_byte, 12);
    assert_int_equal(t->end_byte, 16);
    assert_true(t->is_contiguous);
}

static void functions_want_their_arguments(void **state)
{
    bench *b = *state;
    static const char *const functions[] = {"_rebuild_tensor", "_rebuild_tensor_v2",
                                            "_rebuild_tensor_v3", "_rebuild_parameter",
                                            "_rebuild_parameter_with_state"};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        for (unsigned n = 0; n < 10; n++) {
            start(b, "");
            pk_global(&b->p, "torch._utils", functions[i]);
            put_text(&b->p, "(");
            for (unsigned k = 0; k < n; k++) {
                put_text(&b->p, "K\001");
            }
            put_text(&b->p, "tR.");
            assert_false(try_pickle(b));
            assert_int_equal(b->err.code, VS_ERR_VALUE);
        }
    }
}

/* ---- broken programs ------------------------------------------------------------------------------------------ */

static void a_stack_without_what_an_opcode_wants_is_an_error(void **state)
{
    static const char *const cases[] = {
        "\x85.",    "N\x86.", "NN\x87.", "t.",    "e.",  "u.",     "a.",  "Na.",
        "]Ns.",     "R.",     "NR.",     "b.",    "Q.",  "q\001.", ".",   "(N.",
        "N(t\x87.", "NN.",    "(a.",     "](Na.", "Na.", "}(Nu.",  "]Nu."};
    bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(b, cases[i]);
        assert_false(try_pickle(b));
        assert_int_equal(b->err.code, VS_ERR_FORMAT);
        assert_false(b->result.is_cut_short);
    }
    start(b, "h\005.");
    refused_at(b, 2, "memo slot 5 was never filled");
}

static void other_protocols_are_refused(void **state)
{
    bench *b = *state;
    for (unsigned version = 0; version < 8; version++) {
        b->p.count = 0;
        pk_proto(&b->p, version);
        put_text(&b->p, "N.");
        assert_int_equal(try_pickle(b), version >= 2 && version <= 5);
    }
    b->p.count = 0;
    put_text(&b->p, "(dp0\n.");
    refused_at(b, 0, "which begins with byte 0x80, found 0x28");
}

static void a_pickle_without_its_end_is_cut_short(void **state)
{
    bench *b = *state;
    pk_two_tensors(&b->p, false);
    for (size_t count = 0; count < b->p.count; count++) {
        uint8_t *const exact = malloc(count + 1);
        assert_non_null(exact);
        memcpy(exact, b->p.at, count);
        vs_arena_reset(&b->arena);
        b->err = (vs_err){0};
        assert_false(vs_pickle_run(&b->result, &b->arena, (vs_str){(const char *)exact, count},
                                   0, &b->err));
        assert_true(b->result.is_cut_short);
        assert_non_null(strstr(b->err.text, "is the download complete?"));
        free(exact);
    }
    (void)runs(b);
}

static void lengths_beyond_the_input_are_refused(void **state)
{
    static const struct {
        unsigned op;
        unsigned width;
    } cases[] = {{'X', 4},  {'T', 4},  {'B', 4},  {0x8d, 8},
                 {0x8e, 8}, {0x96, 8}, {0x95, 8}, {0x8b, 4}};

    bench *b = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(b, "");
        put_byte(&b->p, cases[i].op);
        put_number(&b->p, cases[i].op == 0x8b ? INT32_MAX : UINT64_MAX, cases[i].width);
        put_text(&b->p, "abc.");
        assert_false(try_pickle(b));
        assert_true(b->result.is_cut_short);
        assert_int_equal(b->err.offset, 2);
    }
    start(b, "\x8b\xff\xff\xff\xff.");
    refused_at(b, 2, "an int of 4294967295 bytes");
}

static void nesting_and_memo_slots_have_limits(void **state)
{
    bench *b = *state;
    start(b, "");
    for (unsigned i = 0; i < VS_PICKLE_DEPTH_MAX + 1; i++) {
        put_text(&b->p, "(");
    }
    refused_at(b, 2 + VS_PICKLE_DEPTH_MAX, "nested deeper than 1000");
    start(b, "Nr");
    put_number(&b->p, UINT32_MAX, 4);
    put_text(&b->p, ".");
    refused_at(b, 3, "memo slot 4294967295 in a pickle of 9 bytes");
}

#define T(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(constants_have_their_kinds),
        T(integers_of_every_width_keep_their_sign),
        T(lists_and_dicts_grow_where_they_stand),
        T(tuples_take_what_is_above_the_mark),
        T(the_memo_counts_as_python_does),
        T(frames_and_short_text_of_protocol_4_are_read),
        T(a_tensor_is_described_by_its_arguments),
        T(a_parameter_is_its_tensor),
        T(an_untyped_storage_takes_the_dtype_that_is_given),
        T(an_ordered_dict_of_python_2_is_made_from_pairs),
        T(attributes_of_a_dict_are_read_over),
        T(a_name_outside_the_table_is_refused_with_its_place),
        T(names_that_are_no_functions_cannot_be_called),
        T(opcodes_that_no_table_needs_are_refused_by_name),
        T(a_state_for_anything_but_a_dict_is_refused),
        T(persistent_ids_are_of_storages_only),
        T(storages_have_sane_parts),
        T(shapes_that_overflow_are_refused),
        T(an_empty_tensor_reaches_nothing),
        T(a_scalar_has_one_element),
        T(functions_want_their_arguments),
        T(a_stack_without_what_an_opcode_wants_is_an_error),
        T(other_protocols_are_refused),
        T(a_pickle_without_its_end_is_cut_short),
        T(lengths_beyond_the_input_are_refused),
        T(nesting_and_memo_slots_have_limits),
    };
    return cmocka_run_group_tests_name("pickle", tests, NULL, NULL);
}
