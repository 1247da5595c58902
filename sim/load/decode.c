/* decode.c - parameters of checkpoints that are quantised already, from the tensors they are stored in.
 *
 * What is alive when (Transformers 5.12.1; sizes of one tensor of n elements, all of it on the card):
 *
 *   ADOPT     bitsandbytes (integrations/bitsandbytes.py): the sources are the parameter. Double quantisation adds 4 bytes,
 *             what only the host reads goes
 *   SWIZZLE   mxfp4, native (integrations/mxfp4.py swizzle_mxfp4): a copy of blocks and scales in the kernels' layout beside
 *             the sources; then these go. What a layout pads is not counted
 *   FP8       dequantised (integrations/finegrained_fp8.py Fp8Dequantize): per weight float32 of it (4n), the product with
 *             its scales (4n), the result (2n), and only that is kept. All sources live until the last weight is done;
 *             then the usual merge
 *   MXFP4     dequantised (convert_moe_packed_tensors): scales as int32, twice for a moment; the result (2n); chunks of
 *             2^25 blocks, low halves and then high ones: bytes, int32, int64 (what indexing makes of int32:
 *             aten/src/ATen/native/TensorAdvancedIndexing.cpp make_info), looked-up values; at last the transposed copy (2n).
 *             Recorded with torch 2.15 on the CPU. When the card is full it is done again on the CPU, and stays there
 *
 * Weights that are no multiple of their scales are refused by FP8's: an error that is reported after the load. */
#include "load.h"

/* integrations/mxfp4.py: rows_per_chunk = 32768 * 1024, a row is one block of 16 bytes: 32 values. */
#define MXFP4_CHUNK_ROWS  (UINT64_C(32768) * 1024)
#define MXFP4_ROW_BYTES   UINT64_C(16)
#define MXFP4_ROW_VALUES  UINT64_C(32)
#define MXFP4_TABLE_BYTES UINT64_C(32) /* FP4_VALUES in bfloat16 */
#define MXFP4_VALUE_BYTES UINT64_C(2)

/* What the kernels of one row read and write, low half and high half alike: mask, to int32, to int64, look up, put in place,
 * and half of the scaling at the end. */
#define MXFP4_ROW_TRAFFIC UINT64_C(592)

static bool take(loader *ld, uint32_t slot, vs_bytes bytes)
{
    return load_alloc(ld, bytes, VS_CAT_ACT, consumer_mapping(ld)->name,
                      &ld->decoding.blocks[slot]) == VS_ALLOC_OK;
}

static void drop(loader *ld, uint32_t slot)
{
    load_free(ld, &ld->decoding.blocks[slot]);
}

void decode_drop(loader *ld)
{
    for (uint32_t i = 0; i < DECODE_BLOCKS; i++) {
        drop(ld, i);
    }
    for (uint32_t i = 0; i < ld->decoding.output_count; i++) {
        load_free(ld, &ld->decoding.outputs[i]);
    }
    ld->decoding.output_count = 0;
}

/* Memory-bound kernels: so many bytes read and written. */
static vs_ns kernels_time(const loader *ld, vs_bytes traffic, uint32_t launches)
{
    return load_time(traffic, ld->copy_bw_bps) + launches * ld->machine->gpus[0].launch_ns;
}

static const vs_tensor *source_tensor(loader *ld, uint32_t source)
{
    return &ld->model->tensors[consumer_job(ld, source)->tensor];
}

/* ---- bitsandbytes ----------------------------------------------------------------------------------- */

enum { OFFSET };

static void adopt(loader *ld)
{
    const load_mapping *mapping = consumer_mapping(ld);
    const load_param *param = consumer_param(ld);
    const vs_category category = load_param_category(ld, param);
    const vs_ns now = vs_engine_now(ld->engine);
    if (param->has_offset) {
        if (!take(ld, OFFSET, 4)) {
            consumer_swallow(ld, "dequantise");
            return;
        }
        vs_pool_recategorise(ld->pool, now, ld->decoding.blocks[OFFSET], category);
        ld->decoding.blocks[OFFSET] = (vs_block){0}; /* the parameter's */
    }
    for (uint32_t i = 0; i < mapping->source_count; i++) {
        load_job *job = consumer_job(ld, i);
        if (job->is_dropped) {
            load_free(ld, &job->block);
        } else if (job->block.id != 0) {
            vs_pool_recategorise(ld->pool, now, job->block, category);
        }
        job->block = (vs_block){0};
    }
    consumer_done(ld, mapping->bytes);
}

/* ---- mxfp4, native ------------------------------------------------------------------------------------ */

enum { SWIZZLED_BLOCKS, SWIZZLED_SCALES };

static void swizzle_begin(loader *ld)
{
    const load_mapping *mapping = consumer_mapping(ld);
    for (uint32_t i = 0; i < mapping->source_count && i < 2; i++) {
        if (!take(ld, i, consumer_job(ld, i)->dst_bytes)) {
            consumer_swallow(ld, "swizzle");
            return;
        }
    }
    consumer_sleep(ld, load_driver_time(ld) + kernels_time(ld, mapping->bytes * 2, 2),
                   CONSUME_DECODE);
}

static void swizzle_end(loader *ld)
{
    const vs_category category = load_param_category(ld, consumer_param(ld));
    consumer_span(ld, category, consumer_mapping(ld)->bytes);
    consumer_free_sources(ld);
    for (uint32_t i = SWIZZLED_BLOCKS; i <= SWIZZLED_SCALES; i++) {
        vs_block *block = &ld->decoding.blocks[i];
        if (block->id != 0) {
            vs_pool_recategorise(ld->pool, vs_engine_now(ld->engine), *block, category);
        }
        *block = (vs_block){0}; /* the parameter's */
    }
    consumer_done(ld, consumer_mapping(ld)->bytes);
}

/* ---- fp8, dequantised --------------------------------------------------------------------------------------- */

enum { FP8_WIDE, FP8_SCALES, FP8_PRODUCT };

static uint32_t weight_count(loader *ld)
{
    return consumer_mapping(ld)->source_count - consumer_param(ld)->target->companion_count;
}

/* Index among the sources; they come weights first, then the scales in the same order. */
static uint32_t scales_of(loader *ld, uint32_t weight)
{
    return weight_count(ld) + weight;
}

/* Rows and columns have to be multiples of those of the scales: _dequantize_one. */
static bool is_fitting(const vs_tensor *weight, const vs_tensor *scales)
{
    if (scales->dim_count < 2 || weight->dim_count < 2) {
        return true; /* one scale for all of it */
    }
    const uint64_t *w = weight->shape + weight->dim_count - 2;
    const uint64_t *s = scales->shape + scales->dim_count - 2;
    return s[0] > 0 && s[1] > 0 && w[0] % s[0] == 0 && w[1] % s[1] == 0;
}

/* The allocations of one weight; false: the operation has failed and is over. */
static bool fp8_take(loader *ld, uint32_t weight)
{
    load_decoding *d = &ld->decoding;
    const vs_tensor *tensor = source_tensor(ld, weight);
    const vs_tensor *scales = source_tensor(ld, scales_of(ld, weight));
    const vs_bytes wide = tensor->elements * 4; /* its own bytes fit in 64 bits, see fill_job */
    vs_bytes bytes = 0;
    if (tensor->elements > UINT64_MAX / 16 ||
        !vs_dtype_bytes(consumer_param(ld)->dtype, tensor->elements, &bytes) ||
        !take(ld, FP8_WIDE, wide)) {
        consumer_swallow(ld, "dequantise");
        return false;
    }
    if (!is_fitting(tensor, scales)) {
        consumer_misfit(ld, weight);
        return false;
    }
    const bool has_wide_scales = scales->dtype == VS_DT_F32;
    if (!(has_wide_scales || take(ld, FP8_SCALES, scales->elements * 4)) ||
        !take(ld, FP8_PRODUCT, wide) ||
        load_alloc(ld, bytes, VS_CAT_STAGING, consumer_mapping(ld)->name,
                   &d->outputs[d->output_count]) != VS_ALLOC_OK) {
        consumer_swallow(ld, "dequantise");
        return false;
    }
    d->output_count++;
    return true;
}

static void fp8_next(loader *ld)
{
    const uint32_t weight = ld->decoding.output_count;
    if (weight < weight_count(ld)) {
        if (fp8_take(ld, weight)) {
            const vs_bytes source = consumer_job(ld, weight)->dst_bytes;
            const vs_bytes wide = source_tensor(ld, weight)->elements * 4;
            const vs_ns time = kernels_time(ld, source + 4 * wide + wide / 2, 3);
            consumer_sleep(ld, load_driver_time(ld) + time, CONSUME_DECODE);
        }
        return;
    }
    consumer_free_sources(ld);
    if (consumer_param(ld)->merge == VS_MERGE_NONE) {
        ld->result = ld->decoding.outputs[0];
        ld->decoding.output_count = 0;
    }
    consumer_merge(ld);
}

static void fp8_step(loader *ld)
{
    const uint32_t weight = ld->decoding.output_count - 1;
    consumer_span(ld, VS_CAT_ACT, source_tensor(ld, weight)->elements * 4);
    drop(ld, FP8_PRODUCT);
    drop(ld, FP8_SCALES);
    drop(ld, FP8_WIDE);
    fp8_next(ld);
}

/* ---- mxfp4, dequantised ------------------------------------------------------------------------------------------ */

enum { INT_SCALES, TABLE, VALUES, NARROW, INDEX, LONG_INDEX, LOOKED_UP, TURNED };

enum { LOW_HALF, HIGH_HALF, TURNING, ON_HOST };

/* A block of 32 values has one scale. */
static uint64_t all_rows(loader *ld)
{
    return source_tensor(ld, 0)->elements / MXFP4_ROW_BYTES;
}

static vs_bytes value_bytes(uint64_t rows)
{
    return rows * MXFP4_ROW_VALUES * MXFP4_VALUE_BYTES;
}

/* What the CPU needs for the same: all of it is alive at once in host memory. */
static vs_bytes host_need(loader *ld, uint64_t rows)
{
    const uint64_t chunk = rows < MXFP4_CHUNK_ROWS ? rows : MXFP4_CHUNK_ROWS;
    const vs_bytes halves = chunk * (64 + 128 + 32);
    const vs_bytes turned = value_bytes(rows);
    return consumer_mapping(ld)->src_bytes + rows * 4 + value_bytes(rows) +
           (halves > turned ? halves : turned);
}

/* The card is full: PyTorch's exception is caught, and what had been made lives until the CPU is done (the traceback holds
 * the function's variables). */
static void to_host(loader *ld)
{
    load_decoding *d = &ld->decoding;
    const load_mapping *mapping = consumer_mapping(ld);
    const vs_host *host = &ld->machine->host;
    load_note_failure(ld, consumer_param(ld)->target->name, "dequantise", true);
    d->step = ON_HOST;
    d->host_bytes = host_need(ld, all_rows(ld));
    if (!host_take_anon(ld, d->host_bytes)) {
        load_finish(ld, END_HOST_OOM);
        return;
    }
    const vs_ns time = load_time(mapping->src_bytes, host->d2h_bps) + host->copy_latency_ns +
                       load_time(mapping->bytes, host->cast_bps);
    consumer_sleep(ld, load_driver_time(ld) + time, CONSUME_DECODE);
}

static void host_end(loader *ld)
{
    const load_mapping *mapping = consumer_mapping(ld);
    host_give_anon(ld, ld->decoding.host_bytes - mapping->bytes); /* the parameter stays */
    decode_drop(ld);
    consumer_free_sources(ld);
    ld->on_host++;
    ld->on_host_bytes += mapping->bytes;
    consumer_done(ld, 0);
}

/* One half of the values of a chunk. */
static void half_begin(loader *ld)
{
    load_decoding *d = &ld->decoding;
    const uint64_t rows = d->rows;
    if (!take(ld, NARROW, rows * 16) || !take(ld, INDEX, rows * 64)) {
        to_host(ld);
        return;
    }
    drop(ld, NARROW);
    if (!take(ld, LONG_INDEX, rows * 128) || !take(ld, LOOKED_UP, rows * 32)) {
        to_host(ld);
        return;
    }
    consumer_sleep(ld, load_driver_time(ld) + kernels_time(ld, rows * MXFP4_ROW_TRAFFIC, 6),
                   CONSUME_DECODE);
}

static void next_chunk(loader *ld)
{
    load_decoding *d = &ld->decoding;
    if (d->rows_left > 0) {
        d->rows = d->rows_left < MXFP4_CHUNK_ROWS ? d->rows_left : MXFP4_CHUNK_ROWS;
        d->rows_left -= d->rows;
        d->step = LOW_HALF;
        half_begin(ld);
        return;
    }
    d->step = TURNING;
    if (!take(ld, TURNED, consumer_mapping(ld)->bytes)) {
        to_host(ld);
        return;
    }
    consumer_sleep(ld,
                   load_driver_time(ld) + kernels_time(ld, consumer_mapping(ld)->bytes * 2, 1),
                   CONSUME_DECODE);
}

static void mxfp4_begin(loader *ld)
{
    load_decoding *d = &ld->decoding;
    const uint64_t rows = all_rows(ld);
    d->rows_left = rows;
    d->host_bytes = 0;
    /* scales.to(int32) - 127: the first is gone when the second is there */
    if (!take(ld, INDEX, rows * 4) || !take(ld, INT_SCALES, rows * 4)) {
        to_host(ld);
        return;
    }
    drop(ld, INDEX);
    if (!take(ld, TABLE, MXFP4_TABLE_BYTES) || !take(ld, VALUES, value_bytes(rows))) {
        to_host(ld);
        return;
    }
    next_chunk(ld);
}

static void mxfp4_step(loader *ld)
{
    load_decoding *d = &ld->decoding;
    if (d->step == ON_HOST) {
        host_end(ld);
        return;
    }
    consumer_span(ld, VS_CAT_ACT,
                  d->step == TURNING ? consumer_mapping(ld)->bytes : value_bytes(d->rows) / 2);
    if (d->step != TURNING) {
        drop(ld, LONG_INDEX);
        drop(ld, LOOKED_UP);
        drop(ld, INDEX);
        if (d->step == LOW_HALF) {
            d->step = HIGH_HALF;
            half_begin(ld);
        } else {
            next_chunk(ld);
        }
        return;
    }
    ld->result = d->blocks[TURNED];
    d->blocks[TURNED] = (vs_block){0};
    decode_drop(ld);
    consumer_free_sources(ld);
    consumer_merge(ld);
}

/* ---- all of them ----------------------------------------------------------------------------------------------------- */

void decode_begin(loader *ld)
{
    switch ((load_decode)consumer_param(ld)->decode) {
    case DECODE_ADOPT: adopt(ld); return;
    case DECODE_SWIZZLE: swizzle_begin(ld); return;
    case DECODE_FP8: fp8_next(ld); return;
    case DECODE_MXFP4: mxfp4_begin(ld); return;
    case DECODE_NONE: break;
    }
    consumer_merge(ld);
}

void decode_step(loader *ld)
{
    switch ((load_decode)consumer_param(ld)->decode) {
    case DECODE_SWIZZLE: swizzle_end(ld); return;
    case DECODE_FP8: fp8_step(ld); return;
    case DECODE_MXFP4: mxfp4_step(ld); return;
    case DECODE_ADOPT: /* takes no time */
    case DECODE_NONE: break;
    }
}
