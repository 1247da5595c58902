/* sim/hardware/host_json.c - HOST.json: what is known about one particular machine.
 *
 * Written by `probe` and `calibrate`, or by hand. Every key is optional; a figure that is there counts
 * as measured and is not listed among the assumptions. null counts as left out.
 *
 *   {"format": "vramscope.host/1", "name": "lab 3", "ram_bytes": ..., "disk_read_bytes_per_s": ...,
 *    "gpu": {"name": "rtx-4090", "context_bytes": ...},
 *    "sources": {"ram_bytes": "..."}, "uncertainty": {"disk_read_bytes_per_s": 0.05}} */
#include "sim/hardware/figures.h"

#include <string.h>

#define FORMAT "vramscope.host/1"
#define SOURCE "HOST.json"

static const vs_hw_reading host_reading = {
    .kind = &vs_hw_hosts, .prefix = "", .origin = VS_HW_STATED, .source = SOURCE};
static const vs_hw_reading disk_reading = {
    .kind = &vs_hw_disks, .prefix = "disk_", .origin = VS_HW_STATED, .source = SOURCE};
static const vs_hw_reading gpu_reading = {
    .kind = &vs_hw_gpus, .prefix = "", .origin = VS_HW_STATED, .source = SOURCE};

/* Keys that are no figures of the host, for the check and for suggestions. */
static const char *const other_keys[] = {"format", "name", "gpu", "sources", "uncertainty"};
static const char *const suggestions[] = {"format",
                                          "name",
                                          "gpu",
                                          "sources",
                                          "uncertainty",
                                          "disk_read_bytes_per_s",
                                          "disk_mmap_read_bytes_per_s",
                                          "disk_capacity_bytes"};
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static bool is_other_key(const char *key)
{
    for (size_t i = 0; i < COUNT_OF(other_keys); i++) {
        if (strcmp(key, other_keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Every top-level key: a figure of the host, one of the disk, or one of other_keys. */
static bool read_members(vs_hw_host_file *file, const vs_jnode *root, vs_err *err)
{
    for (vs_jnode i = vs_json_first(root); i.node != NULL; i = vs_json_next(&i)) {
        bool is_host = false;
        bool is_disk = false;
        if (!vs_hw_read_member(&file->host, root, &i, &host_reading, &is_host, err) ||
            !vs_hw_read_member(&file->disk, root, &i, &disk_reading, &is_disk, err)) {
            return false;
        }
        if (!is_host && !is_disk && !is_other_key(vs_json_key(&i))) {
            return vs_hw_fail_unknown_key(&i, &host_reading, suggestions, COUNT_OF(suggestions),
                                          err);
        }
    }
    for (uint32_t i = 0; i < vs_hw_disks.count; i++) {
        file->has_disk = file->has_disk || file->disk.figures[i].origin != VS_HW_UNKNOWN;
    }
    return true;
}

static bool read_head(vs_hw_host_file *file, vs_arena *arena, const vs_jnode *root, vs_err *err)
{
    vs_str format = {0};
    vs_str name = {0};
    if (!vs_json_get_str(root, "format", false, &format, err) ||
        !vs_json_get_str(root, "name", false, &name, err)) {
        return false;
    }
    if (format.ptr != NULL && !vs_str_is(format, FORMAT)) {
        const vs_jnode node = vs_json_member(root, "format");
        return vs_json_fail(&node, err,
                            "\"%.*s\" is not a HOST.json of this version, expected \"%s\"",
                            format.len > 80 ? 80 : (int)format.len, format.ptr, FORMAT);
    }
    if (name.ptr == NULL) {
        return true;
    }
    file->host.name = vs_str_copy(arena, name);
    return file->host.name != NULL || vs_fail_memory(err, arena, "the name of a host");
}

/* {key: relative error}: kept for `calibrate`; here only checked to be sensible. */
static bool check_uncertainty(const vs_jnode *uncertainty, vs_err *err)
{
    if (!vs_json_is_object(uncertainty)) {
        return vs_json_fail(uncertainty, err, "expected an object {key: relative uncertainty}");
    }
    for (vs_jnode i = vs_json_first(uncertainty); i.node != NULL; i = vs_json_next(&i)) {
        double share = 0.0;
        if (!vs_json_as_double(&i, &share, err)) {
            return false;
        }
        if (!(share >= 0.0)) {
            return vs_json_fail(&i, err, "a relative uncertainty cannot be negative");
        }
    }
    return true;
}

static bool read_root(vs_hw_host_file *file, vs_arena *arena, const vs_jnode *root, vs_err *err)
{
    if (!vs_json_is_object(root)) {
        return vs_json_fail(root, err,
                            "expected an object, as `vramscope probe -o HOST.json` writes it");
    }
    if (!read_head(file, arena, root, err) || !read_members(file, root, err)) {
        return false;
    }
    const vs_jnode sources = vs_hw_member(root, "sources");
    if (sources.node != NULL &&
        (!vs_hw_read_sources(&file->host, arena, &sources, &host_reading, err) ||
         !vs_hw_read_sources(&file->disk, arena, &sources, &disk_reading, err))) {
        return false;
    }
    const vs_jnode uncertainty = vs_hw_member(root, "uncertainty");
    if (uncertainty.node != NULL && !check_uncertainty(&uncertainty, err)) {
        return false;
    }
    const vs_jnode gpu = vs_hw_member(root, "gpu");
    file->has_gpu = gpu.node != NULL;
    return gpu.node == NULL || vs_hw_read_entry(&file->gpu, arena, &gpu, &gpu_reading, err);
}

static bool read_document(vs_hw_host_file *out, vs_arena *arena, const vs_json *doc,
                          vs_err *err)
{
    vs_hw_host_file file = {0};
    const vs_jnode root = vs_json_root(doc);
    if (!read_root(&file, arena, &root, err)) {
        return false;
    }
    *out = file;
    return true;
}

bool vs_hw_parse_host_file(vs_hw_host_file *out, vs_arena *arena, const void *text,
                           size_t text_bytes, const char *input_name, vs_err *err)
{
    vs_json doc = {0};
    if (!vs_json_parse(&doc, text, text_bytes, input_name, err)) {
        return false;
    }
    const bool is_read = read_document(out, arena, &doc, err);
    vs_json_close(&doc);
    if (!is_read) {
        vs_err_at_input(err, input_name);
    }
    return is_read;
}

bool vs_hw_read_host_file(vs_hw_host_file *out, vs_arena *arena, const char *path, vs_err *err)
{
    vs_json doc = {0};
    if (!vs_json_read(&doc, path, err)) {
        return false;
    }
    const bool is_read = read_document(out, arena, &doc, err);
    vs_json_close(&doc);
    if (!is_read) {
        vs_err_at_input(err, path);
    }
    return is_read;
}
