/* recognise.c - a config.json that is a published model's, given from outside of the catalogue.
 *
 * Some published checkpoints hold more than their config tells (a tied head that is stored, old rotary buffers). A user's own copy
 * of such a config means the same checkpoint: it is recognised when every key of the catalogue's config is in it with
 * the same value. Other keys and another order do not matter; a fine-tune that changed a number is not
 * recognised and is taken at its word. */
#include <string.h>

#include "sim/model/internal.h"

/* Every member of `part` is in `whole` with an equal value. */
static bool holds(const vs_jnode *whole, const vs_jnode *part)
{
    for (vs_jnode m = vs_json_first(part); m.node != NULL; m = vs_json_next(&m)) {
        const vs_jnode other = vs_json_member(whole, vs_json_key(&m));
        if (!vs_json_equal(&other, &m)) {
            return false;
        }
    }
    return true;
}

const char *vs_catalogue_recognise(const vs_jnode *config, vs_json *doc, vs_jnode *checkpoint)
{
    *doc = (vs_json){0};
    *checkpoint = (vs_jnode){0};
    for (uint32_t i = 0; i < vs_catalogue_model_count(); i++) {
        const vs_catalogue_model *const entry = vs_catalogue_model_at(i);
        const vs_str text = vs_catalogue_model_text(entry);
        /* most entries have nothing to add: no need to parse them */
        if (text.len == 0 || strstr(text.ptr, "\"checkpoint\"") == NULL ||
            !vs_json_parse(doc, text.ptr, text.len, entry->name, NULL)) {
            continue;
        }
        const vs_jnode root = vs_json_root(doc);
        const vs_jnode published = vs_json_member(&root, "config");
        *checkpoint = vs_json_member(&root, "checkpoint");
        if (checkpoint->node != NULL && published.node != NULL && holds(config, &published)) {
            return entry->name;
        }
        vs_json_close(doc);
        *checkpoint = (vs_jnode){0};
    }
    return NULL;
}
