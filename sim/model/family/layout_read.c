/* layout_read.c - quantization_config of a config.json, and which modules it means.
 *
 * Rules of Transformers 5.12.1: quantizers/quantizers_utils.py should_convert_module, quantizers/base.py
 * get_modules_to_not_convert; optimum's gptq quantizer; compressed-tensors 0.20 quantization/lifecycle/apply.py. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/model/family/layout.h"
#include "sim/model/internal.h"

/* More names than this in one list are refused; published lists have a few hundred. */
#define RULES_MAX    16384u
/* One pattern takes about as long as this many plain names (some 1.5 us against 10 ns). */
#define PATTERN_COST 150u
/* Patterns that need the regex library. */
#define REGEX_MAX    128u
#define REGEX_BYTES  256u

/* ---- names and patterns -------------------------------------------------------------------------- */

typedef struct {
    vs_layout *layout;
    vs_arena *arena;
    vs_err *err;
    uint32_t regex_count;
    vs_str format; /* compressed-tensors: of groups that have none of their own */
} rule_reader;

/* Whether a text means more than its letters: "." alone is compared as "any letter". */
static bool is_pattern(const char *text)
{
    return strpbrk(text, "*+?[](){}|^$\\") != NULL;
}

/* glibc's regcomp copies what stands before a "+" (posix/regcomp.c, parse_dup_op): nested ones double the work each, so that
 * 30 of them take all memory. Groups may be repeated so often in one pattern: sixteen copies at most. */
#define GROUP_REPEATS_MAX 4u

static bool repeats_little(const char *text)
{
    uint32_t groups = 0;
    for (const char *c = strstr(text, ")+"); c != NULL; c = strstr(c + 2, ")+")) {
        groups++;
    }
    return groups <= GROUP_REPEATS_MAX;
}

/* Whether the system's regex library reads the pattern as Python does, and fast: no braces, no look-around, no lazy and no
 * possessive repeats, and of the escapes only "\\.". */
static bool is_plain_pattern(const char *text)
{
    static const char *const refused[] = {"(?", "*?", "+?", "??", "*+", "++", "?+"};
    if (strlen(text) > REGEX_BYTES || strpbrk(text, "{}") != NULL || !repeats_little(text)) {
        return false;
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (strstr(text, refused[i]) != NULL) {
            return false;
        }
    }
    for (const char *c = strchr(text, '\\'); c != NULL; c = strchr(c + 2, '\\')) {
        if (c[1] != '.') {
            return false;
        }
    }
    return true;
}

/* Python's re.match: from the start, open at the end. */
static bool compile(rule_reader *r, const vs_jnode *node, const char *text, vs_name_rule *rule)
{
    char anchored[REGEX_BYTES + sizeof "^()"];
    if (!is_plain_pattern(text)) {
        return vs_json_fail(
            node, r->err,
            "the pattern \"%.80s\" is not supported here: no braces, no (?...), no repeat of a "
            "repeat, at most %u of )+, of the escapes only \\., and at most %u bytes",
            text, GROUP_REPEATS_MAX, REGEX_BYTES);
    }
    if (r->regex_count++ == REGEX_MAX) {
        return vs_json_fail(node, r->err, "more than %u patterns", REGEX_MAX);
    }
    /* the group: "^a|b" would match b anywhere */
    (void)snprintf(anchored, sizeof anchored, "^(%s)", text);
    regex_t *const regex = malloc(sizeof *regex);
    if (regex == NULL) {
        return vs_fail(r->err, VS_ERR_MEMORY, "out of memory for a pattern");
    }
    if (regcomp(regex, anchored, REG_EXTENDED | REG_NOSUB) != 0) {
        free(regex);
        return vs_json_fail(node, r->err, "\"%.80s\" is no valid pattern", text);
    }
    rule->regex = regex;
    return true;
}

static bool add_rule(rule_reader *r, const vs_jnode *node, bool is_compressed)
{
    vs_layout *const l = r->layout;
    vs_str text = {NULL, 0};
    if (!vs_json_as_str(node, &text, r->err)) {
        return false;
    }
    vs_name_rule *const rule = &l->rules[l->rule_count];
    *rule = (vs_name_rule){.text = vs_str_copy(r->arena, text)};
    if (rule->text == NULL) {
        return vs_fail_memory(r->err, r->arena, "the quantization_config");
    }
    l->rule_count++;
    const bool is_regex = is_compressed && vs_str_starts(text, "re:");
    if (is_regex || (!is_compressed && is_pattern(rule->text))) {
        return compile(r, node, rule->text + (is_regex ? 3 : 0), rule);
    }
    rule->is_class = is_compressed && vs_str_is(text, "Linear");
    rule->is_exact = is_compressed;
    return true;
}

/* Only lists were counted when room was made: an object has members, too, but no place for them. */
static bool add_rules(rule_reader *r, const vs_jnode *list, bool is_compressed)
{
    if (!vs_json_is_array(list)) {
        return list->node == NULL || vs_json_is_null(list) ||
               vs_json_fail(list, r->err, "expected a list of module names");
    }
    for (vs_jnode i = vs_json_first(list); i.node != NULL; i = vs_json_next(&i)) {
        if (!add_rule(r, &i, is_compressed)) {
            return false;
        }
    }
    return true;
}

static bool carve_rules(rule_reader *r, const vs_jnode *node, size_t count)
{
    if (count > RULES_MAX) {
        return vs_json_fail(node, r->err, "%zu names; more than %u are not supported", count,
                            RULES_MAX);
    }
    r->layout->rules = VS_ARRAY(r->arena, vs_name_rule, count);
    return r->layout->rules != NULL ||
           vs_fail_memory(r->err, r->arena, "the quantization_config");
}

/* should_convert_module: the pattern matches from the start ("." is any letter), or the name ends with it. */
static bool matches_start(const char *pattern, const char *path)
{
    for (; *pattern != '\0'; pattern++, path++) {
        if (*path == '\0' || (*pattern != '.' && *pattern != *path)) {
            return false;
        }
    }
    return true;
}

static bool matches(const vs_name_rule *rule, const char *path)
{
    if (rule->regex != NULL) {
        return regexec(rule->regex, path, 0, NULL, 0) == 0 ||
               (!rule->is_exact && vs_str_ends(vs_str_of(path), rule->text));
    }
    if (rule->is_class) {
        return true; /* only linear modules are asked about */
    }
    if (rule->is_exact) {
        return strcmp(rule->text, path) == 0;
    }
    return matches_start(rule->text, path) || vs_str_ends(vs_str_of(path), rule->text);
}

static bool matches_any(const vs_layout *layout, uint32_t first, uint32_t count,
                        const char *path)
{
    for (uint32_t i = first; i < first + count; i++) {
        if (matches(&layout->rules[i], path)) {
            return true;
        }
    }
    return false;
}

const vs_scheme *vs_layout_scheme(const vs_layout *layout, const vs_module_ref *module)
{
    if ((layout->only_in_layers && !module->is_in_layer) ||
        (layout->skips_head && module->is_head) ||
        matches_any(layout, 0, layout->skip_count, module->path)) {
        return NULL;
    }
    for (uint32_t i = 0; i < layout->scheme_count; i++) {
        const vs_scheme *const s = &layout->schemes[i];
        if (s->target_count == 0 ||
            matches_any(layout, s->first_target, s->target_count, module->path)) {
            return s;
        }
    }
    return NULL;
}

void vs_layout_close(vs_layout *layout)
{
    for (uint32_t i = 0; i < layout->rule_count; i++) {
        if (layout->rules[i].regex != NULL) {
            regfree(layout->rules[i].regex);
            free(layout->rules[i].regex);
            layout->rules[i].regex = NULL;
        }
    }
}

/* ---- one format after the other ----------------------------------------------------------------------- */

static bool read_skips(rule_reader *r, const vs_jnode *q, const char *key)
{
    vs_layout *const l = r->layout;
    vs_jnode list = {0};
    bool has_list = false;
    if (!vs_json_get_list(q, key, &list, &has_list, r->err)) {
        return false;
    }
    if (!has_list) {
        l->skips_head = true; /* get_keys_to_not_convert */
        return true;
    }
    const bool is_read =
        carve_rules(r, &list, vs_json_count(&list)) && add_rules(r, &list, false);
    l->skip_count = l->rule_count;
    return is_read;
}

static bool read_block(rule_reader *r, const vs_jnode *list, uint64_t block[2])
{
    if (vs_json_is_absent(list)) {
        return true;
    }
    if (!vs_json_is_array(list)) {
        return vs_json_fail(list, r->err, "expected two numbers, rows and columns");
    }
    uint32_t count = 0;
    for (vs_jnode i = vs_json_first(list); i.node != NULL; i = vs_json_next(&i), count++) {
        if (count == 2 || !vs_json_as_u64(&i, &block[count], r->err)) {
            break;
        }
        if (block[count] == 0 || block[count] > 65536) {
            return vs_json_fail(&i, r->err, "expected a block size 1 .. 65536");
        }
    }
    return count == 2 || vs_json_fail(list, r->err, "expected two numbers, rows and columns");
}

static bool read_fp8(rule_reader *r, const vs_jnode *q)
{
    vs_scheme *const s = &r->layout->schemes[0];
    const vs_jnode block = vs_json_member(q, "weight_block_size");
    vs_str activations = {NULL, 0};
    s->bits = 8;
    if (block.node == NULL) {
        s->block[0] = 128; /* FineGrainedFP8Config */
        s->block[1] = 128;
    }
    if (!read_block(r, &block, s->block) ||
        !vs_json_get_str(q, "activation_scheme", false, &activations, r->err)) {
        return false;
    }
    if (activations.len > 0 && !vs_str_is(activations, "static") &&
        !vs_str_is(activations, "dynamic")) {
        const vs_jnode node = vs_json_member(q, "activation_scheme");
        return vs_json_fail(&node, r->err, "expected dynamic or static, found \"%.40s\"",
                            activations.ptr);
    }
    s->has_input_scale = vs_str_is(activations, "static");
    r->layout->quant.label =
        s->block[0] == 0 ? "fp8, one scale a tensor"
                         : vs_arena_printf(r->arena, "fp8, blocks of %" PRIu64 " x %" PRIu64,
                                           s->block[0], s->block[1]);
    const vs_jnode other = vs_json_member(q, "ignored_layers");
    return read_skips(r, q,
                      vs_json_is_array(&other) ? "ignored_layers" : "modules_to_not_convert");
}

/* "group_size": -1 means a whole row. */
static bool read_group_size(rule_reader *r, const vs_jnode *q, uint64_t fallback, vs_scheme *s)
{
    const vs_jnode node = vs_json_member(q, "group_size");
    double value = (double)fallback;
    if (!vs_json_get_double(q, "group_size", false, &value, r->err)) {
        return false;
    }
    if (!(value == -1 || (value >= 1 && value <= 65536 && value == (double)(uint64_t)value))) {
        return vs_json_fail(&node, r->err, "expected a group size 1 .. 65536, or -1 for a row");
    }
    s->group_size = value < 0 ? 0 : (uint64_t)value;
    return true;
}

static bool read_bits(rule_reader *r, const vs_jnode *q, const char *key, uint64_t fallback,
                      vs_scheme *s)
{
    uint64_t bits = fallback;
    if (!vs_json_get_u64(q, key, false, &bits, r->err)) {
        return false;
    }
    if (bits < 2 || bits > 8) {
        const vs_jnode node = vs_json_member(q, key);
        return vs_json_fail(&node, r->err, "expected 2 .. 8 bits, found %" PRIu64, bits);
    }
    s->bits = (uint32_t)bits;
    return true;
}

static bool read_grouped(rule_reader *r, const vs_jnode *q, const char *name)
{
    vs_scheme *const s = &r->layout->schemes[0];
    if (!read_bits(r, q, "bits", 4, s) || !read_group_size(r, q, 128, s)) {
        return false;
    }
    if (s->bits != 2 && s->bits != 3 && s->bits != 4 &&
        s->bits != 8) { /* GPTQConfig.post_init */
        const vs_jnode node = vs_json_member(q, "bits");
        return vs_json_fail(&node, r->err, "expected 2, 3, 4 or 8 bits, found %" PRIu32,
                            s->bits);
    }
    r->layout->quant.label =
        s->group_size == 0
            ? vs_arena_printf(r->arena, "%s, %" PRIu32 " bit", name, s->bits)
            : vs_arena_printf(r->arena, "%s, %" PRIu32 " bit, groups of %" PRIu64, name,
                              s->bits, s->group_size);
    return true;
}

/* modules_in_block_to_quantize: names, or lists of names; only modules that end with one are converted. */
static bool read_inside_block(rule_reader *r, const vs_jnode *q)
{
    const vs_jnode list = vs_json_member(q, "modules_in_block_to_quantize");
    vs_scheme *const s = &r->layout->schemes[0];
    size_t count = 0;
    for (vs_jnode i = vs_json_first(&list); i.node != NULL; i = vs_json_next(&i)) {
        count += vs_json_is_array(&i) ? vs_json_count(&i) : 1;
    }
    if (count == 0) {
        return true;
    }
    if (!carve_rules(r, &list, count)) {
        return false;
    }
    for (vs_jnode i = vs_json_first(&list); i.node != NULL; i = vs_json_next(&i)) {
        if (!(vs_json_is_array(&i) ? add_rules(r, &i, false) : add_rule(r, &i, false))) {
            return false;
        }
    }
    s->target_count = r->layout->rule_count;
    return true;
}

static bool read_gptq(rule_reader *r, const vs_jnode *q)
{
    r->layout->only_in_layers = true; /* optimum converts the blocks only */
    return read_grouped(r, q, "gptq") && read_inside_block(r, q);
}

/* The list and the defaults together (add_default_skips). */
static bool read_awq(rule_reader *r, const vs_jnode *q)
{
    const bool is_read =
        read_grouped(r, q, "awq") && read_skips(r, q, "modules_to_not_convert");
    r->layout->skips_head = true;
    return is_read;
}

static bool read_bitsandbytes(rule_reader *r, const vs_jnode *q)
{
    vs_scheme *const s = &r->layout->schemes[0];
    bool is_4bit = false;
    bool is_8bit = false;
    vs_str type = {NULL, 0};
    if (!vs_json_get_bool(q, "load_in_4bit", false, &is_4bit, r->err) ||
        !vs_json_get_bool(q, "load_in_8bit", false, &is_8bit, r->err) ||
        !vs_json_get_bool(q, "bnb_4bit_use_double_quant", false, &s->is_double_quantised,
                          r->err) ||
        !vs_json_get_str(q, "bnb_4bit_quant_type", false, &type, r->err)) {
        return false;
    }
    if (is_4bit == is_8bit) {
        return vs_json_fail(q, r->err,
                            "expected either load_in_4bit or load_in_8bit to be true");
    }
    s->format = is_4bit ? VS_QF_BNB_4BIT : VS_QF_BNB_8BIT;
    r->layout->quant.format = s->format;
    s->bits = is_4bit ? 4 : 8;
    const bool is_nf4 = vs_str_is(type, "nf4");
    if (type.len > 0 && !is_nf4 && !vs_str_is(type, "fp4")) {
        const vs_jnode node = vs_json_member(q, "bnb_4bit_quant_type");
        return vs_json_fail(&node, r->err, "expected nf4 or fp4, found \"%.40s\"", type.ptr);
    }
    s->quant_state_name = is_nf4 ? "weight.quant_state.bitsandbytes__nf4"
                                 : "weight.quant_state.bitsandbytes__fp4";
    const char *const dq = s->is_double_quantised ? ", double quantisation" : "";
    r->layout->quant.label =
        is_4bit ? vs_arena_printf(r->arena, "bitsandbytes %s%s", is_nf4 ? "nf4" : "fp4", dq)
                : "bitsandbytes int8";
    s->group_size = is_4bit ? 64 : 0;
    return read_skips(r, q, "llm_int8_skip_modules");
}

static bool read_mxfp4(rule_reader *r, const vs_jnode *q)
{
    vs_scheme *const s = &r->layout->schemes[0];
    s->bits = 4;
    s->group_size = 32;
    r->layout->quant.label = "mxfp4, blocks of 32";
    return read_skips(r, q, "modules_to_not_convert");
}

/* ---- compressed-tensors -------------------------------------------------------------------------------- */

static bool read_strategy(rule_reader *r, const vs_jnode *weights, vs_scheme *s)
{
    vs_str strategy = {NULL, 0};
    const vs_jnode block = vs_json_member(weights, "block_structure");
    if (!vs_json_get_str(weights, "strategy", false, &strategy, r->err)) {
        return false;
    }
    const bool is_grouped = vs_str_is(strategy, "group") || vs_str_is(strategy, "tensor_group");
    if (is_grouped && !read_group_size(r, weights, 128, s)) {
        return false;
    }
    s->has_row_scales = vs_str_is(strategy, "channel") || (is_grouped && s->group_size == 0);
    if (vs_str_is(strategy, "block")) {
        s->block[0] = 128;
        s->block[1] = 128;
        return read_block(r, &block, s->block);
    }
    const bool is_known =
        is_grouped || s->has_row_scales || strategy.len == 0 || vs_str_is(strategy, "tensor");
    const vs_jnode node = vs_json_member(weights, "strategy");
    return is_known || vs_json_fail(&node, r->err,
                                    "expected tensor, channel, group, tensor_group or block, "
                                    "found \"%.40s\"",
                                    strategy.ptr);
}

static bool read_weights(rule_reader *r, const vs_jnode *group, vs_scheme *s)
{
    const vs_jnode weights = vs_json_member(group, "weights");
    const vs_jnode inputs = vs_json_member(group, "input_activations");
    vs_str type = {NULL, 0};
    vs_str order = {NULL, 0};
    vs_str format = r->format;
    bool is_symmetric = true;
    bool is_dynamic = false;
    if (!vs_json_is_object(&weights)) {
        return vs_json_fail(group, r->err, "expected an object \"weights\"");
    }
    const vs_jnode actorder = vs_json_member(&weights, "actorder");
    if (!read_bits(r, &weights, "num_bits", 8, s) ||
        !vs_json_get_str(&weights, "type", false, &type, r->err) ||
        !vs_json_get_str(group, "format", false, &format, r->err) ||
        !vs_json_get_bool(&weights, "symmetric", false, &is_symmetric, r->err) ||
        !read_strategy(r, &weights, s)) {
        return false;
    }
    if (type.len > 0 && !vs_str_is(type, "float") && !vs_str_is(type, "int")) {
        const vs_jnode node = vs_json_member(&weights, "type");
        return vs_json_fail(&node, r->err, "expected int or float, found \"%.40s\"", type.ptr);
    }
    s->is_float = vs_str_is(type, "float");
    s->is_packed = vs_str_is(format, "pack-quantized");
    s->is_micro = vs_str_is(format, "mxfp4-pack-quantized");
    s->has_zero_points = !is_symmetric;
    s->has_group_index = vs_json_is_string(&actorder) &&
                         vs_json_as_str(&actorder, &order, r->err) && vs_str_is(order, "group");
    if (vs_json_is_object(&inputs)) {
        const vs_jnode dynamic = vs_json_member(&inputs, "dynamic");
        /* "local" (nvfp4) has a global scale of the inputs, as static ones do */
        if (!vs_json_is_string(&dynamic) &&
            !vs_json_get_bool(&inputs, "dynamic", false, &is_dynamic, r->err)) {
            return false;
        }
        s->has_input_scale = !is_dynamic;
    }
    return true;
}

static const char *scheme_label(rule_reader *r, const vs_scheme *s)
{
    const char *const kind = !s->is_float   ? "int"
                             : s->bits != 4 ? "fp"
                             : s->is_micro  ? "mxfp"
                                            : "nvfp";
    return s->group_size == 0
               ? vs_arena_printf(r->arena, "compressed-tensors %s%" PRIu32, kind, s->bits)
               : vs_arena_printf(r->arena,
                                 "compressed-tensors %s%" PRIu32 ", groups of %" PRIu64, kind,
                                 s->bits, s->group_size);
}

static bool read_group(rule_reader *r, const vs_jnode *group)
{
    vs_layout *const l = r->layout;
    const vs_jnode targets = vs_json_member(group, "targets");
    if (l->scheme_count == VS_SCHEMES_MAX) {
        return vs_json_fail(group, r->err, "more than %u groups are not supported",
                            VS_SCHEMES_MAX);
    }
    vs_scheme *const s = &l->schemes[l->scheme_count];
    *s = (vs_scheme){.format = VS_QF_COMPRESSED_TENSORS, .first_target = l->rule_count};
    if (!read_weights(r, group, s) || !add_rules(r, &targets, true)) {
        return false;
    }
    s->target_count = l->rule_count - s->first_target;
    l->scheme_count++;
    return s->target_count > 0 ||
           vs_json_fail(group, r->err, "expected \"targets\", a list of modules or classes");
}

static bool read_compressed(rule_reader *r, const vs_jnode *q)
{
    vs_layout *const l = r->layout;
    const vs_jnode ignore = vs_json_member(q, "ignore");
    const vs_jnode groups = vs_json_member(q, "config_groups");
    size_t count = vs_json_is_array(&ignore) ? vs_json_count(&ignore) : 0;
    for (vs_jnode g = vs_json_first(&groups); g.node != NULL; g = vs_json_next(&g)) {
        const vs_jnode targets = vs_json_member(&g, "targets");
        count += vs_json_is_array(&targets) ? vs_json_count(&targets) : 0;
    }
    if (!vs_json_is_object(&groups) || vs_json_count(&groups) == 0) {
        return vs_json_fail(q, r->err,
                            "expected an object \"config_groups\" with a group in it");
    }
    if (!vs_json_get_str(q, "format", false, &r->format, r->err) || !carve_rules(r, q, count) ||
        !add_rules(r, &ignore, true)) {
        return false;
    }
    l->skip_count = l->rule_count;
    l->scheme_count = 0;
    for (vs_jnode g = vs_json_first(&groups); g.node != NULL; g = vs_json_next(&g)) {
        if (!read_group(r, &g)) {
            return false;
        }
    }
    l->quant.label = scheme_label(r, &l->schemes[0]);
    return true;
}

/* ---- which format ------------------------------------------------------------------------------------------- */

typedef struct {
    const char *method;
    vs_quant_format format;
    bool (*read)(rule_reader *r, const vs_jnode *q);
} format_rule;

static const format_rule formats[] = {
    {"fp8", VS_QF_FP8, read_fp8},
    {"mxfp4", VS_QF_MXFP4, read_mxfp4},
    {"gptq", VS_QF_GPTQ, read_gptq},
    {"awq", VS_QF_AWQ, read_awq},
    {"bitsandbytes", VS_QF_BNB_4BIT, read_bitsandbytes},
    {"compressed-tensors", VS_QF_COMPRESSED_TENSORS, read_compressed},
};

/* "format" of compressed-tensors or of one of its groups; compressed-tensors 0.20 config/base.py has also sparse-bitmask,
 * sparse-24-bitmask, marlin-24, mxfp6-pack-quantized and mxfp8-quantized, whose tensors are others. */
static bool check_packing(const vs_jnode *object, vs_err *err)
{
    static const char *const known[] = {
        "dense",          "int-quantized",   "float-quantized",      "naive-quantized",
        "pack-quantized", "mixed-precision", "nvfp4-pack-quantized", "mxfp4-pack-quantized"};
    vs_str format = {NULL, 0};
    if (!vs_json_get_str(object, "format", false, &format, err)) {
        return false;
    }
    bool is_known = format.ptr == NULL;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        is_known = is_known || vs_str_is(format, known[i]);
    }
    const vs_jnode node = vs_json_member(object, "format");
    return is_known ||
           vs_json_fail(&node, err,
                        "\"%.40s\" is not known from a config alone (known are dense, "
                        "int-quantized, float-quantized, naive-quantized, pack-quantized, "
                        "nvfp4-pack-quantized, mxfp4-pack-quantized); give the folder with its "
                        ".safetensors files",
                        format.ptr);
}

static bool check_packings(const vs_jnode *q, vs_err *err)
{
    const vs_jnode groups = vs_json_member(q, "config_groups");
    if (!check_packing(q, err)) {
        return false;
    }
    if (!vs_json_is_object(&groups)) {
        return true; /* an error later */
    }
    for (vs_jnode g = vs_json_first(&groups); g.node != NULL; g = vs_json_next(&g)) {
        if (vs_json_is_object(&g) && !check_packing(&g, err)) {
            return false;
        }
    }
    return true;
}

static const format_rule *find_format(const vs_jnode *q, vs_err *err)
{
    vs_str method = {NULL, 0};
    if (!vs_json_get_str(q, "quant_method", true, &method, err)) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (vs_str_is(method, formats[i].method)) {
            const bool is_known =
                formats[i].format != VS_QF_COMPRESSED_TENSORS || check_packings(q, err);
            return is_known ? &formats[i] : NULL;
        }
    }
    const vs_jnode node = vs_json_member(q, "quant_method");
    (void)vs_json_fail(
        &node, err,
        "\"%.40s\" is not known from a config alone (known are fp8, mxfp4, gptq, "
        "awq, bitsandbytes, compressed-tensors); give the folder with its "
        ".safetensors files",
        method.ptr);
    return NULL;
}

/* bitsandbytes replaces linear modules: version 5 of Transformers saved fused experts as they were, version 4 had one linear
 * module a matrix. Which of them wrote the checkpoint is in its config. */
static bool read_writer(rule_reader *r, const vs_jnode *config)
{
    vs_str version = {NULL, 0};
    const vs_quant_format format = r->layout->quant.format;
    if (!vs_json_get_str(config, "transformers_version", false, &version, r->err)) {
        return false;
    }
    r->layout->keeps_experts = (format == VS_QF_BNB_4BIT || format == VS_QF_BNB_8BIT) &&
                               version.len > 1 && version.ptr[0] >= '5' &&
                               version.ptr[0] <= '9' && version.ptr[1] == '.';
    return true;
}

static vs_jnode find_quantisation(const vs_jnode *config)
{
    const vs_jnode q = vs_json_member(config, "quantization_config");
    /* older compressed-tensors checkpoints */
    return q.node != NULL ? q : vs_json_member(config, "compression_config");
}

bool vs_layout_is_known(const vs_jnode *config)
{
    const vs_jnode q = find_quantisation(config);
    return !vs_json_is_object(&q) ||
           find_format(&q, NULL) != NULL; /* no object: an error later */
}

bool vs_layout_read(vs_layout *layout, vs_arena *arena, const vs_jnode *config, vs_dtype dtype,
                    vs_err *err)
{
    const vs_jnode q = find_quantisation(config);
    *layout = (vs_layout){.scale_dtype = dtype};
    if (vs_json_is_absent(&q)) {
        return true;
    }
    if (!vs_json_is_object(&q)) {
        return vs_json_fail(&q, err, "expected an object with quant_method, or null");
    }
    const format_rule *const rule = find_format(&q, err);
    if (rule == NULL) {
        return false;
    }
    rule_reader r = {.layout = layout, .arena = arena, .err = err};
    layout->quant.format = rule->format;
    layout->quant.method = rule->method;
    layout->schemes[0].format = rule->format;
    layout->scheme_count = 1;
    if (!rule->read(&r, &q) || !read_writer(&r, config)) {
        vs_layout_close(layout);
        return false;
    }
    if (layout->quant.label == NULL) {
        vs_layout_close(layout);
        return vs_fail_memory(err, arena, "the quantization_config");
    }
    for (uint32_t i = 0; i < layout->rule_count; i++) {
        layout->question_cost += layout->rules[i].regex == NULL ? 1 : PATTERN_COST;
    }
    layout->quant.bits = layout->schemes[0].bits;
    layout->quant.group_size = (uint32_t)layout->schemes[0].group_size;
    return true;
}
