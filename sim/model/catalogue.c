/* catalogue.c - the models that are built in.
 *
 * This list holds what one looks up by; the rest of an entry is sim/catalogue/models/NAME.json, embedded by the
 * build. tests/unit/test_catalogue.c holds the two against each other. */
#include <string.h>

#include "sim/model/internal.h"

/* clang-format off */
static const vs_catalogue_model models[] = {
    {.name = "llama-2-7b", .hub = "meta-llama/Llama-2-7b-hf"},
    {.name = "llama-2-13b", .hub = "meta-llama/Llama-2-13b-hf"},
    {.name = "llama-2-70b", .hub = "meta-llama/Llama-2-70b-hf"},
    {.name = "llama-3.1-8b", .hub = "meta-llama/Llama-3.1-8B"},
    {.name = "llama-3.1-405b", .hub = "meta-llama/Llama-3.1-405B"},
    {.name = "llama-3.2-1b", .hub = "meta-llama/Llama-3.2-1B"},
    {.name = "llama-3.2-3b", .hub = "meta-llama/Llama-3.2-3B"},
    {.name = "llama-4-scout-17b-16e", .hub = "meta-llama/Llama-4-Scout-17B-16E-Instruct"},
    {.name = "mistral-7b-v0.1", .hub = "mistralai/Mistral-7B-v0.1"},
    {.name = "mistral-small-24b", .hub = "mistralai/Mistral-Small-24B-Base-2501"},
    {.name = "mixtral-8x7b", .hub = "mistralai/Mixtral-8x7B-v0.1"},
    {.name = "qwen2.5-0.5b", .hub = "Qwen/Qwen2.5-0.5B"},
    {.name = "qwen2.5-7b", .hub = "Qwen/Qwen2.5-7B"},
    {.name = "qwen2.5-32b", .hub = "Qwen/Qwen2.5-32B"},
    {.name = "qwen2.5-72b", .hub = "Qwen/Qwen2.5-72B"},
    {.name = "qwen3-0.6b", .hub = "Qwen/Qwen3-0.6B"},
    {.name = "qwen3-8b", .hub = "Qwen/Qwen3-8B"},
    {.name = "qwen3-32b", .hub = "Qwen/Qwen3-32B"},
    {.name = "qwen3-235b-a22b", .hub = "Qwen/Qwen3-235B-A22B"},
    {.name = "qwen3-next-80b-a3b", .hub = "Qwen/Qwen3-Next-80B-A3B-Instruct"},
    {.name = "gpt-oss-120b", .hub = "openai/gpt-oss-120b"},
    {.name = "deepseek-v3", .hub = "deepseek-ai/DeepSeek-V3"},
    {.name = "glm-4.5-air", .hub = "zai-org/GLM-4.5-Air"},
    {.name = "gemma-2-27b", .hub = "google/gemma-2-27b-it"},
    {.name = "gemma-3-27b", .hub = "google/gemma-3-27b-it"},
    {.name = "phi-4", .hub = "microsoft/phi-4"},
    {.name = "falcon-40b", .hub = "tiiuae/falcon-40b"},
    {.name = "bloom-176b", .hub = "bigscience/bloom"},
    {.name = "opt-6.7b", .hub = "facebook/opt-6.7b"},
    {.name = "opt-30b", .hub = "facebook/opt-30b"},
    {.name = "opt-66b", .hub = "facebook/opt-66b"},
    {.name = "gpt-j-6b", .hub = "EleutherAI/gpt-j-6B"},
    {.name = "starcoder2-15b", .hub = "bigcode/starcoder2-15b"},
    {.name = "granite-3.3-8b", .hub = "ibm-granite/granite-3.3-8b-instruct"},
};

/* clang-format on */

uint32_t vs_catalogue_model_count(void)
{
    return sizeof models / sizeof models[0];
}

const vs_catalogue_model *vs_catalogue_model_at(uint32_t index)
{
    vs_assert(index < vs_catalogue_model_count());
    return &models[index];
}

const vs_catalogue_model *vs_catalogue_model_find(vs_str name)
{
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        if (vs_str_is_nocase(name, models[i].name) || vs_str_is_nocase(name, models[i].hub)) {
            return &models[i];
        }
    }
    return NULL;
}

vs_str vs_catalogue_model_text(const vs_catalogue_model *entry)
{
    const size_t name_bytes = strlen(entry->name);
    for (size_t i = 0; i < vs_embedded_count; i++) {
        const char *const file = vs_embedded_files[i].name;
        if (strncmp(file, "models/", 7) == 0 &&
            strncmp(file + 7, entry->name, name_bytes) == 0 &&
            strcmp(file + 7 + name_bytes, ".json") == 0) {
            return (vs_str){vs_embedded_files[i].text, vs_embedded_files[i].text_bytes};
        }
    }
    return (vs_str){"", 0};
}
