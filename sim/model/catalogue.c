/* catalogue.c - the models that are built in.
 *
 * This list holds what one looks up by; the rest of an entry is sim/catalogue/models/NAME.json, embedded by the
 * build. tests/unit/test_catalogue.c holds the two against each other. */
#include <string.h>

#include "sim/model/internal.h"
#include "vramscope/hardware.h"

static const vs_catalogue_model models[] = {
#define VS_X(name, hub) {(name), (hub), NULL, 0},
#include "sim/model/catalogue_models.h"
#undef VS_X
};

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
