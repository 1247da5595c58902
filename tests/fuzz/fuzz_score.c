/* tests/fuzz/fuzz_score.c - any bytes as a facts file, and its rows judged against a run. */
#include "vramscope/score.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_arena arena = {0};
    vs_err err = {0};
    vs_score_sheet sheet = {0};
    vs_score_summary sum = {0};
    vs_run_result run = {.verdict = VS_VERDICT_FITS, .gpu_count = 1, .load_ns = 1};
    if (!vs_arena_open(&arena, 16 * VS_MIB, &err)) {
        return 0;
    }
    if (vs_score_read(&sheet, &arena, data, size, "facts.json", &err)) {
        vs_assert(err.code == VS_OK && sheet.count > 0);
        for (uint32_t i = 0; i < sheet.count; i++) {
            run.gpus[0].peak_used_bytes = i;
            vs_score_judge(&sheet.rows[i], &run);
        }
        if (vs_score_summarise(&sheet, &arena, &sum, &err)) {
            vs_assert(sum.judged == sheet.count);
        }
    } else {
        vs_assert(err.code != VS_OK && sheet.count == 0);
    }
    vs_arena_close(&arena);
    return 0;
}
