/* sim/base/json.c - the bridge to cJSON: parse, walk, read values.
 *
 * Parsing: json_scan.c checks grammar and limits, cJSON builds the tree (at most 64 deep,
 * so its recursion is bounded), then one walk over the tree looks for duplicate keys,
 * which the RFC leaves undefined and which hide mistakes. Keys are compared after
 * decoding: "a" and "\u0061" are the same key.
 *
 * cJSON costs 64 bytes per value plus its text, and keeps the position of the last parse
 * error in a global we never read. */
#include "sim/base/internal.h"

#include <cjson/cJSON.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH      64 /* as in json_scan.c */
/* "[],[],..." needs about 30 bytes of memory for each byte of text. The largest JSON we
 * read is a safetensors header, at most 100,000,000 bytes (huggingface/safetensors
 * safetensors/src/tensor.rs: MAX_HEADER_SIZE). */
#define MAX_TEXT_BYTES (UINT64_C(128) * 1024 * 1024)
#define MAX_WHOLE      9007199254740992.0 /* 2^53: above, a double skips whole numbers */

/* ---- paths --------------------------------------------------------------------------- */

#define MAX_STEP_BYTES 80 /* leaves 47 bytes of a path for what comes before */

static bool is_plain_key(const char *key, size_t key_bytes)
{
    for (size_t i = 0; i < key_bytes; i++) {
        const char c = key[i];
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (!is_plain) {
            return false;
        }
    }
    return key_bytes > 0;
}

static size_t append(char *to, size_t used, const char *bytes, size_t count)
{
    memcpy(to + used, bytes, count);
    return used + count;
}

/* step gets MAX_STEP_BYTES + 1 bytes; returns its length. Built by hand: iterating over
 * 100,000 tensors makes as many paths, and snprintf was a fifth of that time. */
static size_t make_step(char *step, const char *key, size_t key_bytes, uint64_t index)
{
    if (key == NULL) {
        char digits[20];
        size_t first = sizeof digits;
        do {
            digits[--first] = (char)('0' + (int)(index % 10));
            index /= 10;
        } while (index > 0);
        size_t used = append(step, 0, "[", 1);
        used = append(step, used, digits + first, sizeof digits - first);
        return append(step, used, "]", 1);
    }
    const bool is_plain = is_plain_key(key, key_bytes);
    const size_t room = MAX_STEP_BYTES - (is_plain ? 1 : 4);
    size_t used = append(step, 0, is_plain ? "." : "[\"", is_plain ? 1 : 2);
    if (key_bytes <= room) {
        used = append(step, used, key, key_bytes);
    } else {
        const size_t half = (room - 3) / 2;
        used = append(step, used, key, half);
        used = append(step, used, "...", 3);
        used = append(step, used, key + key_bytes - half, half);
    }
    return append(step, used, "\"]", is_plain ? 0 : 2);
}

size_t vs_json_path_add(char *path, const char *key, size_t key_bytes, uint64_t index)
{
    char step[MAX_STEP_BYTES + 1];
    const size_t step_bytes = make_step(step, key, key_bytes, index);
    size_t used = strlen(path);
    const size_t room = VS_ERR_PATH_BYTES - 1 - step_bytes;
    if (used > room) {
        const size_t kept = room - 3;
        memmove(path + 3, path + used - kept, kept);
        memset(path, '.', 3);
        used = room;
    }
    memcpy(path + used, step, step_bytes);
    path[used + step_bytes] = '\0';
    return used;
}

/* ---- duplicate keys -------------------------------------------------------------------- */

typedef struct {
    uint64_t hash;
    const char *key;
    const cJSON *node;
} key_entry;

/* A walk through all values in document order, without recursion. */
typedef struct {
    const cJSON *root;
    const cJSON *node;
    const cJSON *parents[MAX_DEPTH];
    uint32_t depth;
} walk;

static bool is_container(const cJSON *node)
{
    return cJSON_IsObject(node) || cJSON_IsArray(node);
}

static void walk_next(walk *w)
{
    if (is_container(w->node) && w->node->child != NULL) {
        vs_assert(w->depth < MAX_DEPTH); /* json_scan.c lets nothing deeper through */
        w->parents[w->depth++] = w->node;
        w->node = w->node->child;
        return;
    }
    while (w->node != w->root && w->node->next == NULL) {
        w->node = w->parents[--w->depth];
    }
    w->node = w->node == w->root ? NULL : w->node->next;
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv). Only a sort key: equal hashes
 * fall back to comparing text, so chosen keys cannot make the search slow. */
static uint64_t hash_key(const char *key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *key != '\0'; key++) {
        hash = (hash ^ (uint8_t)*key) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static int compare_entries(const void *left, const void *right)
{
    const key_entry *a = left;
    const key_entry *b = right;
    if (a->hash != b->hash) {
        return a->hash < b->hash ? -1 : 1;
    }
    return strcmp(a->key, b->key);
}

typedef struct {
    key_entry *entries;
    size_t capacity;
} key_scratch;

static bool reserve_entries(key_scratch *scratch, size_t count)
{
    if (count <= scratch->capacity) {
        return true;
    }
    const size_t capacity = count < 64 ? 64 : count;
    key_entry *entries = malloc(capacity * sizeof *entries); /* count <= text bytes */
    if (entries == NULL) {
        return false;
    }
    free(scratch->entries);
    *scratch = (key_scratch){.entries = entries, .capacity = capacity};
    return true;
}

/* The second member that carries the key, in document order. */
static const cJSON *second_with_key(const cJSON *object, const char *key)
{
    const cJSON *member = NULL;
    bool is_second = false;
    cJSON_ArrayForEach(member, object)
    {
        if (strcmp(member->string, key) == 0) {
            if (is_second) {
                return member;
            }
            is_second = true;
        }
    }
    return NULL;
}

static const cJSON *duplicate_by_pairs(const cJSON *object)
{
    const cJSON *member = NULL;
    cJSON_ArrayForEach(member, object)
    {
        for (const cJSON *earlier = object->child; earlier != member; earlier = earlier->next) {
            if (strcmp(earlier->string, member->string) == 0) {
                return member;
            }
        }
    }
    return NULL;
}

#define FEW_KEYS 8

/* A member whose key came before goes to *out_second, or NULL. Small objects,
 * nearly all, are compared pair by pair; large ones (a safetensors header has 100,000
 * keys) are sorted. False when memory for that is missing. */
static bool find_duplicate(const cJSON *object, key_scratch *scratch, const cJSON **out_second)
{
    size_t count = 0;
    const cJSON *member = NULL;
    cJSON_ArrayForEach(member, object)
    {
        count++;
    }
    *out_second = NULL;
    if (count <= FEW_KEYS) {
        *out_second = duplicate_by_pairs(object);
        return true;
    }
    if (!reserve_entries(scratch, count)) {
        return false;
    }
    key_entry *entries = scratch->entries;
    size_t filled = 0;
    cJSON_ArrayForEach(member, object)
    {
        entries[filled++] = (key_entry){hash_key(member->string), member->string, member};
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 1; i < count && *out_second == NULL; i++) {
        if (compare_entries(&entries[i - 1], &entries[i]) == 0) {
            *out_second = second_with_key(object, entries[i].key);
        }
    }
    return true;
}

typedef struct {
    const uint8_t *text;
    size_t size_bytes;
} json_text;

static uint32_t line_of_member(json_text text, const cJSON *root, const cJSON *member)
{
    uint64_t ordinal = 0;
    walk w = {.root = root, .node = root};
    while (w.node != NULL) {
        ordinal += w.node->string != NULL;
        if (w.node == member) {
            break;
        }
        walk_next(&w);
    }
    return vs_json_line_of_key(text.text, text.size_bytes, ordinal);
}

static uint64_t index_in(const cJSON *container, const cJSON *item)
{
    uint64_t index = 0;
    for (const cJSON *i = container->child; i != item; i = i->next) {
        index++;
    }
    return index;
}

static bool fail_duplicate(const walk *w, const cJSON *member, json_text text, vs_err *err)
{
    char path[VS_ERR_PATH_BYTES] = "$";
    for (uint32_t i = 0; i <= w->depth; i++) {
        const cJSON *inside = i < w->depth ? w->parents[i] : w->node;
        const cJSON *step =
            i < w->depth ? (i + 1 < w->depth ? w->parents[i + 1] : w->node) : member;
        const char *key = step->string;
        (void)vs_json_path_add(path, key, key != NULL ? strlen(key) : 0,
                               index_in(inside, step));
    }
    if (err == NULL || err->code != VS_OK) {
        return false;
    }
    (void)vs_fail(err, VS_ERR_FORMAT,
                  "the key \"%.80s\" appears twice in one object: remove one of the two",
                  member->string);
    vs_err_at_line(err, line_of_member(text, w->root, member));
    vs_err_at_path(err, path);
    return false;
}

static bool check_keys(const cJSON *root, json_text text, vs_err *err)
{
    key_scratch scratch = {0};
    walk w = {.root = root, .node = root};
    bool ok = true;
    while (ok && w.node != NULL) {
        const cJSON *second = NULL;
        if (cJSON_IsObject(w.node) && !find_duplicate(w.node, &scratch, &second)) {
            ok = vs_fail_memory(err, NULL, "the keys of a JSON object");
        } else if (second != NULL) {
            ok = fail_duplicate(&w, second, text, err);
        } else {
            walk_next(&w);
        }
    }
    free(scratch.entries);
    return ok;
}

/* ---- documents ---------------------------------------------------------------------------- */

static bool parse_text(cJSON **out_root, json_text text, vs_err *err)
{
    if (text.size_bytes > MAX_TEXT_BYTES) {
        char size[VS_TEXT_BYTES];
        return vs_fail(err, VS_ERR_LIMIT, "%s of JSON, the limit is 128 MiB",
                       vs_format_size(text.size_bytes, size));
    }
    if (!vs_json_scan(text.text, text.size_bytes, err)) {
        return false;
    }
    /* cJSON 1.7.15 skips a byte order mark only before two or more bytes of text */
    const size_t mark_bytes = vs_json_mark_bytes(text.text, text.size_bytes);
    const char *start = (const char *)text.text + mark_bytes;
    const char *stopped_at = NULL;
    cJSON *root =
        cJSON_ParseWithLengthOpts(start, text.size_bytes - mark_bytes, &stopped_at, 0);
    if (root == NULL) { /* the grammar is checked: what is left is memory */
        return vs_fail_memory(err, NULL, "a JSON document");
    }
    if (!check_keys(root, text, err)) {
        cJSON_Delete(root);
        return false;
    }
    *out_root = root;
    return true;
}

bool vs_json_parse(vs_json *doc, const void *text, size_t size_bytes, const char *input_name,
                   vs_err *err)
{
    vs_assert(text != NULL || size_bytes == 0);
    const void *start = text != NULL ? text : "";
    const bool is_first = err != NULL && err->code == VS_OK;
    cJSON *root = NULL;
    if (!parse_text(&root, (json_text){.text = start, .size_bytes = size_bytes}, err)) {
        if (is_first) {
            vs_err_at_input(err, input_name);
        }
        return false;
    }
    doc->root = root;
    (void)snprintf(doc->input, sizeof doc->input, "%s", input_name != NULL ? input_name : "");
    return true;
}

bool vs_json_read(vs_json *doc, const char *path, vs_err *err)
{
    vs_file file = {0};
    if (!vs_file_open(&file, path, err)) {
        return false;
    }
    const bool ok = vs_json_parse(doc, file.bytes, (size_t)file.size_bytes, path, err);
    vs_file_close(&file);
    return ok;
}

void vs_json_close(vs_json *doc)
{
    cJSON_Delete(doc->root); /* NULL is fine */
    *doc = (vs_json){0};
}

/* ---- walking ------------------------------------------------------------------------------ */

static vs_jnode node_below(const vs_jnode *container, const cJSON *node, const char *key,
                           uint32_t index)
{
    vs_jnode below = {.node = node, .doc = container->doc, .index = index};
    memcpy(below.path, container->path, sizeof below.path);
    below.parent_path_bytes =
        (uint32_t)vs_json_path_add(below.path, key, key != NULL ? strlen(key) : 0, index);
    return below;
}

vs_jnode vs_json_root(const vs_json *doc)
{
    return (vs_jnode){.node = doc->root, .doc = doc, .path = "$"};
}

vs_jnode vs_json_member(const vs_jnode *object, const char *key)
{
    const cJSON *found = NULL;
    if (vs_json_is_object(object)) {
        found = object->node->child;
        while (found != NULL && strcmp(found->string, key) != 0) {
            found = found->next;
        }
    }
    return node_below(object, found, key, 0);
}

bool vs_json_is_object(const vs_jnode *n)
{
    return cJSON_IsObject(n->node) != 0;
}

bool vs_json_is_array(const vs_jnode *n)
{
    return cJSON_IsArray(n->node) != 0;
}

bool vs_json_is_null(const vs_jnode *n)
{
    return cJSON_IsNull(n->node) != 0;
}

bool vs_json_is_string(const vs_jnode *n)
{
    return cJSON_IsString(n->node) != 0;
}

size_t vs_json_count(const vs_jnode *n)
{
    size_t count = 0;
    const cJSON *item = n->node != NULL && is_container(n->node) ? n->node->child : NULL;
    for (; item != NULL; item = item->next) {
        count++;
    }
    return count;
}

vs_jnode vs_json_first(const vs_jnode *container)
{
    if (container->node == NULL || !is_container(container->node) ||
        container->node->child == NULL) {
        return (vs_jnode){.doc = container->doc};
    }
    const cJSON *child = container->node->child;
    return node_below(container, child, child->string, 0);
}

vs_jnode vs_json_next(const vs_jnode *item)
{
    if (item->node == NULL || item->node->next == NULL) {
        return (vs_jnode){.doc = item->doc};
    }
    const cJSON *next = item->node->next;
    vs_jnode parent = {.doc = item->doc};
    memcpy(parent.path, item->path, item->parent_path_bytes);
    return node_below(&parent, next, next->string, item->index + 1);
}

bool vs_json_is_absent(const vs_jnode *n)
{
    return n->node == NULL || cJSON_IsNull(n->node);
}

bool vs_json_get_list(const vs_jnode *object, const char *key, vs_jnode *out, bool *has,
                      vs_err *err)
{
    const vs_jnode node = vs_json_member(object, key);
    if (!vs_json_is_absent(&node) && !vs_json_is_array(&node)) {
        return vs_json_fail(&node, err, "expected a list");
    }
    *out = node;
    *has = !vs_json_is_absent(&node);
    return true;
}

bool vs_json_equal(const vs_jnode *a, const vs_jnode *b)
{
    return a->node != NULL && b->node != NULL && cJSON_Compare(a->node, b->node, true) != 0;
}

char *vs_json_text(const vs_jnode *n, vs_arena *arena)
{
    char *const text = n->node == NULL ? NULL : cJSON_Print(n->node);
    char *const copy = text == NULL ? NULL : vs_str_copy(arena, vs_str_of(text));
    cJSON_free(text);
    return copy;
}

const char *vs_json_key(const vs_jnode *member)
{
    const bool has_key = member->node != NULL && member->node->string != NULL;
    return has_key ? member->node->string : "";
}

/* ---- values --------------------------------------------------------------------------------- */

bool vs_json_fail(const vs_jnode *n, vs_err *err, const char *format, ...)
{
    if (err == NULL || err->code != VS_OK) {
        return false; /* an older error keeps its own place */
    }
    va_list args;
    va_start(args, format);
    (void)vs_vfail(err, VS_ERR_VALUE, format, args);
    va_end(args);
    vs_err_at_input(err, n->doc != NULL ? n->doc->input : "");
    vs_err_at_path(err, n->path);
    return false;
}

#define FOUND_BYTES 64

static const char *describe(const cJSON *node, char buf[FOUND_BYTES])
{
    if (cJSON_IsNumber(node)) {
        (void)snprintf(buf, FOUND_BYTES, "%.17g", node->valuedouble);
    } else if (cJSON_IsString(node)) {
        const bool is_long = strlen(node->valuestring) > 40;
        (void)snprintf(buf, FOUND_BYTES, "the text \"%.40s%s\"", node->valuestring,
                       is_long ? "..." : "");
    } else if (cJSON_IsBool(node)) {
        (void)snprintf(buf, FOUND_BYTES, "%s", cJSON_IsTrue(node) ? "true" : "false");
    } else if (cJSON_IsNull(node)) {
        (void)snprintf(buf, FOUND_BYTES, "null");
    } else {
        (void)snprintf(buf, FOUND_BYTES, "%s", cJSON_IsArray(node) ? "an array" : "an object");
    }
    return buf;
}

static bool fail_type(const vs_jnode *n, vs_err *err, const char *expected)
{
    char found[FOUND_BYTES];
    if (n->node == NULL) {
        return vs_json_fail(n, err, "the key is missing; expected %s", expected);
    }
    return vs_json_fail(n, err, "expected %s, found %s", expected, describe(n->node, found));
}

static const char whole_number[] = "a whole number from 0 to 9007199254740992 (2^53)";
static const char true_or_false[] = "true or false";

bool vs_json_as_u64(const vs_jnode *n, uint64_t *out, vs_err *err)
{
    const double value = cJSON_IsNumber(n->node) ? n->node->valuedouble : -1.0;
    if (!(value >= 0.0 && value <= MAX_WHOLE)) {
        return fail_type(n, err, whole_number);
    }
    const uint64_t whole = (uint64_t)value;
    if ((double)whole < value) {
        return fail_type(n, err, whole_number);
    }
    *out = whole;
    return true;
}

bool vs_json_as_str(const vs_jnode *n, vs_str *out, vs_err *err)
{
    if (!cJSON_IsString(n->node)) {
        return fail_type(n, err, "a text");
    }
    *out = vs_str_of(n->node->valuestring);
    return true;
}

bool vs_json_as_bool(const vs_jnode *n, bool *out, vs_err *err)
{
    if (!cJSON_IsBool(n->node)) {
        return fail_type(n, err, true_or_false);
    }
    *out = cJSON_IsTrue(n->node) != 0;
    return true;
}

bool vs_json_as_double(const vs_jnode *n, double *out, vs_err *err)
{
    if (!cJSON_IsNumber(n->node)) {
        return fail_type(n, err, "a number");
    }
    *out = n->node->valuedouble;
    return true;
}

typedef struct {
    vs_jnode node;
    bool is_present;
    bool is_ok;
} lookup;

/* Finds a member for a getter; absent and null are the same. */
static lookup look_up(const vs_jnode *object, const char *key, const char *expected_if_required,
                      vs_err *err)
{
    lookup l = {.node = vs_json_member(object, key), .is_ok = true};
    const bool is_nothing = object->node == NULL || cJSON_IsNull(object->node);
    if (!is_nothing && !vs_json_is_object(object)) {
        l.is_ok = fail_type(object, err, "an object");
        return l;
    }
    l.is_present = l.node.node != NULL && !cJSON_IsNull(l.node.node);
    if (!l.is_present && expected_if_required != NULL) {
        l.is_ok = fail_type(&l.node, err, expected_if_required);
    }
    return l;
}

bool vs_json_get_u64(const vs_jnode *object, const char *key, bool required, uint64_t *out,
                     vs_err *err)
{
    const lookup l = look_up(object, key, required ? whole_number : NULL, err);
    return l.is_present ? vs_json_as_u64(&l.node, out, err) : l.is_ok;
}

bool vs_json_get_str(const vs_jnode *object, const char *key, bool required, vs_str *out,
                     vs_err *err)
{
    const lookup l = look_up(object, key, required ? "a text" : NULL, err);
    return l.is_present ? vs_json_as_str(&l.node, out, err) : l.is_ok;
}

bool vs_json_get_bool(const vs_jnode *object, const char *key, bool required, bool *out,
                      vs_err *err)
{
    const lookup l = look_up(object, key, required ? true_or_false : NULL, err);
    return l.is_present ? vs_json_as_bool(&l.node, out, err) : l.is_ok;
}

bool vs_json_get_double(const vs_jnode *object, const char *key, bool required, double *out,
                        vs_err *err)
{
    const lookup l = look_up(object, key, required ? "a number" : NULL, err);
    return l.is_present ? vs_json_as_double(&l.node, out, err) : l.is_ok;
}
