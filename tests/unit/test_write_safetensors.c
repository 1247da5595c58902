/* tests/unit/test_write_safetensors.c - headers and indexes against what the real programs write. */
#include "tests/support/written.h"

/* Text of root/name behind the 8 bytes of its length, which must be those of the text. */
static const char *header_of(written *w, const char *name, uint64_t *file_bytes)
{
    char *const text = written_text(w, name, file_bytes);
    uint64_t length = 0;
    for (unsigned i = 0; i < 8; i++) {
        length |= (uint64_t)(uint8_t)text[i] << (8 * i);
    }
    assert_int_equal(length % 8, 0);
    text[8 + length] = '\0';
    assert_int_equal(strlen(text + 8), length);
    return text + 8;
}

static void writes(written *w, const vs_model *model, vs_write_result *result)
{
    const vs_write_desc desc = {.folder = w->root};
    if (!vs_model_write(result, &w->arena, model, &desc, &w->err)) {
        written_fail(w);
    }
}

/* Expected: safetensors 0.8.0 with torch 2.15, safetensors.torch.save of zeros of these names, dtypes and shapes,
 * metadata={"format": "pt"}. */
static void a_header_is_byte_for_byte_what_the_safetensors_library_writes(void **state)
{
    static const char *const lines[] = {
        "b.weight BF16 2,3 0", "a.x I8 3 0",      "z F64 - 0",      "e F32 0,4 0",
        "a F32 2,2 0",         "i64 I64 1 0",     "u64 U64 1 0",    "i32 I32 1 0",
        "bool BOOL 1 0",       "u8 U8 1 0",       "f16 F16 1 0",    "i16 I16 1 0",
        "f8 F8_E4M3 1 0",      "f85 F8_E5M2 1 0", "e8 F8_E8M0 1 0", "f4 F4 2,4 0",
        "u16 U16 1 0",         "u32 U32 1 0",     "odd F32 1 0",    "layers.10. F32 1 0",
        "layers.2. F32 1 0"};
    static const char expected[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"u64\":{\"dtype\":\"U64\",\"shape\":[1],\"data_offsets\":[0,8]},"
        "\"i64\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[8,16]},"
        "\"z\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[16,24]},"
        "\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[24,40]},"
        "\"e\":{\"dtype\":\"F32\",\"shape\":[0,4],\"data_offsets\":[40,40]},"
        "\"layers.10.\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[40,44]},"
        "\"layers.2.\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[44,48]},"
        "\"odd\\\"\\\\\303\251\360\237\230\200\\n\\b\\f\\r\\t\\u0007\177/\":{\"dtype\":\"F32\","
        "\"shape\":[1],\"data_offsets\":[48,52]},"
        "\"u32\":{\"dtype\":\"U32\",\"shape\":[1],\"data_offsets\":[52,56]},"
        "\"i32\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[56,60]},"
        "\"b.weight\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[60,72]},"
        "\"f16\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[72,74]},"
        "\"u16\":{\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[74,76]},"
        "\"i16\":{\"dtype\":\"I16\",\"shape\":[1],\"data_offsets\":[76,78]},"
        "\"e8\":{\"dtype\":\"F8_E8M0\",\"shape\":[1],\"data_offsets\":[78,79]},"
        "\"f8\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[79,80]},"
        "\"f85\":{\"dtype\":\"F8_E5M2\",\"shape\":[1],\"data_offsets\":[80,81]},"
        "\"a.x\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[81,84]},"
        "\"u8\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[84,85]},"
        "\"f4\":{\"dtype\":\"F4\",\"shape\":[2,4],\"data_offsets\":[85,89]},"
        "\"bool\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[89,90]}}       ";
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    vs_write_result result = {0};
    uint64_t file_bytes = 0;
    model.tensors[18].name = "odd\"\\\303\251\360\237\230\200\n\b\f\r\t\a\177/";
    writes(w, &model, &result);
    assert_string_equal(header_of(w, "model.safetensors", &file_bytes), expected);
    assert_int_equal(file_bytes, 8 + sizeof expected - 1 + 90);
    assert_int_equal(result.data_bytes, 90);
    assert_int_equal(result.written_bytes, 8 + sizeof expected - 1);
    assert_int_equal(result.file_count, 1);
    assert_int_equal(written_count(w, ""), 1);
}

/* Expected: Python 3.11, json.dumps(index, indent=2, sort_keys=True) + "\n", as transformers 5.12.1 writes it. */
static void an_index_is_byte_for_byte_what_save_pretrained_writes(void **state)
{
    static const char *const lines[] = {"odd I8 5 0", "layers.10.w I8 4 0",
                                        "layers.2.w I8 1 1"};
    written *w = *state;
    vs_model model = WRITTEN_MODEL(w, lines);
    vs_write_result result = {0};
    uint64_t file_bytes = 0;
    model.tensors[0].name = "odd\"\\\303\251\360\237\230\200\n\a\177/";
    model.loaded_parameters = 7;
    writes(w, &model, &result);
    assert_string_equal(written_text(w, "model.safetensors.index.json", &file_bytes),
                        "{\n"
                        "  \"metadata\": {\n"
                        "    \"total_parameters\": 7,\n"
                        "    \"total_size\": 10\n"
                        "  },\n"
                        "  \"weight_map\": {\n"
                        "    \"layers.10.w\": \"model-00001-of-00002.safetensors\",\n"
                        "    \"layers.2.w\": \"model-00002-of-00002.safetensors\",\n"
                        "    \"odd\\\"\\\\\\u00e9\\ud83d\\ude00\\n\\u0007\\u007f/\": "
                        "\"model-00001-of-00002.safetensors\"\n"
                        "  }\n"
                        "}\n");
    assert_string_equal(
        header_of(w, "model-00002-of-00002.safetensors", &file_bytes),
        "{\"__metadata__\":{\"format\":\"pt\"},\"layers.2.w\":{\"dtype\":\"I8\","
        "\"shape\":[1],\"data_offsets\":[0,1]}}   ");
    assert_int_equal(result.file_count, 2);
    assert_int_equal(written_count(w, ""), 3);
}

static void a_model_without_tensors_is_a_file_without_tensors(void **state)
{
    written *w = *state;
    const vs_model model = {.name = "none", .config_text = ""};
    vs_write_result result = {0};
    uint64_t file_bytes = 0;
    writes(w, &model, &result);
    /* safetensors.torch.save({}, metadata={"format": "pt"}) */
    assert_string_equal(header_of(w, "model.safetensors", &file_bytes),
                        "{\"__metadata__\":{\"format\":\"pt\"}}");
    assert_int_equal(file_bytes, 40);
}

static void shards_that_hold_nothing_are_left_out_of_the_numbering(void **state)
{
    static const char *const lines[] = {"a I8 1 1", "b I8 1 4"};
    written *w = *state;
    const vs_model model = WRITTEN_MODEL(w, lines);
    vs_write_result result = {0};
    writes(w, &model, &result);
    assert_int_equal(result.file_count, 2);
    assert_true(written_exists(w, "model-00001-of-00002.safetensors"));
    assert_true(written_exists(w, "model-00002-of-00002.safetensors"));
}

static void block_types_of_gguf_are_refused_by_tensor_and_type(void **state)
{
    written *w = *state;
    vs_tensor tensor = {.name = "blk.0.attn_q.weight", .dtype = VS_DT_Q4_K, .elements = 256};
    const vs_model model = {.name = "m",
                            .config_text = "",
                            .tensors = &tensor,
                            .tensor_count = 1,
                            .shard_count = 1};
    const vs_write_desc desc = {.folder = w->root};
    vs_write_result result = {0};
    assert_false(vs_model_write(&result, &w->arena, &model, &desc, &w->err));
    written_says(w, "\"blk.0.attn_q.weight\" is Q4_K, which safetensors cannot hold");
    assert_int_equal(written_count(w, ""), 0);
}

static void a_header_beyond_the_limit_of_safetensors_names_the_limit(void **state)
{
    enum { COUNT = 101, NAME_BYTES = 1000000 };

    written *w = *state;
    char *const name = vs_arena_alloc(&w->arena, NAME_BYTES + 1, 1);
    vs_tensor *const tensors = VS_ARRAY(&w->arena, vs_tensor, COUNT);
    assert_true(name != NULL && tensors != NULL);
    memset(name, 'n', NAME_BYTES);
    for (unsigned i = 0; i < COUNT; i++) {
        tensors[i] = (vs_tensor){.name = name, .dtype = VS_DT_I8};
    }
    const vs_model model = {.name = "m",
                            .config_text = "",
                            .tensors = tensors,
                            .tensor_count = COUNT,
                            .shard_count = 1};
    const vs_write_desc desc = {.folder = w->root};
    vs_write_result result = {0};
    assert_false(vs_model_write(&result, &w->arena, &model, &desc, &w->err));
    assert_int_equal(w->err.code, VS_ERR_LIMIT);
    written_says(w, "101 tensors in one file is more than the 100000000 bytes");
    assert_int_equal(written_count(w, ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITTEN(a_header_is_byte_for_byte_what_the_safetensors_library_writes),
        WITH_WRITTEN(an_index_is_byte_for_byte_what_save_pretrained_writes),
        WITH_WRITTEN(a_model_without_tensors_is_a_file_without_tensors),
        WITH_WRITTEN(shards_that_hold_nothing_are_left_out_of_the_numbering),
        WITH_WRITTEN(block_types_of_gguf_are_refused_by_tensor_and_type),
        WITH_WRITTEN(a_header_beyond_the_limit_of_safetensors_names_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
