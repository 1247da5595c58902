/* Whole simulations, config text to sealed tape: sim_llama_2_7b_ms, sim_llama_3_1_405b_ms (CONTRACT.md), sim_mixtral_8x7b_ms,
 * sim_qwen3_235b_ms, sim_deepseek_v3_ms (CONTRACT.md), sims_per_s (llama-2-7b, model and machine read once). Minimum of 7. */
#include "tests/support/scenario.h"

#include <time.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double best_ms(const char *model, const char *words, int rounds)
{
    double best = 1e30;
    scenario_run s;
    scenario_open(&s);
    for (int i = 0; i < rounds + 1; i++) { /* the first touches the pages */
        vs_arena_reset(&s.inputs);
        const double start = now_ms();
        scenario_go(&s, model, words);
        const double took = now_ms() - start;
        best = took < best ? took : best;
    }
    scenario_close(&s);
    return best;
}

static double runs_per_s(void)
{
    scenario_run s;
    double best = 1e30;
    scenario_open(&s);
    scenario_go(&s, "llama-2-7b", "gpu=rtx-4090 dtype=bf16");
    const vs_run_input input = {
        .model = &s.model, .machine = &s.machine, .scenario = &s.scenario};
    for (int round = 0; round < 7; round++) {
        const double start = now_ms();
        for (int i = 0; i < 200; i++) {
            vs_err err = {0};
            vs_arena_reset(&s.run);
            scenario_must(vs_run(&s.run, &input, &s.result, &s.timeline, &err), &err);
        }
        const double took = (now_ms() - start) / 200;
        best = took < best ? took : best;
    }
    scenario_close(&s);
    return 1e3 / best;
}

int main(void)
{
    printf("sim_llama_2_7b_ms %.3f ms\n", best_ms("llama-2-7b", "gpu=rtx-4090 dtype=bf16", 50));
    printf("sim_llama_3_1_405b_ms %.3f ms\n", best_ms("llama-3.1-405b", "gpu=1TiB", 7));
    printf("sim_mixtral_8x7b_ms %.3f ms\n",
           best_ms("mixtral-8x7b",
                   "gpu=48GiB quant=bnb-nf4-dq quant-experts=axolotl warmup=off async=off", 7));
    printf("sim_qwen3_235b_ms %.3f ms\n", best_ms("qwen3-235b-a22b", "gpu=600GiB", 7));
    printf("sim_deepseek_v3_ms %.3f ms\n", best_ms("deepseek-v3", "gpu=1TiB", 7));
    printf("sims_per_s %.0f 1/s\n", runs_per_s());
    return 0;
}
