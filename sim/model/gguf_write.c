/* gguf_write.c - a model as a GGUF file: true metadata, names, shapes and types, and a hole for the data.
 *
 * The parameters are those of the plain architecture (vs_model.modules), under the names of llama.cpp. Where its
 * converter cuts or turns a parameter, so do we (shapes only): convert_hf_to_gguf.py of ggml-org/llama.cpp,
 * modify_tensors of the classes named below. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/model/gguf.h"

#define ALIGNMENT      32u /* GGUF_DEFAULT_ALIGNMENT */
/* An info: name of at most 95 bytes, four dimensions. */
#define INFO_BYTES_MAX ((size_t)(8 + 95 + 4 + 32 + 4 + 8))

/* general.file_type: LlamaFileType of gguf-py 0.19.0 constants.py */
enum { FILE_F32 = 0, FILE_F16 = 1, FILE_BF16 = 32, FILE_MXFP4_MOE = 38 };

typedef struct {
    uint64_t shape[VS_DIMS_MAX];
    uint32_t dim_count;
} shape_of;

typedef struct {
    const vs_gguf_arch *arch;
    const vs_model *model;
    uint64_t layers;
    vs_jnode config; /* node NULL: none */
    vs_gguf_out infos;
    uint64_t data_end; /* aligned */
    vs_bytes data_bytes;
    vs_bytes bytes_by_dtype[VS_DT_COUNT];
    uint32_t tensor_count;
    uint32_t left_out;
    vs_err *err;
} image_writer;

/* ---- which dtype ------------------------------------------------------------------------------ */

static bool is_plain_float(vs_dtype dtype)
{
    return dtype == VS_DT_F32 || dtype == VS_DT_F16 || dtype == VS_DT_BF16 ||
           dtype == VS_DT_F64;
}

/* What is stored, where ggml has it; what had to be dequantised is in the dtype of the config. */
static vs_dtype dtype_of(const image_writer *w, const vs_target *t)
{
    const vs_model *const m = w->model;
    const vs_dtype wide = is_plain_float(m->config_dtype) && m->container != VS_CONTAINER_GGUF
                              ? m->config_dtype
                              : VS_DT_BF16;
    if (m->quant.format == VS_QF_MXFP4 && (t->flags & VS_TF_EXPERTS) != 0 &&
        (t->flags & VS_TF_BIAS) == 0 && t->dim_count == 3) {
        return VS_DT_MXFP4;
    }
    if (t->source_count == 0) {
        return (t->flags & VS_TF_BUFFER) != 0 ? VS_DT_F32 : wide;
    }
    const vs_dtype stored = m->tensors[m->module_sources[t->first_source]].dtype;
    const bool is_kept = is_plain_float(stored) || vs_dtype_is_block(stored);
    return is_kept && t->companion_count == 0 ? stored : wide;
}

/* ---- which shape ------------------------------------------------------------------------------- */

static bool ends(const char *name, const char *tail)
{
    return vs_str_ends(vs_str_of(name), tail);
}

static shape_of shape3(uint64_t a, uint64_t b, uint64_t c)
{
    return (shape_of){{a, b, c}, 3};
}

static uint64_t config_whole(const image_writer *w, const char *key, uint64_t fallback)
{
    uint64_t value = fallback;
    if (w->config.node == NULL || !vs_json_get_u64(&w->config, key, false, &value, NULL) ||
        value == 0) {
        return fallback;
    }
    return value;
}

/* Dimensions of one are left out: the converter squeezes (LLaMA's biases, the gate of a shared expert, conv1d). */
static shape_of squeezed(const vs_target *t)
{
    shape_of out = {.dim_count = 0};
    for (uint32_t i = 0; i < t->dim_count; i++) {
        if (t->shape[i] != 1) {
            out.shape[out.dim_count++] = t->shape[i];
        }
    }
    if (out.dim_count == 0) {
        out = (shape_of){{1}, 1};
    }
    return out;
}

/* Experts of gpt-oss and Llama 4 are stored [experts, in, out] by Transformers (GptOssModel, Llama4Model). */
static bool is_turned(const image_writer *w)
{
    return strcmp(w->arch->model_type, "gpt_oss") == 0 ||
           strcmp(w->arch->model_type, "llama4_text") == 0;
}

/* gate and up, [E, 2 rows, in] */
static shape_of half_of_experts(const image_writer *w, const vs_target *t)
{
    if (t->dim_count == 2) { /* their biases */
        return (shape_of){{t->shape[0], t->shape[1] / 2}, 2};
    }
    return is_turned(w) ? shape3(t->shape[0], t->shape[2] / 2, t->shape[1])
                        : shape3(t->shape[0], t->shape[1] / 2, t->shape[2]);
}

/* DeepseekV2Model: kv_b [heads * (nope + value), lora] as k_b, transposed, and v_b. */
static shape_of half_of_latent(const image_writer *w, const vs_target *t, uint32_t which)
{
    const uint64_t heads = w->model->dims.heads == 0 ? 1 : w->model->dims.heads;
    const uint64_t rows = t->shape[0] / heads;
    const uint64_t value = config_whole(w, "v_head_dim", rows / 2);
    return which == 0 ? shape3(heads, t->shape[1], rows > value ? rows - value : 0)
                      : shape3(heads, value, t->shape[1]);
}

/* Qwen3NextModel: in_proj_qkvz as q, k and v, and z. */
static shape_of half_of_linear(const image_writer *w, const vs_target *t, uint32_t which)
{
    const uint64_t z = config_whole(w, "linear_num_value_heads", 32) *
                       config_whole(w, "linear_value_head_dim", 128);
    const uint64_t rest = t->shape[0] > z ? t->shape[0] - z : 0;
    return (shape_of){{which == 0 ? rest : z, t->shape[1]}, 2};
}

static shape_of shape_in_file(const image_writer *w, const vs_target *t, uint32_t which,
                              uint32_t name_count)
{
    if (name_count == 2) {
        return ends(t->name, ".kv_b_proj.weight")      ? half_of_latent(w, t, which)
               : ends(t->name, ".in_proj_qkvz.weight") ? half_of_linear(w, t, which)
                                                       : half_of_experts(w, t);
    }
    return is_turned(w) && t->dim_count == 3 ? shape3(t->shape[0], t->shape[2], t->shape[1])
                                             : squeezed(t);
}

/* ---- tensors -------------------------------------------------------------------------------------- */

static bool put_info(image_writer *w, const char *name, const shape_of *shape, vs_dtype dtype)
{
    uint64_t elements = 1;
    uint32_t type = 0;
    vs_bytes bytes = 0;
    bool is_ok = true;
    const uint64_t row = shape->shape[shape->dim_count - 1];
    if (row % vs_dtype_block_elements(dtype) != 0) {
        dtype = VS_DT_F16; /* as llama-quantize does with rows that are no whole blocks */
    }
    for (uint32_t i = 0; i < shape->dim_count; i++) {
        is_ok = is_ok && vs_mul_u64(elements, shape->shape[i], &elements);
    }
    uint64_t end = 0;
    is_ok = is_ok && vs_dtype_bytes(dtype, elements, &bytes) &&
            vs_dtype_ggml_type(dtype, &type) && vs_add_u64(w->data_end, bytes, &end) &&
            vs_round_up_u64(end, ALIGNMENT, &end) && end < INT64_MAX;
    if (!is_ok) {
        return vs_fail(w->err, VS_ERR_VALUE, "%s is too large for a file", name);
    }
    vs_gguf_put_str(&w->infos, name);
    vs_gguf_put(&w->infos, shape->dim_count, 4);
    for (uint32_t i = shape->dim_count; i > 0; i--) {
        vs_gguf_put(&w->infos, shape->shape[i - 1], 8);
    }
    vs_gguf_put(&w->infos, type, 4);
    vs_gguf_put(&w->infos, w->data_end, 8);
    w->data_end = end;
    w->data_bytes += bytes;
    w->bytes_by_dtype[dtype] += bytes;
    w->tensor_count++;
    return true;
}

/* The text model's part of a multimodal one has its names as if it were alone. */
static const char *plain_name(const char *name, char buf[256])
{
    if (strncmp(name, "model.language_model.", 21) == 0) {
        (void)snprintf(buf, 256, "model.%s", name + 21);
        return buf;
    }
    return strncmp(name, "language_model.", 15) == 0 ? name + 15 : name;
}

static bool put_target(image_writer *w, const vs_target *t)
{
    char buf[256];
    char names[2][96];
    const bool is_cut = t->layer >= 0 && (uint64_t)t->layer >= w->layers;
    if (is_cut || (t->flags & (VS_TF_NON_PERSISTENT | VS_TF_TIED)) != 0) {
        return true;
    }
    const uint32_t count = vs_gguf_names_of(w->arch, plain_name(t->name, buf), names);
    const vs_dtype dtype = dtype_of(w, t);
    w->left_out += count == 0;
    for (uint32_t i = 0; i < count; i++) {
        const shape_of shape = shape_in_file(w, t, i, count);
        if (!put_info(w, names[i], &shape, dtype)) {
            return false;
        }
    }
    return true;
}

static bool put_targets(image_writer *w)
{
    for (uint32_t i = 0; i < w->model->module_count; i++) {
        if (!put_target(w, &w->model->modules[i])) {
            return false;
        }
    }
    return w->tensor_count > 0 || vs_fail(w->err, VS_ERR_VALUE, "there is nothing to write");
}

static uint32_t file_type(const image_writer *w)
{
    const vs_bytes *const b = w->bytes_by_dtype;
    if (b[VS_DT_MXFP4] > 0) {
        return FILE_MXFP4_MOE;
    }
    return b[VS_DT_BF16] >= b[VS_DT_F16] && b[VS_DT_BF16] >= b[VS_DT_F32] ? FILE_BF16
           : b[VS_DT_F16] >= b[VS_DT_F32]                                 ? FILE_F16
                                                                          : FILE_F32;
}

/* ---- the head --------------------------------------------------------------------------------------- */

static bool assemble(vs_gguf_image *image, vs_arena *arena, const image_writer *w,
                     const vs_gguf_write_desc *desc)
{
    vs_gguf_out out = {.capacity = VS_GGUF_KEYS_BYTES + w->infos.used + 24 + ALIGNMENT};
    out.bytes = VS_ARRAY(arena, uint8_t, out.capacity);
    if (out.bytes == NULL) {
        return vs_fail_memory(w->err, arena, "the head of a GGUF file");
    }
    memcpy(out.bytes, "GGUF", 4);
    out.used = 4;
    vs_gguf_put(&out, 3, 4);
    vs_gguf_put(&out, w->tensor_count, 8);
    vs_gguf_put(&out, 0, 8); /* entries: set below */
    if (!vs_gguf_put_keys(&out, w->arch, w->model, desc, file_type(w), w->err)) {
        return false;
    }
    vs_gguf_out count = {.bytes = out.bytes + 16, .capacity = 8};
    vs_gguf_put(&count, out.entry_count, 8);
    memcpy(out.bytes + out.used, w->infos.bytes, w->infos.used);
    out.used += w->infos.used;
    while (out.used % ALIGNMENT != 0) {
        vs_gguf_put(&out, 0, 1);
    }
    *image = (vs_gguf_image){
        .head = {(const char *)out.bytes, out.used},
        .file_bytes = out.used + w->data_end,
        .data_bytes = w->data_bytes,
        .tensor_count = w->tensor_count,
        .left_out = w->left_out,
    };
    return true;
}

static bool make_with_config(vs_gguf_image *image, vs_arena *arena, image_writer *w,
                             const vs_gguf_write_desc *desc)
{
    const vs_str text = desc->config.len > 0 ? desc->config : vs_str_of(w->model->config_text);
    vs_json doc = {0};
    if (text.len > 0) {
        if (!vs_json_parse(&doc, text.ptr, text.len, "the config of the model", w->err)) {
            return false;
        }
        const vs_jnode root = vs_json_root(&doc);
        w->config = vs_gguf_text_config(&root);
    }
    const bool is_put = put_targets(w);
    w->config = (vs_jnode){0};
    vs_json_close(&doc);
    return is_put && assemble(image, arena, w, desc);
}

bool vs_gguf_make_image(vs_gguf_image *image, vs_arena *arena, const vs_model *model,
                        const vs_gguf_write_desc *desc, vs_err *err)
{
    const vs_gguf_write_desc all = {0};
    desc = desc == NULL ? &all : desc;
    image_writer w = {.model = model, .err = err};
    w.arch = vs_gguf_arch_of_type(model->model_type);
    w.layers = desc->layers != 0 ? desc->layers : model->dims.layers;
    if (w.arch == NULL || model->dims.hidden == 0) {
        return vs_fail(err, VS_ERR_VALUE,
                       "llama.cpp has no architecture for models of the type \"%.60s\"; "
                       "write safetensors",
                       model->model_type[0] == '\0' ? "unknown" : model->model_type);
    }
    w.infos.capacity = 2 * (size_t)model->module_count * INFO_BYTES_MAX;
    w.infos.bytes = VS_ARRAY(arena, uint8_t, w.infos.capacity);
    if (w.infos.bytes == NULL) {
        return vs_fail_memory(err, arena, "the head of a GGUF file");
    }
    return make_with_config(image, arena, &w, desc);
}

/* ---- the file ------------------------------------------------------------------------------------------ */

static bool fail_io(vs_err *err, const char *path, const char *what)
{
    char reason[96] = "";
    const int code = errno;
    if (strerror_r(code, reason, sizeof reason) != 0) {
        (void)snprintf(reason, sizeof reason, "error %d", code);
    }
    (void)vs_fail(err, VS_ERR_IO, "cannot %s: %s", what, reason);
    if (err != NULL) {
        vs_err_at_input(err, path);
    }
    return false;
}

static bool write_all(int fd, vs_str bytes)
{
    while (bytes.len > 0) {
        const ssize_t count = write(fd, bytes.ptr, bytes.len);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        if (count > 0) {
            bytes.ptr += count;
            bytes.len -= (size_t)count;
        }
    }
    return true;
}

static bool write_temporary(const char *temporary, const vs_gguf_image *image, vs_err *err)
{
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return fail_io(err, temporary, "create the file");
    }
    bool is_ok = write_all(fd, image->head) || fail_io(err, temporary, "write");
    is_ok = is_ok && (ftruncate(fd, (off_t)image->file_bytes) == 0 ||
                      fail_io(err, temporary, "make the file as large as its data"));
    if (close(fd) != 0 && is_ok) {
        is_ok = fail_io(err, temporary, "close the file");
    }
    if (!is_ok) {
        (void)unlink(temporary);
    }
    return is_ok;
}

bool vs_gguf_write(const vs_model *model, const char *path, const vs_gguf_write_desc *desc,
                   vs_arena *arena, vs_err *err)
{
    vs_gguf_image image = {0};
    if (!vs_gguf_make_image(&image, arena, model, desc, err)) {
        return false;
    }
    const char *const temporary = vs_arena_printf(arena, "%s.tmp-%ld", path, (long)getpid());
    if (temporary == NULL) {
        return vs_fail_memory(err, arena, "a path");
    }
    if (!write_temporary(temporary, &image, err)) {
        return false;
    }
    if (rename(temporary, path) != 0) {
        const bool is_ok = fail_io(err, path, "put the file in its place");
        (void)unlink(temporary);
        return is_ok;
    }
    return true;
}
