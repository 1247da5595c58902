/* write.c - a model as a checkpoint on disk, with holes for data.
 *
 * What is known of the tensors is all that is written: headers, index and config. Files come into being under temporary
 * names and are renamed together at the end (write_files.c). */
#include <string.h>

#include "sim/model/gguf.h"
#include "sim/model/json_scan.h"
#include "sim/model/write.h"

#define CONFIG_NAME "config.json"

/* Names of everything that is going to be written. NULL: arena exhausted. */
static const char **file_names(vs_arena *arena, const vs_write_plan *plan, uint32_t *count)
{
    const char **const names = VS_ARRAY(arena, const char *, (size_t)plan->shard_count + 2);
    if (names == NULL) {
        return NULL;
    }
    *count = 0;
    for (uint32_t i = 0; i < plan->shard_count; i++) {
        names[*count] = vs_safetensors_file_name(arena, i, plan->shard_count);
        if (names[(*count)++] == NULL) {
            return NULL;
        }
    }
    if (plan->shard_count > 1) {
        names[(*count)++] = VS_SAFETENSORS_INDEX_NAME;
    }
    if (plan->config.len > 0) {
        names[(*count)++] = CONFIG_NAME;
    }
    return names;
}

/* Blanks in front of the last line of a text that is an excerpt of an indented one. */
static size_t common_indent(vs_str text)
{
    size_t line = text.len;
    while (line > 0 && text.ptr[line - 1] != '\n') {
        line--;
    }
    size_t blanks = 0;
    while (line > 0 && line + blanks < text.len && text.ptr[line + blanks] == ' ') {
        blanks++;
    }
    return blanks;
}

/* The config as a file of its own: not indented as in the catalogue entry that it is from, one line end behind it. No
 * line of JSON begins inside a string, so blanks at the beginning of a line mean nothing. */
static bool config_file(vs_str *out, vs_arena *arena, vs_str config, vs_err *err)
{
    char *const bytes = vs_arena_alloc(arena, config.len + 1, 1);
    if (bytes == NULL) {
        return vs_fail_memory(err, arena, "a config");
    }
    while (config.len > 0 && strchr(" \t\r\n", config.ptr[config.len - 1]) != NULL) {
        config.len--;
    }
    const size_t indent = common_indent(config);
    size_t used = 0;
    size_t skipped = indent; /* of the line at hand */
    for (size_t i = 0; i < config.len; i++) {
        const char c = config.ptr[i];
        if (c == ' ' && skipped < indent) {
            skipped++;
            continue;
        }
        skipped = c == '\n' ? 0 : indent;
        bytes[used++] = c;
    }
    bytes[used++] = '\n';
    *out = (vs_str){bytes, used};
    return true;
}

static bool stage_config(vs_staging *staging, const vs_write_plan *plan, vs_err *err)
{
    vs_str text = {NULL, 0};
    return plan->config.len == 0 || (config_file(&text, staging->arena, plan->config, err) &&
                                     vs_staging_add(staging, CONFIG_NAME, text, text.len, err));
}

static bool write_safetensors(vs_write_result *result, const vs_write_plan *plan,
                              vs_arena *arena, const vs_write_desc *desc, vs_err *err)
{
    uint32_t name_count = 0;
    vs_staging staging = {0};
    const char *const *const names = file_names(arena, plan, &name_count);
    if (names == NULL) {
        return vs_fail_memory(err, arena, "the names of files");
    }
    if (!vs_staging_open(&staging, arena, desc->folder, name_count, err)) {
        return false;
    }
    vs_bytes data_bytes = 0;
    if (!vs_staging_check(&staging, names, name_count, desc->is_forced, err) ||
        !vs_safetensors_stage(&staging, plan, desc, &data_bytes, err) ||
        !stage_config(&staging, plan, err)) {
        vs_staging_abandon(&staging);
        return false;
    }
    if (!vs_staging_commit(&staging, err)) {
        return false;
    }
    *result = (vs_write_result){
        .file_count = plan->shard_count,
        .tensor_count = plan->count,
        .data_bytes = data_bytes,
        .written_bytes = staging.written_bytes,
        .has_config = plan->config.len > 0,
    };
    return true;
}

/* "org/name" -> "name.gguf". NULL: arena exhausted. */
static const char *gguf_name(vs_arena *arena, const char *name)
{
    const char *const slash = strrchr(name, '/');
    return vs_arena_printf(arena, "%s.gguf", slash == NULL ? name : slash + 1);
}

static bool write_gguf(vs_write_result *result, vs_arena *arena, const vs_model *model,
                       const vs_write_desc *desc, vs_str config, vs_err *err)
{
    vs_staging staging = {0};
    vs_gguf_image image = {0};
    const vs_gguf_write_desc wanted = {.layers = desc->layers, .config = config};
    const char *const name = gguf_name(arena, model->name);
    if (name == NULL) {
        return vs_fail_memory(err, arena, "the names of files");
    }
    if (!vs_gguf_make_image(&image, arena, model, &wanted, err) ||
        !vs_staging_open(&staging, arena, desc->folder, 1, err)) {
        return false;
    }
    if (!vs_staging_check(&staging, &name, 1, desc->is_forced, err) ||
        !vs_staging_add(&staging, name, image.head, image.file_bytes, err)) {
        vs_staging_abandon(&staging);
        return false;
    }
    if (!vs_staging_commit(&staging, err)) {
        return false;
    }
    *result = (vs_write_result){
        .file_count = 1,
        .tensor_count = image.tensor_count,
        .left_out_count = image.left_out,
        .data_bytes = image.data_bytes,
        .written_bytes = staging.written_bytes,
    };
    return true;
}

/* ---- config.json ------------------------------------------------------------------------------------
 *
 * Copied, not printed anew: 30.0 would become 30, and Transformers 5.12.1 refuses whole numbers for
 * final_logit_softcapping and the like (huggingface_hub strict dataclasses). */

/* The "config" of a catalogue entry. */
static bool catalogue_config(vs_str *out, vs_arena *arena, const vs_catalogue_model *entry,
                             vs_err *err)
{
    const vs_str text = vs_catalogue_model_text(entry);
    vs_scan s = {(const uint8_t *)text.ptr, text.len, 0, 0, arena, err, false};
    bool is_last = false;
    if (!vs_scan_take(&s, '{', "'{' (a catalogue entry)")) {
        return false;
    }
    while (!is_last) {
        vs_str key = {NULL, 0};
        if (!vs_scan_string(&s, &key, "a key") || !vs_scan_take(&s, ':', "':'")) {
            return false;
        }
        (void)vs_scan_peek(&s);
        const uint64_t begin = s.pos;
        if (!vs_scan_skip(&s)) {
            return false;
        }
        if (vs_str_is(key, "config")) {
            *out = (vs_str){text.ptr + begin, (size_t)(s.pos - begin)};
        }
        if (!vs_scan_separator(&s, '}', &is_last)) {
            return false;
        }
    }
    return true;
}

/* The text of the file at path when it says what config says; len 0: it does not, or is not there. */
static bool read_same(vs_str *out, vs_arena *arena, const char *path, vs_str config,
                      vs_err *err)
{
    vs_file file = {0};
    vs_json theirs = {0};
    vs_json ours = {0};
    *out = (vs_str){NULL, 0};
    if (!vs_file_open(&file, path, NULL)) {
        return true;
    }
    bool is_same = vs_json_parse(&theirs, file.bytes, (size_t)file.size_bytes, path, NULL) &&
                   vs_json_parse(&ours, config.ptr, config.len, path, NULL);
    if (is_same) {
        const vs_jnode a = vs_json_root(&theirs);
        const vs_jnode b = vs_json_root(&ours);
        is_same = vs_json_equal(&a, &b);
    }
    if (is_same) {
        const vs_str text = {(const char *)file.bytes, (size_t)file.size_bytes};
        *out = (vs_str){vs_str_copy(arena, text), text.len};
    }
    vs_json_close(&theirs);
    vs_json_close(&ours);
    vs_file_close(&file);
    return !is_same || out->ptr != NULL || vs_fail_memory(err, arena, "a config");
}

/* The file that config was read from: MODEL itself, config.json in it, or config.json beside it. */
static bool file_config(vs_str *out, vs_arena *arena, const char *spec, vs_str config,
                        vs_err *err)
{
    const char *const slash = strrchr(spec, '/');
    const int beside = slash == NULL ? 0 : (int)(slash - spec) + 1;
    const char *const paths[] = {spec, vs_arena_printf(arena, "%s/" CONFIG_NAME, spec),
                                 vs_arena_printf(arena, "%.*s" CONFIG_NAME, beside, spec)};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        vs_str found = {NULL, 0};
        if (paths[i] == NULL) {
            return vs_fail_memory(err, arena, "a path");
        }
        if (i == 0 && !vs_str_ends(vs_str_of(spec), ".json")) {
            continue; /* weights, or a folder */
        }
        if (!read_same(&found, arena, paths[i], config, err)) {
            return false;
        }
        if (found.len > 0) {
            *out = found;
            return true;
        }
    }
    return true;
}

/* The text that becomes config.json, before layers are cut. */
static bool find_config(vs_str *out, vs_arena *arena, const vs_model *model, const char *spec,
                        vs_err *err)
{
    const vs_catalogue_model *const entry =
        vs_str_is(vs_str_of(model->source), "catalogue")
            ? vs_catalogue_model_find(vs_str_of(model->name))
            : NULL;
    *out = vs_str_of(model->config_text);
    if (entry != NULL) {
        return catalogue_config(out, arena, entry, err);
    }
    return out->len == 0 || spec == NULL || file_config(out, arena, spec, *out, err);
}

bool vs_model_write(vs_write_result *result, vs_arena *arena, const vs_model *model,
                    const vs_write_desc *desc, vs_err *err)
{
    vs_write_plan plan = {0};
    vs_str config = {NULL, 0};
    if (!vs_write_check_layers(model, desc->layers, err) ||
        !find_config(&config, arena, model, desc->spec, err)) {
        return false;
    }
    switch (desc->format) {
    case VS_WRITE_SAFETENSORS:
        return vs_write_plan_make(&plan, arena, model, desc->layers, err) &&
               vs_write_plan_config(&plan, arena, config, desc->layers, err) &&
               write_safetensors(result, &plan, arena, desc, err);
    case VS_WRITE_GGUF: return write_gguf(result, arena, model, desc, config, err);
    }
    return vs_fail(err, VS_ERR_INTERNAL, "no such format: %d", (int)desc->format);
}
