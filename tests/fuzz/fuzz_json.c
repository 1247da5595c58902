/* tests/fuzz/fuzz_json.c - any bytes through the JSON bridge.
 *
 * Besides not crashing: text that our scan lets through must be text cJSON accepts (a
 * refusal there would surface as a memory error), every value is visited once, and every
 * getter answers or fails with a place. */
#include "vramscope/base.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_DEPTH 65

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void read_value(const vs_jnode *n)
{
    uint64_t whole = 0;
    double number = 0;
    vs_str text = {0};
    bool flag = false;
    vs_err err = {0};
    int answers = 0;
    answers += vs_json_as_str(n, &text, &err);
    answers += vs_json_as_bool(n, &flag, &err);
    answers += vs_json_as_double(n, &number, &err);
    require(answers <= 1);
    require(answers == 1 || (err.code == VS_ERR_VALUE && strcmp(err.path, n->path) == 0));
    if (vs_json_as_u64(n, &whole, &err)) {
        require(number == (double)whole);
    }
    char line[300];
    require(strlen(vs_err_line(&err, line, sizeof line)) < sizeof line);
}

static void visit_all(const vs_json *doc)
{
    vs_jnode stack[MAX_DEPTH];
    size_t depth = 0;
    stack[depth++] = vs_json_root(doc);
    while (depth > 0) {
        vs_jnode *top = &stack[depth - 1];
        if (top->node == NULL) {
            depth--;
            if (depth > 0) {
                stack[depth - 1] = vs_json_next(&stack[depth - 1]);
            }
            continue;
        }
        read_value(top);
        const vs_jnode child = vs_json_first(top);
        require((child.node != NULL) == (vs_json_count(top) > 0));
        if (child.node == NULL) {
            *top = vs_json_next(top);
            continue;
        }
        require(depth < MAX_DEPTH);
        stack[depth++] = child;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vs_json doc = {0};
    vs_err err = {0};
    if (!vs_json_parse(&doc, data, size, "fuzz", &err)) {
        require(err.code == VS_ERR_FORMAT || err.code == VS_ERR_LIMIT ||
                err.code == VS_ERR_VALUE);
        require(err.line > 0 && err.path[0] != '\0' && err.text[0] != '\0');
        return 0;
    }
    visit_all(&doc);
    vs_json_close(&doc);
    return 0;
}
