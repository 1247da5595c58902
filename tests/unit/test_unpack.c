/* Files that are read into host memory before the first copy: GGUF, and .bin files from before PyTorch 1.6 (unpack.c). Counted
 * by hand from what Transformers 5.12.1 does, described there; M is 2^20 elements. */
#include "tests/support/handmade.h"
#include "tests/support/stored.h"
#include "tests/support/torchfile.h"

#define M UINT64_C(1048576)

static handmade *gguf_of(void **state)
{
    handmade *h = *state;
    h->run.model.container = VS_CONTAINER_GGUF;
    h->run.model.config_dtype = VS_DT_F32;
    return h;
}

/* ---- GGUF ------------------------------------------------------------------------------------------ */

/* Dequantising takes the pieces and what they are concatenated to: 8 bytes; then the array, its copy and the cast one: 4 + 4
 * + 2. */
static void a_tensor_takes_ten_bytes_an_element_on_the_way_to_bfloat16(void **state)
{
    handmade *h = gguf_of(state);
    handmade_add(h, "a.weight", VS_DT_Q4_K, M);
    const vs_run_result *r = handmade_go(h, "gpu=1GiB dtype=bf16");
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(handmade_host_peak(h), 10 * M);
    assert_int_equal(r->loaded_bytes, 2 * M);
    assert_int_equal(r->disk_read_bytes, M / 256 * 144);
}

/* In float32 the copy is what stays: 8 + 4 - 4. */
static void in_float32_it_takes_eight(void **state)
{
    handmade *h = gguf_of(state);
    handmade_add(h, "a.weight", VS_DT_Q4_K, M);
    assert_int_equal(handmade_go(h, "gpu=1GiB")->load_dtype, VS_DT_F32);
    assert_int_equal(handmade_host_peak(h), 8 * M);
}

/* The array of the tensor before is alive while the next is dequantised: kept 2, held 4, taken 8. The order is the file's. */
static void the_tensor_before_is_alive_while_the_next_is_dequantised(void **state)
{
    handmade *h = gguf_of(state);
    handmade_add(h, "a.weight", VS_DT_Q8_0, M);
    handmade_add(h, "b.weight", VS_DT_Q8_0, 4 * M);
    (void)handmade_go(h, "gpu=1GiB dtype=bf16");
    assert_int_equal(handmade_host_peak(h), (2 + 4 * (4 + 4 + 2)) * M);
    /* the large one first: 4 * 2 kept, 4 * 4 held, and 8 */
    h->tensors[0].file_offset = h->tensors[1].size_bytes;
    h->tensors[1].file_offset = 0;
    (void)handmade_go(h, "gpu=1GiB dtype=bf16");
    assert_int_equal(handmade_host_peak(h), 40 * M);
    h->tensors[0].elements = 3 * M;
    h->targets[0].elements = 3 * M;
    (void)handmade_go(h, "gpu=1GiB dtype=bf16");
    assert_int_equal(handmade_host_peak(h), (8 + 16 + 24) * M);
}

/* float32 is a view of the file, float16 one array. */
static void plain_floats_take_less(void **state)
{
    handmade *h = gguf_of(state);
    handmade_add(h, "a.weight", VS_DT_F32, M);
    (void)handmade_go(h, "gpu=1GiB dtype=fp16");
    assert_int_equal(handmade_host_peak(h), (4 + 2) * M);
    h->tensors[0].dtype = VS_DT_F16;
    (void)handmade_go(h, "gpu=1GiB dtype=fp16");
    assert_int_equal(handmade_host_peak(h), (4 + 4 + 2) * M);
    (void)handmade_go(h, "gpu=1GiB dtype=fp32");
    assert_int_equal(handmade_host_peak(h), (4 + 4) * M);
}

/* It is dequantised all the same: rope_freqs. */
static void what_the_model_does_not_want_is_dequantised_and_dropped(void **state)
{
    handmade *h = gguf_of(state);
    handmade_add(h, "a.weight", VS_DT_Q4_0, M);
    handmade_add(h, "rope", VS_DT_Q4_0, 8 * M);
    h->run.model.target_count = h->run.model.module_count = 1;
    h->tensors[1].target = VS_NO_TARGET;
    const vs_run_result *r = handmade_go(h, "gpu=1GiB dtype=bf16");
    assert_int_equal(r->loaded_bytes, 2 * M);
    assert_int_equal(handmade_host_peak(h), (2 + 4 + 8 * 8) * M);
    assert_int_equal(r->disk_read_bytes, 9 * M / 32 * 18);
}

/* Gate and up of all experts become one array in host memory, in float32, made when the first of them comes; it is cast on
 * its way to the card. The card never sees the halves. */
static void fused_experts_are_put_together_in_host_memory(void **state)
{
    handmade *h = gguf_of(state);
    handmade_add(h, "gate", VS_DT_Q4_K, M);
    handmade_add(h, "up", VS_DT_Q4_K, M);
    handmade_join(h, "gate_up");
    const vs_run_result *r = handmade_go(h, "gpu=1GiB dtype=bf16 async=off");
    assert_int_equal(r->loaded_bytes, 4 * M);
    /* both (8), the array of gate (4), up in pieces and whole (8) */
    assert_int_equal(handmade_host_peak(h), 20 * M);
    assert_int_equal(r->gpus[0].peak_allocated_bytes, 4 * M);
}

static void the_warm_up_waits_for_the_files(void **state)
{
    handmade *h = gguf_of(state);
    handmade_add(h, "a.weight", VS_DT_Q4_K, 1024 * M);
    const vs_run_result *r = handmade_go(h, "gpu=24GiB gpu-used=23GiB dtype=bf16");
    assert_int_equal(r->verdict, VS_VERDICT_OOM);
    assert_string_equal(r->oom.stage, "warmup");
    /* 4 GiB of float32 at 400 MB/s */
    assert_true(r->oom.time_ns > UINT64_C(10000000000));
    assert_non_null(strstr(r->format, "GGUF; every tensor is dequantised to float32"));
}

static void the_rate_is_among_what_was_assumed(void **state)
{
    handmade *h = gguf_of(state);
    bool is_found = false;
    handmade_add(h, "a.weight", VS_DT_Q4_K, M);
    const vs_machine *machine = &handmade_go(h, "gpu=1GiB")->machine;
    for (uint32_t i = 0; i < machine->assumed_count; i++) {
        is_found = is_found ||
                   strcmp(machine->assumed[i].key, "host.gguf_dequantise_bytes_per_s") == 0;
    }
    assert_true(is_found);
}

static void a_host_without_room_for_the_arrays_kills_the_process(void **state)
{
    handmade *h = gguf_of(state);
    handmade_add(h, "a.weight", VS_DT_Q4_K, 512 * M);
    assert_int_equal(handmade_go(h, "gpu=24GiB dtype=bf16 ram=8GiB")->verdict, VS_VERDICT_FITS);
    assert_int_equal(handmade_go(h, "gpu=24GiB dtype=bf16 ram=5GiB")->verdict,
                     VS_VERDICT_HOST_OOM);
}

static void a_quantiser_is_refused_for_gguf(void **state)
{
    handmade *h = gguf_of(state);
    vs_err err = {0};
    handmade_add(h, "a.weight", VS_DT_Q4_K, M);
    assert_false(handmade_try(h, "gpu=1GiB quant=bnb-nf4", &err));
    assert_non_null(strstr(err.text, "does not quantise what it loads from a GGUF file"));
}

static void every_allocation_of_an_unpacking_run_may_fail(void **state)
{
    handmade *h = gguf_of(state);
    handmade_add(h, "gate", VS_DT_Q4_K, M);
    handmade_add(h, "up", VS_DT_Q4_K, M);
    handmade_join(h, "gate_up");
    bool has_passed = false;
    for (uint64_t n = 1; !has_passed && n < 5000; n++) {
        vs_err err = {0};
        h->run.fail_run_at = n;
        has_passed = handmade_try(h, "gpu=1GiB dtype=bf16", &err);
        assert_true(has_passed || err.code == VS_ERR_MEMORY);
    }
    assert_true(has_passed);
}

/* ---- .bin ------------------------------------------------------------------------------------------- */

static void old_bin_files_are_read_whole_before_the_first_copy(void **state)
{
    handmade *h = *state;
    h->run.model.container = VS_CONTAINER_TORCH_BIN;
    handmade_add(h, "a.weight", VS_DT_BF16, M);
    handmade_add(h, "b.weight", VS_DT_BF16, 3 * M);
    h->shard.is_legacy = true;
    const vs_run_result *r = handmade_go(h, "gpu=1GiB");
    assert_int_equal(r->verdict, VS_VERDICT_FITS);
    assert_int_equal(handmade_host_peak(h), 8 * M);
    assert_int_equal(r->disk_read_bytes, 8 * M);
    assert_non_null(strstr(r->format, "1 of 1 files are from before PyTorch 1.6"));
    assert_int_equal(handmade_go(h, "gpu=1GiB cache=warm")->disk_read_bytes, 0);
    /* zip files are mapped, like safetensors */
    h->shard.is_legacy = false;
    r = handmade_go(h, "gpu=1GiB");
    assert_int_equal(handmade_host_peak(h), 0);
    assert_int_equal(r->disk_read_bytes, 8 * M);
    assert_string_equal(r->format, "");
}

/* Two tensors of 24 and 8 bytes, as PyTorch wrote them before 1.6 and writes them now. */
static void which_bin_files_are_old_is_told_from_the_files(void **state)
{
    stored *s = *state;
    bytes legacy = {0};
    zipped zip = {0};
    FILE *out = fopen(tree_add(s->tree, "pytorch_model.bin", false), "wb");
    assert_non_null(out);
    torch_legacy(&legacy);
    assert_int_equal(fwrite(legacy.at, 1, legacy.count, out), legacy.count);
    assert_int_equal(fclose(out), 0);
    const vs_run_result *r = stored_go(s, "gpu=1GiB dtype=fp16");
    /* b is cast on its way: two elements more */
    assert_int_equal(r->host_peak_anon_bytes - r->machine.host.base_rss_bytes, 32 + 4);
    assert_non_null(strstr(r->format, "from before PyTorch 1.6"));
    out = fopen(s->tree->paths[0], "wb");
    assert_non_null(out);
    torch_zip(&zip);
    assert_int_equal(fwrite(zip.file.at, 1, zip.file.count, out), zip.file.count);
    assert_int_equal(fclose(out), 0);
    r = stored_go(s, "gpu=1GiB dtype=fp16");
    assert_int_equal(r->host_peak_anon_bytes - r->machine.host.base_rss_bytes, 4);
    assert_string_equal(r->format, "");
    free_bytes(&legacy);
    zip_free(&zip);
}

/* ---- a merge that the card does ------------------------------------------------------------------------ */

static void two_tensors_are_concatenated_beside_themselves(void **state)
{
    handmade *h = *state;
    handmade_add(h, "gate", VS_DT_BF16, M);
    handmade_add(h, "up", VS_DT_BF16, M);
    handmade_join(h, "gate_up");
    const vs_run_result *r = handmade_go(h, "gpu=1GiB async=off");
    assert_int_equal(r->loaded_bytes, 4 * M);
    assert_int_equal(r->gpus[0].peak_allocated_bytes, 8 * M);
    assert_int_equal(r->gpus[0].final_allocated_bytes, 4 * M);
}

/* 350 MiB are the context's: two sources of 32 MiB fit, the 64 MiB beside them do not. */
static void a_concatenation_that_does_not_fit_is_caught(void **state)
{
    handmade *h = *state;
    handmade_add(h, "gate", VS_DT_BF16, 16 * M);
    handmade_add(h, "up", VS_DT_BF16, 16 * M);
    handmade_join(h, "gate_up");
    const vs_run_result *r = handmade_go(h, "gpu=430MiB async=off warmup=off");
    assert_int_equal(r->verdict, VS_VERDICT_OOM);
    assert_string_equal(r->oom.stage, "merge");
    assert_true(r->oom.is_swallowed);
    assert_int_equal(r->oom.requested_bytes, 64 * M);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HANDMADE(a_tensor_takes_ten_bytes_an_element_on_the_way_to_bfloat16),
        WITH_HANDMADE(in_float32_it_takes_eight),
        WITH_HANDMADE(the_tensor_before_is_alive_while_the_next_is_dequantised),
        WITH_HANDMADE(plain_floats_take_less),
        WITH_HANDMADE(what_the_model_does_not_want_is_dequantised_and_dropped),
        WITH_HANDMADE(fused_experts_are_put_together_in_host_memory),
        WITH_HANDMADE(the_warm_up_waits_for_the_files),
        WITH_HANDMADE(the_rate_is_among_what_was_assumed),
        WITH_HANDMADE(a_host_without_room_for_the_arrays_kills_the_process),
        WITH_HANDMADE(a_quantiser_is_refused_for_gguf),
        WITH_HANDMADE(every_allocation_of_an_unpacking_run_may_fail),
        WITH_HANDMADE(old_bin_files_are_read_whole_before_the_first_copy),
        WITH_STORED(which_bin_files_are_old_is_told_from_the_files),
        WITH_HANDMADE(two_tensors_are_concatenated_beside_themselves),
        WITH_HANDMADE(a_concatenation_that_does_not_fit_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
