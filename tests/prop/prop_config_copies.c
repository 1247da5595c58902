/* tests/prop/prop_config_copies.c - the config of a published model is that model wherever it stands: in a folder of the
 * user's own, with its keys in another order and with keys that nobody knows. For every model of the catalogue. */
#include "tests/support/written.h"

#define ORDERS      3u
#define MEMBERS_MAX 512u
#define SEED        UINT64_C(20260722)

/* ---- shuffling ---------------------------------------------------------------------------------- */

typedef struct {
    const char *text;
    size_t pos;
} reader;

static void skip_space(reader *r)
{
    r->pos += strspn(r->text + r->pos, " \t\r\n");
}

/* Over one value or string; brackets and quotes are matched, the text is known to be JSON. */
static vs_str take_value(reader *r)
{
    skip_space(r);
    const size_t begin = r->pos;
    unsigned depth = 0;
    bool is_string = false;
    for (;; r->pos++) {
        const char c = r->text[r->pos];
        assert_true(c != '\0');
        if (is_string) {
            r->pos += c == '\\';
            is_string = c != '"';
        } else if (depth == 0 && r->pos > begin && strchr(",:]} \t\r\n", c) != NULL) {
            break;
        } else {
            is_string = c == '"';
            depth += c == '{' || c == '[';
            depth -= c == '}' || c == ']';
        }
    }
    return (vs_str){r->text + begin, r->pos - begin};
}

typedef struct {
    vs_str key; /* with its quotes */
    vs_str value;
} member;

static uint32_t take_members(reader *r, member *members)
{
    uint32_t count = 0;
    skip_space(r);
    assert_int_equal(r->text[r->pos++], '{');
    for (skip_space(r); r->text[r->pos] != '}'; skip_space(r)) {
        assert_true(count < MEMBERS_MAX);
        members[count].key = take_value(r);
        skip_space(r);
        assert_int_equal(r->text[r->pos++], ':');
        members[count++].value = take_value(r);
        skip_space(r);
        r->pos += r->text[r->pos] == ',';
    }
    r->pos++;
    return count;
}

typedef struct {
    char *bytes;
    size_t used;
    size_t room;
} text;

static void put(text *t, vs_str bytes)
{
    assert_true(bytes.len < t->room - t->used);
    memcpy(t->bytes + t->used, bytes.ptr, bytes.len);
    t->used += bytes.len;
    t->bytes[t->used] = '\0';
}

/* The object with its members in another order, one of them unknown; objects inside it too, up to three deep. */
static void put_shuffled(text *t, vs_rng *rng, const char *object, unsigned depth)
{
    reader r = {object, 0};
    member *const members = calloc(MEMBERS_MAX + 1, sizeof *members);
    assert_non_null(members);
    uint32_t count = take_members(&r, members);
    if (depth == 0) {
        members[count++] =
            (member){vs_str_of("\"x_not_a_key\""),
                     vs_str_of("{\"num_hidden_layers\": 1, \"list\": [1, null]}")};
        members[count++] = (member){vs_str_of("\"_name_or_path\""), vs_str_of("\"/my/own\"")};
    }
    for (uint32_t i = count; i > 1; i--) {
        const uint64_t k = vs_rng_below(rng, i);
        const member last = members[i - 1];
        members[i - 1] = members[k];
        members[k] = last;
    }
    put(t, vs_str_of("{"));
    for (uint32_t i = 0; i < count; i++) {
        put(t, vs_str_of(i == 0 ? "" : ", "));
        put(t, members[i].key);
        put(t, vs_str_of(": "));
        if (members[i].value.ptr[0] == '{' && depth < 2) {
            put_shuffled(t, rng, members[i].value.ptr, depth + 1);
        } else {
            put(t, members[i].value);
        }
    }
    put(t, vs_str_of("}"));
    free(members);
}

/* The "config" of a catalogue entry. */
static const char *config_of(vs_str entry)
{
    member members[32];
    reader r = {entry.ptr, 0};
    const uint32_t count = take_members(&r, members);
    for (uint32_t i = 0; i < count; i++) {
        if (vs_str_is(members[i].key, "\"config\"")) {
            return members[i].value.ptr;
        }
    }
    fail_msg("an entry without a config");
    return NULL;
}

/* ---- comparing ------------------------------------------------------------------------------------ */

static bool same_tensors(const vs_model *a, const vs_model *b)
{
    if (a->tensor_count != b->tensor_count || a->parameters != b->parameters ||
        a->checkpoint_bytes != b->checkpoint_bytes) {
        print_error("tensors %u %u, parameters %" PRIu64 " %" PRIu64 ", bytes %" PRIu64
                    " %" PRIu64 "\n",
                    (unsigned)a->tensor_count, (unsigned)b->tensor_count, a->parameters,
                    b->parameters, a->checkpoint_bytes, b->checkpoint_bytes);
        return false;
    }
    for (uint32_t i = 0; i < a->tensor_count; i++) {
        const vs_tensor *const x = &a->tensors[i];
        const vs_tensor *const y = &b->tensors[i];
        if (strcmp(x->name, y->name) != 0 || x->dtype != y->dtype ||
            x->dim_count != y->dim_count || x->target != y->target ||
            memcmp(x->shape, y->shape, sizeof x->shape) != 0) {
            print_error("tensor %s is not %s\n", y->name, x->name);
            return false;
        }
    }
    return true;
}

static bool same_targets(const vs_target *a, uint32_t a_count, const vs_target *b,
                         uint32_t b_count)
{
    if (a_count != b_count) {
        print_error("%u modules, not %u\n", (unsigned)b_count, (unsigned)a_count);
        return false;
    }
    for (uint32_t i = 0; i < a_count; i++) {
        if (strcmp(a[i].name, b[i].name) != 0 || a[i].flags != b[i].flags ||
            a[i].layer != b[i].layer || a[i].tied_to != b[i].tied_to ||
            a[i].merge != b[i].merge || a[i].source_count != b[i].source_count ||
            a[i].fixed_dtype != b[i].fixed_dtype || a[i].dim_count != b[i].dim_count ||
            memcmp(a[i].shape, b[i].shape, sizeof a[i].shape) != 0) {
            print_error("module %s is not %s\n", b[i].name, a[i].name);
            return false;
        }
    }
    return true;
}

static bool same_models(const vs_model *a, const vs_model *b)
{
    return same_tensors(a, b) && a->loaded_parameters == b->loaded_parameters &&
           same_targets(a->targets, a->target_count, b->targets, b->target_count) &&
           same_targets(a->modules, a->module_count, b->modules, b->module_count) &&
           a->shard_count == b->shard_count && a->is_tied == b->is_tied &&
           a->config_dtype == b->config_dtype &&
           memcmp(&a->dims, &b->dims, sizeof a->dims) == 0 &&
           strcmp(a->no_split_class, b->no_split_class) == 0;
}

/* ---- the property ---------------------------------------------------------------------------------- */

static bool copy_is_the_model(written *w, const char *name, const char *config, vs_rng *rng)
{
    vs_model model = {0};
    vs_model copy = {0};
    text t = {.room = 8 * strlen(config) + 4096};
    w->err = (vs_err){0};
    vs_arena_reset(&w->arena);
    t.bytes = vs_arena_alloc(&w->arena, t.room, 1);
    assert_non_null(t.bytes);
    put_shuffled(&t, rng, config, 0);
    written_put(w, "config.json", t.bytes, t.used);
    if (!vs_model_open(&model, &w->arena, name, &w->err) ||
        !vs_model_open(&copy, &w->arena, w->root, &w->err)) {
        print_error("%s: %s\n", name, written_error(w));
        return false;
    }
    if (!same_models(&model, &copy)) {
        print_error("%s: a copy of its config is another model: %s\n", name, t.bytes);
        return false;
    }
    return true;
}

static void a_copy_of_a_published_config_is_the_published_model(void **state)
{
    written *w = *state;
    vs_rng rng = {{0}};
    unsigned differing = 0;
    vs_rng_seed(&rng, SEED);
    print_message("seed %" PRIu64 ", %" PRIu32 " models\n", SEED, vs_catalogue_model_count());
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        const vs_catalogue_model *const entry = vs_catalogue_model_at(i);
        const char *const config = config_of(vs_catalogue_model_text(entry));
        for (unsigned order = 0; order < ORDERS; order++) {
            if (!copy_is_the_model(w, entry->name, config, &rng)) {
                differing++;
                break;
            }
        }
    }
    assert_int_equal(differing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WRITTEN(a_copy_of_a_published_config_is_the_published_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
