/* sim/hardware/catalogue.c - finds entries in the built-in catalogue and in a user's overlay.
 *
 * The built-in texts are ours, so they are not parsed as a whole for every run: every entry begins with
 * {"id": "ID", "name": "NAME", and looking for that finds an entry among 70 kB of text in some
 * ten microseconds; only the object that starts there is then parsed. The tests compare this
 * short cut with a full parse. An overlay is a user's file: it is parsed whole and strictly.
 *
 * An overlay entry with the id of a built-in one is laid over it, key by key; others are added. */
#include "sim/hardware/figures.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define IDS_MAX     1024 /* entries of one kind, overlay included */
#define ENTRY_START "{\"id\": \""
#define NAME_START  "\", \"name\": \""
#define NVIDIA      "NVIDIA "

/* ---- the built-in text ------------------------------------------------------------------ */

static vs_str builtin_text(const char *file)
{
    for (size_t i = 0; i < vs_embedded_count; i++) {
        if (strcmp(vs_embedded_files[i].name, file) == 0) {
            return (vs_str){vs_embedded_files[i].text, vs_embedded_files[i].text_bytes};
        }
    }
    return (vs_str){"", 0};
}

/* The object that opens at text, up to its closing brace; empty when there is none. */
static vs_str whole_object(const char *text)
{
    size_t depth = 0;
    bool is_in_string = false;
    for (size_t i = 0; text[i] != '\0'; i++) {
        const char c = text[i];
        if (is_in_string) {
            if (c == '\\' && text[i + 1] != '\0') {
                i++;
            } else if (c == '"') {
                is_in_string = false;
            }
        } else if (c == '"') {
            is_in_string = true;
        } else if (c == '{') {
            depth++;
        } else if (c == '}' && --depth == 0) {
            return (vs_str){text, i + 1};
        }
    }
    return (vs_str){"", 0};
}

/* Where the list of the kind begins in its text (hosts.json holds two lists); "" when there is none. */
static const char *list_start(const vs_hw_kind *kind)
{
    char start[32] = {0};
    (void)snprintf(start, sizeof start, "\"%s\": [", kind->list);
    const char *first = strstr(builtin_text(kind->file).ptr, start);
    return first == NULL ? "" : first + strlen(start) - 1;
}

static vs_str up_to_quote(const char *text)
{
    return (vs_str){text, strcspn(text, "\"")};
}

static vs_str without_vendor(vs_str name)
{
    const size_t len = strlen(NVIDIA);
    if (name.len > len && vs_str_is_nocase((vs_str){name.ptr, len}, NVIDIA)) {
        return (vs_str){name.ptr + len, name.len - len};
    }
    return name;
}

static unsigned lower(char c)
{
    const unsigned u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? u + ('a' - 'A') : u;
}

static bool same_name(vs_str a, vs_str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

/* The next entry of the list after *pos, which is the list's start or where this left it. The first entry
 * stands behind a bracket and the others behind a comma: anything else is the next list. */
static bool next_entry(const char *list, const char **pos, vs_str *id, vs_str *name)
{
    const char *start = strstr(*pos, ENTRY_START);
    if (start == NULL) {
        return false;
    }
    const char *before = start - 1;
    while (before > *pos && (*before == ' ' || *before == '\n')) {
        before--;
    }
    if (*before != (*pos == list ? '[' : ',')) {
        return false;
    }
    *pos = start + strlen(ENTRY_START);
    *id = up_to_quote(*pos);
    const char *after = id->ptr + id->len;
    const bool has_name = strncmp(after, NAME_START, strlen(NAME_START)) == 0;
    *name = has_name ? up_to_quote(after + strlen(NAME_START)) : *id;
    return true;
}

static bool parse_builtin(const vs_hw_kind *kind, vs_arena *arena, vs_str object,
                          vs_hw_entry *out, vs_err *err)
{
    const vs_hw_reading reading = {
        .kind = kind, .prefix = "", .origin = VS_HW_ASSUMED, .source = "built-in catalogue"};
    vs_json doc = {0};
    if (!vs_json_parse(&doc, object.ptr, object.len, kind->file, err)) {
        return false;
    }
    const vs_jnode root = vs_json_root(&doc);
    const bool is_read = vs_hw_read_entry(out, arena, &root, &reading, err);
    vs_json_close(&doc);
    return is_read;
}

/* *is_found false and true returned: the catalogue has no such entry. */
static bool find_builtin(const vs_hw_kind *kind, vs_arena *arena, vs_str wanted,
                         vs_hw_entry *out, bool *is_found, vs_err *err)
{
    const char *list = list_start(kind);
    const char *pos = list;
    vs_str id = {0};
    vs_str name = {0};
    *is_found = false;
    while (!*is_found && next_entry(list, &pos, &id, &name)) {
        *is_found = same_name(id, wanted) || same_name(name, without_vendor(wanted));
    }
    if (!*is_found) {
        return true;
    }
    return parse_builtin(kind, arena, whole_object(pos - strlen(ENTRY_START)), out, err);
}

bool vs_hw_find_block(const vs_hw_kind *kind, vs_arena *arena, const char *name,
                      vs_hw_entry *out, vs_err *err)
{
    char start[32] = {0};
    (void)snprintf(start, sizeof start, "\"%s\": {", name);
    const char *block = strstr(builtin_text(kind->file).ptr, start);
    if (block == NULL) {
        return vs_fail(err, VS_ERR_INTERNAL, "the built-in %s has no \"%s\"", kind->file, name);
    }
    return parse_builtin(kind, arena, whole_object(strchr(block, '{')), out, err);
}

/* ---- the overlay --------------------------------------------------------------------------- */

typedef struct {
    vs_hw_entry *entries;
    uint32_t count;
} entry_list;

static bool read_list(const vs_hw_kind *kind, vs_arena *arena, const vs_jnode *list,
                      const vs_hw_reading *reading, entry_list *out, vs_err *err)
{
    if (!vs_json_is_array(list)) {
        return vs_json_fail(list, err, "expected an array of entries");
    }
    const size_t count = vs_json_count(list);
    if (count > IDS_MAX) {
        return vs_json_fail(list, err, "%zu entries; at most %d are accepted", count, IDS_MAX);
    }
    vs_hw_entry *entries = VS_ARRAY(arena, vs_hw_entry, count);
    if (entries == NULL) {
        return vs_fail_memory(err, arena, kind->file);
    }
    uint32_t n = 0;
    for (vs_jnode i = vs_json_first(list); i.node != NULL; i = vs_json_next(&i)) {
        if (!vs_hw_read_entry(&entries[n], arena, &i, reading, err)) {
            return false;
        }
        if (entries[n].id == NULL || entries[n].id[0] == '\0') {
            return vs_json_fail(&i, err, "the entry needs an \"id\"");
        }
        n++;
    }
    *out = (entry_list){entries, n};
    return true;
}

/* Members of the file itself: what may stand beside the list. */
static bool check_members(const vs_hw_kind *kind, const vs_jnode *root, vs_err *err)
{
    static const char *const known[] = {"format", "gpus",   "hosts",  "links",
                                        "disks",  "common", "generic"};
    if (!vs_json_is_object(root)) {
        return vs_json_fail(root, err, "expected an object with \"format\" and \"%s\"",
                            kind->list);
    }
    vs_str format = {0};
    if (!vs_json_get_str(root, "format", true, &format, err)) {
        return false;
    }
    if (!vs_str_is(format, kind->format)) {
        return vs_fail(err, VS_ERR_FORMAT, "\"format\" is \"%.*s\", expected \"%s\"",
                       (int)format.len, format.ptr, kind->format);
    }
    const vs_hw_reading no_figures = {.kind = &(const vs_hw_kind){.noun = "catalogue file"},
                                      .prefix = ""};
    const size_t count = sizeof known / sizeof known[0];
    for (vs_jnode i = vs_json_first(root); i.node != NULL; i = vs_json_next(&i)) {
        size_t k = 0;
        while (k < count && strcmp(vs_json_key(&i), known[k]) != 0) {
            k++;
        }
        if (k == count) {
            return vs_hw_fail_unknown_key(&i, &no_figures, known, count, err);
        }
    }
    return true;
}

static bool read_document(const vs_hw_kind *kind, vs_arena *arena, const vs_json *doc,
                          const vs_hw_reading *reading, entry_list *out, vs_err *err)
{
    const vs_jnode root = vs_json_root(doc);
    if (!check_members(kind, &root, err)) {
        return false;
    }
    const vs_jnode list = vs_json_member(&root, kind->list);
    return list.node == NULL || read_list(kind, arena, &list, reading, out, err);
}

/* Nothing when there is no overlay, or no such file in it. */
static bool read_overlay(const vs_hw_kind *kind, vs_arena *arena, const char *overlay_dir,
                         entry_list *out, vs_err *err)
{
    *out = (entry_list){NULL, 0};
    if (overlay_dir == NULL) {
        return true;
    }
    const char *path = vs_arena_printf(arena, "%s/%s", overlay_dir, kind->file);
    if (path == NULL) {
        return vs_fail_memory(err, arena, "the path of an overlay");
    }
    if (access(path, F_OK) != 0) {
        return true;
    }
    const vs_hw_reading reading = {
        .kind = kind, .prefix = "", .origin = VS_HW_ASSUMED, .source = path};
    vs_json doc = {0};
    if (!vs_json_read(&doc, path, err)) {
        return false;
    }
    const bool is_read = read_document(kind, arena, &doc, &reading, out, err);
    vs_json_close(&doc);
    if (!is_read) {
        vs_err_at_input(err, path);
    }
    return is_read;
}

/* ---- finding ----------------------------------------------------------------------------------- */

static bool fail_unknown(const vs_hw_kind *kind, vs_arena *arena, vs_str wanted,
                         const entry_list *overlay, vs_err *err)
{
    const char *ids[2 * IDS_MAX] = {NULL};
    size_t count = 0;
    const char *list = list_start(kind);
    const char *pos = list;
    vs_str id = {0};
    vs_str name = {0};
    while (count < IDS_MAX && next_entry(list, &pos, &id, &name)) {
        const char *copy = vs_str_copy(arena, id);
        if (copy == NULL) {
            return vs_fail_memory(err, arena, "the list of names");
        }
        ids[count++] = copy;
    }
    for (uint32_t i = 0; i < overlay->count; i++) {
        ids[count++] = overlay->entries[i].id;
    }
    const char *nearest = vs_nearest(wanted, ids, count);
    const int len = wanted.len > 80 ? 80 : (int)wanted.len;
    if (nearest != NULL) {
        return vs_fail(err, VS_ERR_NOT_FOUND,
                       "unknown %s \"%.*s\"; the nearest known one is \"%s\""
                       " (`vramscope list %s` shows all)",
                       kind->noun, len, wanted.ptr, nearest, kind->list);
    }
    return vs_fail(err, VS_ERR_NOT_FOUND, "unknown %s \"%.*s\"; `vramscope list %s` shows all",
                   kind->noun, len, wanted.ptr, kind->list);
}

const vs_hw_entry *vs_hw_find(const vs_hw_kind *kind, vs_arena *arena, vs_str id,
                              const char *overlay_dir, vs_err *err)
{
    bool is_found = false;
    vs_hw_entry *entry = VS_NEW(arena, vs_hw_entry);
    entry_list overlay = {NULL, 0};
    if (entry == NULL) {
        (void)vs_fail_memory(err, arena, "a hardware entry");
        return NULL;
    }
    if (!find_builtin(kind, arena, id, entry, &is_found, err) ||
        !read_overlay(kind, arena, overlay_dir, &overlay, err)) {
        return NULL;
    }
    const vs_str known_id = is_found ? vs_str_of(entry->id) : id;
    for (uint32_t i = 0; i < overlay.count; i++) {
        if (same_name(vs_str_of(overlay.entries[i].id), known_id)) {
            vs_hw_overlay(entry, &overlay.entries[i], kind);
            is_found = true;
        }
    }
    if (!is_found) {
        (void)fail_unknown(kind, arena, id, &overlay, err);
        return NULL;
    }
    return entry;
}

/* ---- everything ---------------------------------------------------------------------------------- */

static bool read_builtin_list(const vs_hw_kind *kind, vs_arena *arena, entry_list *out,
                              vs_err *err)
{
    const vs_hw_reading reading = {
        .kind = kind, .prefix = "", .origin = VS_HW_ASSUMED, .source = "built-in catalogue"};
    const vs_str text = builtin_text(kind->file);
    vs_json doc = {0};
    if (!vs_json_parse(&doc, text.ptr, text.len, kind->file, err)) {
        return false;
    }
    const bool is_read = read_document(kind, arena, &doc, &reading, out, err);
    vs_json_close(&doc);
    return is_read;
}

bool vs_hw_load_all(const vs_hw_kind *kind, vs_arena *arena, const char *overlay_dir,
                    vs_hw_entry **out_entries, uint32_t *out_count, vs_err *err)
{
    entry_list builtin = {NULL, 0};
    entry_list overlay = {NULL, 0};
    if (!read_builtin_list(kind, arena, &builtin, err) ||
        !read_overlay(kind, arena, overlay_dir, &overlay, err)) {
        return false;
    }
    vs_hw_entry *all = VS_ARRAY(arena, vs_hw_entry, (size_t)builtin.count + overlay.count);
    if (all == NULL) {
        return vs_fail_memory(err, arena, kind->file);
    }
    uint32_t count = builtin.count;
    for (uint32_t i = 0; i < builtin.count; i++) {
        all[i] = builtin.entries[i];
    }
    for (uint32_t i = 0; i < overlay.count; i++) {
        uint32_t k = 0;
        while (k < count &&
               !same_name(vs_str_of(all[k].id), vs_str_of(overlay.entries[i].id))) {
            k++;
        }
        vs_hw_overlay(&all[k], &overlay.entries[i], kind); /* all[count] is zero: an addition */
        count += k == count ? 1 : 0;
    }
    *out_entries = all;
    *out_count = count;
    return true;
}
