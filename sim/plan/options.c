/* sim/plan/options.c - the one table of options.
 *
 * The command line, scenario files, --vary, --help and the man page are made from it. An option that the
 * contract names but this version lacks is in the table, marked planned, so that using it says so
 * instead of being an unknown word. */
#include "sim/plan/options.h"

#define SETTING .is_setting = true
#define VALUE   VS_OPT_VALUE
#define FLAG    VS_OPT_FLAG
#define PLANNED .is_planned = true

/* clang-format off */
static const vs_option options[] = {
    {"gpu", VALUE, "NAME|SIZE|NAME:SIZE[,...]",
     "The card: a name (`vramscope list gpus`), the total that cudaMemGetInfo reports such as 24GiB, or both, t4:14909MiB; repeated or comma separated for several. Default: rtx-4090.",
     .id = VS_OPTION_GPU, SETTING},
    {"gpu-used", VALUE, "SIZE[,...]",
     "Memory that other processes hold, one size per card in their order. Default: none.",
     .id = VS_OPTION_GPU_USED, SETTING},
    {"host", VALUE, "NAME|HOST.json",
     "The machine around the card: a name (`vramscope list hosts`) or a file of measured figures. Default: desktop (PCIe 4, 64 GiB).",
     .id = VS_OPTION_HOST, SETTING},
    {"disk", VALUE, "NAME|HOST.json",
     "Where the checkpoint lies: a name (`vramscope list disks`) or a file with disk_read_bytes_per_s. Default: nvme-pcie4, or the disk of --host HOST.json.",
     .id = VS_OPTION_DISK, SETTING},
    {"ram", VALUE, "SIZE",
     "Host memory, instead of the host's own.",
     .id = VS_OPTION_RAM, SETTING},
    {"cache", VALUE, "cold, warm",
     "Is the checkpoint in the page cache before the load.",
     .id = VS_OPTION_CACHE, SETTING},
    {"dtype", VALUE, "auto, fp32, fp16, bf16",
     "The dtype asked for; auto takes the one that the checkpoint's config names.",
     .id = VS_OPTION_DTYPE, SETTING},
    {"loader", VALUE, "transformers-5, transformers-5.0",
     "Whose rules apply: the newest, or those of 5.0, which prefetches while it quantises. transformers-4.57, transformers-4.47 and classic are not in this version yet.",
     .id = VS_OPTION_LOADER, SETTING},
    {"async", FLAG, "on, off, auto",
     "Copy by several workers at once, or one tensor after another (--no-async, HF_DEACTIVATE_ASYNC_LOAD=1). Default: the loader's own rule.",
     .id = VS_OPTION_ASYNC, .has_negation = true, SETTING},
    {"workers", VALUE, "N",
     "How many workers copy. Default: the loader's own number.",
     .id = VS_OPTION_WORKERS, SETTING},
    {"quant", VALUE, "none, bnb-nf4, bnb-nf4-dq, bnb-fp4, bnb-int8",
     "Quantise while loading. A pre-quantised checkpoint needs no flag.",
     .id = VS_OPTION_QUANT, SETTING},
    {"quant-experts", VALUE, "none, axolotl",
     "Quantise merged experts as they are set on the module.",
     .id = VS_OPTION_QUANT_EXPERTS, SETTING},
    {"warmup", FLAG, "on, off, auto",
     "Reserve the room for the weights in one allocation before the load, or do not (--no-warmup). Default: the loader's own rule.",
     .id = VS_OPTION_WARMUP, .has_negation = true, SETTING},
    {"device-map", VALUE, "cuda",
     "Where layers go. auto, balanced, balanced_low_0, sequential, cpu and a JSON file are not in this version yet.",
     .id = VS_OPTION_DEVICE_MAP, SETTING},
    {"max-memory", VALUE, "0=SIZE[,1=SIZE][,cpu=SIZE]",
     "Budgets of a device map.",
     .id = VS_OPTION_MAX_MEMORY, PLANNED, SETTING},
    {"alloc-conf", VALUE, "STRING",
     "What PYTORCH_CUDA_ALLOC_CONF would hold, for example expandable_segments:True.",
     .id = VS_OPTION_ALLOC_CONF, SETTING},
    {"context", VALUE, "N",
     "Prompt tokens of a generation after the load.",
     .id = VS_OPTION_CONTEXT, PLANNED, SETTING},
    {"new-tokens", VALUE, "N",
     "Tokens to generate after the load.",
     .id = VS_OPTION_NEW_TOKENS, PLANNED, SETTING},
    {"batch", VALUE, "N",
     "Sequences generated at once.",
     .id = VS_OPTION_BATCH, PLANNED, SETTING},
    {"attention", VALUE, "sdpa, eager, flash",
     "How attention is computed in a generation.",
     .id = VS_OPTION_ATTENTION, PLANNED, SETTING},
    {"runs", VALUE, "N",
     "Repeat a racy load with jittered rates.",
     .id = VS_OPTION_RUNS, PLANNED, SETTING},
    {"seed", VALUE, "S",
     "Seed of the jitter of --runs.",
     .id = VS_OPTION_SEED, PLANNED, SETTING},
    {"fail-on-oom", FLAG, "on, off",
     "Exit with status 3 when the run ends out of memory.",
     .id = VS_OPTION_FAIL_ON_OOM, SETTING},
    {"scenario", VALUE, "FILE.json",
     "Read the settings above from a file; what the command line says wins.",
     .id = VS_OPTION_SCENARIO},
    {"print-scenario", FLAG, "",
     "Write the resolved scenario as JSON and stop; --scenario reads it back.",
     .id = VS_OPTION_PRINT_SCENARIO},
    {"json", VALUE, "FILE",
     "Write the result as JSON; - is standard output, and then nothing else goes there.",
     .id = VS_OPTION_JSON},
    {"tape", VALUE, "FILE",
     "Write the recording of the run, for `vramscope view`.",
     .id = VS_OPTION_TAPE},
    {"trace", VALUE, "FILE.json",
     "Write a Chrome trace, which Perfetto opens.",
     .id = VS_OPTION_TRACE},
    {"csv", VALUE, "FILE",
     "Write one row per event.",
     .id = VS_OPTION_CSV},
    {"snapshot", VALUE, "FILE.pickle",
     "Write a PyTorch memory snapshot, which torch.cuda._memory_viz and pytorch.org/memory_viz open.",
     .id = VS_OPTION_SNAPSHOT},
    {"png", VALUE, "FILE",
     "Draw the timeline into an image.",
     .id = VS_OPTION_PNG},
    {"svg", VALUE, "FILE.svg",
     "Draw the timeline as SVG; the name ends in .svg.",
     .id = VS_OPTION_SVG},
    {"html", VALUE, "FILE",
     "Write the timeline as a web page.",
     .id = VS_OPTION_HTML, PLANNED},
};
/* clang-format on */

#define OPTION_COUNT (sizeof options / sizeof options[0])
_Static_assert(OPTION_COUNT == VS_OPTION_COUNT, "every option id has its row");

const vs_option *vs_options(size_t *out_count)
{
    *out_count = OPTION_COUNT;
    return options;
}

/* '-' and '_' are the same */
static bool same_key(vs_str key, const char *option_key)
{
    size_t i = 0;
    while (i < key.len && option_key[i] != '\0') {
        const bool is_dash = key.ptr[i] == '_' && option_key[i] == '-';
        if (!is_dash && key.ptr[i] != option_key[i]) {
            return false;
        }
        i++;
    }
    return i == key.len && option_key[i] == '\0';
}

const vs_option *vs_option_find(vs_str key)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (same_key(key, options[i].key)) {
            return &options[i];
        }
    }
    return NULL;
}

const char *vs_option_json_key(const vs_option *option, char buf[VS_TEXT_BYTES])
{
    size_t i = 0;
    for (; option->key[i] != '\0' && i + 1 < VS_TEXT_BYTES; i++) {
        buf[i] = option->key[i];
        if (buf[i] == '-') {
            buf[i] = '_';
        }
    }
    buf[i] = '\0';
    return buf;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool vs_option_next_piece(vs_str list, size_t *pos, vs_str *piece)
{
    if (*pos > list.len) {
        return false;
    }
    size_t start = *pos;
    size_t end = start;
    while (end < list.len && list.ptr[end] != ',') {
        end++;
    }
    *pos = end + 1;
    while (start < end && is_blank(list.ptr[start])) {
        start++;
    }
    while (end > start && is_blank(list.ptr[end - 1])) {
        end--;
    }
    *piece = (vs_str){list.ptr + start, end - start};
    return true;
}
