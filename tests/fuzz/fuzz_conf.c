/* Any bytes as PYTORCH_CUDA_ALLOC_CONF, for the releases whose parsers differ: an answer or an error, and what is accepted
 * can be parsed again and keeps its bounds. */
#include <stdlib.h>

#include "vramscope/pool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bounds(const vs_alloc_conf *conf)
{
    bool is_fine = conf->gc_threshold >= 0.0 && conf->gc_threshold < 1.0 &&
                   conf->memory_fraction <= 1.0 && conf->large_segment_bytes > 10 * VS_MIB &&
                   conf->max_split_bytes >= 20 * VS_MIB &&
                   conf->max_non_split_bytes >= 20 * VS_MIB;
    for (unsigned i = 0; i < 16; i++) {
        is_fine = is_fine && (conf->divisions[i] & (conf->divisions[i] - 1u)) == 0;
    }
    if (!is_fine && !(conf->torch >= 211 && conf->max_non_split_bytes > 10 * VS_MIB)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const vs_torch_version releases[] = {200, 209, 210, VS_TORCH_NEWEST};
    for (size_t i = 0; i < sizeof releases / sizeof releases[0]; i++) {
        vs_alloc_conf conf = vs_alloc_conf_default(releases[i]);
        const vs_str text = {(const char *)data, size};
        vs_err err = {0};
        if (vs_alloc_conf_parse(&conf, text, &err)) {
            check_bounds(&conf);
            if (err.code != VS_OK || !vs_alloc_conf_parse(&conf, text, &err)) {
                abort();
            }
        } else if (err.code == VS_OK || err.text[0] == '\0' || err.offset > size) {
            abort();
        }
    }
    return 0;
}
