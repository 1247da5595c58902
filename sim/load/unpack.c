/* unpack.c - files that are read into host memory before the first copy job is made.
 *
 * GGUF (Transformers 5.12.1 modeling_gguf_pytorch_utils.py load_gguf_checkpoint, called by from_pretrained before the model is
 * built): tensor by tensor in the order of the file, whether the model wants it or not,
 *
 *   dequantise   block types and BF16: the pieces of 16 rows, and the array they are concatenated to: twice 4 bytes an
 *                element; F16: one array; F32: none, it is a view of the file (gguf-py 0.19.0 quants.py)
 *   copy         np.copy, 4 bytes an element; then the cast to the load dtype, and the copy goes. Fused experts are not
 *                cast; gate and up are copied into one array that is made when the first of them comes
 *
 * The array of the tensor before is alive until the next has been dequantised (local variables of that loop). The finished
 * state dict stays to the end of the load: what the copy jobs read.
 *
 * .bin (modeling_utils.py load_state_dict): zip files are mapped and behave like safetensors; files from before PyTorch 1.6 are
 * read into memory whole, all of them before the first copy [2.2]. */
#include "load.h"

#include <stdlib.h>

/* Bytes of float32 that one thread of gguf-py makes a second. Measured on one core of an Intel Xeon (gguf 0.19.0, numpy
 * 2.4.6, tensors of 4096 x 4096, 2026-11-22): Q4_K 387, Q5_K 432, Q4_0 471, Q8_0 544, F16 624, Q6_K 698 MB/s. */
#define GGUF_DEQUANTISE_BPS UINT64_C(400000000)

bool unpack_comes_first(const loader *ld)
{
    return ld->model->container == VS_CONTAINER_GGUF && ld->unpack.count > 0;
}

static bool is_legacy(const loader *ld, const vs_tensor *tensor)
{
    return ld->model->container == VS_CONTAINER_TORCH_BIN &&
           ld->model->shards[tensor->shard].is_legacy;
}

/* ---- what lies in host memory ------------------------------------------------------------------------- */

/* _set_moe_expert_tensor of Transformers' processors: as numpy made it. */
static bool stays_fp32(const load_param *param)
{
    const uint32_t flags = param->target->flags;
    return (flags & VS_TF_EXPERTS) != 0 && (flags & VS_TF_BIAS) == 0 &&
           param->merge == VS_MERGE_NONE;
}

vs_dtype unpack_host_dtype(const loader *ld, const load_param *param, const vs_tensor *tensor)
{
    if (ld->model->container != VS_CONTAINER_GGUF) {
        return tensor->dtype;
    }
    return stays_fp32(param) ? VS_DT_F32 : ld->load_dtype;
}

vs_bytes unpack_host_bytes(const loader *ld, const load_param *param, const vs_tensor *tensor)
{
    vs_bytes bytes = 0;
    if (ld->model->container == VS_CONTAINER_GGUF) {
        return vs_dtype_bytes(unpack_host_dtype(ld, param, tensor), tensor->elements, &bytes)
                   ? bytes
                   : UINT64_MAX;
    }
    return is_legacy(ld, tensor) ? tensor->size_bytes : 0;
}

vs_bytes unpack_file_bytes(const loader *ld)
{
    return ld->unpack.count > 0 ? ld->model->checkpoint_bytes : ld->total_src_bytes;
}

/* ---- setting up ----------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t shard, tensor;
    vs_bytes offset;
} file_place;

static int compare_places(const void *a, const void *b)
{
    const file_place *x = a;
    const file_place *y = b;
    if (x->shard != y->shard) {
        return x->shard < y->shard ? -1 : 1;
    }
    if (x->offset != y->offset) {
        return x->offset < y->offset ? -1 : 1;
    }
    return x->tensor < y->tensor ? -1 : x->tensor > y->tensor; /* without elements */
}

static bool order_tensors(loader *ld, vs_err *err)
{
    const uint32_t count = ld->model->tensor_count;
    load_unpack *u = &ld->unpack;
    u->order = VS_ARRAY(ld->arena, uint32_t, count);
    u->kept = VS_ARRAY(ld->arena, unpack_kept, count);
    const size_t mark = ld->arena->used_bytes;
    file_place *places = VS_ARRAY(ld->arena, file_place, count);
    if (u->order == NULL || u->kept == NULL || places == NULL) {
        return vs_fail_memory(err, ld->arena, "the tensors of a GGUF file");
    }
    for (uint32_t i = 0; i < count; i++) {
        const vs_tensor *t = &ld->model->tensors[i];
        places[i] = (file_place){t->shard, i, t->file_offset};
        if (t->elements > UINT64_MAX / 32) {
            return vs_fail(err, VS_ERR_VALUE, "tensor %s: its size overflows 64 bits", t->name);
        }
    }
    qsort(places, count, sizeof *places, compare_places);
    for (uint32_t i = 0; i < count; i++) {
        u->order[i] = places[i].tensor;
    }
    vs_arena_rewind(ld->arena, mark);
    u->count = count;
    return true;
}

/* What of each tensor stays in host memory, and whether the array that np.copy made is thrown away for it. */
static void keep_param(loader *ld, const load_param *param)
{
    const bool is_joined =
        param->target->merge == VS_MERGE_CAT && param->merge == VS_MERGE_NONE;
    for (uint32_t s = 0; s < param->target->source_count; s++) {
        const vs_tensor *tensor = &ld->model->tensors[param->sources[s]];
        const bool is_fp32 = unpack_host_dtype(ld, param, tensor) == VS_DT_F32;
        ld->unpack.kept[param->sources[s]] =
            (unpack_kept){.bytes = unpack_host_bytes(ld, param, tensor),
                          .is_loaded = true,
                          .is_copied_again = is_joined || !is_fp32};
    }
    if (is_joined) { /* the first one in the file makes the array of both */
        unpack_kept *a = &ld->unpack.kept[param->sources[0]];
        unpack_kept *b = &ld->unpack.kept[param->sources[1]];
        const bool is_second_first = ld->model->tensors[param->sources[1]].file_offset <
                                     ld->model->tensors[param->sources[0]].file_offset;
        const vs_bytes both = a->bytes + b->bytes;
        a->bytes = is_second_first ? 0 : both;
        b->bytes = is_second_first ? both : 0;
    }
}

static bool setup_gguf(loader *ld, vs_err *err)
{
    if (!order_tensors(ld, err)) {
        return false;
    }
    for (uint32_t i = 0; i < ld->param_count; i++) {
        load_param *param = &ld->params[i];
        if (param->merge == VS_MERGE_CAT && param->target->source_count == 2) {
            param->merge = VS_MERGE_NONE; /* put together in host memory */
        }
        keep_param(ld, param);
    }
    return true;
}

static bool setup_legacy(loader *ld, vs_err *err)
{
    const vs_model *model = ld->model;
    ld->unpack.order = VS_ARRAY(ld->arena, uint32_t, model->shard_count);
    if (ld->unpack.order == NULL) {
        return vs_fail_memory(err, ld->arena, "the files of a checkpoint");
    }
    for (uint32_t i = 0; i < model->shard_count; i++) {
        if (model->shards[i].is_legacy) {
            ld->unpack.order[ld->unpack.count++] = i;
        }
    }
    return true;
}

bool unpack_setup(loader *ld, vs_err *err)
{
    switch (ld->model->container) {
    case VS_CONTAINER_GGUF: return setup_gguf(ld, err);
    case VS_CONTAINER_TORCH_BIN: return setup_legacy(ld, err);
    case VS_CONTAINER_SAFETENSORS: break;
    }
    return true;
}

/* ---- running ----------------------------------------------------------------------------------------------- */

static vs_ns read_time(const loader *ld, vs_bytes bytes, bool is_mapped)
{
    const vs_disk *disk = &ld->machine->disk;
    const uint64_t rate = is_mapped && disk->mmap_read_bps < disk->read_bps
                              ? disk->mmap_read_bps
                              : disk->read_bps;
    return load_time(bytes, rate);
}

static void sleep_with(loader *ld, vs_bytes taken, vs_bytes kept, vs_ns delay)
{
    ld->unpack.taken_bytes = taken;
    ld->unpack.kept_bytes = kept;
    if (!host_take_anon(ld, taken + kept)) {
        load_finish(ld, END_HOST_OOM);
        return;
    }
    consumer_sleep(ld, delay, CONSUME_UNPACK);
}

/* Since the sleep began: first the disk, then the thread. */
static void note_spans(loader *ld, const char *name, vs_ns read_ns)
{
    const load_unpack *u = &ld->unpack;
    const vs_ns now = vs_engine_now(ld->engine);
    const uint32_t id = vs_tape_name(ld->tape, name);
    vs_ns start = ld->op_start_ns;
    if (u->is_cold && !u->is_copying) {
        ld->disk_read_bytes += u->read_bytes;
        vs_tape_span(ld->tape, ld->lane_disk, start, start + read_ns, VS_CAT_PAGECACHE, id,
                     u->read_bytes);
        host_file_read(ld, u->read_bytes);
        start += read_ns;
    }
    if (now > start) {
        vs_tape_span(ld->tape, ld->workers[0].lane, start, now, VS_CAT_HOSTHEAP, id,
                     u->taken_bytes + u->kept_bytes);
    }
}

/* The array that dequantising ends with; what it takes on the way is twice that for what numpy puts together. */
static vs_bytes array_bytes(const vs_tensor *tensor)
{
    return tensor->dtype == VS_DT_F32 ? 0 : tensor->elements * 4;
}

static vs_bytes dequantise_bytes(const vs_tensor *tensor)
{
    return tensor->dtype == VS_DT_F16 ? tensor->elements * 4 : array_bytes(tensor) * 2;
}

static void gguf_dequantise(loader *ld)
{
    load_unpack *u = &ld->unpack;
    const vs_tensor *tensor = &ld->model->tensors[u->order[u->next]];
    u->read_bytes = tensor->size_bytes;
    u->is_cold = host_take_pages(ld, tensor->size_bytes);
    u->is_copying = false;
    const vs_ns read_ns = u->is_cold ? read_time(ld, u->read_bytes, true) : 0;
    const vs_ns time = load_time(array_bytes(tensor), GGUF_DEQUANTISE_BPS);
    sleep_with(ld, dequantise_bytes(tensor), 0, read_ns + time);
}

static void gguf_copy(loader *ld, const vs_tensor *tensor)
{
    load_unpack *u = &ld->unpack;
    const vs_host *host = &ld->machine->host;
    const unpack_kept *kept = &u->kept[u->order[u->next]];
    const vs_bytes copy = kept->is_loaded ? tensor->elements * 4 : 0;
    vs_ns time = load_time(copy, host->memcpy_bps);
    u->is_copying = true;
    if (kept->is_copied_again) {
        time += load_time(copy, host->cast_bps);
        sleep_with(ld, copy, kept->bytes, time);
        return;
    }
    sleep_with(ld, 0, kept->bytes, time); /* the copy is what stays */
}

static void gguf_step(loader *ld)
{
    load_unpack *u = &ld->unpack;
    const vs_tensor *tensor = &ld->model->tensors[u->order[u->next]];
    const vs_bytes array = array_bytes(tensor);
    note_spans(ld, tensor->name, u->is_cold ? read_time(ld, u->read_bytes, true) : 0);
    if (!u->is_copying) {
        host_give_anon(ld, u->taken_bytes - array);
        host_give_anon(ld, u->held_bytes);
        u->held_bytes = array;
        gguf_copy(ld, tensor);
        return;
    }
    host_give_anon(ld, u->taken_bytes);
    u->next++;
    if (u->next < u->count) {
        gguf_dequantise(ld);
        return;
    }
    host_give_anon(ld, u->held_bytes);
    u->held_bytes = 0;
    consumer_unpacked(ld);
}

static void legacy_read(loader *ld)
{
    load_unpack *u = &ld->unpack;
    const vs_bytes bytes = ld->model->shards[u->order[u->next]].size_bytes;
    u->read_bytes = bytes;
    u->is_cold = host_take_pages(ld, bytes);
    const vs_ns read_ns = u->is_cold ? read_time(ld, bytes, false) : 0;
    sleep_with(ld, 0, bytes, read_ns + load_time(bytes, ld->machine->host.memcpy_bps));
}

static void legacy_step(loader *ld)
{
    load_unpack *u = &ld->unpack;
    const vs_shard *shard = &ld->model->shards[u->order[u->next]];
    note_spans(ld, shard->file, u->is_cold ? read_time(ld, u->read_bytes, false) : 0);
    u->next++;
    if (u->next < u->count) {
        legacy_read(ld);
        return;
    }
    consumer_unpacked(ld);
}

void unpack_step(loader *ld)
{
    const bool is_gguf = ld->model->container == VS_CONTAINER_GGUF;
    if (!ld->unpack.has_begun) {
        ld->unpack.has_begun = true;
        if (is_gguf) {
            gguf_dequantise(ld);
        } else {
            legacy_read(ld);
        }
        return;
    }
    if (is_gguf) {
        gguf_step(ld);
    } else {
        legacy_step(ld);
    }
}

void unpack_assume(const loader *ld, vs_machine *machine)
{
    if (!unpack_comes_first(ld)) {
        return;
    }
    vs_machine_assume(
        machine, "host.gguf_dequantise_bytes_per_s", GGUF_DEQUANTISE_BPS,
        "float32 that one thread of gguf-py (numpy) makes: Q4_K 387, Q4_0 471, Q8_0 544, Q6_K "
        "698 MB/s on one core of an Intel Xeon (gguf 0.19.0, numpy 2.4.6, 4096 x 4096)");
}
